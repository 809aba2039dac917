"""A change, its audit row and its changes rows commit together, or none of them does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from camera_registry.domain import AuditEntry, ChangeKind, ChangeOp, Subject, SubjectKind, new_id
from camera_registry.errors import Conflict, StoreBusy, StoreError
from camera_registry.store import SqlStore, database, open_store

from .conftest import Place, Spawn


def subject(username: str) -> Subject:
    return Subject(new_id("su"), username, username, SubjectKind.PERSON)


async def usernames(store: SqlStore) -> list[str]:
    async with store.read() as tx:
        return [found.username for found in await tx.subjects.all()]


async def state(store: SqlStore) -> tuple[list[str], int, int]:
    """Names, audit rows, changes rows (whose seqs have gaps where a unit was given up)."""
    return (
        await usernames(store),
        (await store.verify_audit()).rows_checked,
        len(await store.changes_since(0)),
    )


async def test_all_three_are_there_after_the_commit(store: SqlStore) -> None:
    async with store.write() as tx:
        await tx.subjects.add(subject("ada"))
        await tx.audit.append(AuditEntry("subject_create", "ok"))
        assert await usernames(store) == []  # a reader beside it sees the state before
    assert await state(store) == (["ada"], 1, 1)
    [change] = await store.changes_since(0)
    assert (change.kind, change.op) == (ChangeKind.SUBJECT, ChangeOp.CREATED)
    assert tx.last_change_seq == 1


async def test_what_writes_waits_for_the_disk(db_path: Path) -> None:
    """On SQLite, of the connections as they are: the unit of work's, and the audit's own. Asked of
    the open ones, since the setting is a connection's and not the file's."""
    store = await open_store(db_path)
    full = 2  # EXTRA is 3, NORMAL 1: which loses what was committed last when the power fails
    async with store.write() as tx:
        await tx.audit.append(AuditEntry("x", "ok"))
        row = await tx._tx.one(text("PRAGMA synchronous"))
    assert row is not None
    assert row.synchronous == full
    await store.append_audit(AuditEntry("x", "ok"))
    audit = store._database.audit._connection  # type: ignore[attr-defined]
    assert audit.execute("PRAGMA synchronous").fetchone() == (full,)
    await store.close()


async def test_none_is_there_after_an_error(store: SqlStore) -> None:
    async def fail() -> None:
        async with store.write() as tx:
            await tx.subjects.add(subject("ada"))
            await tx.audit.append(AuditEntry("subject_create", "ok"))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await state(store) == ([], 0, 0)


async def test_a_cancelled_writer_leaves_nothing_and_the_store_goes_on(store: SqlStore) -> None:
    inside = asyncio.Event()

    async def write() -> None:
        async with store.write() as tx:
            await tx.subjects.add(subject("ada"))
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with store.write() as tx:
        await tx.subjects.add(subject("bob"))
    assert await usernames(store) == ["bob"]


async def test_a_writer_cancelled_at_any_point_leaves_all_or_nothing(store: SqlStore) -> None:
    async def write(username: str) -> None:
        async with store.write() as tx:
            await tx.subjects.add(subject(username))
            await tx.audit.append(AuditEntry("subject_create", "ok"))

    for ticks in range(40):
        task = asyncio.create_task(write(f"user{ticks}"))
        for _ in range(ticks):
            await asyncio.sleep(0.0002)  # lets the database's thread answer: another point each
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await write("last")
    names, rows, changes = await state(store)
    assert "last" in names
    assert len(names) == rows == changes
    assert (await store.verify_audit()).ok


async def test_writers_wait_for_one_another(store: SqlStore) -> None:
    async def write(number: int) -> None:
        async with store.write() as tx:
            seen = len(await tx.subjects.all())
            await tx.subjects.add(subject(f"user{seen}"))

    await asyncio.gather(*(write(number) for number in range(20)))
    assert len(await usernames(store)) == 20


async def test_a_unit_inside_a_unit_is_refused(store: SqlStore) -> None:
    async with store.write() as tx:
        await tx.subjects.add(subject("ada"))
        with pytest.raises(RuntimeError, match="wait for itself"):
            async with store.write():
                pass
    assert await usernames(store) == ["ada"]


async def test_a_reader_cannot_write(store: SqlStore) -> None:
    with pytest.raises((StoreError, DBAPIError), match=r"read-?only"):
        async with store.read() as tx:
            await tx.subjects.add(subject("ada"))


async def test_a_reader_keeps_its_snapshot(store: SqlStore) -> None:
    async with store.read() as tx:
        before = await tx.change_seq()
        async with store.write() as write_tx:
            await write_tx.subjects.add(subject("ada"))
        assert await tx.change_seq() == before
        assert await tx.subjects.all() == []


async def test_a_constraint_broken_is_a_conflict_in_words(store: SqlStore) -> None:
    async def add_twice() -> None:
        async with store.write() as tx:
            await tx.subjects.add(subject("ada"))
            await tx.subjects.add(subject("ada"))

    with pytest.raises(Conflict, match="taken") as caught:
        await add_twice()
    assert caught.value.code == "username_taken"
    assert await usernames(store) == []


async def test_another_process_that_hangs_in_a_write_is_busy_in_words(
    place: Place, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 50)
    store = await open_store(place.at)
    child = spawn(place, "hold")
    assert child.stdout is not None
    assert await asyncio.to_thread(child.stdout.readline) == "in\n"
    assert await usernames(store) == []  # readers are not disturbed
    with pytest.raises(StoreBusy, match="Another process"):
        async with store.write():
            pass
    with pytest.raises(StoreBusy):
        await store.append_audit(AuditEntry("x", "ok"))
    await asyncio.to_thread(child.communicate, "go on\n")
    async with store.write() as tx:
        await tx.subjects.add(subject("ada"))
    assert await usernames(store) == ["ada", "half"]
    await store.close()


async def test_a_process_killed_inside_a_write_leaves_the_state_before(
    store: SqlStore, spawn: Spawn, place: Place
) -> None:
    async with store.write() as tx:
        await tx.subjects.add(subject("ada"))
        await tx.audit.append(AuditEntry("subject_create", "ok"))
    before = await state(store)
    for _ in range(2):
        child = spawn(place, "hold")
        assert child.stdout is not None
        assert await asyncio.to_thread(child.stdout.readline) == "in\n"
        child.kill()  # SIGKILL
        await asyncio.to_thread(child.wait)
    assert await state(store) == before
    await store.append_audit(AuditEntry("after", "ok"))
    await store.close()
    again = await open_store(place.at)
    verified = await again.verify_audit()
    assert (verified.ok, verified.rows_checked) == (True, 2)
    await again.close()
