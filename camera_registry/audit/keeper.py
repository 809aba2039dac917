"""Seals the chain while the service runs: segments with signed roots, written apart; and cuts what
is kept for long enough.

A finished day is sealed soon after its end, or at the next start; a long day in parts.
A segment is in the registry before its root is written out, so that what is signed stays the same
whatever is cut off when; roots that are not written yet are made up for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from ..domain import AuditEntry
from ..errors import AuditBroken, RegistryError
from ..store.chain import ZERO_HASH
from ..store.chain_check import CUT, ChainCheck
from ..store.contract import Store, WriteTx
from ..units import utc_now
from . import merkle
from .keys import AuditKey, is_signed
from .model import Faults, Segment, day_of
from .roots import RootFiles
from .segment import statement, statement_hash

# Rows under one root: checking and hashing them takes a fraction of a second, and the hashes that a
# proof is made of 320 kB.
MAX_ROWS: Final = 10_000
EVERY_S: Final = 30.0
SEGMENTS_AT_ONCE: Final = 200

Tell = Callable[[WriteTx, Segment], Awaitable[None]]

_log = logging.getLogger(__name__)


class AuditKeeper:
    """`keep_days`: None keeps everything."""

    def __init__(
        self,
        store: Store,
        key: AuditKey,
        roots: RootFiles,
        *,
        keep_days: int | None = None,
        tell: Tell | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`tell` is called of each new segment, in the transaction that adds it."""
        self.key = key
        self._store = store
        self._roots = roots
        self._keep_days = keep_days
        self._tell = tell
        self._oldest_open: Callable[[], datetime | None] = lambda: None
        self._now = now
        self._lock = asyncio.Lock()
        self._written = 0  # the number up to which every root is known to be written
        self._task: asyncio.Task[None] | None = None
        self.trouble: str | None = None  # a sentence: why sealing, writing or cutting waits

    async def start(self, oldest_open: Callable[[], datetime | None]) -> None:
        """Goes on by itself from now on; what was missed is made up for. `oldest_open` gives the
        start of the oldest view that goes on, None for none: its row is not cut.
        """
        self._oldest_open = oldest_open
        self._task = asyncio.create_task(self._run(), name="audit-keeper")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def keep(self) -> None:
        """One round: seal, write, cut. Raises RegistryError, OSError."""
        await self.seal()
        await self.write_roots()
        await self.cut()

    async def seal(self, *, everything: bool = False) -> int:
        """Seals the days that are over and full runs of rows; how many segments. `everything`: also
        what there is of today.

        Raises AuditBroken for rows that do not verify, OSError where the roots can't be read.
        """
        made = 0
        async with self._lock:
            while await self._seal_one(everything):
                made += 1
        return made

    async def write_roots(self) -> int:
        """Writes out what is not yet; how many. Raises RootsUnfit, OSError."""
        written = 0
        async with self._lock:
            while True:
                async with self._store.read() as tx:
                    segments = await tx.audit.segments(after=self._written, limit=SEGMENTS_AT_ONCE)
                if not segments:
                    return written
                written += await asyncio.to_thread(self._roots.write, segments)
                self._written = segments[-1].number

    async def cut(self) -> int:
        """Removes whole segments that are older than `keep_days`, and says so in a row each; how
        many rows went. Raises AuditBroken when one is not proven: then nothing more is removed.
        """
        if self._keep_days is None:
            return 0
        before = self._now() - timedelta(days=self._keep_days)
        removed = 0
        async with self._lock:
            async with self._store.read() as tx:
                number, rows = 0, await tx.audit.stored(after=0, limit=1)
            first_seq = rows[0].seq if rows else 1
            while True:
                async with self._store.read() as tx:
                    segments = await tx.audit.segments(after=number, limit=SEGMENTS_AT_ONCE)
                for segment in segments:
                    number = segment.number
                    if segment.last_seq < first_seq:
                        continue
                    if not self._is_over(segment, before):
                        return removed
                    removed += await self._cut_one(segment)
                if not segments:
                    return removed

    def _is_over(self, segment: Segment, before: datetime) -> bool:
        oldest_open = self._oldest_open()
        if oldest_open is not None and segment.spans_to >= oldest_open:
            return False
        return segment.spans_to < before

    async def _cut_one(self, segment: Segment) -> int:
        """Only what its signed and written root is there to stand for."""
        keys = {self.key.key_id: self.key.public}
        if not is_signed(keys, segment.key_id, segment.signature, statement(segment)):
            raise AuditBroken(
                f"Segment {segment.number} is not cut: {self.key.key_id} is not the "
                "key that its root is signed by."
            )
        if not await asyncio.to_thread(self._roots.has, segment):
            raise AuditBroken(
                f"Segment {segment.number} is not cut: its root is not in {self._roots.directory}."
            )
        async with self._store.read() as tx:
            rows = await tx.audit.stored(
                after=segment.first_seq - 1, limit=segment.size, up_to=segment.last_seq
            )
        fault = await asyncio.to_thread(_not_as_signed, segment, rows)
        if fault is not None:
            raise AuditBroken(f"Segment {segment.number} is not cut: {fault}")
        async with self._store.write() as write:
            await write.audit.cut(segment, self._now())
            await write.audit.append(
                AuditEntry(
                    act=CUT,
                    outcome="ok",
                    subject_name="system",
                    detail={
                        "segment": segment.number,
                        "day": segment.day,
                        "first_seq": segment.first_seq,
                        "last_seq": segment.last_seq,
                        "last_hash": segment.last_hash,
                        "root": segment.root,
                        "keep_days": self._keep_days,
                    },
                )
            )
        return segment.size

    async def _seal_one(self, everything: bool) -> bool:
        async with self._store.read() as tx:
            last = await tx.audit.last_segment()
            after = last.last_seq if last else 0
            rows = await tx.audit.stored(after=after, limit=1)
            full = (await tx.audit.head())[0] - after > MAX_ROWS
            if not rows or not (full or everything or _day(rows[0]) < day_of(self._now())):
                return False  # the usual case, each half minute
            rows = await tx.audit.stored(after=after, limit=MAX_ROWS + 1)
        taken = await asyncio.to_thread(_run_of_a_day, rows, last, day_of(self._now()), everything)
        if not taken:
            return False
        # A number that was ever written out is not given again: a registry that was put back has
        # rows of its own from there on.
        written = await asyncio.to_thread(self._roots.last_number)
        number = max(last.number if last else 0, written) + 1
        segment = await asyncio.to_thread(_segment, taken, last, number, self._now(), self.key)
        async with self._store.write() as write:
            if await write.audit.last_segment() != last:
                return True  # somebody else was first: look again
            await write.audit.add_segment(segment)
            if self._tell is not None:
                await self._tell(write, segment)
        return True

    async def _run(self) -> None:
        while True:
            try:
                await self.keep()
                self.trouble = None
            except (RegistryError, OSError) as error:
                if str(error) != self.trouble:
                    _log.error("audit_not_kept: %s", error)
                self.trouble = str(error)
            except Exception:
                _log.exception("the audit's keeper failed")
            await asyncio.sleep(EVERY_S)


def _run_of_a_day(
    rows: Sequence[Any], last: Segment | None, today: str, everything: bool
) -> Sequence[Any]:
    """The rows of the next segment; none while its day goes on."""
    if not rows:
        return []
    # Clocks may be set back: a row behind the change of a day belongs to the later one.
    day = max(_day(rows[0]), last.day if last else "")
    taken = rows[:MAX_ROWS]
    for place, row in enumerate(taken):
        if _day(row) > day:
            return taken[:place]
    full = len(rows) > MAX_ROWS
    return taken if full or everything or day < today else []


def _segment(
    rows: Sequence[Any], last: Segment | None, number: int, now: datetime, key: AuditKey
) -> Segment:
    """Checked and signed. Raises AuditBroken."""
    first = rows[0]
    prev_hash = last.last_hash if last else ZERO_HASH
    fault = _fault(rows, last.last_seq if last else 0, prev_hash)
    if fault is not None:
        raise AuditBroken(f"Rows from {first.seq} on are not signed: {fault}")
    segment = Segment(
        number=number,
        day=max(_day(first), last.day if last else ""),
        first_seq=first.seq,
        last_seq=rows[-1].seq,
        spans_from=datetime.fromisoformat(min(min(row.at, row.began_at or row.at) for row in rows)),
        spans_to=datetime.fromisoformat(max(row.at for row in rows)),
        prev_hash=prev_hash,
        last_hash=rows[-1].hash,
        root=merkle.root([merkle.leaf(row.hash) for row in rows]).hex(),
        previous=statement_hash(last),
        sealed_at=now,
        key_id=key.key_id,
    )
    return replace(segment, signature=key.sign(statement(segment)))


def _not_as_signed(segment: Segment, rows: Sequence[Any]) -> str | None:
    fault = _fault(rows, segment.first_seq - 1, segment.prev_hash)
    if fault is not None:
        return fault
    root = merkle.root([merkle.leaf(row.hash) for row in rows]).hex() if rows else ""
    return None if root == segment.root else "its rows are not those that were signed."


def _fault(rows: Sequence[Any], seq: int, prev_hash: str) -> str | None:
    faults = Faults()
    check = ChainCheck(faults, seq + 1, after=(seq, prev_hash))
    check.feed(rows)
    return faults.told[0].sentence if faults.told else None


def _day(row: Any) -> str:
    """Raises AuditBroken for a time that is none."""
    try:
        return day_of(datetime.fromisoformat(row.at))
    except (ValueError, TypeError, OverflowError):
        raise AuditBroken(f"Row {row.seq} is not signed: it cannot be read.") from None
