"""Sign-ins and keys by the command, beside a service."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from streamhub.access.second_factor import DIGITS, STEP_S
from support.command import Command
from support.patience import PATIENCE_S

ISSUER = "http://127.0.0.1:1"  # nobody there: linking asks nobody
ADA = {"username": "ada", "password": "ada-own-words"}


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
        assert "ended 1 sign-in of platform" in command.ok(
            "subject", "sign-out", "platform", row["id"]
        )
        assert page.get("/api/v1/me").status_code == 401
        assert "ended 0 sign-ins" in command.ok("subject", "sign-out", "platform")
        done = command.run("subject", "sign-out", "platform", "si_none")
        assert (done.returncode, "not_found" in done.stderr) == (1, True)


@pytest.fixture
def with_provider(tmp_path: Path) -> Iterator[Command]:
    made = Command(
        tmp_path / "data",
        STREAMHUB_OIDC__ISSUER=ISSUER,
        STREAMHUB_OIDC__CLIENT_ID="streamhub",
        STREAMHUB_OIDC__PUBLIC_URL="http://127.0.0.1",
    )
    for name in ("ada", "bob"):
        arguments = ("subject", "add", name, "--keep", "--password-stdin")
        made.ok(*arguments, given=f"{name}-own-words\n")
    yield made
    made.end()


@contextmanager
def a_page(command: Command) -> Iterator[httpx.Client]:
    """Ada's, signed in by her password."""
    with httpx.Client(base_url=command.url, timeout=PATIENCE_S) as page:
        assert page.post("/api/v1/sign-in", json=ADA).status_code == 200
        yield page


def identities_of(command: Command, username: str) -> Any:
    """Who the subject is at the provider, as the local operator is told."""
    [row] = command.json("subject", "list", username)
    transport = httpx.HTTPTransport(uds=str(command.data_dir / "control.sock"))
    with httpx.Client(
        transport=transport, base_url="http://localhost", timeout=PATIENCE_S
    ) as local:
        return local.get(f"/api/v1/subjects/{row['id']}/identity").json()["items"]


def test_an_identity_is_linked_and_unlinked(with_provider: Command) -> None:
    command = with_provider
    # With no service: the next one knows it.
    assert "linked ada" in command.ok("subject", "link", "ada", "sub-of-ada")
    with command.serving():
        assert identities_of(command, "ada") == [{"issuer": ISSUER, "sub": "sub-of-ada"}]
        taken = command.run("subject", "link", "bob", "sub-of-ada")
        assert (taken.returncode, "identity_taken" in taken.stderr) == (1, True)
        nobody = command.run("subject", "link", "carl", "sub-of-carl")
        assert (nobody.returncode, "no subject carl" in nobody.stderr) == (2, True)
        with a_page(command) as page:
            assert "unlinked ada" in command.ok("subject", "unlink", "ada")
            assert page.get("/api/v1/me").status_code == 401
        assert identities_of(command, "ada") == []
        command.ok("subject", "link", "bob", "sub-of-ada")  # nobody else is it any more
        with a_page(command) as page:
            command.ok("subject", "unlink", "ada")  # she was not linked: nothing ends
            assert page.get("/api/v1/me").status_code == 200
        assert identities_of(command, "bob") == [{"issuer": ISSUER, "sub": "sub-of-ada"}]


def test_without_a_provider_nobody_is_linked(command: Command) -> None:
    done = command.run("subject", "link", "platform", "sub")
    assert done.returncode == 1
    assert "no_provider" in done.stderr
    assert "[oidc]" in done.stderr


def test_a_second_factor_is_required_and_taken_away(with_provider: Command) -> None:
    command = with_provider
    bare = command.run("subject", "second-factor", "ada")
    assert (bare.returncode, "--require" in bare.stderr) == (2, True)
    assert "ada must have" in command.ok("subject", "second-factor", "ada", "--require")
    with command.serving():
        with a_page(command) as page:
            assert page.get("/api/v1/me").json()["due"] == "second_factor_due"
            own = "/api/v1/me/second-factor"
            secret = page.post(own, json={"password": ADA["password"]}).json()["secret"]
            totp = TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP_S)
            code = totp.generate(int(time.time())).decode()
            assert page.post(f"{own}/confirm", json={"code": code}).status_code == 200
            assert page.get("/api/v1/me").json()["due"] is None
        with httpx.Client(base_url=command.url, timeout=PATIENCE_S) as page:
            refused = page.post("/api/v1/sign-in", json=ADA)
            assert refused.json()["code"] == "second_factor_needed"
        assert "no second factor any more" in command.ok(
            "subject", "second-factor", "ada", "--reset"
        )
        with a_page(command) as page:  # by the password alone, and it is still required
            assert page.get("/api/v1/me").json()["due"] == "second_factor_due"
            done = command.ok("subject", "second-factor", "ada", "--no-require")
            assert "ada need not have" in done
            assert page.get("/api/v1/me").json()["due"] is None
        assert secret not in command.log()
