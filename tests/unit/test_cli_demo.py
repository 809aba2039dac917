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
    monkeypatch.chdir(tmp_path)
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
    assert f"another: streamhub demo {option} {port % 65535 + 1}" in said
    assert list(tmp_path.iterdir()) == []


def test_in_a_checkout_the_port_of_the_settings_is_taken_and_its_command_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["streamhub", "demo"])
    monkeypatch.chdir(tmp_path)
    command = tmp_path / ".venv" / "bin" / "streamhub"
    command.parent.mkdir(parents=True)
    command.touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = {"STREAMHUB_HTTP__PORT": str(port)}
        outcome = CliRunner().invoke(cli.build(), ["demo"], env=environment)
    said = " ".join(outcome.output.split())
    assert outcome.exit_code == 1
    assert f".venv/bin/streamhub demo --port {port % 65535 + 1}" in said
