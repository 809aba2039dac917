"""SQL about the audit chain and the changes feed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, String, func, select, type_coerce

from ..domain import AuditEntry, AuditRow, AuditVerification, Change, Page
from . import schema
from .audit_search import Found
from .audit_sql import COLUMNS, row_values
from .chain import ZERO_HASH, chain_rows, row_hash
from .contract import MAX_FOUND_COUNT, AuditQuery
from .repos_base import Repo, Tx
from .rows import audit_from, change_from, cursor_of, keys_of

_U = schema.audit.c
_H = schema.audit_head.c
CHANGES_KEPT: Final = 100_000  # about 10 MB; of the older ones a week's are kept as well
CHANGES_KEPT_FOR: Final = timedelta(days=7)  # no follower that lives lags so far
VERIFY_ROWS: Final = 1_000  # rows in memory at a time; hashing them takes about 10 ms
_HASHED: Final = (
    "seq",
    "subject_id",
    "subject_name",
    "as_role",
    "remote",
    "act",
    "channel_id",
    "area_id",
    "outcome",
    "prev_hash",
)


class SqlAudit(Repo):
    async def append(self, entry: AuditEntry) -> AuditRow:
        return (await self.append_many([entry]))[0]

    async def append_many(self, entries: Sequence[AuditEntry]) -> list[AuditRow]:
        """The writer holds the only write lock, so the end it reads is the end it extends."""
        head = await self._tx.one(select(_H.seq, _H.hash).where(_H.id == 1))
        seq, prev_hash = (head.seq, head.hash) if head else (0, ZERO_HASH)
        rows = chain_rows(entries, seq=seq, prev_hash=prev_hash)
        seq, prev_hash = rows[-1].seq, rows[-1].hash
        await self._tx.run(schema.audit.insert(), [_values(row) for row in rows])
        if head is None:
            await self._tx.run(schema.audit_head.insert().values(id=1, seq=seq, hash=prev_hash))
        else:
            await self._tx.run(
                schema.audit_head.update().where(_H.id == 1).values(seq=seq, hash=prev_hash)
            )
        return rows

    async def page(self, query: AuditQuery, *, limit: int, cursor: str | None) -> Page[AuditRow]:
        below = None if cursor is None else keys_of(cursor, int)[0]
        found = Found(query, postgresql=self._tx.is_postgresql)
        rows = await self._tx.rows(found.rows(below=below, limit=limit + 1))
        total = await self._tx.number(found.count(MAX_FOUND_COUNT + 1))
        items = [audit_from(row) for row in rows[:limit]]
        return Page(
            items,
            cursor_of(items[-1].seq) if len(rows) > limit else None,
            min(total, MAX_FOUND_COUNT),
            total > MAX_FOUND_COUNT,
        )


def _values(row: AuditRow) -> dict[str, Any]:
    # The time of `derived` is text already.
    written = dict(zip(COLUMNS, row_values(row), strict=True))
    began_at = written["began_at"]
    began = None if began_at is None else datetime.fromisoformat(began_at)
    return written | {"at": row.at, "began_at": began}


async def verify(tx: Tx) -> AuditVerification:
    """Walks the chain page by page; the hashing runs beside the loop."""
    # The time is read as its raw text: a damaged one must be reported, not raise.
    columns: list[ColumnElement[Any]] = [*(_U[name] for name in _HASHED), _U.detail, _U.hash]
    columns.append(type_coerce(_U.at, String).label("at_text"))
    seq, prev_hash, checked = 0, ZERO_HASH, 0
    while True:
        rows = await tx.rows(
            select(*columns).where(_U.seq > seq).order_by(_U.seq).limit(VERIFY_ROWS)
        )
        if not rows:
            break
        fault, good = await asyncio.to_thread(_check, rows, seq, prev_hash)
        checked += good
        if fault is not None:
            bad_seq, reason = fault
            return AuditVerification(checked, bad_seq, reason, prev_hash)
        seq, prev_hash = rows[-1].seq, rows[-1].hash
    head = await tx.one(select(_H.seq, _H.hash).where(_H.id == 1))
    head_seq, head_hash = (head.seq, head.hash) if head else (0, ZERO_HASH)
    if (head_seq, head_hash) != (seq, prev_hash):
        bad = min(seq, head_seq) + 1 if head_seq != seq else seq
        reason = f"The chain should end at row {head_seq}, and ends at row {seq}."
        return AuditVerification(checked, bad, reason, prev_hash)
    return AuditVerification(checked, None, None, prev_hash)


def _check(
    rows: Sequence[Row[Any]], seq: int, prev_hash: str
) -> tuple[tuple[int, str] | None, int]:
    """The first fault, and how many rows before it were good."""
    for good, row in enumerate(rows):
        if row.seq != seq + 1:
            return (seq + 1, f"Row {seq + 1} is missing."), good
        if row.prev_hash != prev_hash:
            return (row.seq, f"Row {row.seq} does not continue the row before it."), good
        try:
            fields = {name: row._mapping[name] for name in _HASHED}
            true_hash = row_hash({**fields, "at": row.at_text}, row.detail)
        except (ValueError, TypeError, RecursionError):
            return (row.seq, f"Row {row.seq} cannot be read."), good
        if row.hash != true_hash:
            return (row.seq, f"Row {row.seq} was changed after it was written."), good
        seq, prev_hash = row.seq, row.hash
    return None, len(rows)


async def changes_since(tx: Tx, seq: int, limit: int) -> list[Change]:
    rows = await tx.rows(
        select(schema.changes)
        .where(schema.changes.c.seq > seq)
        .order_by(schema.changes.c.seq)
        .limit(limit)
    )
    return [change_from(row) for row in rows]


async def trim_changes(tx: Tx, now: datetime) -> int:
    """Deletes changes rows that nobody can still be waiting for; how many."""
    changes = schema.changes
    newest = select(func.max(changes.c.seq)).scalar_subquery()
    return await tx.run(
        changes.delete().where(
            changes.c.seq <= newest - CHANGES_KEPT, changes.c.at < now - CHANGES_KEPT_FOR
        )
    )
