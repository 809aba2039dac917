"""The part of the store's interface about the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ..audit.model import Faults, Segment
from ..domain import AuditEntry, AuditRow, Page


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """A filter over audit rows; None means "any". Newest first.

    `since` and `until` take what lasted into that time: a view by its start and its end, any other
    row by its moment. `area_ids` and `channel_ids`: rows about any of them (either suffices), as
    a scoped auditor sees them, but none about `except_channel_ids`.
    """

    acts: frozenset[str] | None = None
    subject_id: str | None = None
    subject_name: str | None = None  # of who is no subject: the local operator
    channel_id: str | None = None
    outcome: str | None = None
    purpose: str | None = None  # a part of it or of its note, letters A to Z in either case
    since: datetime | None = None
    until: datetime | None = None
    area_ids: frozenset[str] | None = None
    channel_ids: frozenset[str] | None = None
    except_channel_ids: frozenset[str] = frozenset()
    max_seq: int | None = None  # the last row that may be one


class SegmentJudge(Protocol):
    """Whether segments are signed, and their roots written down elsewhere."""

    def look(self, segments: Sequence[Segment], faults: Faults) -> None:
        """The next ones, in order. In a thread."""
        ...

    def end(self, faults: Faults) -> Sequence[str]:
        """There are no more; gives notices."""
        ...


class AuditReader(Protocol):
    async def page(self, query: AuditQuery, *, limit: int, cursor: str | None) -> Page[AuditRow]:
        """Newest first; `total` counts up to MAX_FOUND_COUNT."""
        ...

    async def head(self) -> tuple[int, str]:
        """Number and hash of the last row; 0 and zeros for none."""
        ...

    async def stored(self, *, after: int, limit: int, up_to: int | None = None) -> Sequence[Any]:
        """Rows as they lie in the table, attributes by the names of its columns, texts also for
        times and `detail`; in order.
        """
        ...

    async def matching(self, query: AuditQuery, *, first_seq: int, last_seq: int) -> Sequence[Any]:
        """Of these rows, those that the query means, as they lie in the table; in order."""
        ...

    async def hashes(self, first_seq: int, last_seq: int) -> list[str]:
        """Of these rows, in order."""
        ...

    async def segments(self, *, after: int = 0, limit: int = 200) -> list[Segment]:
        """By number."""
        ...

    async def last_segment(self) -> Segment | None: ...


class AuditRepo(AuditReader, Protocol):
    async def append(self, entry: AuditEntry) -> AuditRow:
        """Adds the next row of the chain inside this unit of work."""
        ...

    async def append_many(self, entries: Sequence[AuditEntry]) -> list[AuditRow]: ...

    async def add_segment(self, segment: Segment) -> None: ...
    async def cut(self, segment: Segment, at: datetime) -> None:
        """Removes every row up to the segment's last. The caller has made sure, and says so."""
        ...
