"""Backup, restore, webhooks and new passwords by the command, beside a service and without one."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support import command as command_line
from support.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
WORDS = "several words of mine\n"
SECRET_WORD = "n3w-w0rd-of-all"


class Command(command_line.Command):
    """What a command printed and said is one text here."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, STREAMHUB_WEBHOOKS__ALLOW_LOCAL="true")

    def said(self, *arguments: str, given: str = "") -> tuple[int, str]:
        done = self.run(*arguments, given=given)
        return done.returncode, done.stdout + done.stderr

    @contextmanager
    def told(self) -> Iterator[socket.socket]:
        """A service; gives the socket that it says its states to, as systemd would hold it."""
        path = self.data_dir.with_name("notify.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.bind(str(path))
            told.settimeout(PATIENCE_S)
            process = subprocess.Popen(
                [sys.executable, "-m", "streamhub.cli", "serve"],
                cwd=ROOT,
                env={**self.environment, "NOTIFY_SOCKET": str(path)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                assert told.recv(100) == b"READY=1"
                assert httpx.get(
                    f"http://127.0.0.1:{self.port}/healthz", timeout=PATIENCE_S
                ).is_success
                yield told
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE_S)
            assert told.recv(100) == b"STOPPING=1"


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path / "data")
    yield command
    command.end()


def test_a_backup_beside_the_service_and_a_restore_without_it(
    command: Command, tmp_path: Path
) -> None:
    file = str(tmp_path / "hub.backup")
    with command.told():
        command.ok("area", "add", "110112", "通州区", "--kind", "district")
        said = command.ok("backup", file, "--passphrase-stdin", given=WORDS)
        assert "sealed by the passphrase" in said
        assert command.said("backup", file, "--without-key")[0] == 1  # it is there already
        code, said = command.said("restore", file, "--passphrase-stdin", "--force", given=WORDS)
        assert (code, "stop it first" in said) == (1, True)
    code, said = command.said("restore", file, "--passphrase-stdin", given=WORDS)
    assert (code, "registry_exists" in said) == (1, True)
    code, said = command.said("restore", file, "--passphrase-stdin", "--force", given="wrong\n")
    assert (code, "passphrase_wrong" in said) == (1, True)
    said = command.ok("restore", file, "--passphrase-stdin", "--force", given=WORDS)
    assert "before-restore-" in said
    assert "unbroken" in command.ok("audit", "verify")
    assert "通州区" in command.ok("area", "list")
    acts = {row["act"] for row in json.loads(command.ok("audit", "list", "--json"))}
    assert {"area_create", "backup_restored"} <= acts


def test_webhooks_by_the_command(command: Command) -> None:
    nobody = "http://127.0.0.1:1/hook"
    made = json.loads(command.ok("webhook", "add", nobody, "--kinds", "channel.online", "--json"))
    assert made["secret"].startswith("whsec_")
    listed = command.ok("webhook", "list")
    assert nobody in listed
    assert made["secret"] not in listed
    code, said = command.said("webhook", "test", made["id"])
    assert (code, "can't be reached" in said) == (1, True)
    assert command.ok("webhook", "dead", made["id"], "--json") == "[]\n"
    assert command.ok("webhook", "resend", made["id"]) == "queued 0 again\n"
    assert command.ok("webhook", "remove", made["id"]) == f"removed {made['id']}\n"
    code, said = command.said("webhook", "add", "ftp://192.0.2.1/")
    assert (code, "url_not_http" in said) == (2, True)


def test_a_recorders_dials_are_set_by_the_command(command: Command) -> None:
    command.ok("area", "add", "110112", "通州区", "--kind", "district")
    url = "rtsp://192.0.2.7/main"
    command.ok("camera", "add", "11011200111310000001", "路口", "--url", url, "--area", "110112")
    [device] = json.loads(command.ok("device", "list", "--json"))
    assert device["max_dials"] == 4
    [changed] = json.loads(
        command.ok("device", "edit", device["id"], "--max-dials", "16", "--json")
    )
    assert changed == {**device, "max_dials": 16}
    code, said = command.said("device", "edit", device["id"], "--max-dials", "5000")
    assert (code, "between 1 and 512" in said) == (2, True)
    assert json.loads(command.ok("device", "list", "--json")) == [changed]


def test_new_passwords_from_a_file_and_for_an_area(command: Command, tmp_path: Path) -> None:
    command.ok("area", "add", "110112", "通州区", "--kind", "district")
    url = "rtsp://ops@192.0.2.7/main"
    command.ok("camera", "add", "11011200111310000001", "路口", "--url", url, "--area", "110112")
    file = tmp_path / "new.csv"
    file.write_text(f"host,port,username,password\n192.0.2.7,,ops,{SECRET_WORD}\n", "utf-8-sig")
    code, said = command.said("device", "rotate-passwords", str(file))
    assert (code, "--yes" in said) == (2, True)
    said = command.ok("device", "rotate-passwords", str(file), "--dry-run")
    assert "would change the passwords of 1 devices" in said
    assert json.loads(command.ok("device", "list", "--json"))[0]["has_password"] is False
    said = command.ok("device", "rotate-passwords", str(file), "--yes")
    said += command.ok(
        "device",
        "rotate-passwords",
        *("--area", "通州区", "--password-stdin", "--yes"),
        given=f"{SECRET_WORD}\n",
    )
    assert said.count("changed the passwords of 1 devices") == 2
    assert json.loads(command.ok("device", "list", "--json"))[0]["has_password"] is True
    for text, where in (
        ("host,port\n", "first line"),
        ("host,port,username,password\n192.0.2.7,x,ops,pw\n", "row 2, port"),
        ("host,port,username,password\n192.0.2.7,554,ops,\n", "row 2, password"),
        ("host,port,username,password\n192.0.2.7,554\n", "row 2 has not 4 cells"),
        (f"host,port,username,password\n192.0.2.8,554,ops,{SECRET_WORD}\n", "row 2, 192.0.2.8"),
    ):
        file.write_text(text)
        code, wrong = command.said("device", "rotate-passwords", str(file), "--yes")
        assert code in (1, 2)
        assert where in wrong, wrong
        said += wrong
    said += command.ok("audit", "list", "--json")
    assert SECRET_WORD not in said
