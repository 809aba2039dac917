"""Who is revoked while their change waits for the writer: nothing of it is done any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import Match

from camera_registry import units
from camera_registry.domain import Actor, Basis
from camera_registry.store.sql_tx import SqlWriteTx
from streamhub.api.newest import ByNewestRights
from streamhub.api.rights import SAFE_METHODS
from support.changes_kit import CHANGES_NOTHING, Ask, all_changes, ask, own_changes, provider
from support.http_kit import Running, a_service, problem
from support.patience import PATIENCE_S
from support.routes import routes_of

GRANTS = "/api/v1/grants"
GIVEN = {"subject_id": "su_lister", "actions": ["live"], "area_id": "ar_yongshun"}

Answers = list[httpx.Response]


class Writers:
    """Counts who came to write. Those before them may keep them waiting; `before_each` is awaited
    by each before it may."""

    def __init__(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        store: Any = running.services.store
        self.alone = store.write
        self.before_each: Callable[[int], Awaitable[None]] | None = None
        self._came = self._went = 0
        self._moved = asyncio.Condition()
        monkeypatch.setattr(store, "write", self._write)

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[SqlWriteTx]:
        self._came += 1
        if self.before_each is not None:
            await self.before_each(self._came)
        await self._tell()
        try:
            async with self.alone() as tx:
                yield tx
        finally:
            self._went += 1
            await self._tell()

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def have_come(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S), self._moved:
            await self._moved.wait_for(lambda: self._came >= count)

    async def have_gone(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S), self._moved:
            await self._moved.wait_for(lambda: self._went >= count)


async def after(
    writers: Writers, first: Awaitable[httpx.Response], client: httpx.AsyncClient, asks: list[Ask]
) -> Answers:
    """What is answered to who asks, and has been decided to be allowed it, while `first` waits for
    the writer."""
    # Of two sweeps that begin one waits for the other.
    asks = [each for each in asks if each.path != "sweeps"]
    async with writers.alone():
        before = asyncio.ensure_future(first)
        await writers.have_come(1)
        waiting = []
        for number, each in enumerate(asks, start=2):
            waiting.append(asyncio.create_task(each.by(client)))
            await writers.have_come(number)
    answer = await before
    assert answer.is_success, answer.text
    return [await each for each in waiting]


@asynccontextmanager
async def a_warden(
    tmp_path: Path,
) -> AsyncIterator[tuple[Running, httpx.AsyncClient, list[Ask]]]:
    """A service, its administrator, and all that `warden` may change by grants of their own."""
    async with (
        a_service(tmp_path, oidc=provider()) as running,
        running.as_("admin") as admin,
    ):
        yield running, admin, await all_changes(running, admin)


async def done_by_warden(running: Running) -> list[str]:
    async with running.local() as local:
        params = {"subject": "warden", "outcome": "ok", "limit": 100}
        rows = (await local.get("/api/v1/audit", params=params)).json()["items"]
    signed_in = {"token", "sign_in"}
    return [row["act"] for row in rows if row["act"] not in signed_in]


def route_of(running: Running, each: Ask) -> tuple[str, str]:
    scope = {"type": "http", "method": each.method, "path": f"/api/v1/{each.path}"}
    found = [r for r in routes_of(running.app) if r.matches(dict(scope))[0] is Match.FULL]
    return each.method, found[0].path


def written_by(monkeypatch: pytest.MonkeyPatch) -> list[Basis]:
    """What each unit of work from now on was decided from, in order."""
    found: list[Basis] = []
    begin = units.Units.begin

    def noted(self: units.Units, by: Actor) -> Any:
        if by.basis is not None:
            found.append(by.basis)
        return begin(self, by)

    monkeypatch.setattr(units.Units, "begin", noted)
    return found


async def test_what_changes_something_is_all_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what is said below is said of every route there is; and who keeps their rights does
    it all, one after the other, and each in one unit of work: a second would find rights changed
    by the first, and all of it would be done again."""
    async with a_warden(tmp_path) as (running, _, asks), running.client() as warden:
        form = {"username": "warden", "password": "warden-pass"}
        assert (await warden.post("/api/v1/sign-in", json=form)).status_code == 200
        asks += await own_changes(warden, "warden")

        def changes(route: APIRoute) -> set[tuple[str, str]]:
            return {(method, route.path) for method in route.methods - SAFE_METHODS}

        by_newest = [each for each in routes_of(running.app) if isinstance(each, ByNewestRights)]
        asked = {route_of(running, each) for each in asks}
        assert asked == set().union(*map(changes, by_newest)) - CHANGES_NOTHING
        bases = written_by(monkeypatch)
        for number, each in enumerate(asks, start=1):
            answer = await each.by(warden)
            assert answer.is_success, f"{each}: {answer.text}"
            assert len({id(basis) for basis in bases}) == len(bases) >= number, each


async def test_who_is_revoked_meanwhile_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_warden(tmp_path) as (running, admin, asks), running.as_("warden") as warden:
        held = (await admin.get(GRANTS, params={"subject_id": "su_warden"})).json()["items"]
        changes = [{"revoke": each["id"]} for each in held]
        revoking = admin.post(f"{GRANTS}/batch", json={"changes": changes})
        answers = await after(Writers(running, monkeypatch), revoking, warden, asks)
        told = {(str(answer.request.url), *problem(answer)) for answer in answers}
        assert [each for each in told if each[1:] != (404, "not_found")] == []
        assert await done_by_warden(running) == []


async def test_whose_sign_in_is_ended_meanwhile_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one's own, too."""
    async with a_warden(tmp_path) as (running, admin, asks), running.client() as warden:
        form = {"username": "warden", "password": "warden-pass"}
        assert (await warden.post("/api/v1/sign-in", json=form)).status_code == 200
        own = await own_changes(warden, "warden")
        done = await done_by_warden(running)
        [row] = [r for r in (await warden.get("/api/v1/sign-ins")).json()["items"] if r["current"]]
        ending = admin.delete(f"/api/v1/subjects/su_warden/sign-ins/{row['id']}")
        answers = await after(Writers(running, monkeypatch), ending, warden, asks + own)
        assert {answer.status_code for answer in answers} == {401}
        assert await done_by_warden(running) == done


async def test_who_keeps_the_right_is_not_in_the_way_of_others_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        other = admin.patch("/api/v1/subjects/su_stranger", json={"display_name": "别人"})
        asks = [
            ask("POST", "grants", **GIVEN),
            ask("POST", "grants/batch", changes=[{"create": GIVEN}]),
            ask("PATCH", "channels/ch_y1", name="路口一"),
            ask("PUT", "quotas/areas/ar_village", max_views=5),
            ask("POST", "codes", division="110112"),
        ]
        answers = await after(Writers(running, monkeypatch), other, admin, asks)
        assert [each.status_code for each in answers] == [201, 200, 200, 200, 201]
        assert len(await running.audit_rows("grant_create")) == 2


async def test_rights_that_change_every_time_are_409(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def always(*_: object) -> bool:
        return True

    async with a_warden(tmp_path) as (running, _, asks), running.as_("warden") as warden:
        monkeypatch.setattr(units, "rights_changed_since", always)
        for each in asks:
            assert problem(await each.by(warden)) == (409, "registry_changed"), each
        assert await done_by_warden(running) == []


async def test_nobody_revokes_the_local_operator(tmp_path: Path, monkeypatch: Any) -> None:
    async with a_service(tmp_path) as running, running.local() as local:
        grant = {"subject_id": "su_stranger", "actions": ["list"], "area_id": "ar_liyuan"}
        before = local.post(GRANTS, json=grant)
        [answer] = await after(
            Writers(running, monkeypatch), before, local, [ask("POST", "grants", **GIVEN)]
        )
        assert answer.status_code == 201


async def test_who_was_late_once_is_not_overtaken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of somebody else's changes comes to write between the decision and the change of who is
    late; by the local operator, too, whom no change of rights refuses."""
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("admin") as other,
        running.local() as local,
    ):
        writers = Writers(running, monkeypatch)
        others: list[asyncio.Task[httpx.Response]] = []

        async def overtaken(count: int) -> None:
            if others and asyncio.current_task() is not late:
                return
            client = local if len(others) % 2 else other
            went = writers._went
            others.append(asyncio.create_task(client.post(GRANTS, json=GIVEN)))
            await writers.have_gone(went + 1)

        late = asyncio.create_task(ask("PATCH", "channels/ch_y1", name="路口一").by(admin))
        writers.before_each = overtaken
        answer = await late
        writers.before_each = None
        assert answer.status_code == 200, answer.text
        assert len(others) > 1
        assert {(await each).status_code for each in others} == {201}


async def test_one_answer_for_one_key_however_often_it_was_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        admin.headers["Idempotency-Key"] = "once"
        other = admin.patch("/api/v1/subjects/su_stranger", json={"display_name": "别人"})
        writers = Writers(running, monkeypatch)
        async with writers.alone():
            before = asyncio.ensure_future(other)
            await writers.have_come(1)
            waiting = [asyncio.create_task(admin.post(GRANTS, json=GIVEN)) for _ in range(3)]
            await writers.have_come(2)
        assert (await before).is_success
        async with asyncio.timeout(PATIENCE_S):
            answers = [await each for each in waiting]
        assert len({each.json()["id"] for each in answers}) == 1
        assert len(await running.audit_rows("grant_create")) == 1
