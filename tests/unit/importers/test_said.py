"""What is said of a file and its rows has Chinese words, by its code."""

from __future__ import annotations

import re

import pytest

from camera_registry.importers.said import chinese, said
from support import finding_codes


@pytest.mark.parametrize(
    ("least", "codes"),
    [
        pytest.param(90, finding_codes.of_rules(), id="of the rules"),
        pytest.param(35, finding_codes.of_foreign(), id="of other programs' files"),
    ],
)
def test_every_finding_has_a_chinese_form(least: int, codes: set[str]) -> None:
    assert len(codes) >= least, "the search has gone blind"
    assert codes - chinese().keys() == set(), "add these codes to importers/said.zh.json"


def test_the_chinese_form_has_no_hole_but_for_the_sentence() -> None:
    for code, words in chinese().items():
        assert set(re.findall(r"\{(\w+)\}", words)) <= {"detail"}, code


def test_it_has_the_english_sentence_where_that_knows_more() -> None:
    sentence = "Row 7 has this {code} already."
    assert said("date_malformed", sentence, "zh") == chinese()["date_malformed"]
    assert said("duplicate_code", sentence, "zh").endswith(f"（{sentence}）")
    assert said("warp_core", sentence, "zh") == sentence
    assert said("duplicate_code", sentence, "en") == sentence
