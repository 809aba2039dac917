"""An import from file to registry: checked, applied in one transaction, undone, thrown away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from camera_registry.domain import Actor
from camera_registry.drafts import DeviceDraft
from camera_registry.errors import Conflict, NotFound
from camera_registry.feed import ChangeFeed
from camera_registry.importers.check import check_job
from camera_registry.imports import Imports, WorkerChecker
from camera_registry.jobs import Attempt, JobState, Verdict
from camera_registry.secret import Secret
from camera_registry.service import Registry
from camera_registry.store import SqlStore
from camera_registry.vault import Vault

from .conftest import Place
from .import_kit import codes, csv, plan, row
from .test_registry_cameras import acts, areas, code, draft


async def test_a_plan_changes_nothing_and_applying_does_all_of_it_at_once(
    imports: Imports, registry: Registry, by: Actor, store: SqlStore
) -> None:
    await areas(registry, by)
    file = csv(row(1, user="ops", word="s3cret", address="新华大街1号"), row(2), row(3))
    job, rows = await plan(imports, by, file)
    assert (job.state, job.rows_done) == (JobState.CHECKED, 3)
    assert job.counts == {"add": 3, "change": 0, "same": 0, "refused": 0, "warnings": 0}
    assert [(r.number, r.verdict) for r in rows] == [(n, Verdict.ADD) for n in (2, 3, 4)]
    assert (await registry.list_channels()).total == 0
    assert "s3cret" not in repr([r.payload for r in rows])

    job = await imports.apply(job.id, by)
    assert job.state is JobState.APPLIED
    page = await registry.list_channels()
    assert [c.code for c in page.items] == [code(1), code(2), code(3)]
    first = page.items[0]
    assert first.facts == {"address": "新华大街1号"}
    address = await registry.spec_for(first.id, "sub")
    assert (address.url, address.username) == ("rtsp://192.0.2.1/cam/1/sub", "ops")
    assert address.password == Secret("s3cret")
    [version] = (await registry.list_versions(first.id)).items
    assert (version.act, version.job_id, version.before) == ("import_apply", job.id, None)
    assert await imports.apply(job.id, by) == job  # a second time changes nothing
    assert (await acts(store)).count("import_apply") == 1


async def test_a_row_with_an_error_holds_the_import_up_unless_it_is_left_out(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    bad = row(2).replace(code(2), "1234")
    job, rows = await plan(imports, by, csv(row(1), bad, row(1, name="twin")))
    assert [r.verdict for r in rows] == [Verdict.ADD, Verdict.REFUSED, Verdict.REFUSED]
    assert "code_not_20_digits" in codes(rows[1])
    assert "duplicate_code" in codes(rows[2])
    with pytest.raises(Conflict, match="2 rows have errors") as refused:
        await imports.apply(job.id, by)
    assert refused.value.code == "rows_refused"
    assert (await registry.list_channels()).total == 0
    await imports.apply(job.id, by, without_refused=True)
    assert (await registry.list_channels()).total == 1


async def test_a_plan_is_not_carried_out_on_another_registry_than_it_was_made_for(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    [_, one, *_] = await areas(registry, by)
    job, _ = await plan(imports, by, csv(row(1)))
    await registry.create_channel(draft(one, 9), by)
    with pytest.raises(Conflict) as refused:
        await imports.apply(job.id, by)
    assert refused.value.code == "registry_changed"
    await imports.check_again(job.id, by)
    await imports.checked(job.id)
    assert (await imports.apply(job.id, by)).state is JobState.APPLIED


async def test_an_import_is_undone_whole(imports: Imports, registry: Registry, by: Actor) -> None:
    [_, one, *_] = await areas(registry, by)
    kept = await registry.create_channel(draft(one, 1, name="old"), by)
    job, _ = await plan(imports, by, csv(row(1, host="192.0.2.10"), row(2), row(3)))
    await imports.apply(job.id, by)
    assert (await registry.list_channels()).total == 3
    undone = await imports.undo(job.id, by)
    assert undone.state is JobState.UNDONE
    assert (await registry.list_channels()).items == [kept]
    assert [d.id for d in (await registry.list_devices()).items] == [kept.device_id]
    assert await imports.undo(job.id, by) == undone


async def test_an_import_is_not_undone_over_a_later_change(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    job, _ = await plan(imports, by, csv(row(1), row(2)))
    await imports.apply(job.id, by)
    [first, _] = (await registry.list_channels()).items
    await registry.update_channel(first.id, {"name": "by hand"}, by)
    with pytest.raises(Conflict, match=f"changed again since.*camera versions {first.code}"):
        await imports.undo(job.id, by)
    assert (await registry.list_channels()).total == 2


async def test_undoing_an_import_leaves_devices_that_were_there_before(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    mine = await registry.create_device(
        DeviceDraft("box", "192.0.2.44", 554, "ops", Secret("pw")), by
    )
    job, _ = await plan(imports, by, csv(row(1, host="192.0.2.44"), row(2)))
    await imports.apply(job.id, by)
    await imports.undo(job.id, by)
    [left] = (await registry.list_devices()).items
    assert (left.id, left.has_password) == (mine.id, True)


async def test_a_check_that_a_restart_cut_short_is_taken_up_again(
    registry: Registry, store: SqlStore, vault: Vault, feed: ChangeFeed, by: Actor
) -> None:
    await areas(registry, by)
    stuck = asyncio.Event()

    async def never(_: Attempt) -> None:
        stuck.set()
        await asyncio.Event().wait()

    async def checker(attempt: Attempt) -> None:
        await check_job(store, vault, attempt, None)

    before = Imports(store, vault, feed, never)
    job = await before.create(csv(row(1)), "cameras.csv", {"template": "full"}, by)
    await stuck.wait()
    await before.stop()
    assert (await before.get(job.id)).state is JobState.CHECKING

    after = Imports(store, vault, feed, checker)
    await after.start()
    assert (await after.checked(job.id)).state is JobState.CHECKED
    await after.apply(job.id, by)
    assert (await registry.list_channels()).total == 1
    await after.stop()


async def test_the_check_runs_in_a_process_of_its_own(
    registry: Registry, store: SqlStore, vault: Vault, place: Place, tmp_path: Path, by: Actor
) -> None:
    await areas(registry, by)
    key_path = tmp_path / "data" / "secret.key"
    imports = Imports(store, vault, None, WorkerChecker(place.at, key_path, None))
    job = await imports.create(csv(row(1), row(2)), "cameras.csv", {"template": "full"}, by)
    assert (await imports.checked(job.id)).counts["add"] == 2

    nowhere = WorkerChecker(key_path.with_name("nowhere.db"), key_path, None)
    imports = Imports(store, vault, None, nowhere)
    job = await imports.create(csv(row(1)), "cameras.csv", {"template": "full"}, by)
    job = await imports.checked(job.id)
    assert job.state is JobState.REFUSED
    assert "broke off" in (job.sentence or "")


async def test_what_is_thrown_away_is_gone(
    imports: Imports, registry: Registry, by: Actor, store: SqlStore
) -> None:
    await areas(registry, by)
    job, _ = await plan(imports, by, csv(row(1)))
    assert await imports.file(job.id) == csv(row(1))
    async with store.read() as tx:
        assert row(1).encode() not in (await tx.jobs.file(job.id) or b"")  # it lies sealed
    await imports.discard(job.id, by)
    with pytest.raises(NotFound):
        await imports.get(job.id)
    async with store.read() as tx:
        assert await tx.jobs.rows(job.id, limit=10) == []
        assert await tx.jobs.file(job.id) is None


async def test_imports_are_listed_newest_first_in_pages(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    made = [(await plan(imports, by, csv(row(n))))[0].id for n in (1, 2, 3)]
    first = await imports.list_jobs(limit=2)
    rest = await imports.list_jobs(limit=2, cursor=first.next_cursor)
    assert [job.id for job in (*first.items, *rest.items)] == made[::-1]
    assert (first.total, rest.next_cursor) == (3, None)


async def test_undoing_an_import_names_the_devices_that_keep_its_credentials(
    imports: Imports, registry: Registry, by: Actor
) -> None:
    await areas(registry, by)
    job, _ = await plan(imports, by, csv(row(1, user="ops", word="old"), row(2, user="ops")))
    await imports.apply(job.id, by)
    assert await imports.keep_credentials(job.id) == []  # all of them are its own
    job, _ = await plan(imports, by, csv(row(1, user="ops", word="new"), row(2), row(3)))
    await imports.apply(job.id, by)
    await imports.undo(job.id, by)
    [kept] = await imports.keep_credentials(job.id)
    assert kept.host == "192.0.2.1"
    [first, _] = (await registry.list_channels()).items
    assert (await registry.spec_for(first.id, "main")).password == Secret("new")
