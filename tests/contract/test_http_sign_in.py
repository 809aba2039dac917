"""Signing in over HTTP: token, cookie, who am I."""

from __future__ import annotations

from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from camera_registry.domain import Actor
from streamhub.access.rate_limit import OF_NAME_AND_ADDRESS
from support.http_kit import Running, a_service, problem

SIGN_IN = {"username": "yongshun", "password": "yongshun-pass"}


async def _sign_in(running: Running, client: httpx.AsyncClient) -> str:
    answer = await client.post("/api/v1/sign-in", json=SIGN_IN)
    assert answer.status_code == 200
    assert answer.json()["subject"]["username"] == "yongshun"
    return answer.headers["set-cookie"]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_cookie_is_kept_from_scripts_and_other_sites(scheme: str, tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        running.base_url = f"{scheme}://testserver"
        async with running.client() as client:
            header = await _sign_in(running, client)
            morsel = SimpleCookie(header)["streamhub_sign_in"]
            assert morsel["httponly"]
            assert morsel["samesite"] == "Strict"
            assert morsel["path"] == "/"
            assert bool(morsel["secure"]) == (scheme == "https")
            me = (await client.get("/api/v1/me")).json()
            assert me["username"] == "yongshun"
            assert [each["area_name"] for each in me["grants"]] == ["永顺镇"]
            assert (me["may_manage"], me["may_audit"]) == (False, False)


async def test_signing_out_ends_the_cookie_on_the_server_too(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as client:
        await _sign_in(running, client)
        kept = dict(client.cookies)
        out = await client.post("/api/v1/sign-out")
        assert out.status_code == 204
        assert 'streamhub_sign_in=""' in out.headers["set-cookie"]
        client.cookies.update(kept)
        assert problem(await client.get("/api/v1/me")) == (401, "sign_in_ended")


async def test_another_page_of_this_host_may_not_use_the_cookie(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as client:
        await _sign_in(running, client)
        elsewhere = {"Origin": "http://testserver:9999"}
        refused = await client.post("/api/v1/sign-out", headers=elsewhere)
        assert problem(refused) == (403, "cross_origin")
        own = {"Origin": "http://testserver"}
        assert (await client.post("/api/v1/sign-out", headers=own)).status_code == 204


async def test_wrong_passwords_are_refused_then_limited(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as client:
        wrong = {"username": "yongshun", "password": "wrong-pass"}
        for _ in range(OF_NAME_AND_ADDRESS.at_once):
            answer = await client.post("/api/v1/sign-in", json=wrong)
            assert problem(answer) == (401, "bad_credentials")
        limited = await client.post("/api/v1/token", data=wrong)
        while limited.status_code == 401:  # one more every ten seconds, if these were so slow
            limited = await client.post("/api/v1/token", data=wrong)
        assert problem(limited) == (429, "too_many_attempts")
        assert int(limited.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("Bearer rubbish", "token_invalid"),
        ("Bearer ", "token_invalid"),
        ("Basic eW9uZ3NodW46", "token_invalid"),
        ("", "unauthenticated"),
    ],
)
async def test_what_is_no_sign_in(header: str, code: str, tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.client(Authorization=header) as client:
            answer = await client.get("/api/v1/me")
        assert problem(answer) == (401, code)
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_body_that_is_wrong_does_not_echo_the_password(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as client:
        answer = await client.post("/api/v1/sign-in", json={"password": "hunter2-hunter2"})
        assert problem(answer) == (422, "invalid_request")
        assert "hunter2" not in answer.text
        assert answer.json()["fields"][0]["field"] == "body.username"


async def test_the_local_operator_may_do_everything_and_is_written_down(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.local() as client:
        me = (await client.get("/api/v1/me")).json()
        assert me["username"].startswith("local:")
        assert me["may_manage"]
        assert me["manages_district"]
        assert (await client.delete("/api/v1/grants/gr_yongshun")).status_code == 204
        row = (await running.audit_rows("grant_revoke"))[0]
        assert row["subject_name"].startswith("local:")
        assert row["as_role"] == "local_operator"


async def test_who_manages_an_area_is_told_so_and_not_that_it_is_the_district(
    tmp_path: Path,
) -> None:
    async with a_service(tmp_path) as running, running.as_("warden") as client:
        me = (await client.get("/api/v1/me")).json()
        assert (me["may_manage"], me["manages_district"]) == (True, False)


async def test_nobody_becomes_local_by_a_header(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        headers = {"streamhub.principal": "local:root", "x-forwarded-for": "local"}
        async with running.client(**headers) as client:
            assert (await client.get("/api/v1/subjects")).status_code == 401


async def test_sign_ins_are_written_down(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.client() as client:
            await _sign_in(running, client)
        await running.token("lister")
        assert [row["remote"] for row in await running.audit_rows("sign_in")] == ["192.0.2.7"]
        assert [row["subject_name"] for row in await running.audit_rows("token")] == ["lister"]


async def test_a_disabled_subject_is_out_at_once(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("yongshun") as client:
        assert (await client.get("/api/v1/me")).status_code == 200
        await running.services.people.update_subject(
            "su_yongshun", {"enabled": False}, Actor(None, "test")
        )
        assert problem(await client.get("/api/v1/me")) == (401, "sign_in_ended")
