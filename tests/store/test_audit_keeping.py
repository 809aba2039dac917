"""Old segments are removed once their roots are written, and a verification goes on across that."""

from __future__ import annotations

from pathlib import Path

import pytest

from camera_registry.audit.roots import RootFiles
from camera_registry.errors import AuditBroken
from camera_registry.store import AuditQuery, SqlStore

from .audit_kit import OTHER_KEY, Clock, Log, few_rows, root_lines
from .conftest import Place


@pytest.fixture
def log(store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    clock = Clock()
    few_rows(monkeypatch, clock)
    return Log(store, clock, RootFiles(tmp_path / "roots"))


async def seqs(log: Log) -> list[int]:
    async with log.store.read() as tx:
        page = await tx.audit.page(AuditQuery(), limit=99, cursor=None)
    return [row.seq for row in reversed(page.items)]


async def test_a_cut_is_provable(log: Log, place: Place) -> None:
    await log.days(3, 6, 2)  # rows 1 to 3, 4 to 7 and 8 to 9, 10 to 11
    written = root_lines(log.roots.directory)
    log.keep_days = 2
    log.clock.forward(hours=-6)  # of the second day a part is younger than two days
    assert await log.keeper().cut() == 3
    assert await log.keeper().cut() == 0
    assert await seqs(log) == list(range(4, 13))
    async with log.store.read() as tx:
        [row] = (
            await tx.audit.page(AuditQuery(acts=frozenset({"audit_cut"})), limit=9, cursor=None)
        ).items
        first, *others = await tx.audit.segments()
    assert (row.detail["first_seq"], row.detail["last_seq"], row.detail["keep_days"]) == (1, 3, 2)
    assert first.cut_at == log.clock.now
    assert [each.cut_at for each in others] == [None] * 3
    found = await log.verify()
    assert (found.ok, found.rows_checked, found.rows_cut) == (True, 9, 3)
    assert found.segments_checked == 4
    assert root_lines(log.roots.directory) == written

    # The days go on, and with them the cut; of the row that told of the first one, too.
    await log.days(1, 1, 1, 1)
    assert (await seqs(log))[0] > 12
    found = await log.verify()
    assert (found.ok, found.faults) == (True, ())
    assert found.rows_cut == (await seqs(log))[0] - 1

    # One row more taken away than the signed root stands for.
    [(seq,)] = place.execute("SELECT min(seq) FROM audit")
    place.execute("DELETE FROM audit WHERE seq = ?", seq)
    found = await log.verify()
    assert found.first_bad_seq == seq


async def test_a_row_that_names_another_end_of_the_cut_does_not_pass(
    log: Log, place: Place
) -> None:
    await log.days(3, 3, 2)
    log.keep_days = 2
    log.clock.forward(hours=-6)
    await log.keeper().keep()
    assert (await log.verify()).ok
    place.execute("DELETE FROM audit WHERE seq <= 6")  # a whole segment more
    found = await log.verify()
    assert "no row says that they were cut" in (found.reason or "")


async def test_no_root_no_cut(log: Log) -> None:
    await log.days(3, 3)
    log.keep_days = 1
    log.clock.forward(days=3)
    kept = log.roots
    log.roots = RootFiles(kept.directory.with_name("elsewhere"))
    with pytest.raises(AuditBroken, match="Segment 1 is not cut: its root is not in"):
        await log.keeper().cut()
    log.roots = kept
    with pytest.raises(AuditBroken, match="not the key that its root is signed by"):
        await log.keeper(OTHER_KEY).cut()
    assert (await seqs(log))[0] == 1
    assert await log.keeper().cut() == 6


async def test_rows_that_are_not_as_signed_are_not_removed(log: Log, place: Place) -> None:
    await log.days(3, 3)
    log.keep_days = 1
    log.clock.forward(days=3)
    place.execute("UPDATE audit SET remote = '192.0.2.9' WHERE seq = 5")
    with pytest.raises(AuditBroken, match="Segment 2 is not cut: Row 5 was changed"):
        await log.keeper().cut()
    assert (await seqs(log))[0] == 4


async def test_the_row_of_a_view_that_goes_on_stays(log: Log) -> None:
    await log.days(3)
    began = log.clock.now
    await log.days(3)
    log.keep_days = 1
    log.clock.forward(days=9)
    keeper = log.keeper()
    keeper._oldest_open = lambda: began
    assert await keeper.cut() == 3
    keeper._oldest_open = lambda: None
    assert await keeper.cut() > 0


async def test_without_a_number_of_days_everything_stays(log: Log) -> None:
    await log.days(3, 3)
    log.clock.forward(days=9_999)
    await log.keeper().keep()
    assert (await seqs(log))[0] == 1
