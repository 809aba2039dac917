"""SQL about the audit chain and the changes feed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select

from ..audit.model import AuditVerification, Faults, Segment
from ..domain import AuditEntry, AuditRow, Change, Page
from . import schema
from .audit_search import Found, Places
from .audit_sql import COLUMNS, row_values
from .chain import ZERO_HASH, chain_rows
from .chain_check import ChainCheck
from .contract import MAX_FOUND_COUNT
from .contract_audit import AuditQuery, SegmentJudge
from .repos_base import Repo, Tx
from .rows import audit_from, change_from, cursor_of, keys_of

_U = schema.audit.c
_H = schema.audit_head.c
_S = schema.audit_segments.c
CHANGES_KEPT: Final = 100_000  # about 10 MB; of the older ones a week's are kept as well
CHANGES_KEPT_FOR: Final = timedelta(days=7)  # no follower that lives lags so far
VERIFY_ROWS: Final = 2_000  # rows in memory at a time; hashing them takes about 10 ms
SEGMENTS_AT_ONCE: Final = 200
_STORED: Final = f"SELECT {', '.join(COLUMNS)} FROM {schema.audit.name}"  # noqa: S608
_SEGMENT_FIELDS: Final = tuple(column.name for column in schema.audit_segments.columns)


_HEAD: Final = select(_H.seq, _H.hash).where(_H.id == 1)


class SqlAudit(Repo):
    async def append(self, entry: AuditEntry) -> AuditRow:
        return (await self.append_many([entry]))[0]

    async def append_many(self, entries: Sequence[AuditEntry]) -> list[AuditRow]:
        """The writer holds the only write lock, so the end it reads is the end it extends."""
        head = await self._tx.one(_HEAD)
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
        found = Found(query, await self._places(query), postgresql=self._tx.is_postgresql)
        rows = await self._tx.rows(found.rows(below=below, limit=limit + 1))
        total = await self._tx.number(found.count(MAX_FOUND_COUNT + 1))
        items = [audit_from(row) for row in rows[:limit]]
        return Page(
            items,
            cursor_of(items[-1].seq) if len(rows) > limit else None,
            min(total, MAX_FOUND_COUNT),
            total > MAX_FOUND_COUNT,
        )

    async def head(self) -> tuple[int, str]:
        row = await self._tx.one(_HEAD)
        return (row.seq, row.hash) if row else (0, ZERO_HASH)

    async def stored(self, *, after: int, limit: int, up_to: int | None = None) -> Sequence[Any]:
        end = "" if up_to is None else f" AND seq <= {up_to:d}"
        result = await self._tx.connection.exec_driver_sql(
            f"{_STORED} WHERE seq > {after:d}{end} ORDER BY seq LIMIT {limit:d}"
        )
        return result.all()

    async def hashes(self, first_seq: int, last_seq: int) -> list[str]:
        rows = await self._tx.rows(
            select(_U.hash).where(_U.seq.between(first_seq, last_seq)).order_by(_U.seq)
        )
        return [row.hash for row in rows]

    async def matching(self, query: AuditQuery, *, first_seq: int, last_seq: int) -> Sequence[Any]:
        found = Found(query, Places(first_seq, last_seq), postgresql=self._tx.is_postgresql)
        return await self._tx.rows(found.stored())

    async def segments(self, *, after: int = 0, limit: int = SEGMENTS_AT_ONCE) -> list[Segment]:
        rows = await self._tx.rows(
            select(schema.audit_segments).where(_S.number > after).order_by(_S.number).limit(limit)
        )
        return [Segment(**row._mapping) for row in rows]

    async def last_segment(self) -> Segment | None:
        row = await self._tx.one(select(schema.audit_segments).order_by(_S.number.desc()).limit(1))
        return None if row is None else Segment(**row._mapping)

    async def add_segment(self, segment: Segment) -> None:
        values = {name: getattr(segment, name) for name in _SEGMENT_FIELDS}
        await self._tx.run(schema.audit_segments.insert().values(values))

    async def cut(self, segment: Segment, at: datetime) -> None:
        await self._tx.run(schema.audit.delete().where(_U.seq <= segment.last_seq))
        await self._tx.run(
            schema.audit_segments.update().where(_S.number == segment.number).values(cut_at=at)
        )

    async def _places(self, query: AuditQuery) -> Places:
        """Where the rows of its time are, as far as segments tell: exact, whatever clocks did."""
        if query.since is None and query.until is None:
            return Places()
        last = await self._tx.number(select(func.max(_S.last_seq)))
        low, high = None, None
        if query.since is not None:
            of_time = select(func.min(_S.first_seq)).where(_S.spans_to >= query.since)
            low = await self._tx.number(of_time) or last + 1
        if query.until is not None:
            began = func.coalesce(_U.began_at, _U.at) < query.until
            later = select(_U.seq).where(_U.seq > last, began).limit(1)
            if await self._tx.one(later) is None:
                of_time = select(func.max(_S.last_seq)).where(_S.spans_from < query.until)
                high = await self._tx.number(of_time)
        return Places(low, high)


def _values(row: AuditRow) -> dict[str, Any]:
    # The time of `derived` is text already.
    written = dict(zip(COLUMNS, row_values(row), strict=True))
    began_at = written["began_at"]
    began = None if began_at is None else datetime.fromisoformat(began_at)
    return written | {"at": row.at, "began_at": began}


async def verify(
    tx: Tx, judge: SegmentJudge | None, progress: Callable[[int, int], None] | None
) -> AuditVerification:
    """Walks the chain part by part; the hashing runs beside the loop."""
    faults = Faults()
    audit = SqlAudit(tx)
    head_seq, head_hash = await audit.head()
    first_seq = await tx.number(select(func.min(_U.seq)))
    check = ChainCheck(faults, first_seq or head_seq + 1)
    segments = _Segments(audit, judge, faults)
    last_seq = await tx.number(select(func.max(_U.seq)))
    seq = 0
    while True:
        while check.known_to <= seq + VERIFY_ROWS and (found := await segments.next()):
            check.expect(found)
        rows = await audit.stored(after=seq, limit=VERIFY_ROWS)
        if not rows:
            break
        await asyncio.to_thread(check.feed, rows)
        seq = rows[-1].seq
        if progress is not None:
            progress(check.rows, last_seq - check.rows_cut)
    check.end(head_seq, head_hash)
    notices = () if judge is None else await asyncio.to_thread(judge.end, faults)
    return AuditVerification(
        rows_checked=check.rows,
        last_hash=check.prev_hash,
        segments_checked=check.segments,
        rows_cut=check.rows_cut,
        faults=tuple(faults.told),
        faults_total=faults.total,
        notices=tuple(notices),
    )


class _Segments:
    """All of them in order, in parts; each is shown to the judge."""

    def __init__(self, audit: SqlAudit, judge: SegmentJudge | None, faults: Faults) -> None:
        self._audit = audit
        self._judge = judge
        self._faults = faults
        self._after = 0
        self._more = True

    async def next(self) -> list[Segment]:
        """None when there are no more."""
        if not self._more:
            return []
        try:
            found = await self._audit.segments(after=self._after)
        except (ValueError, TypeError):  # a time that is none
            self._faults.add(0, None, "The table audit_segments cannot be read.")
            found = []
        self._more = bool(found)
        if found:
            self._after = found[-1].number
            if self._judge is not None:
                await asyncio.to_thread(self._judge.look, found, self._faults)
        return found


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
