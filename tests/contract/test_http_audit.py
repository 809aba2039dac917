"""The audit by HTTP: who finds what, one's own rows, and reports of who looked."""

from __future__ import annotations

import asyncio
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import ClientDisconnect

from camera_registry.audit.verify_export import verify_export
from camera_registry.domain import AuditEntry
from camera_registry.store import chain, open_store
from streamhub.api.audit_export import MAX_EXPORTS
from support.http_kit import OFFER, SDP, Running, a_service, problem, seed

AUDIT = "/api/v1/audit"
VIEWS = f"{AUDIT}/views"


async def watch(running: Running, who: str, *channel_ids: str) -> None:
    """Opens a view of each, and ends it."""
    async with running.as_(who) as client:
        for channel_id in channel_ids:
            opened = await client.post(f"/whep/{channel_id}", content=OFFER, headers=SDP)
            assert opened.status_code == 201, opened.text
            assert (await client.delete(opened.headers["location"])).status_code == 200


async def all_ended(running: Running) -> None:
    """Until the core has let go of every view, and the rows of that are down."""
    delivery = running.services.doors()
    await delivery.views.drained()
    await delivery._view_log.settled()


async def items(client: httpx.AsyncClient, path: str, **params: object) -> list[dict[str, object]]:
    answer = await client.get(path, params={"limit": 100, **params})  # type: ignore[dict-item]
    assert answer.status_code == 200, answer.text
    found: list[dict[str, object]] = answer.json()["items"]
    return found


async def test_the_log_is_narrowed_by_whatever_a_row_has(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        await watch(running, "admin", "ch_y2", "ch_l1")
        await watch(running, "yongshun", "ch_y1")
        async with running.as_("yongshun") as client:
            assert problem(await client.post("/whep/ch_l1", content=OFFER, headers=SDP))[0] == 404
        await all_ended(running)
        await running.rows_of("refused", 1)
        async with running.as_("admin") as admin:
            for by in ("su_yongshun", "yongshun"):
                seen = await items(admin, AUDIT, subject=by, act=["view_start", "view_end"])
                assert [row["channel_id"] for row in seen] == ["ch_y1", "ch_y1"]
            # 新建村 lies within 永顺.
            rows = await items(admin, AUDIT, area_id="ar_yongshun", act="view_end")
            assert {row["channel_id"] for row in rows} == {"ch_y1", "ch_y2"}
            rows = await items(admin, AUDIT, area_id="ar_village", act="view_end")
            assert {row["channel_id"] for row in rows} == {"ch_y2"}
            assert await items(admin, AUDIT, area_id="ar_none") == []
            assert await items(admin, AUDIT, until="2026-01-01T00:00:00Z") == []
            everything = await items(admin, AUDIT)
            assert await items(admin, AUDIT, since="2026-01-01T00:00:00+08:00") == everything
            backwards = {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
            assert problem(await admin.get(AUDIT, params=backwards)) == (422, "time_order")
            for odd in ({"since": "yesterday"}, {"since": "2026-01-01T00:00:00"}, {"outcome": "x"}):
                assert problem(await admin.get(AUDIT, params=odd))[0] == 422
        async with running.local() as local:
            refused = await items(local, AUDIT, outcome="refused", channel_id="ch_l1")
            assert [row["act"] for row in refused] == ["refused"]


async def test_an_auditor_finds_nothing_of_elsewhere_by_any_question(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        await watch(running, "admin", "ch_y1", "ch_l1")
        await all_ended(running)
        async with running.as_("auditor") as auditor:
            for question in (
                {},
                {"area_id": "ar_district"},
                {"area_id": "ar_liyuan"},
                {"channel_id": "ch_l1"},
                {"subject": "admin"},
                {"act": "view_end"},
            ):
                for path in (AUDIT, VIEWS):
                    rows = await items(auditor, path, **question)
                    assert {row["channel_id"] for row in rows} <= {"ch_y1"}, question
            assert len(await items(auditor, VIEWS, area_id="ar_district")) == 1
        for path in (AUDIT, VIEWS):
            async with running.as_("lister") as client:
                assert problem(await client.get(path)) == (403, "forbidden")
            async with running.client() as nobody:
                assert problem(await nobody.get(path)) == (401, "unauthenticated")


async def test_everybody_sees_their_own_rows(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        await watch(running, "yongshun", "ch_y1")
        await watch(running, "admin", "ch_y1")
        await all_ended(running)
        async with running.as_("yongshun") as client, running.as_("admin") as admin:
            mine = await items(client, f"{AUDIT}/mine")
            assert {row["subject_id"] for row in mine} == {"su_yongshun"}
            assert [row["act"] for row in mine] == ["view_end", "view_start", "token"]
            assert mine == await items(admin, AUDIT, subject="yongshun")
            looks = await items(client, f"{AUDIT}/mine/views")
            assert [look["channel_name"] for look in looks] == ["路口1"]
        async with running.as_("stranger") as client:
            assert [row["act"] for row in await items(client, f"{AUDIT}/mine")] == ["token"]
        async with running.client() as nobody:
            assert problem(await nobody.get(f"{AUDIT}/mine")) == (401, "unauthenticated")


async def test_the_local_operator_has_own_rows_too(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.local() as local:
        body = {
            "kind": "street",
            "code": "110112003",
            "name": "张家湾镇",
            "parent_id": "ar_district",
        }
        assert (await local.post("/api/v1/areas", json=body)).status_code == 201
        assert [row["act"] for row in await items(local, f"{AUDIT}/mine")] == ["area_create"]


async def test_who_looked_from_when_until_when_and_how_much(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        await watch(running, "yongshun", "ch_y1")
        await all_ended(running)
        async with running.as_("admin") as admin:
            opened = await admin.post("/whep/ch_y1", content=OFFER, headers=SDP)
            assert opened.status_code == 201
            answer = (await admin.get(VIEWS, params={"channel_id": "ch_y1"})).json()
            [ended] = answer["items"]
            [going_on] = answer["open"]
            assert ended["began_at"] <= ended["ended_at"] <= ended["written_at"]
            assert (ended["subject_name"], ended["remote"]) == ("yongshun", "192.0.2.7")
            assert (ended["kind"], ended["profile"]) == ("view", "sub")
            assert ended["profiles"] == going_on["profiles"] == ["sub"]
            assert (ended["cause"], ended["outcome"]) == ("closed_by_viewer", "ok")
            assert ended["sent_bytes"] is not None
            assert (going_on["subject_name"], going_on["ended_at"]) == ("admin", None)
            # A view that lasted into the time is one of it, whenever it began.
            for params, found in (
                ({"since": ended["began_at"], "until": ended["ended_at"]}, 1),
                ({"until": ended["began_at"]}, 0),
            ):
                answer = (await admin.get(VIEWS, params=params)).json()
                assert len(answer["items"]) == found
            for params, found in (
                ({"subject": "yongshun"}, 0),
                ({"subject": "admin"}, 1),
                ({"channel_id": "ch_l1"}, 0),
                ({"area_id": "ar_yongshun"}, 1),
                ({"area_id": "ar_liyuan"}, 0),
                ({"purpose": "x"}, 0),
                ({"outcome": "refused"}, 0),
                ({"until": going_on["began_at"]}, 0),
            ):
                answer = (await admin.get(VIEWS, params=params)).json()
                assert len(answer["open"]) == found, params


@pytest.mark.parametrize("who", ["auditor", "admin"])
async def test_open_views_are_told_within_the_scope(who: str, tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("admin") as admin:
            for channel_id in ("ch_y2", "ch_l1"):
                await admin.post(f"/whep/{channel_id}", content=OFFER, headers=SDP)
        async with running.as_(who) as client:
            answer = (await client.get(VIEWS)).json()
            seen = {"ch_y2"} if who == "auditor" else {"ch_y2", "ch_l1"}
            assert {look["channel_id"] for look in answer["open"]} == seen


async def test_a_view_that_a_killed_service_left_has_no_end_that_nobody_saw(
    tmp_path: Path,
) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        await admin.post("/whep/ch_y1", content=OFFER, headers=SDP)
        # As after a kill: no row of the end.
        running.services.delivery._view_log.ended = lambda *_: None  # type: ignore[union-attr, method-assign, misc, assignment]
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        [look] = await items(admin, VIEWS)
        assert (look["cause"], look["ended_at"]) == ("service_restarted", None)
        assert look["began_at"] is not None


async def by_one_person(running: Running) -> None:
    async with running.local() as local:
        answer = await local.put("/api/v1/export-settings", json={"second_person": False})
        assert answer.json() == {"second_person": False}


async def test_an_export_has_what_its_auditor_may_see_and_proves_it(tmp_path: Path) -> None:
    async with a_service(tmp_path / "data") as running:
        await watch(running, "admin", "ch_y1", "ch_l1")
        await all_ended(running)
        keys = {running.services.audit_keeper.key.key_id: running.services.audit_keeper.key.public}
        await by_one_person(running)
        for who, kind, wanted in (("auditor", "csv", 2), ("admin", "jsonl", 4)):
            async with running.as_(who) as client:
                answer = await client.get(
                    f"{AUDIT}/export",
                    params={"format": kind, "act": ["view_start", "view_end"]},
                )
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
            file = tmp_path / f"{who}.zip"
            file.write_bytes(answer.content)
            found = verify_export(file, keys)
            assert (found.ok, found.rows, found.statement["by"]) == (True, wanted, who)
        assert b"ch_l1" not in zipfile.ZipFile(tmp_path / "auditor.zip").read("rows.csv")
        async with running.as_("lister") as client:
            assert problem(await client.get(f"{AUDIT}/export")) == (403, "forbidden")
        rows = await running.audit_rows("audit_export")
        assert [row["subject_name"] for row in rows] == ["admin", "auditor"]
        running.services.audit_exports = 2
        async with running.as_("admin") as admin:
            assert problem(await admin.get(f"{AUDIT}/export")) == (503, "over_capacity")


async def test_who_leaves_before_the_file_begins_leaves_room_for_others(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        await by_one_person(running)
        headers = {"Authorization": f"Bearer {await running.token('admin')}"}

        async def left(scope: Any, receive: Any, send: Any) -> None:
            async def gone(message: Any) -> None:
                raise OSError("the client is gone")

            await running.app(scope, receive, gone)

        transport = httpx.ASGITransport(app=left)
        async with httpx.AsyncClient(
            transport=transport, base_url=running.base_url, headers=headers
        ) as client:
            for _ in range(MAX_EXPORTS):
                with pytest.raises((ClientDisconnect, OSError)):
                    await client.get(f"{AUDIT}/export")
        assert len(await running.audit_rows("audit_export")) == MAX_EXPORTS
        async with running.as_("admin") as admin:
            assert (await admin.get(f"{AUDIT}/export")).status_code == 200


async def test_a_day_that_is_over_gets_its_root_from_the_service_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seed(tmp_path)
    store = await open_store(tmp_path / "registry.db")
    with monkeypatch.context() as patch:
        patch.setattr(chain, "utc_now", lambda: datetime(2026, 1, 2, tzinfo=UTC))
        await store.append_audit(AuditEntry("sign_in", "ok", subject_name="admin"))
    await store.close()
    root = tmp_path / "audit-roots" / "2026-01-02.jsonl"
    async with a_service(tmp_path), asyncio.timeout(60):
        while not (root.exists() and root.read_bytes().endswith(b"\n")):
            await asyncio.sleep(0.02)
    assert len(root.read_text().splitlines()) == 1
