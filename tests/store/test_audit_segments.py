"""Segments and their signed roots: made once, written apart, made up for; and whatever is done to
the rows, the chain's end, the segments or the roots is found.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_registry.audit import merkle
from camera_registry.audit.keys import is_signed, open_audit_key, read_public_keys
from camera_registry.audit.model import AuditVerification, Segment
from camera_registry.audit.roots import RootFiles
from camera_registry.audit.segment import from_line, statement, statement_hash
from camera_registry.errors import AuditBroken, AuditKeyUnfit, RootsUnfit, VaultKeyExposed
from camera_registry.store import SqlStore, open_store
from camera_registry.store.audit_sql import COLUMNS

from .audit_kit import KEY, MAX_ROWS, OTHER_KEY, Clock, Log, few_rows, rewritten, root_lines
from .conftest import Place

DAYS = (3, 6, 0, 5)  # rows: 1 to 3, 4 to 7 and 8 to 9, none, 10 to 13 and 14
TAIL = 2  # rows 15 and 16 of today, under no root yet
ROWS = sum(DAYS) + TAIL


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    few_rows(monkeypatch, clock)
    return clock


@pytest.fixture
def log(store: SqlStore, clock: Clock, tmp_path: Path) -> Log:
    return Log(store, clock, RootFiles(tmp_path / "roots"))


async def segments(store: SqlStore) -> list[Segment]:
    async with store.read() as tx:
        return await tx.audit.segments()


async def test_each_day_and_each_run_of_rows_is_one_signed_root(log: Log, place: Place) -> None:
    await log.days(*DAYS)
    await log.rows(TAIL)
    made = await segments(log.store)
    assert [(each.day, each.first_seq, each.last_seq) for each in made] == [
        ("2026-11-24", 1, 3),
        ("2026-11-25", 4, 7),
        ("2026-11-25", 8, 9),
        ("2026-11-27", 10, 13),
        ("2026-11-27", 14, 14),
    ]
    keys = {KEY.key_id: KEY.public}
    before = None
    for each in made:
        assert is_signed(keys, each.key_id, each.signature, statement(each))
        assert each.previous == statement_hash(before)
        hashes = place.execute(
            "SELECT hash FROM audit WHERE seq BETWEEN ? AND ? ORDER BY seq",
            each.first_seq,
            each.last_seq,
        )
        assert merkle.root([merkle.leaf(row[0]) for row in hashes]).hex() == each.root
        before = each
    assert [from_line(line) for line in root_lines(log.roots.directory)] == made
    found = await log.verify()
    assert (found.ok, found.rows_checked, found.segments_checked) == (True, ROWS, 5)


async def test_a_day_that_ended_while_nothing_ran_is_sealed_at_the_next_start(log: Log) -> None:
    await log.rows(2)
    assert await log.keeper().seal() == 0  # the day goes on
    log.clock.forward(days=9)
    assert await log.keeper().seal() == 1
    await log.rows(1)
    assert await log.keeper().seal() == 0
    assert await log.keeper().seal(everything=True) == 1
    assert [each.last_seq for each in await segments(log.store)] == [2, 3]


async def test_a_clock_that_is_set_back_makes_no_older_day(log: Log) -> None:
    await log.days(1)
    await log.rows(1)
    log.clock.forward(days=-3)
    await log.rows(1)
    log.clock.forward(days=9)
    await log.keeper().keep()
    assert [each.day for each in await segments(log.store)] == ["2026-11-24", "2026-11-25"]
    assert (await log.verify()).ok


async def test_roots_that_were_not_written_are_made_up_for_letter_by_letter(log: Log) -> None:
    await log.days(*DAYS)
    whole = {path: path.read_bytes() for path in log.roots.directory.iterdir()}
    assert len(whole) == 3
    for path, content in whole.items():
        for kept in (None, 0, 1, len(content) // 2, len(content) - 1, len(content)):
            # As a power cut leaves it, or somebody who takes it away.
            path.unlink() if kept is None else path.write_bytes(content[:kept])
            await log.keeper().keep()
            assert path.read_bytes() == content
    assert await log.keeper().write_roots() == 0
    assert await segments(log.store) == await segments(log.store)


async def test_nothing_is_signed_twice_differently(log: Log, place: Place) -> None:
    """A registry that was put back goes on with numbers that were never written out."""
    await log.days(2, 2)
    place.execute("DELETE FROM audit WHERE seq > 2")
    place.execute("DELETE FROM audit_segments WHERE number > 1")
    [(last_hash,)] = place.execute("SELECT hash FROM audit WHERE seq = 2")
    place.execute("UPDATE audit_head SET seq = 2, hash = ?", last_hash)
    log.clock.forward(days=1)
    await log.days(1)
    assert [each.number for each in await segments(log.store)] == [1, 3]
    found = await log.verify()
    assert found.faults_total == 1
    assert "signed as segment 2" in (found.reason or "")
    # Even where its own number was taken: what is written stays.
    place.execute("UPDATE audit_segments SET number = 2 WHERE number = 3")
    before = root_lines(log.roots.directory)
    with pytest.raises(RootsUnfit, match="another root for segment 2"):
        # The day of the former one.
        log.roots.write([_with_day(each) for each in await segments(log.store)])
    assert root_lines(log.roots.directory) == before


def _with_day(segment: Segment) -> Segment:
    return replace(segment, day="2026-11-25") if segment.number == 2 else segment


async def test_rows_that_do_not_verify_are_not_signed(log: Log, place: Place) -> None:
    await log.rows(3)
    place.execute("UPDATE audit SET remote = '192.0.2.9' WHERE seq = 2")
    log.clock.forward(days=1)
    with pytest.raises(AuditBroken, match="Row 2 was changed"):
        await log.keeper().seal()
    assert await segments(log.store) == []


async def test_two_that_seal_at_once_make_each_segment_once(log: Log) -> None:
    await log.rows(3 * MAX_ROWS)
    log.clock.forward(days=1)
    await asyncio.gather(log.keeper().seal(), log.keeper().seal(), log.rows(2))
    await log.keeper().keep()
    made = await segments(log.store)
    assert [each.number for each in made] == list(range(1, len(made) + 1))
    assert (await log.verify()).ok


# --- what is found --------------------------------------------------------------------------------


@functools.cache
def a_whole_log() -> Path:
    """A file with its roots, made once and spoiled many times."""
    folder = Path(tempfile.mkdtemp(prefix="audit-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    async def make() -> None:
        with pytest.MonkeyPatch.context() as patch:
            clock = Clock()
            few_rows(patch, clock)
            store = await open_store(folder / "registry.db")
            log = Log(store, clock, RootFiles(folder / "roots"))
            await log.days(*DAYS)
            await log.rows(TAIL)
            assert (await log.verify()).ok
            await store.close()

    asyncio.run(make())
    return folder


def spoiled(how: Callable[[Place, Path], None], roots: str = "roots") -> AuditVerification:
    async def verify(folder: Path) -> AuditVerification:
        store = await open_store(folder / "registry.db")
        found = await Log(store, Clock(), RootFiles(folder / roots)).verify()
        await store.close()
        return found

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        shutil.copytree(a_whole_log(), folder)
        how(Place(folder / "registry.db"), folder / "roots")
        return asyncio.run(verify(folder))


@settings(max_examples=60, deadline=None)
@given(
    seq=st.integers(1, ROWS),
    column=st.sampled_from([name for name in COLUMNS if name != "seq"]),
    value=st.one_of(st.text("x永'{}", max_size=6), st.just("ab" * 32)),
)
def test_any_changed_field_of_any_row(seq: int, column: str, value: str) -> None:
    def change(place: Place, _: Path) -> None:
        place.execute(f"UPDATE audit SET {column} = ? WHERE seq = ?", value, seq)

    found = spoiled(change)
    assert found.first_bad_seq == seq
    assert str(seq) in (found.reason or "")
    if column != "at":
        assert found.faults[0].day in ("2026-11-24", "2026-11-25", "2026-11-27", "2026-11-28")


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(1, ROWS), min_size=1))
def test_any_removed_rows(gone: set[int]) -> None:
    def remove(place: Place, _: Path) -> None:
        for seq in gone:
            place.execute("DELETE FROM audit WHERE seq = ?", seq)

    found = spoiled(remove)
    assert not found.ok
    assert found.first_bad_seq == min(gone) or gone >= {1, 2, 3}


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(1, ROWS + 1)).filter(lambda order: order != sorted(order)))
def test_any_other_order(order: list[int]) -> None:
    def reorder(place: Place, _: Path) -> None:
        for seq in range(1, ROWS + 1):
            place.execute("UPDATE audit SET seq = ? WHERE seq = ?", -seq, seq)
        for seq, now in enumerate(order, 1):
            place.execute("UPDATE audit SET seq = ? WHERE seq = ?", now, -seq)

    found = spoiled(reorder)
    first_moved = min(seq for seq, now in enumerate(order, 1) if seq != now)
    assert not found.ok
    assert found.first_bad_seq == first_moved


def forged_row(row: dict[str, Any]) -> None:
    row["subject_name"] = "somebody else"


@settings(max_examples=20, deadline=None)
@given(from_seq=st.integers(1, ROWS - TAIL))
def test_the_whole_chain_written_anew_with_its_end(from_seq: int) -> None:
    found = spoiled(lambda place, _: rewritten(place, forged_row, from_seq))
    assert not found.ok
    assert found.faults[0].seq <= from_seq
    assert "written anew" in (found.reason or "")


@settings(max_examples=10, deadline=None)
@given(from_seq=st.integers(1, ROWS - TAIL), seal=st.sampled_from(["other", "none"]))
def test_the_segments_written_anew_as_well(from_seq: int, seal: str) -> None:
    """They need the key; and without segments the written roots are missing rows."""

    def rewrite(place: Place, _: Path) -> None:
        rewritten(place, forged_row, from_seq)
        place.execute("DELETE FROM audit_segments")
        if seal == "other":
            asyncio.run(_seal_anew(place))

    found = spoiled(rewrite)
    assert not found.ok
    if seal == "other":  # without the roots, too
        assert not spoiled(rewrite, roots="none").ok


async def _seal_anew(place: Place) -> None:
    assert isinstance(place.at, Path)
    store = await open_store(place.at)
    forger = Log(store, Clock(), RootFiles(place.at.parent / "forged"), key=OTHER_KEY)
    await forger.keeper().seal(everything=True)
    await store.close()


def _row_added(place: Place, _: Path) -> None:
    names = [name for name in COLUMNS if name != "seq"]
    columns = ", ".join(names)
    place.execute(
        f"INSERT INTO audit (seq, {columns}) SELECT 17, {columns} FROM audit WHERE seq=16"
    )


def _rows_of_a_segment_cut(place: Place, _: Path) -> None:
    place.execute("DELETE FROM audit WHERE seq <= 3")


def _segment_gone(place: Place, _: Path) -> None:
    place.execute("DELETE FROM audit_segments WHERE number = 2")


def _last_segments_gone(place: Place, _: Path) -> None:
    place.execute("DELETE FROM audit_segments WHERE number >= 4")


def _root_altered(_: Place, roots: Path) -> None:
    path = roots / "2026-11-25.jsonl"
    lines = path.read_text().splitlines()
    fields = json.loads(lines[0])
    fields["root"] = "0" * 64
    path.write_text("\n".join([json.dumps(fields), *lines[1:]]) + "\n")


def _root_gone(_: Place, roots: Path) -> None:
    (roots / "2026-11-24.jsonl").unlink()


def _root_torn(_: Place, roots: Path) -> None:
    path = roots / "2026-11-24.jsonl"
    path.write_bytes(path.read_bytes()[:-20])


def _a_time_that_is_none(place: Place, _: Path) -> None:
    place.execute("UPDATE audit_segments SET sealed_at = 'noon' WHERE number = 2")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (_row_added, "Row 17 does not continue"),
        (_rows_of_a_segment_cut, "no row says that they were cut"),
        (_segment_gone, "does not continue the one before"),
        (_last_segments_gone, "the registry has not that one"),
        (_root_altered, "not in"),
        (_root_gone, "not in"),
        (_root_torn, "not in"),
        (_a_time_that_is_none, "cannot be read"),
    ],
)
def test_other_ways(how: Callable[[Place, Path], None], says: str) -> None:
    found = spoiled(how)
    assert any(says in fault.sentence for fault in found.faults), found.faults


def test_a_copy_of_the_roots_from_before_is_no_fault() -> None:
    found = spoiled(lambda _, roots: (roots / "2026-11-27.jsonl").unlink())
    assert found.ok
    assert "end at segment 3; 2 after it" in found.notices[0]


async def test_a_changed_row_and_a_rewritten_chain_on_either_store(log: Log, place: Place) -> None:
    await log.days(3, 2)
    place.execute('UPDATE audit SET detail = \'{"purpose":"巡查"}\' WHERE seq = 2')
    found = await log.verify()
    assert (found.first_bad_seq, found.faults_total) == (2, 1)
    rewritten(place, forged_row, 1)
    assert (await log.store.verify_audit()).faults_total == 2  # by the roots alone
    assert "written anew" in ((await log.verify()).reason or "")


# --- the key --------------------------------------------------------------------------------------


def test_the_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    path = tmp_path / "data" / "audit.key"
    with pytest.raises(AuditKeyUnfit, match="no key"):
        open_audit_key(path, make=False)
    key = open_audit_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_audit_key(path).key_id == key.key_id
    assert "***" in repr(key)
    pem = tmp_path / "public.pem"
    pem.write_text(key.public_pem())
    [(known_id, public)] = read_public_keys([pem]).items()
    assert known_id == key.key_id
    assert is_signed({known_id: public}, key.key_id, key.sign(b"x"), b"x")
    assert not is_signed({known_id: public}, key.key_id, key.sign(b"x"), b"y")
    assert not is_signed({known_id: public}, key.key_id, "no hex", b"x")
    path.chmod(0o640)
    with pytest.raises(VaultKeyExposed, match="chmod 600"):
        open_audit_key(path)
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(AuditKeyUnfit, match="5 bytes"):
        open_audit_key(path)
    with pytest.raises(AuditKeyUnfit, match="no public key"):
        read_public_keys([path])
