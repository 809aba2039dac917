"""SQL that finds audit rows for an `AuditQuery`, the newest first, each way by an index.

The numbers of the rows are looked for first, in indexes that end with `seq`; whole rows are read of
one page alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Select,
    String,
    Subquery,
    func,
    literal_column,
    not_,
    or_,
    select,
    type_coerce,
    union,
)

from . import schema
from .contract_audit import AuditQuery
from .dialect import among, contains

_U: Final = schema.audit.c
_TEXTS: Final = [column for column in _U if column.name != "seq"]


@dataclass(frozen=True, slots=True)
class Places:
    """The first and the last number that a row may have; None: any."""

    low: int | None = None
    high: int | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        low = [] if self.low is None else [_U.seq >= self.low]
        return low if self.high is None else [*low, _U.seq <= self.high]


class Found:
    """The rows that a query means."""

    def __init__(self, query: AuditQuery, places: Places, *, postgresql: bool) -> None:
        self._postgresql = postgresql
        self._query = query
        self._where = [*_conditions(query, postgresql=postgresql), *places.conditions()]

    def rows(self, *, below: int | None, limit: int) -> Select[Any]:
        """Whole rows, numbered below `below`."""
        found = self._numbers(below)
        numbers = select(found.c.seq).order_by(found.c.seq.desc()).limit(limit).subquery()
        return select(schema.audit).join(numbers, numbers.c.seq == _U.seq).order_by(_U.seq.desc())

    def stored(self) -> Select[Any]:
        """All of them, the oldest first, texts as they are stored."""
        found = self._numbers(None)
        columns = [type_coerce(column, String).label(column.name) for column in _TEXTS]
        return select(_U.seq, *columns).join(found, found.c.seq == _U.seq).order_by(_U.seq)

    def count(self, most: int) -> Select[Any]:
        """How many there are, counted up to `most`."""
        found = self._numbers(None)
        return select(func.count()).select_from(select(found.c.seq).limit(most).subquery())

    def _numbers(self, below: int | None) -> Subquery:
        where = self._where if below is None else [*self._where, _U.seq < below]
        query = self._query
        if query.area_ids is None and query.channel_ids is None:
            return select(_U.seq).where(*where).subquery()
        # Two questions, as each has an index of its own; a row that both find is one.
        about = (
            among(_U.area_id, sorted(query.area_ids or ()), postgresql_=self._postgresql),
            among(_U.channel_id, sorted(query.channel_ids or ()), postgresql_=self._postgresql),
        )
        return union(*(select(_U.seq).where(*where, each) for each in about)).subquery()


def _conditions(query: AuditQuery, *, postgresql: bool) -> list[ColumnElement[bool]]:
    exact = {
        _U.subject_id: query.subject_id,
        _U.subject_name: query.subject_name,
        _U.channel_id: query.channel_id,
        _U.outcome: query.outcome,
    }
    where: list[ColumnElement[bool]] = [
        column == value for column, value in exact.items() if value is not None
    ]
    if query.acts is not None:
        where.append(_U.act.in_(sorted(query.acts)))
    if query.outcome not in (None, "ok"):
        # Said literally, so that the index of those few rows is taken.
        where.append(literal_column(schema.NOT_OK, Boolean))
    if query.purpose is not None:
        where += [_U.purpose.is_not(None), contains(_U.purpose, query.purpose)]
    if query.since is not None:
        where.append(_U.at >= query.since)
    if query.until is not None:
        where.append(func.coalesce(_U.began_at, _U.at) < query.until)
    if query.max_seq is not None:
        where.append(_U.seq <= query.max_seq)
    if query.except_channel_ids:
        denied = among(_U.channel_id, sorted(query.except_channel_ids), postgresql_=postgresql)
        where.append(or_(_U.channel_id.is_(None), not_(denied)))
    return where
