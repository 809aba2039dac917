"""Sign-ins and keys by the command, beside a service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.command import Command


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    made = Command(tmp_path / "data")
    made.ok("area", "add", "110112", "通州区", "--kind", "district")
    arguments = ("subject", "add", "platform", "--kind", "service", "--password-stdin")
    made.ok(*arguments, given="platform-pass\n")
    made.ok("grant", "add", "platform", "list,live", "--area", "110112")
    yield made
    made.end()


def test_a_key_from_making_to_revoking(command: Command) -> None:
    areas = ("--area", "110112", "--actions", "list", "--days", "2")
    with command.serving():
        text = command.ok("subject", "key", "add", "platform", "a wall", *areas).strip()
        headers = {"Authorization": f"Bearer {text}"}
        me = httpx.get(f"{command.url}/api/v1/me", headers=headers, timeout=30).json()
        assert [grant["actions"] for grant in me["grants"]] == [["list"]]
        [row] = command.json("subject", "key", "list", "platform")
        assert (row["name"], row["prefix"]) == ("a wall", text[:12])
        assert row["used_at"] is not None
        command.ok("subject", "key", "revoke", "platform", row["id"])
        assert httpx.get(f"{command.url}/api/v1/me", headers=headers, timeout=30).status_code == 401
        assert text not in command.log()
    # And with no service: the next one knows it.
    command.ok("subject", "add", "program", "--kind", "service", "--no-password")
    text = command.json("subject", "key", "add", "program", "another")["key"]
    with command.serving():
        headers = {"Authorization": f"Bearer {text}"}
        assert httpx.get(f"{command.url}/api/v1/me", headers=headers, timeout=30).status_code == 200
        assert text not in command.log()


def test_sign_ins_are_listed_and_ended(command: Command) -> None:
    body = {"username": "platform", "password": "platform-pass"}
    with command.serving(), httpx.Client(base_url=command.url, timeout=30) as page:
        assert page.post("/api/v1/sign-in", json=body).status_code == 200
        [row] = command.json("subject", "sign-ins", "platform")
        assert row["method"] == "password"
        assert "ended 1 sign-ins" in command.ok("subject", "sign-out", "platform", row["id"])
        assert page.get("/api/v1/me").status_code == 401
        assert "ended 0 sign-ins" in command.ok("subject", "sign-out", "platform")
        done = command.run("subject", "sign-out", "platform", "si_none")
        assert (done.returncode, "not_found" in done.stderr) == (1, True)
