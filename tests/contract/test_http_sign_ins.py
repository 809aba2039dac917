"""Where one is signed in, over HTTP: listed, ended, and the views that end with it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx

from streamhub.access.sign_in import SIGN_IN_ENDS_AFTER
from support.http_kit import OFFER, SDP, Running, a_service, problem

SIGN_INS = "/api/v1/sign-ins"


async def signed_in(client: httpx.AsyncClient, username: str = "yongshun") -> str:
    """The id of the sign-in."""
    body = {"username": username, "password": f"{username}-pass"}
    answer = await client.post("/api/v1/sign-in", json=body)
    assert answer.status_code == 200, answer.text
    [current] = [row for row in (await client.get(SIGN_INS)).json()["items"] if row["current"]]
    return str(current["id"])


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
            assert (await another.get(SIGN_INS)).json() == {"items": []}


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
        [end] = await running.audit_rows("view_end")
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
