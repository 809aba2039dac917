"""What is found of the audit, against a plain reading of the filter; pages; on both stores."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from camera_registry.domain import AuditEntry, AuditRow
from camera_registry.store import AuditQuery, SqlStore, contract, open_store

from .conftest import Place

ROWS = 120
T0 = datetime(2026, 11, 24, 8, tzinfo=UTC)
PURPOSES = (None, "案件 2026-17", "Case 2026-17 100%", "巡查_A")


def entries() -> list[AuditEntry]:
    chance = random.Random(7)
    made = []
    for number in range(ROWS):
        act = chance.choice(("view_start", "view_end", "snapshot", "sign_in"))
        purpose = chance.choice(PURPOSES)
        detail: dict[str, object] = {"n": number}
        if purpose is not None:
            detail["purpose"] = purpose
        if act == "view_end":
            began = T0 + timedelta(minutes=chance.randrange(90))
            detail["started_at"] = began.isoformat()
        of_channel = act != "sign_in"
        made.append(
            AuditEntry(
                act=act,
                outcome=chance.choice(("ok", "refused")),
                subject_id=chance.choice((None, "su_1", "su_2")),
                subject_name=chance.choice(("local:root", "永顺")),
                channel_id=f"ch_{chance.randrange(6)}" if of_channel else None,
                area_id=chance.choice((None, "ar_1", "ar_2", "ar_3")) if of_channel else None,
                detail=detail,
            )
        )
    return made


def fits(row: AuditRow, query: AuditQuery) -> bool:
    purpose = row.detail.get("purpose")
    began = row.detail.get("started_at")
    began_at = row.at if began is None else datetime.fromisoformat(began)
    about = query.area_ids is None and query.channel_ids is None
    return (
        (query.acts is None or row.act in query.acts)
        and query.subject_id in (None, row.subject_id)
        and query.subject_name in (None, row.subject_name)
        and query.channel_id in (None, row.channel_id)
        and query.outcome in (None, row.outcome)
        and (query.purpose is None or (purpose or "").lower().find(query.purpose.lower()) >= 0)
        and (query.since is None or row.at >= query.since)
        and (query.until is None or began_at < query.until)
        and (
            about
            or row.area_id in (query.area_ids or ())
            or row.channel_id in (query.channel_ids or ())
        )
    )


async def all_pages(store: SqlStore, query: AuditQuery, limit: int) -> list[AuditRow]:
    rows: list[AuditRow] = []
    cursor: str | None = None
    while True:
        async with store.read() as tx:
            page = await tx.audit.page(query, limit=limit, cursor=cursor)
        rows += page.items
        cursor = page.next_cursor
        if cursor is None:
            assert (page.total, page.total_capped) == (len(rows), False)
            return rows


async def test_what_fits_is_found_newest_first_over_pages(store: SqlStore) -> None:
    written = [await store.append_audit(entry) for entry in entries()]
    middle = written[ROWS // 2].at
    chance = random.Random(11)
    queries = [AuditQuery(), AuditQuery(area_ids=frozenset(), channel_ids=frozenset())]
    for _ in range(60):
        query = AuditQuery(
            acts=chance.choice((None, None, frozenset({"view_end"}), frozenset({"x", "sign_in"}))),
            subject_id=chance.choice((None, None, "su_1")),
            subject_name=chance.choice((None, None, None, "永顺")),
            channel_id=chance.choice((None, None, "ch_3")),
            outcome=chance.choice((None, None, "refused")),
            purpose=chance.choice((None, None, "2026-17", "case", "100%", "_A", "%")),
            since=chance.choice((None, None, middle)),
            until=chance.choice((None, None, middle, T0 + timedelta(minutes=45))),
        )
        if chance.random() < 0.5:
            query = replace(
                query,
                area_ids=frozenset({"ar_1", "ar_3"}),
                channel_ids=frozenset({"ch_1", "ch_5"}),
            )
        queries.append(query)
    some = 0
    for query in queries:
        wanted = [row for row in reversed(written) if fits(row, query)]
        assert await all_pages(store, query, chance.choice((1, 7, 200))) == wanted, query
        some += bool(wanted)
    assert some > 20


async def test_a_total_is_counted_up_to_a_bound(store: SqlStore) -> None:
    async with store.write() as tx:
        await tx.audit.append_many(
            [AuditEntry("x", "ok") for _ in range(contract.MAX_FOUND_COUNT + 5)]
        )
    async with store.read() as tx:
        page = await tx.audit.page(AuditQuery(), limit=2, cursor=None)
    assert (page.total, page.total_capped) == (contract.MAX_FOUND_COUNT, True)


async def test_what_was_written_before_the_columns_is_found_too(place: Place) -> None:
    store = await open_store(place.at)
    began = datetime(2026, 11, 24, 8, 0, 0, 250_000, tzinfo=UTC)
    row = await store.append_audit(
        AuditEntry("view_end", "ok", detail={"started_at": began.isoformat()})
    )
    await store.append_audit(AuditEntry("view_end", "ok", detail={"started_at": "no time"}))
    [(kept,)] = place.execute("SELECT began_at FROM audit WHERE seq = 1")
    await store.migrate_down("0007")
    await store.migrate()
    assert place.execute("SELECT began_at FROM audit ORDER BY seq") == [(kept,), (None,)]
    assert (await store.verify_audit()).ok
    query = AuditQuery(until=began + timedelta(seconds=1))
    assert await all_pages(store, query, 9) == [row]
    await store.close()


async def test_an_older_program_verifies_what_was_said_in_words(place: Place) -> None:
    """Its column `purpose` repeats the code alone; what was altered is altered before and after."""
    store = await open_store(place.at)
    told = {"purpose": "inquiry", "purpose_note": "案件 2026-17"}
    for detail in (told, told, {"purpose": "duty"}, {"purpose": "x", "purpose_note": None}, {}):
        await store.append_audit(AuditEntry("snapshot", "ok", detail=detail))
    place.execute("UPDATE audit SET purpose = 'duty: x' WHERE seq = 2")
    await store.migrate_down("0014")
    purposes = "SELECT purpose FROM audit ORDER BY seq"
    older = [("inquiry",), ("duty: x",), ("duty",), ("x",), (None,)]
    assert place.execute(purposes) == older
    await store.migrate()
    assert place.execute(purposes) == [("inquiry: 案件 2026-17",), *older[1:]]
    assert (await store.verify_audit()).first_bad_seq == 2
    await store.close()


async def test_an_older_registry_takes_rows_before_it_is_brought_up(place: Place) -> None:
    """A backup is made, and written down, before an update."""
    if not isinstance(place.at, Path):
        return  # that one is backed up by its own means
    store = await open_store(place.at)
    await store.migrate_down("0007")
    await store.append_audit(AuditEntry("backup_made", "ok", detail={"purpose": "update"}))
    await store.migrate()
    assert (await store.verify_audit()).rows_checked == 1
    await store.close()
