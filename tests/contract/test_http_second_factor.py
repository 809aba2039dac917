"""The second factor over HTTP: set up by oneself, asked for, required, reset."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from streamhub.access.second_factor import DIGITS, STEP_S
from support.http_kit import OFFER, SDP, Running, a_service, problem

OWN = "/api/v1/me/second-factor"
SIGN_IN = {"username": "yongshun", "password": "yongshun-pass"}
AGAIN = {"password": "yongshun-pass"}


class Clock:
    """The service's time, for codes: it moves when a test says so."""

    def __init__(self, running: Running) -> None:
        self._start = running.services.now()
        self._moved = timedelta(0)
        running.services.second_factors._now = lambda: self._start + self._moved

    def next_code(self, made: Any) -> str:
        self._moved += timedelta(seconds=STEP_S)
        at = int((self._start + self._moved).timestamp())
        return TOTP(base64.b32decode(made["secret"]), DIGITS, SHA1(), STEP_S).generate(at).decode()


async def enrolled(client: httpx.AsyncClient, clock: Clock) -> tuple[Any, list[str]]:
    made = await client.post(OWN, json=AGAIN)
    assert made.status_code == 201, made.text
    done = await client.post(f"{OWN}/confirm", json={"code": clock.next_code(made.json())})
    assert done.status_code == 200, done.text
    return made.json(), done.json()["recovery_codes"]


async def test_from_setting_up_to_taking_away(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as page:
        clock = Clock(running)
        await page.post("/api/v1/sign-in", json=SIGN_IN)
        assert problem(await page.post(OWN, json={"password": "x"})) == (403, "wrong_password")
        made, codes = await enrolled(page, clock)
        assert made["uri"].startswith("otpauth://totp/")
        status = (await page.get(OWN)).json()
        assert status == {"confirmed": True, "required": False, "recovery_codes_left": len(codes)}
        assert (await page.get("/api/v1/me")).status_code == 200  # it goes on
        async with running.client() as another:
            bare = await another.post("/api/v1/sign-in", json=SIGN_IN)
            assert problem(bare) == (401, "second_factor_needed")
            assert "set-cookie" not in bare.headers
            form = {**SIGN_IN, "code": clock.next_code(made)}
            assert (await another.post("/api/v1/token", data=form)).status_code == 200
            used = await another.post("/api/v1/sign-in", json=form)
            assert problem(used) == (401, "second_factor_needed")
            body = {**SIGN_IN, "code": codes[3]}
            assert (await another.post("/api/v1/sign-in", json=body)).status_code == 200
        assert problem(await page.post(f"{OWN}/remove", json={"password": "x"}))[0] == 403
        assert (await page.post(f"{OWN}/remove", json=AGAIN)).status_code == 204
        async with running.client() as another:
            assert (await another.post("/api/v1/sign-in", json=SIGN_IN)).status_code == 200


async def test_required_it_comes_before_everything_else(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as page:
        clock = Clock(running)
        async with running.as_("admin") as admin:
            key = (
                await admin.post("/api/v1/subjects/su_yongshun/keys", json={"name": "x"})
            ).json()["key"]
            body = {"second_factor_required": True}
            answer = await admin.patch("/api/v1/subjects/su_yongshun", json=body)
            assert answer.json()["second_factor_required"]
        assert (await page.post("/api/v1/sign-in", json=SIGN_IN)).status_code == 200
        me = (await page.get("/api/v1/me")).json()
        assert me["due"] == "second_factor_due"
        for path in ("/whep/ch_y1", "/whep/ch_nowhere"):
            refused = await page.post(path, content=OFFER, headers=SDP)
            assert problem(refused) == (403, "second_factor_due")
        assert (await page.get("/api/v1/channels")).json()["items"] == []
        async with running.client(Authorization=f"Bearer {key}") as program:
            assert (await program.get("/api/v1/me")).json()["due"] is None
            assert (await program.get("/api/v1/channels")).json()["items"]
        await enrolled(page, clock)
        assert (await page.get("/api/v1/me")).json()["due"] is None
        assert (await page.post("/whep/ch_y1", content=OFFER, headers=SDP)).status_code == 201


async def test_who_manages_the_district_resets_it(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as page:
        await page.post("/api/v1/sign-in", json=SIGN_IN)
        await enrolled(page, Clock(running))
        path = "/api/v1/subjects/su_yongshun/second-factor"
        async with running.as_("warden") as warden:
            assert problem(await warden.delete(path)) == (403, "forbidden")
        async with running.as_("admin") as admin:
            row = (await admin.get("/api/v1/subjects/su_yongshun")).json()
            assert row["has_second_factor"]
            assert (await admin.delete(path)).status_code == 204
            assert (await admin.delete(path)).status_code == 204
        async with running.client() as another:
            assert (await another.post("/api/v1/sign-in", json=SIGN_IN)).status_code == 200
        [row] = await running.audit_rows("second_factor_remove")
        assert row["detail"] == {"of": "yongshun"}


async def test_a_key_and_the_local_operator_have_no_second_factor(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("yongshun") as owner:
            key = (await owner.post("/api/v1/keys", json={"name": "x"})).json()["key"]
        async with running.client(Authorization=f"Bearer {key}") as program:
            answer = await program.post(OWN, json=AGAIN)
            assert problem(answer) == (403, "key_not_enough")
        async with running.local() as local:
            assert problem(await local.get(OWN)) == (409, "no_account")
