"""A secret never leaves by accident."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle

import pytest

from camera_registry.domain import StreamAddress
from camera_registry.secret import Secret

TEXT = "p4ss wörd"


def test_it_prints_stars() -> None:
    secret = Secret(TEXT)
    address = StreamAddress("ch", "de", "main", "rtsp://h/", "u", secret, 4)
    for shown in (
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>5}",
        "%s" % secret,  # noqa: UP031
        repr([secret]),
        repr(address),
        repr(dataclasses.asdict(address)),
        repr(copy.deepcopy(secret)),
        logging.LogRecord("x", 1, "x", 1, "%s", (secret,), None).getMessage(),
    ):
        assert TEXT not in shown
        assert "***" in shown
    assert secret.reveal() == TEXT


def test_it_does_not_serialise() -> None:
    with pytest.raises(TypeError):
        json.dumps(Secret(TEXT))
    with pytest.raises(TypeError):
        pickle.dumps(Secret(TEXT))
    with pytest.raises(TypeError):
        hash(Secret(TEXT))


def test_it_compares_by_its_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert not Secret("")
    assert Secret("a")
