"""Each row's hash covers the one before; whatever is changed afterwards is found."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_registry.audit.model import AuditVerification
from camera_registry.domain import AuditEntry, AuditRow
from camera_registry.errors import ValidationFailed
from camera_registry.secret import Secret
from camera_registry.store import AuditQuery, SqlStore, open_store, repos_audit, sql_store
from camera_registry.store.chain import ZERO_HASH
from camera_registry.store.rows import cursor_of

from .conftest import Place, Spawn

ROWS = 8
COLUMNS = [
    *("at", "subject_id", "subject_name", "as_role", "remote", "act", "channel_id"),
    *("area_id", "outcome", "detail", "prev_hash", "hash"),
]
REPEATED = ["purpose", "began_at"]  # out of the detail: no part of what is hashed


def entry(number: int) -> AuditEntry:
    return AuditEntry(
        act="view_start",
        outcome="ok",
        subject_id="su_1",
        subject_name="永顺",
        remote="192.0.2.1",
        channel_id=f"ch_{number}",
        detail={"n": number, "elapsed_ms": 1.5, "steps": ["permit", {"at": None}]},
    )


async def filled(at: Path | Secret) -> SqlStore:
    store = await open_store(at)
    for number in range(ROWS):
        await store.append_audit(entry(number))
    return store


@functools.cache
def whole_file() -> bytes:
    """A registry with ROWS audit rows, as bytes: made once, spoiled many times."""

    async def make(path: Path) -> None:
        await (await filled(path)).close()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "registry.db"
        asyncio.run(make(path))
        return path.read_bytes()


async def test_the_chain_begins_with_zeros_and_links_on(store: SqlStore) -> None:
    rows = [await store.append_audit(entry(number)) for number in range(3)]
    assert [row.seq for row in rows] == [1, 2, 3]
    assert rows[0].prev_hash == ZERO_HASH == "0" * 64
    assert [row.prev_hash for row in rows[1:]] == [row.hash for row in rows[:2]]
    verified = await store.verify_audit()
    assert verified == AuditVerification(3, rows[2].hash)
    async with store.read() as tx:
        page = await tx.audit.page(AuditQuery(), limit=2, cursor=None)
        assert page.items == [rows[2], rows[1]]
        assert (page.total, page.next_cursor is not None) == (3, True)
        rest = await tx.audit.page(AuditQuery(), limit=2, cursor=page.next_cursor)
        assert (rest.items, rest.next_cursor) == ([rows[0]], None)
        by_channel = await tx.audit.page(
            AuditQuery(area_ids=frozenset(), channel_ids=frozenset({"ch_1"})), limit=9, cursor=None
        )
        assert by_channel.items == [rows[1]]


async def test_the_hash_is_what_the_documentation_says(store: SqlStore, place: Place) -> None:
    await store.append_audit(entry(0))
    [values] = place.execute(f"SELECT seq, {', '.join(COLUMNS)} FROM audit")
    row = dict(zip(["seq", *COLUMNS], values, strict=True))
    claimed = row.pop("hash")
    row["detail"] = json.loads(row["detail"])
    text = json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == claimed


@pytest.mark.parametrize("seq", [-1, 2**31, 2**70])
async def test_a_cursor_to_where_no_row_can_be_is_refused(store: SqlStore, seq: int) -> None:
    async with store.read() as tx:
        with pytest.raises(ValidationFailed, match="cursor"):
            await tx.audit.page(AuditQuery(), limit=9, cursor=cursor_of(seq))


async def test_an_empty_chain_is_whole(store: SqlStore) -> None:
    assert await store.verify_audit() == AuditVerification(0, ZERO_HASH)


@settings(max_examples=50, deadline=None)
@given(
    seq=st.integers(1, ROWS),
    column=st.sampled_from([*COLUMNS, *REPEATED]),
    value=st.one_of(st.text(max_size=20), st.none(), st.integers(-9, 9), st.binary(max_size=4)),
)
def test_any_changed_column_of_any_row_is_found(seq: int, column: str, value: object) -> None:
    async def run(path: Path) -> AuditVerification:
        try:
            Place(path).execute(f"UPDATE audit SET {column} = ? WHERE seq = ?", value, seq)
            changed = True
        except (sqlite3.IntegrityError, UnicodeEncodeError):
            changed = False  # NULL where none may be: the database refused
        if changed and column in ("subject_id", "as_role", "area_id", *REPEATED) and value is None:
            changed = column == "subject_id"  # the others were NULL before
        store = await open_store(path)
        found = await store.verify_audit()
        await store.close()
        assert found.ok is not changed
        return found

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "registry.db"
        path.write_bytes(whole_file())
        found = asyncio.run(run(path))
    if not found.ok:
        assert found.first_bad_seq == seq
        assert found.reason is not None
        assert str(seq) in found.reason


async def test_a_changed_column_is_found_on_either_store(place: Place) -> None:
    store = await filled(place.at)
    for seq in (4, ROWS):
        for column in [*COLUMNS, *REPEATED]:
            [(before,)] = place.execute(f"SELECT {column} FROM audit WHERE seq = ?", seq)
            place.execute(f"UPDATE audit SET {column} = ? WHERE seq = ?", "x", seq)
            found = await store.verify_audit()
            assert found.first_bad_seq == seq, column
            place.execute(f"UPDATE audit SET {column} = ? WHERE seq = ?", before, seq)
    assert (await store.verify_audit()).ok
    await store.close()


@pytest.mark.parametrize(
    ("statement", "first_bad"),
    [
        ("DELETE FROM audit WHERE seq = 3", 3),
        ("DELETE FROM audit WHERE seq = 1", 1),
        ("DELETE FROM audit WHERE seq >= 7", 7),  # cut off at the end
        ("DELETE FROM audit", 1),
        ("UPDATE audit SET seq = 99 WHERE seq = 8", 8),
        ("UPDATE audit_head SET hash = 'x'", 8),
    ],
)
async def test_rows_taken_away_are_missed(
    place: Place, statement: str, first_bad: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repos_audit, "VERIFY_ROWS", 3)  # also across the pages of the walk
    store = await filled(place.at)
    assert (await store.verify_audit()).rows_checked == ROWS
    place.execute(statement)
    found = await store.verify_audit()
    assert found.first_bad_seq == first_bad
    await store.close()


async def test_two_processes_writing_at_once_do_not_fork_the_chain(
    place: Place, store: SqlStore, spawn: Spawn
) -> None:
    children = [spawn(place, "audit", "40", "one"), spawn(place, "subjects", "40", "two")]
    for number in range(40):
        await store.append_audit(entry(number))
    codes = await asyncio.gather(*(asyncio.to_thread(child.wait) for child in children))
    assert codes == [0, 0]
    verified = await store.verify_audit()
    assert (verified.ok, verified.rows_checked) == (True, 120)


async def test_rows_that_wait_together_share_a_commit_in_order(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = 0
    writer = store._database.audit
    append = writer.append

    async def counted(entries: Sequence[AuditEntry]) -> list[AuditRow]:
        nonlocal commits
        commits += 1
        return await append(entries)

    monkeypatch.setattr(writer, "append", counted)
    rows = await asyncio.gather(*(store.append_audit(entry(number)) for number in range(500)))
    assert [row.detail["n"] for row in rows] == list(range(500))
    assert [row.seq for row in rows] == list(range(1, 501))
    assert commits == -(-500 // sql_store.AUDIT_BATCH)
    assert (await store.verify_audit()).ok


async def test_a_secret_does_not_enter_a_row_and_spoils_no_neighbour(store: SqlStore) -> None:
    good = asyncio.create_task(store.append_audit(entry(1)))
    with pytest.raises(TypeError):
        await store.append_audit(AuditEntry("x", "ok", detail={"password": Secret("s3cret")}))
    assert (await good).seq == 1
    with pytest.raises(ValueError, match="over 16384 bytes"):
        await store.append_audit(AuditEntry("x", "ok", detail={"long": "x" * 20_000}))
    assert (await store.append_audit(entry(2))).seq == 2


async def test_what_no_column_holds_is_cut_before_it_is_hashed(store: SqlStore) -> None:
    row = await store.append_audit(
        AuditEntry("sign_in", "refused", subject_name="a\0" * 99, remote="x" * 999)
    )
    assert (row.subject_name, row.remote) == ("a\N{REPLACEMENT CHARACTER}" * 40, "x" * 64)
    async with store.read() as tx:
        assert (await tx.audit.page(AuditQuery(), limit=9, cursor=None)).items == [row]
    assert (await store.verify_audit()).ok


async def test_a_caller_that_gives_up_does_not_stop_the_others(store: SqlStore) -> None:
    first = asyncio.create_task(store.append_audit(entry(1)))
    second = asyncio.create_task(store.append_audit(entry(2)))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).seq in (1, 2)
    assert (await store.verify_audit()).ok


async def test_closing_writes_what_waits(place: Place) -> None:
    store = await open_store(place.at)
    waiting = [asyncio.create_task(store.append_audit(entry(number))) for number in range(10)]
    await asyncio.sleep(0)
    await store.close()
    assert [task.result().seq for task in waiting] == list(range(1, 11))
