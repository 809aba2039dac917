"""Checks of one import in each other's way: a late one, a rival, one whose process is gone."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from camera_registry import import_checks
from camera_registry.domain import Actor
from camera_registry.errors import Conflict
from camera_registry.feed import ChangeFeed
from camera_registry.importers import check
from camera_registry.importers.plan import Planner
from camera_registry.importers.rules import CheckedRow
from camera_registry.imports import Imports, WorkerChecker
from camera_registry.jobs import Attempt, ImportJob, ImportRow, JobState, Superseded
from camera_registry.service import Registry
from camera_registry.store import SqlStore
from camera_registry.store.contract import ReadTx
from camera_registry.vault import Vault

from .conftest import Place
from .test_registry_cameras import areas, code

FULL = {"template": "full"}


def file(count: int) -> bytes:
    rows = [f"{code(n)},路口{n},110112001,rtsp://192.0.2.{n}/main" for n in range(1, count + 1)]
    return "\n".join(("设备编码,设备名称,所属区域编码,主码流地址", *rows)).encode()


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_checks, "LOOK", timedelta(milliseconds=20))


class Checker:
    """Makes a check here, or where it is told to be stuck says that it is there and stays."""

    def __init__(self, store: SqlStore, vault: Vault, *, stuck: bool = False) -> None:
        self._store = store
        self._vault = vault
        self._go_on = asyncio.Event()
        if not stuck:
            self._go_on.set()
        self.there = asyncio.Event()
        self.made: list[Attempt] = []

    async def __call__(self, attempt: Attempt) -> None:
        self.made.append(attempt)
        self.there.set()
        await self._go_on.wait()
        await check.check_job(self._store, self._vault, attempt, None)

    def go_on(self) -> None:
        self._go_on.set()


@asynccontextmanager
async def process(
    store: SqlStore, vault: Vault, feed: ChangeFeed, checker: Checker
) -> AsyncIterator[Imports]:
    """What a process has of the imports; they know of each other by the store alone."""
    imports = Imports(store, vault, feed, checker)
    await imports.start()
    yield imports
    await imports.stop()


async def rows_of(imports: Imports, job: ImportJob) -> list[int]:
    return [row.number for row in await imports.rows(job.id, limit=500)]


async def test_a_check_that_another_process_makes_is_waited_for(
    registry: Registry, store: SqlStore, vault: Vault, feed: ChangeFeed, by: Actor
) -> None:
    await areas(registry, by)
    first, second = Checker(store, vault, stuck=True), Checker(store, vault)
    async with process(store, vault, feed, first) as here:
        job = await here.create(file(3), "cameras.csv", FULL, by)
        await first.there.wait()
        async with process(store, vault, feed, second) as there:
            first.go_on()
            job = await there.checked(job.id)
            assert (job.state, job.counts["add"]) == (JobState.CHECKED, 3)
            assert second.made == []
    assert first.made == [Attempt(job.id, 1)]


async def test_a_check_is_held_for_as_long_as_it_takes(
    registry: Registry,
    store: SqlStore,
    vault: Vault,
    feed: ChangeFeed,
    by: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(import_checks, "RENEW", timedelta(milliseconds=20))
    await areas(registry, by)
    checker = Checker(store, vault, stuck=True)
    async with process(store, vault, feed, checker) as imports:
        job = await imports.create(file(1), "cameras.csv", FULL, by)
        await checker.there.wait()
        begun = (await imports.get(job.id)).held_until
        assert begun is not None
        while (held := (await imports.get(job.id)).held_until) == begun:
            await asyncio.sleep(0)
        assert held is not None
        assert held > begun
        checker.go_on()
        assert (await imports.checked(job.id)).held_until is None


async def test_a_check_whose_process_is_gone_is_made_anew_and_its_late_worker_writes_nothing(
    registry: Registry, store: SqlStore, vault: Vault, feed: ChangeFeed, by: Actor, place: Place
) -> None:
    await areas(registry, by)
    gone, taker = Checker(store, vault, stuck=True), Checker(store, vault)
    async with process(store, vault, feed, gone) as here:
        job = await here.create(file(3), "cameras.csv", FULL, by)
        await gone.there.wait()
        # As it is some seconds after the process was killed.
        place.execute("UPDATE import_jobs SET held_until = NULL")
        async with process(store, vault, feed, taker) as there:
            job = await there.checked(job.id)
            assert (job.state, job.attempt) == (JobState.CHECKED, 2)
            planned = await there.rows(job.id)
            with pytest.raises(Superseded):
                await check.check_job(store, vault, Attempt(job.id, 1), None)
            assert (await there.get(job.id), await there.rows(job.id)) == (job, planned)
            await there.apply(job.id, by)
    assert (await registry.list_channels()).total == 3


@pytest.mark.parametrize("batch", [1, 2, 3])
async def test_a_worker_that_was_superseded_in_the_middle_adds_no_row_and_no_verdict(
    registry: Registry,
    store: SqlStore,
    vault: Vault,
    by: Actor,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
) -> None:
    """The next attempt begins, and is through with its first batch, while the worker plans."""
    await areas(registry, by)
    monkeypatch.setattr(check, "BATCH_ROWS", 1)
    plan, batches = Planner.plan, 0

    async def plans(self: Planner, rows: Sequence[CheckedRow], tx: ReadTx) -> list[ImportRow]:
        nonlocal batches
        batches += 1
        if batches == batch:
            async with store.write() as write:
                found = await write.jobs.get(job.id)
                assert found is not None
                await write.jobs.update(replace(found, attempt=2))
                await write.jobs.delete_rows(job.id)
        return await plan(self, rows, tx)

    monkeypatch.setattr(Planner, "plan", plans)

    async def never(_: Attempt) -> None:
        await asyncio.Event().wait()

    imports = Imports(store, vault, None, never)
    job = await imports.create(file(3), "cameras.csv", FULL, by)
    while (await imports.get(job.id)).attempt == 0:
        await asyncio.sleep(0)
    with pytest.raises(Superseded):
        await check.check_job(store, vault, Attempt(job.id, 1), None)
    left = await imports.get(job.id)
    assert (left.state, left.attempt, await rows_of(imports, job)) == (JobState.CHECKING, 2, [])
    await imports.stop()


async def test_a_plan_that_lacks_rows_is_not_applied(
    registry: Registry, store: SqlStore, vault: Vault, feed: ChangeFeed, by: Actor, place: Place
) -> None:
    await areas(registry, by)
    async with process(store, vault, feed, Checker(store, vault)) as imports:
        job = await imports.create(file(3), "cameras.csv", FULL, by)
        await imports.checked(job.id)
        place.execute("DELETE FROM import_rows WHERE number = 3")
        with pytest.raises(Conflict, match=r"Of the 3 rows .* holds 2; check the import") as told:
            await imports.apply(job.id, by)
        assert told.value.code == "plan_incomplete"
        assert (await registry.list_channels()).total == 0
        await imports.check_again(job.id, by)
        await imports.checked(job.id)
        await imports.apply(job.id, by)
    assert (await registry.list_channels()).total == 3


async def test_a_check_that_ends_without_a_verdict_is_said_to_have_broken_off(
    registry: Registry,
    store: SqlStore,
    vault: Vault,
    by: Actor,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await areas(registry, by)

    async def breaks(_: Attempt) -> None:
        raise RuntimeError("the check ended with 1")

    imports = Imports(store, vault, None, breaks)
    with caplog.at_level(logging.ERROR):
        job = await imports.create(file(1), "cameras.csv", FULL, by)
        job = await imports.checked(job.id)
    assert (job.state, job.code) == (JobState.REFUSED, "check_broke_off")
    assert "ended with 1" in caplog.text
    await imports.stop()


async def test_what_is_thrown_away_ends_the_check_that_another_process_makes(
    registry: Registry,
    store: SqlStore,
    vault: Vault,
    feed: ChangeFeed,
    by: Actor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(import_checks, "RENEW", timedelta(milliseconds=20))
    await areas(registry, by)
    stuck = Checker(store, vault, stuck=True)
    async with process(store, vault, feed, stuck) as here:
        job = await here.create(file(1), "cameras.csv", FULL, by)
        await stuck.there.wait()
        async with process(store, vault, feed, Checker(store, vault)) as there:
            await there.discard(job.id, by)
        await here._checks.wait(job.id)  # the stuck one was told to leave
        assert (await here.list_jobs()).total == 0
    assert caplog.records == []


async def test_a_worker_leaves_when_whoever_gave_its_order_is_gone(
    registry: Registry, store: SqlStore, vault: Vault, place: Place, tmp_path: Path, by: Actor
) -> None:
    """Its input ends; it is in the middle of a check, and says nothing more."""
    await areas(registry, by)
    imports = Imports(store, vault, None, Checker(store, vault, stuck=True))
    job = await imports.create(file(200), "cameras.csv", FULL, by)
    while (await imports.get(job.id)).attempt == 0:
        await asyncio.sleep(0)
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "camera_registry.importers.worker",
        stdin=asyncio.subprocess.PIPE,
    )
    order = {
        "registry": str(place.at) if isinstance(place.at, Path) else place.at.reveal(),
        "is_url": not place.is_file,
        "vault_key": str(tmp_path / "data" / "secret.key"),
        "site_dir": None,
        "job_id": job.id,
        "attempt": 1,
    }
    await worker.communicate(json.dumps(order).encode() + b"\n")
    assert worker.returncode == 1
    assert (await imports.get(job.id)).state is JobState.CHECKING
    await imports.stop()


async def test_the_worker_of_a_check_makes_its_own_attempt(
    registry: Registry, store: SqlStore, vault: Vault, place: Place, tmp_path: Path, by: Actor
) -> None:
    await areas(registry, by)
    checker = WorkerChecker(place.at, tmp_path / "data" / "secret.key", None)
    imports = Imports(store, vault, None, checker)
    job = await imports.create(file(2), "cameras.csv", FULL, by)
    job = await imports.checked(job.id)
    assert (job.state, job.attempt, job.held_until) == (JobState.CHECKED, 1, None)
    await checker(Attempt(job.id, 1))  # late: it ends in order, and changes nothing
    assert await imports.get(job.id) == job
    await imports.stop()
