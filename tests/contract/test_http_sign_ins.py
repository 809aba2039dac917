"""Where one is signed in, over HTTP: listed, ended, and the views that end with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from streamhub.access.sign_in import SIGN_IN_ENDS_AFTER
from streamhub.access.token_sign_ins import GOES_ON_FOR, KEPT_BEFORE, REMEMBERED, TOKEN_LASTS
from support.http_kit import OFFER, SDP, Running, a_service, problem

SIGN_INS = "/api/v1/sign-ins"


async def signed_in(client: httpx.AsyncClient, username: str = "yongshun") -> str:
    """The id of the sign-in."""
    body = {"username": username, "password": f"{username}-pass"}
    answer = await client.post("/api/v1/sign-in", json=body)
    assert answer.status_code == 200, answer.text
    [current] = [row for row in (await client.get(SIGN_INS)).json()["items"] if row["current"]]
    return str(current["id"])


@asynccontextmanager
async def a_script(running: Running, agent: str = "script") -> AsyncIterator[httpx.AsyncClient]:
    """With a token of its own, of yongshun."""
    async with running.client(**{"User-Agent": agent}) as client:
        form = {"username": "yongshun", "password": "yongshun-pass"}
        answer = await client.post("/api/v1/token", data=form)
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


async def current(client: httpx.AsyncClient) -> str:
    """The id of the sign-in that it is asked with."""
    rows = (await client.get(SIGN_INS)).json()["items"]
    [row] = [row for row in rows if row["current"]]
    return str(row["id"])


async def watching(client: httpx.AsyncClient, channel_id: str = "ch_y1") -> str:
    answer = await client.post(f"/whep/{channel_id}", content=OFFER, headers=SDP)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"]).rpartition("/")[2]


async def live_views(running: Running) -> list[str]:
    async with running.local() as local:
        return [view["id"] for view in (await local.get("/api/v1/views")).json()["items"]]


async def test_one_sees_where_one_is_signed_in(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.client(**{"User-Agent": "wall " + "x" * 300}) as wall:
            await signed_in(wall)
            async with running.client(**{"User-Agent": "desk"}) as desk:
                await signed_in(desk)
                rows = (await desk.get(SIGN_INS)).json()["items"]
        assert [row["agent"] for row in rows] == [("wall " + "x" * 300)[:200], "desk"]
        assert [row["current"] for row in rows] == [False, True]
        assert {row["remote"] for row in rows} == {"192.0.2.7"}
        assert {row["method"] for row in rows} == {"password"}
        row = (await running.services.credentials.sign_ins_of("su_yongshun"))[0]
        assert row.ends_at - row.created_at == SIGN_IN_ENDS_AFTER
        assert timedelta(0) < row.expires_at - row.created_at < SIGN_IN_ENDS_AFTER
        async with running.as_("lister") as another:
            [own] = (await another.get(SIGN_INS)).json()["items"]
            assert (own["method"], own["current"]) == ("token", True)


async def test_ending_one_ends_its_cookie_and_its_views_and_no_others(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as wall, running.client() as desk:
        on_the_wall = await signed_in(wall)
        await signed_in(desk)
        wall_view, desk_view = await watching(wall), await watching(desk, "ch_y2")
        async with running.as_("yongshun") as script:
            script_view = await watching(script)
            assert set(await live_views(running)) == {wall_view, desk_view, script_view}
            assert (await desk.delete(f"{SIGN_INS}/{on_the_wall}")).status_code == 204
            assert set(await live_views(running)) == {desk_view, script_view}
        assert problem(await wall.get("/api/v1/me")) == (401, "sign_in_ended")
        assert (await desk.get("/api/v1/me")).status_code == 200
        assert problem(await desk.delete(f"{SIGN_INS}/{on_the_wall}")) == (404, "not_found")
        [end] = await running.rows_of("view_end", 1)
        assert end["detail"]["cause"] == "sign_in_ended"
        [ended] = await running.audit_rows("sign_in_ended")
        assert ended["detail"] == {"sign_in": on_the_wall, "of": "yongshun"}


async def test_signing_out_ends_the_views_of_that_page(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as page:
        await signed_in(page)
        await watching(page)
        assert (await page.post("/api/v1/sign-out")).status_code == 204
        assert await live_views(running) == []


async def test_ending_all_others_keeps_the_one_it_is_asked_with(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as wall, running.client() as desk:
        await signed_in(wall)
        await signed_in(desk)
        assert (await desk.delete(SIGN_INS)).json() == {"ended": 1}
        assert problem(await wall.get("/api/v1/me")) == (401, "sign_in_ended")
        assert (await desk.get("/api/v1/me")).status_code == 200


async def test_one_does_not_end_anothers(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as page:
        sign_in_id = await signed_in(page)
        async with running.as_("lister") as another:
            answer = await another.delete(f"{SIGN_INS}/{sign_in_id}")
            assert problem(answer) == (404, "not_found")
        assert (await page.get("/api/v1/me")).status_code == 200


async def test_who_manages_subjects_lists_and_ends_theirs(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as page:
        sign_in_id = await signed_in(page)
        path = "/api/v1/subjects/su_yongshun/sign-ins"
        async with running.as_("admin") as admin:
            [row] = (await admin.get(path)).json()["items"]
            assert (row["id"], row["current"]) == (sign_in_id, False)
            elsewhere = f"/api/v1/subjects/su_lister/sign-ins/{sign_in_id}"
            assert problem(await admin.delete(elsewhere)) == (404, "not_found")
            assert (await admin.delete(f"{path}/{sign_in_id}")).status_code == 204
            assert problem(await page.get("/api/v1/me")) == (401, "sign_in_ended")
            await signed_in(page)
            assert (await admin.delete(path)).json() == {"ended": 1}
            assert problem(await page.get("/api/v1/me")) == (401, "sign_in_ended")
            nobody = await admin.get("/api/v1/subjects/su_none/sign-ins")
            assert problem(nobody) == (404, "not_found")
        async with running.as_("warden") as warden:
            assert problem(await warden.get(path)) == (403, "forbidden")


async def test_the_id_of_a_sign_in_signs_nobody_in(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as page:
        sign_in_id = await signed_in(page)
        [row] = await running.services.credentials.sign_ins_of("su_yongshun")
        for guess in (sign_in_id, row.id_hash):
            async with running.client(Cookie=f"streamhub_sign_in={guess}") as thief:
                assert problem(await thief.get("/api/v1/me")) == (401, "sign_in_ended")


async def test_a_script_is_listed_as_what_it_is(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as page:
        await signed_in(page)
        async with a_script(running, "recorder 2.1") as script:
            rows = (await page.get(SIGN_INS)).json()["items"]
            told = [(row["method"], row["agent"], row["remote"], row["current"]) for row in rows]
            assert told[1] == ("token", "recorder 2.1", "192.0.2.7", False)
            assert [row["ends_at"] is None for row in rows] == [False, True]
            began, ends = (
                datetime.fromisoformat(rows[1][at]) for at in ("created_at", "expires_at")
            )
            assert ends - began == TOKEN_LASTS
            assert rows[1]["used_at"] == rows[1]["created_at"]
            [token] = await running.audit_rows("token")
            assert token["detail"] == {"sign_in": rows[1]["id"]}
            assert await current(script) == rows[1]["id"]


async def test_ending_a_scripts_sign_in_ends_its_token_and_its_views_alone(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, a_script(running) as one, a_script(running) as other:
        ended, kept = await watching(one), await watching(other, "ch_y2")
        assert set(await live_views(running)) == {ended, kept}
        async with running.as_("admin") as admin:
            path = f"/api/v1/subjects/su_yongshun/sign-ins/{await current(one)}"
            assert (await admin.delete(path)).status_code == 204
        assert await live_views(running) == [kept]
        assert problem(await one.get("/api/v1/me")) == (401, "sign_in_ended")
        assert (await other.get("/api/v1/me")).status_code == 200
        [end] = await running.rows_of("view_end", 1)
        assert end["detail"]["cause"] == "sign_in_ended"


async def test_ending_all_of_a_subject_ends_its_scripts_too(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as page, a_script(running) as one:
        await signed_in(page)
        await watching(one)
        async with running.as_("admin") as admin:
            path = "/api/v1/subjects/su_yongshun/sign-ins"
            assert (await admin.delete(path)).json() == {"ended": 2}
            assert (await admin.get(path)).json() == {"items": []}
        assert await live_views(running) == []
        assert problem(await one.get("/api/v1/me")) == (401, "sign_in_ended")


async def test_a_script_signs_out_by_itself(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, a_script(running) as one, a_script(running) as other:
        await watching(one)
        kept = await watching(other, "ch_y2")
        assert (await one.post("/api/v1/sign-out")).status_code == 204
        assert problem(await one.get("/api/v1/me")) == (401, "sign_in_ended")
        assert await live_views(running) == [kept]
        # It keeps the token it asks with.
        assert (await other.delete(SIGN_INS)).json() == {"ended": 0}
        assert (await other.get("/api/v1/me")).status_code == 200


async def test_a_view_outlives_its_token_and_is_ended_with_its_sign_in(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, a_script(running) as script:
        delivery, sign_ins, at = running.services.doors(), running.services.sign_ins, timedelta(0)
        begin = running.services.now()
        sign_ins._now = sign_ins._tokens._now = lambda: begin + at
        view, sign_in_id = await watching(script), await current(script)
        every = KEPT_BEFORE
        for _ in range(18):
            at += every
            await delivery._keep()
            async with a_script(running):  # what ended is removed then
                pass
        assert problem(await script.get("/api/v1/me")) == (401, "token_expired")
        assert await live_views(running) == [view]
        async with running.as_("admin") as admin:
            path = "/api/v1/subjects/su_yongshun/sign-ins"
            stored = await running.services.credentials.sign_ins_of("su_yongshun")
            assert sign_in_id in {row.id for row in stored}
            # Of the others those that ended are gone.
            assert len(stored) <= 1 + (TOKEN_LASTS + REMEMBERED) // every
            assert (await admin.delete(f"{path}/{sign_in_id}")).status_code == 204
        assert await live_views(running) == []


async def test_a_view_that_goes_on_writes_seldom(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, a_script(running) as script:
        services, at = running.services, timedelta(0)
        begin = services.now()
        services.sign_ins._now = lambda: begin + at
        await watching(script)
        writes, hours = 0, 2
        for _ in range(hours * 180):
            at += timedelta(seconds=20)
            seq = await services.store.latest_change_seq()
            await services.doors()._keep()
            written = await services.store.latest_change_seq()
            # Another round may come before the news does, and would write it anew.
            await services.feed.wait_caught_up(written, 5_000)
            writes += written - seq
        assert 1 < writes <= timedelta(hours=hours) // (GOES_ON_FOR - KEPT_BEFORE) + 1
