"""The corpus of bad credentials (tests/support/bad_credentials.py) against the doors of HTTP that
take one: whatever is shown is refused, by its name, and nothing has happened but that it is written
down."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from camera_registry.domain import Actor
from streamhub.api.rights import COOKIE
from streamhub.app import build_app
from streamhub.media.fake import FakeCore
from streamhub.settings import MediaSettings, Settings
from support.bad_credentials import AUTHORIZATION, COOKIES, ORIGINS, SETUP_CODES, Bad, Hand
from support.http_kit import CHEAP, Running, a_service, problem

BY = Actor(None, "test")
Door = tuple[str, str]  # method, path
# To look, to watch, to change: what each credential is shown to.
SOME: tuple[Door, ...] = (
    ("GET", "/api/v1/me"),
    ("GET", "/api/v1/events"),
    ("POST", "/whep/channel_id"),
    ("POST", "/api/v1/channels/channel_id/rtsp-tickets"),
    ("POST", "/api/v1/grants"),
    ("DELETE", "/api/v1/grants/grant_id"),
)


async def _cookie(running: Running, name: str) -> str:
    async with running.client() as page:
        body = {"username": name, "password": f"{name}-pass"}
        assert (await page.post("/api/v1/sign-in", json=body)).status_code == 200
        return str(page.cookies[COOKIE])


async def _key(admin: httpx.AsyncClient, name: str) -> tuple[str, str]:
    """Its id and its text."""
    body = {"name": "program", "expires_in_days": 1}
    made = await admin.post(f"/api/v1/subjects/su_{name}/keys", json=body)
    assert made.status_code == 201, made.text
    return made.json()["id"], made.json()["key"]


async def _at_hand(running: Running, data_dir: Path) -> Hand:
    services = running.services
    running.core.rtsp_port = 8554
    at, earlier = services.now(), timedelta(hours=30)
    async with running.as_("admin") as admin, running.as_("yongshun") as client:
        key_id, api_key = await _key(admin, "yongshun")
        revoked_id, revoked_key = await _key(admin, "yongshun")
        await admin.delete(f"/api/v1/subjects/su_yongshun/keys/{revoked_id}")
        services.api_keys._now = services.sign_ins._now = lambda: at - earlier
        expired_id, expired_key = await _key(admin, "yongshun")
        expired_cookie = await _cookie(running, "yongshun")
        services.api_keys._now = services.sign_ins._now = services.now
        signed_out = await _cookie(running, "yongshun")
        async with running.client() as page:
            page.cookies.set(COOKIE, signed_out)
            mine = (await page.get("/api/v1/sign-ins")).json()["items"]
            [signed_out_id] = [row["id"] for row in mine if row["current"]]
            assert (await page.post("/api/v1/sign-out")).status_code == 204
        signed_out_token = await running.token("warden")
        async with running.as_("warden") as script:
            assert (await script.post("/api/v1/sign-out")).status_code == 204
        running.forget("warden")
        ended_token = await running.token("warden")
        ended = await admin.delete("/api/v1/subjects/su_warden/sign-ins")
        assert ended.json() == {"ended": 1}
        _, disabled_key = await _key(admin, "auditor")
        disabled = (await running.token("auditor"), await _cookie(running, "auditor"))
        await services.people.update_subject("su_auditor", {"enabled": False}, BY)
        outdated = (await running.token("lister"), await _cookie(running, "lister"))
        await services.people.set_password_hash("su_lister", CHEAP.hash("a new one of it"), BY)
        cookie = await _cookie(running, "yongshun")
        listed = (await admin.get("/api/v1/subjects/su_yongshun/sign-ins")).json()["items"]
        [sign_in] = [row for row in listed if row["method"] == "password"]
        ticket = await client.post("/api/v1/channels/ch_y1/rtsp-tickets", json={})
        assert ticket.status_code == 201, ticket.text
    return Hand(
        now=at.timestamp(),
        token_key=await asyncio.to_thread((data_dir / "token.key").read_bytes),
        token=await running.token("yongshun"),
        other_token=await running.token("admin"),
        disabled_token=disabled[0],
        outdated_token=outdated[0],
        signed_out_token=signed_out_token,
        ended_token=ended_token,
        cookie=cookie,
        disabled_cookie=disabled[1],
        outdated_cookie=outdated[1],
        signed_out_cookie=signed_out,
        signed_out_id=signed_out_id,
        expired_cookie=expired_cookie,
        sign_in_id=sign_in["id"],
        api_key=api_key,
        api_key_id=key_id,
        disabled_key=disabled_key,
        revoked_key=revoked_key,
        revoked_key_id=revoked_id,
        expired_key=expired_key,
        expired_key_id=expired_id,
        ticket=ticket.json()["password"],
        password="yongshun-pass",
    )


async def _doors(running: Running) -> list[Door]:
    """All that answers 401 to nobody: (method, path) of each operation that is described."""
    found = []
    async with running.client() as nobody:
        for path, methods in running.app.openapi()["paths"].items():
            for method in methods.keys() & {"get", "post", "put", "patch", "delete"}:
                answer = await nobody.request(method, path.replace("{", "").replace("}", ""))
                if answer.status_code == 401:
                    found.append((method.upper(), str(answer.url.path)))
    return sorted(found)


async def _last_audited(running: Running) -> int:
    """The number of the newest audit row."""
    async with running.local() as local:
        [row] = (await local.get("/api/v1/audit", params={"limit": 1})).json()["items"]
        return int(row["seq"])


async def _audited_since(running: Running, seq: int) -> list[dict[str, Any]]:
    """What was written after that row, once all that is counted is; oldest first."""
    await running.services.refusals.stop()
    async with running.local() as local:
        rows = (await local.get("/api/v1/audit", params={"limit": 100})).json()["items"]
        return [row for row in reversed(rows) if row["seq"] > seq]


def test_each_has_a_name_of_its_own() -> None:
    for table in (AUTHORIZATION, COOKIES):
        assert len({bad.name for bad in table}) == len(table)


async def test_no_bad_credential_opens_a_door(tmp_path: Path) -> None:
    """Whatever comes as `Authorization`, and cookies: each at some doors, some at each door."""
    async with a_service(tmp_path) as running:
        hand = await _at_hand(running, tmp_path)
        doors = await _doors(running)
        assert len(doors) > 100
        assert set(doors) >= set(SOME)
        # What is bad must not be so for want of what was made here.
        for good in (
            {"Authorization": f"Bearer {hand.token}"},
            {"Authorization": f"Bearer {hand.api_key}"},
            {"Cookie": f"{COOKIE}={hand.cookie}"},
        ):
            async with running.client(**good) as client:
                assert (await client.get("/api/v1/me")).json()["username"] == "yongshun"
        before = await _last_audited(running)
        shown: list[tuple[Bad, dict[str, str]]] = [
            *((bad, {"Authorization": bad.make(hand)}) for bad in AUTHORIZATION),
            *((bad, {"Cookie": f"{COOKIE}={bad.make(hand)}"}) for bad in COOKIES),
        ]
        asked = 0
        everywhere = {"algorithm none", "a revoked API key", "replayed after signing out"}
        for bad, headers in shown:
            async with running.client(**headers) as client:
                for method, path in doors if bad.name in everywhere else SOME:
                    answer = await client.request(method, path)
                    said = problem(answer)
                    asked += 1
                    assert said == (401, bad.code), f"{bad.name}: {method} {path} -> {said}"
        assert not running.core.viewers
        rows = await _audited_since(running, before)
        assert {row["act"] for row in rows} == {"credential_refused"}
        assert {row["remote"] for row in rows} == {"192.0.2.7"}
        # Each cause once, and once more with the number of those that came after it.
        told = Counter(
            (
                row["subject_name"],
                row["detail"]["came_with"],
                row["detail"]["code"],
                row["detail"].get("sign_in") or row["detail"].get("key"),
                "more" in row["detail"],
            )
            for row in rows
        )
        assert set(told.values()) == {1}
        assert sum(row["detail"].get("more", 1) for row in rows) == asked
        # What was ours once is called by its name, and what never was by none.
        for name, came_with, code, named in (
            ("yongshun", "key", "key_invalid", hand.revoked_key_id),
            ("yongshun", "key", "key_expired", hand.expired_key_id),
            ("yongshun", "cookie", "sign_in_ended", hand.signed_out_id),
            ("yongshun", "token", "token_expired", hand.token_id),
            ("yongshun", "token", "sign_in_ended", "si_none"),
            (None, "token", "token_invalid", None),
            (None, "key", "key_invalid", None),
            (None, "cookie", "sign_in_ended", None),
        ):
            assert (name, came_with, code, named, False) in told, (name, came_with, code, named)
        text = json.dumps(rows)
        for bad, headers in shown:
            if bad.name in ("a sign-in's id", "what the store keeps of a token"):
                continue  # that signs nobody in, and names whose a credential was
            for part in " ".join(headers.values()).replace("=", " ").split()[1:]:
                # Not even a part of it.
                assert len(part) < 8 or part[:12] not in text, bad.name


async def test_who_comes_with_nothing_is_no_row(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as nobody:
        before = await _last_audited(running)
        assert problem(await nobody.get("/api/v1/me")) == (401, "unauthenticated")
        assert await _audited_since(running, before) == []


async def test_a_good_cookie_from_another_page_changes_nothing(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        cookie = await _cookie(running, "admin")
        doors = [door for door in await _doors(running) if door[0] != "GET"]
        some = [door for door in SOME if door[0] != "GET"]
        before = await _last_audited(running)
        for name, origin in ORIGINS.items():
            async with running.client(Cookie=f"{COOKIE}={cookie}", Origin=origin) as page:
                for method, path in doors if name == "another site" else some:
                    said = problem(await page.request(method, path))
                    assert said == (403, "cross_origin"), f"{name}: {method} {path} -> {said}"
        first, rest = await _audited_since(running, before)
        for row in (first, rest):
            assert (row["act"], row["subject_name"]) == ("credential_refused", "admin")
            assert row["detail"]["code"] == "cross_origin"
            assert row["detail"]["origin"] == next(iter(ORIGINS.values()))
        assert rest["detail"]["more"] == len(doors) + (len(ORIGINS) - 1) * len(some) - 1


async def test_no_wrong_setup_code_makes_an_administrator(tmp_path: Path) -> None:
    core = FakeCore()
    app = build_app(Settings(data_dir=tmp_path, media=MediaSettings(core="fake")), core=core)
    async with app.router.lifespan_context(app):
        running = Running(app, core)
        setup = running.services.setup
        code = setup.code
        assert code is not None
        body = {
            "username": "chief",
            "display_name": "管理员",
            "password": "long enough it is",
            "area_code": "110112",
            "area_name": "通州区",
        }
        async with running.client() as client:
            for name, make in SETUP_CODES.items():
                setup._limiter.buckets._attempts.clear()  # guessing is slowed down
                answer = await client.post("/api/v1/setup", json={**body, "code": make(code)})
                assert problem(answer) == (403, "setup_code_wrong"), name
                assert (await client.get("/api/v1/setup")).json()["needed"], name
            setup._limiter.buckets._attempts.clear()
            made = await client.post("/api/v1/setup", json={**body, "code": code})
            assert made.status_code == 201, made.text
            again = await client.post("/api/v1/setup", json={**body, "code": code})
            assert problem(again) == (403, "setup_done")
