"""Signing in by a real provider on loopback: the way there and back, and every wrong answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from structlog.testing import capture_logs

from streamhub.oidc.provider import KEYS_ASKED_EVERY_S, Provider
from streamhub.oidc.settings import OidcSettings
from support.bad_credentials import ID_TOKENS
from support.http_kit import Running, a_service, problem
from support.oidc import OidcProvider, running_provider, sign_in_there
from support.rights_kit import a_role, made, watch

PUBLIC = "http://127.0.0.1:8080"
GRANTS = [
    {"claim": "groups", "value": "y", "actions": ["list", "live"], "area": "110112001"},
    {"claim": "groups", "value": "l", "actions": ["list"], "area": "110112002"},
    {"claim": "groups", "value": "nowhere", "actions": ["list"], "area": "999999"},
]


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with running_provider(PUBLIC) as provider:
        yield provider


@asynccontextmanager
async def a_site(
    tmp_path: Path, provider: OidcProvider, **more: Any
) -> AsyncIterator[tuple[Running, httpx.AsyncClient]]:
    values = {"create_subjects": True, "grants": GRANTS, **more}
    settings = OidcSettings.model_validate(provider.settings(PUBLIC, **values))
    provider.forge("nothing")
    provider.people(
        {
            "ada": {"preferred_username": "Ada", "name": "Ada L", "groups": ["y", "nowhere"]},
            "eve": {"preferred_username": "admin", "name": "Eve", "groups": []},
            "odd": {"preferred_username": "!!", "name": "Odd"},
        }
    )
    async with a_service(tmp_path, oidc=settings) as running:
        running.base_url = PUBLIC
        async with running.client() as page:
            yield running, page


async def leave(page: httpx.AsyncClient) -> str:
    answer = await page.get("/api/v1/oidc/sign-in")
    assert answer.status_code == 303
    return str(answer.headers["location"])


async def come_back(page: httpx.AsyncClient, address: str) -> str:
    """Where the page goes then."""
    parts = urlsplit(address)
    answer = await page.get(f"{parts.path}?{parts.query}")
    assert answer.status_code == 303, answer.text
    assert "streamhub_oidc=" in answer.headers["set-cookie"]
    return str(answer.headers["location"])


async def sign_in(page: httpx.AsyncClient, login: str) -> str:
    return await come_back(page, await sign_in_there(await leave(page), login))


async def why(running: Running) -> list[str]:
    rows = await running.audit_rows("sign_in")
    return [row["detail"]["why"] for row in rows if row["outcome"] == "refused"]


async def test_there_and_back(provider: OidcProvider, tmp_path: Path) -> None:
    async with a_site(tmp_path, provider, label="district") as (_, page):
        assert (await page.get("/api/v1/oidc")).json() == {"enabled": True, "label": "district"}
        address = await leave(page)
        query = parse_qs(urlsplit(address).query)
        assert query["code_challenge_method"] == ["S256"]
        assert query["redirect_uri"] == [f"{PUBLIC}/api/v1/oidc/callback"]
        assert await come_back(page, await sign_in_there(address, "ada")) == "/"
        me = (await page.get("/api/v1/me")).json()
        assert (me["username"], me["display_name"], me["due"]) == ("ada", "Ada L", None)
        assert [(g["area_name"], g["actions"]) for g in me["grants"]] == [
            ("永顺镇", ["list", "live"])
        ]
        [row] = (await page.get("/api/v1/sign-ins")).json()["items"]
        assert row["method"] == "oidc"
        # Nobody has a password here: neither it nor a second factor can be set up.
        body = {"password": "any"}
        assert problem(await page.post("/api/v1/me/second-factor", json=body))[0] == 403
        out = await page.post("/api/v1/sign-out")
        target = urlsplit(out.json()["continue_at"])
        assert f"{target.scheme}://{target.netloc}" == provider.issuer
        assert parse_qs(target.query)["post_logout_redirect_uri"] == [f"{PUBLIC}/"]
        assert problem(await page.get("/api/v1/me"))[0] == 401


async def test_grants_follow_the_provider_and_those_by_hand_stay(
    provider: OidcProvider, tmp_path: Path
) -> None:
    async with a_site(tmp_path, provider) as (running, page):
        await sign_in(page, "ada")
        ada = (await page.get("/api/v1/me")).json()["id"]
        async with running.as_("admin") as admin:
            body = {"subject_id": ada, "actions": ["list"], "channel_id": "ch_l1"}
            assert (await admin.post("/api/v1/grants", json=body)).status_code == 201
        before = len(await running.audit_rows("grant_create"))
        await sign_in(page, "ada")
        assert len(await running.audit_rows("grant_create")) == before  # nothing is made anew
        provider.people({"ada": {"preferred_username": "renamed", "groups": ["l"]}})
        await sign_in(page, "ada")
        me = (await page.get("/api/v1/me")).json()
        assert (me["id"], me["username"]) == (ada, "ada")  # it is `sub` that counts
        assert {g["area_name"] or g["channel_id"] for g in me["grants"]} == {"梨园镇", "ch_l1"}
        provider.people({"ada": {"groups": []}})
        await sign_in(page, "ada")
        me = (await page.get("/api/v1/me")).json()
        assert [g["channel_id"] for g in me["grants"]] == ["ch_l1"]


async def test_what_the_last_rules_gave_is_taken_back_when_they_are_gone(
    provider: OidcProvider, tmp_path: Path
) -> None:
    rules = [{"claim": "groups", "value": "y", "role": "night"}]
    async with a_site(tmp_path, provider, roles=rules) as (running, page):
        night = await a_role(running, "night")
        async with running.as_("admin") as admin:
            await made(admin, role_id=night, actions=["list"], area_id="ar_liyuan")
            await sign_in(page, "ada")
            me = (await page.get("/api/v1/me")).json()
            await made(admin, subject_id=me["id"], actions=["list"], channel_id="ch_l1")
        assert (await watch(page, "ch_y1")).status_code == 201
        assert {(g["area_name"], g["channel_id"]) for g in me["grants"]} == {
            ("永顺镇", None),
            ("梨园镇", None),
        }
        flow = running.services.oidc
        assert flow is not None
        flow.settings = flow.settings.model_copy(update={"grants": [], "roles": []})
        await sign_in(page, "ada")
        me = (await page.get("/api/v1/me")).json()
        assert [(g["area_name"], g["channel_id"]) for g in me["grants"]] == [(None, "ch_l1")]
        assert running.core.viewers == {}


async def test_roles_follow_the_provider_and_views_end_with_them(
    provider: OidcProvider, tmp_path: Path
) -> None:
    rules = [
        {"claim": "groups", "value": "w-night", "role": "night"},
        {"claim": "groups", "value": "w-gone", "role": "gone"},
    ]
    async with a_site(tmp_path, provider, grants=[], roles=rules) as (running, page):
        night, day = await a_role(running, "night"), await a_role(running, "day")
        async with running.as_("admin") as admin:
            for role_id, area_id in ((night, "ar_liyuan"), (day, "ar_yongshun")):
                await made(admin, role_id=role_id, actions=["list", "live"], area_id=area_id)
        provider.people({"ada": {"preferred_username": "ada", "groups": ["w-night", "w-gone"]}})
        with capture_logs() as logged:
            assert await sign_in(page, "ada") == "/"
        assert "provider_names_unknown_role" in [each["event"] for each in logged]
        me = (await page.get("/api/v1/me")).json()
        assert [(g["role_name"], g["area_name"]) for g in me["grants"]] == [("night", "梨园镇")]
        async with running.as_("admin") as admin:
            path = f"/api/v1/roles/{day}/members/{me['id']}"
            assert (await admin.put(path)).status_code == 204
        for channel_id in ("ch_l1", "ch_y1"):
            assert (await watch(page, channel_id)).status_code == 201
        assert len(running.core.viewers) == 2

        # It says so no more, in another browser: what rested on that ends in this one, too.
        provider.people({"ada": {"groups": ["night", "day"]}})
        async with running.client() as another:
            assert await sign_in(another, "ada") == "/"
        assert len(running.core.viewers) == 1
        assert problem(await watch(page, "ch_l1")) == (404, "not_found")
        me = (await page.get("/api/v1/me")).json()
        assert [g["role_name"] for g in me["grants"]] == ["day"]  # by hand, and left alone
        [row] = await running.audit_rows("role_member_remove")
        assert (row["subject_name"], row["detail"]) == (
            "oidc",
            {"id": night, "role": "night", "member": "ada"},
        )
        added = await running.audit_rows("role_member_add")
        assert [(r["subject_name"], r["detail"]["role"]) for r in added] == [
            ("admin", "day"),
            ("oidc", "night"),
        ]


async def test_a_wrong_answer_signs_nobody_in_and_is_written_down(
    provider: OidcProvider, tmp_path: Path
) -> None:
    async with a_site(tmp_path, provider) as (running, page):
        for kind, reason in ID_TOKENS.items():
            provider.forge(kind)
            running.services.sign_ins._limiter.buckets._attempts.clear()
            assert await sign_in(page, "ada") == "/?sign_in_error=oidc_bad_answer", kind
            assert problem(await page.get("/api/v1/me")) == (401, "unauthenticated"), kind
            assert (await why(running))[0] == reason, kind
        provider.forge("skewed")  # half a minute is a clock that differs
        assert await sign_in(page, "ada") == "/"


async def test_keys_may_change_at_any_time(
    provider: OidcProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_site(tmp_path, provider) as (running, page):
        assert await sign_in(page, "ada") == "/"
        provider.rotate()
        oidc = running.services.oidc
        assert oidc is not None
        asked: list[str] = []
        ask = Provider._ask

        async def noted(self: Provider, method: str, url: str, **more: Any) -> Any:
            asked.append(url)
            return await ask(self, method, url, **more)

        monkeypatch.setattr(Provider, "_ask", noted)
        clock = oidc.provider._clock
        oidc.provider._clock = lambda: clock() + KEYS_ASKED_EVERY_S
        assert await sign_in(page, "ada") == "/"
        assert [url for url in asked if url.endswith("/jwks")] != []
        asked.clear()
        assert await sign_in(page, "ada") == "/"
        assert [url for url in asked if url.endswith(("/jwks", "-configuration"))] == []


async def test_what_was_not_begun_here_is_not_finished(
    provider: OidcProvider, tmp_path: Path
) -> None:
    async with a_site(tmp_path, provider) as (running, page), running.client() as another:
        address = await sign_in_there(await leave(page), "ada")
        refused = "/?sign_in_error=oidc_state"
        assert await come_back(another, address) == refused  # another browser
        assert await come_back(page, address.replace("state=", "state=x")) == refused
        # The cookie is gone with that: the right answer comes too late.
        assert await come_back(page, address) == refused
        address = await sign_in_there(await leave(page), "ada")
        oidc = running.services.oidc
        assert oidc is not None
        later = oidc._now().timestamp() + 601
        oidc._now = lambda: type(running.services.now()).fromtimestamp(later).astimezone()
        assert await come_back(page, address) == refused


async def test_a_code_is_of_one_flow(provider: OidcProvider, tmp_path: Path) -> None:
    """Somebody's code, put into another's flow: PKCE and nonce are of that one."""
    async with a_site(tmp_path, provider) as (running, page), running.client() as victim:
        stolen = parse_qs(urlsplit(await sign_in_there(await leave(page), "eve")).query)["code"][0]
        state = parse_qs(urlsplit(await leave(victim)).query)["state"][0]
        mixed = f"/x?code={stolen}&state={state}&iss={provider.issuer}"
        address = mixed.replace("/x", "/api/v1/oidc/callback")
        assert await come_back(victim, address) == "/?sign_in_error=oidc_bad_answer"
        state = parse_qs(urlsplit(await leave(victim)).query)["state"][0]
        elsewhere = f"/api/v1/oidc/callback?code=x&state={state}&iss=https://evil.example"
        assert await come_back(victim, elsewhere) == "/?sign_in_error=oidc_bad_answer"
        assert (await why(running))[0] == "answer_of_another_issuer"


async def test_nobody_is_sent_anywhere_else(provider: OidcProvider, tmp_path: Path) -> None:
    async with a_site(tmp_path, provider) as (_, page):
        evil = "https://evil.example"
        more = f"next={evil}&redirect_uri={evil}&return_to={evil}"
        answer = await page.get(f"/api/v1/oidc/sign-in?{more}", headers={"Host": "evil.example"})
        assert answer.headers["location"].startswith(provider.issuer)
        assert "evil" not in answer.headers["location"]
        assert await come_back(page, f"/api/v1/oidc/callback?{more}") == (
            "/?sign_in_error=oidc_state"
        )


async def test_who_does_not_agree_is_not_signed_in(provider: OidcProvider, tmp_path: Path) -> None:
    async with a_site(tmp_path, provider) as (running, page):
        state = parse_qs(urlsplit(await leave(page)).query)["state"][0]
        query = f"error=access_denied&state={state}&iss={provider.issuer}"
        where = await come_back(page, f"/api/v1/oidc/callback?{query}")
        assert where == "/?sign_in_error=oidc_denied"
        assert await why(running) == ["access_denied"]


async def test_an_account_is_never_taken_over_by_its_name(
    provider: OidcProvider, tmp_path: Path
) -> None:
    async with a_site(tmp_path, provider) as (running, page):
        assert await sign_in(page, "eve") == "/?sign_in_error=oidc_username_taken"
        assert await sign_in(page, "odd") == "/?sign_in_error=oidc_bad_claims"
        path = "/api/v1/subjects/su_admin/identity"
        async with running.as_("admin") as admin:
            assert (await admin.put(path, json={"sub": "eve"})).status_code == 204
            [row] = (await admin.get(path)).json()["items"]
            assert row == {"issuer": provider.issuer, "sub": "eve"}
            taken = await admin.put("/api/v1/subjects/su_lister/identity", json={"sub": "eve"})
            assert problem(taken) == (409, "identity_taken")
        assert await sign_in(page, "eve") == "/"
        assert (await page.get("/api/v1/me")).json()["username"] == "admin"
        async with running.as_("admin") as admin:
            assert (await admin.delete(path)).status_code == 204
        assert problem(await page.get("/api/v1/me")) == (401, "sign_in_ended")
        assert await sign_in(page, "eve") == "/?sign_in_error=oidc_username_taken"


async def test_subjects_are_made_only_where_that_is_set(
    provider: OidcProvider, tmp_path: Path
) -> None:
    async with a_site(tmp_path, provider, create_subjects=False) as (running, page):
        assert await sign_in(page, "ada") == "/?sign_in_error=oidc_unknown"
        async with running.as_("admin") as admin:
            path = "/api/v1/subjects/su_stranger"
            assert (await admin.put(f"{path}/identity", json={"sub": "ada"})).status_code == 204
            assert await sign_in(page, "ada") == "/"
            me = (await page.get("/api/v1/me")).json()
            assert [g["area_name"] for g in me["grants"]] == ["永顺镇"]
            assert (await admin.patch(path, json={"enabled": False})).status_code == 200
        assert problem(await page.get("/api/v1/me")) == (401, "sign_in_ended")
        assert await sign_in(page, "ada") == "/?sign_in_error=oidc_disabled"


async def test_a_provider_that_is_not_there_is_said_so(
    provider: OidcProvider, tmp_path: Path
) -> None:
    gone = OidcProvider(provider.process, "http://127.0.0.1:1")
    async with a_site(tmp_path, gone) as (_, page):
        answer = await page.get("/api/v1/oidc/sign-in")
        assert answer.headers["location"] == "/?sign_in_error=oidc_unreachable"


async def test_without_a_provider_there_is_none(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as page:
        assert (await page.get("/api/v1/oidc")).json() == {"enabled": False, "label": None}
        for path in ("sign-in", "callback"):
            assert problem(await page.get(f"/api/v1/oidc/{path}")) == (404, "no_provider")
