"""Who is revoked while their change waits for the writer: nothing of it is done any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from camera_registry import units
from camera_registry.store.sql_tx import SqlWriteTx
from support.http_kit import Running, a_service, problem
from support.patience import PATIENCE_S

GRANTS, LOANS, EXPORTS = "/api/v1/grants", "/api/v1/loans", "/api/v1/audit/exports"
VILLAGE = "/api/v1/quotas/areas/ar_village"
ACTS = ("grant_create", "loan_allow", "export_approve", "quota_set")


Ask = tuple[str, str, dict[str, Any]]


class Arrivals:
    """Counts who came to decide and who to write; those before them may keep them waiting."""

    def __init__(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        store: Any = running.services.store
        self.alone = store.write
        self._came = {"decide": 0, "write": 0}
        self._moved = asyncio.Condition()
        self._deciding = running.services.deciding
        monkeypatch.setattr(store, "write", self._write)
        monkeypatch.setattr(running.services, "deciding", self)

    async def __aenter__(self) -> None:
        await self._come("decide")
        await self._deciding.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._deciding.release()

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[SqlWriteTx]:
        await self._come("write")
        async with self.alone() as tx:
            yield tx

    async def _come(self, to: str) -> None:
        async with self._moved:
            self._came[to] += 1
            self._moved.notify_all()

    async def have_come(self, to: str, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S), self._moved:
            await self._moved.wait_for(lambda: self._came[to] >= count)


@asynccontextmanager
async def a_warden(
    tmp_path: Path,
) -> AsyncIterator[tuple[Running, httpx.AsyncClient, list[Ask]]]:
    """A service, its administrator, and what `warden` is about to do by grants of their own."""
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("stranger") as stranger,
    ):
        grant = {"subject_id": "su_warden", "actions": ["audit"], "area_id": "ar_yongshun"}
        assert (await admin.post(GRANTS, json=grant)).status_code == 201
        asked = {"channel": "ch_y1", "actions": ["live"], "reason": "查看路口积水", "minutes": 60}
        loan = (await stranger.post(LOANS, json=asked)).json()
        why = {"purpose": "inquiry", "purpose_note": "案件 2026-17"}
        export = await admin.post(EXPORTS, params={"area_id": "ar_yongshun"}, json=why)
        given = {"subject_id": "su_lister", "actions": ["live"], "area_id": "ar_yongshun"}
        yield (
            running,
            admin,
            [
                ("POST", GRANTS, given),
                ("POST", f"{GRANTS}/batch", {"changes": [{"create": given}]}),
                ("POST", f"{LOANS}/{loan['id']}/allow", {}),
                ("POST", f"{EXPORTS}/{export.json()['id']}/approve", {}),
                ("PUT", VILLAGE, {"max_views": 5}),
            ],
        )


async def after(
    arrivals: Arrivals, first: Any, warden: httpx.AsyncClient, asks: list[Ask], decides: int
) -> list[httpx.Response]:
    """What `warden` is answered who asks while `first`, one of `decides` itself, waits for the
    writer. Where it is none, the first of the asks has been decided and waits behind it."""
    async with arrivals.alone():
        before = asyncio.create_task(first)
        await arrivals.have_come("write", 1)
        waiting = []
        for number, (method, path, body) in enumerate(asks, start=1):
            waiting.append(asyncio.create_task(warden.request(method, path, json=body)))
            await arrivals.have_come("decide", decides + number)
        await arrivals.have_come("write", 2 - decides)
    answer = await before
    assert answer.is_success, answer.text
    return [await each for each in waiting]


async def done_by_warden(running: Running) -> list[str]:
    rows = [row for act in ACTS for row in await running.audit_rows(act)]
    return [row["act"] for row in rows if row["subject_name"] == "warden"]


async def test_who_is_revoked_meanwhile_gives_nothing_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_warden(tmp_path) as (running, admin, asks), running.as_("warden") as warden:
        held = (await admin.get(GRANTS, params={"subject_id": "su_warden"})).json()["items"]
        changes = [{"revoke": each["id"]} for each in held]
        revoking = admin.post(f"{GRANTS}/batch", json={"changes": changes})
        answers = await after(Arrivals(running, monkeypatch), revoking, warden, asks, 1)
        assert [problem(each) for each in answers] == [(404, "not_found")] * len(asks)
        assert await done_by_warden(running) == []


@pytest.mark.parametrize(("number", "status"), list(enumerate([401, 401, 404, 401, 401])))
async def test_whose_sign_in_is_ended_meanwhile_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    """It has been decided that they may. A loan says nothing of what there is."""
    async with a_warden(tmp_path) as (running, admin, asks), running.client() as warden:
        form = {"username": "warden", "password": "warden-pass"}
        assert (await warden.post("/api/v1/sign-in", json=form)).status_code == 200
        [row] = (await warden.get("/api/v1/sign-ins")).json()["items"]
        ending = admin.delete(f"/api/v1/subjects/su_warden/sign-ins/{row['id']}")
        arrivals = Arrivals(running, monkeypatch)
        [answer] = await after(arrivals, ending, warden, [asks[number]], 0)
        assert problem(answer)[0] == status
        assert await done_by_warden(running) == []


async def test_who_keeps_the_right_is_not_in_the_way_of_others_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_warden(tmp_path) as (running, admin, asks), running.as_("warden") as warden:
        other = admin.patch("/api/v1/subjects/su_stranger", json={"display_name": "别人"})
        answers = await after(Arrivals(running, monkeypatch), other, warden, asks, 0)
        assert [each.status_code for each in answers] == [201, *[200] * 4]
        assert sorted(await done_by_warden(running)) == sorted(
            (*ACTS, "grant_create", "grant_create")
        )


async def test_rights_that_change_every_time_are_409(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def always(*_: object) -> bool:
        return True

    async with a_warden(tmp_path) as (running, _, asks), running.as_("warden") as warden:
        monkeypatch.setattr(units, "rights_changed_since", always)
        for method, path, body in asks:
            answer = await warden.request(method, path, json=body)
            assert problem(answer) == (409, "registry_changed"), path
        assert await done_by_warden(running) == []
        async with running.local() as local:
            assert (await local.put(VILLAGE, json={"max_views": 5})).status_code == 200
