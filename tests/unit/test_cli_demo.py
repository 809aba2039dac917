"""`streamhub demo` before it starts anything."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamhub import cli


@pytest.mark.parametrize("option", ["--port", "--farm-port"])
def test_a_taken_port_is_said_with_the_option_to_choose_another(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["streamhub", "demo"])  # only the command named is loaded
    other = {"--port": "--farm-port", "--farm-port": "--port"}[option]
    with socket.socket() as taken, socket.socket() as free:
        for one in (taken, free):
            one.bind(("127.0.0.1", 0))
        taken.listen()
        port, spare = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        ports = [option, str(port), other, str(spare)]
        outcome = CliRunner().invoke(cli.build(), ["demo", *ports, "--data-dir", str(tmp_path)])
    said = " ".join(outcome.output.split())
    assert outcome.exit_code == 1
    assert f"Port {port} can't be had" in said
    assert f"streamhub demo {option} {port % 65535 + 1}" in said
    assert list(tmp_path.iterdir()) == []
