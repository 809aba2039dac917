"""The systemd unit holds: what it starts exists, it sets settings, and stays hardened."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from streamhub import cli
from streamhub.cli.sd_notify import SOCKET_ENV, sd_notify
from streamhub.settings import CONFIG_ENV, Settings

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "packaging" / "streamhub.service"


def values() -> dict[str, list[str]]:
    """Each key with its values, in order; systemd lets keys stand more than once."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_what_it_starts_exists_with_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    (start,) = values()["ExecStart"]
    program, command, *options = start.split()
    assert Path(program).name == "streamhub"
    monkeypatch.setattr(sys, "argv", ["streamhub", command])
    root: Any = typer.main.get_command(cli.build())
    known = {option for param in root.commands[command].params for option in param.opts}
    assert {word for word in options if word.startswith("--")} <= known


def test_what_it_sets_are_settings_in_its_own_directory() -> None:
    unit = values()
    names = {line.partition("=")[0] for line in unit["Environment"]}
    fields = {f"STREAMHUB_{name.upper()}" for name in Settings.model_fields} | {CONFIG_ENV}
    assert {re.sub(r"__.*", "", name) for name in names} <= fields
    assert f"STREAMHUB_DATA_DIR=/var/lib/{unit['StateDirectory'][0]}" in unit["Environment"]


def test_it_is_hardened_and_comes_back() -> None:
    unit = values()
    for key, value in {
        "Type": "notify",
        "Restart": "on-failure",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "CapabilityBoundingSet": "",
        "StateDirectoryMode": "0700",
        "User": "streamhub",
    }.items():
        assert unit[key] == [value], key
    assert int(unit["LimitNOFILE"][0]) >= 3 * 3_000 * 2  # cameras by UDP hold three sockets each


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_it(tmp_path: Path) -> None:
    text = UNIT.read_text().replace("/opt/streamhub/bin/streamhub", sys.executable)
    copy = tmp_path / UNIT.name
    copy.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=600
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("abstract", [False, True])
def test_states_are_said_to_who_asks(
    abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"@{tmp_path}/n" if abstract else f"{tmp_path}/n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(name.replace("@", "\0") if abstract else name)
        monkeypatch.setenv(SOCKET_ENV, name)
        assert sd_notify("READY=1")
        assert told.recv(100) == b"READY=1"
    monkeypatch.setenv(SOCKET_ENV, f"{tmp_path}/gone")
    assert not sd_notify("READY=1")
    monkeypatch.delenv(SOCKET_ENV)
    assert not sd_notify("READY=1")
