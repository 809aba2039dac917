"""SQL that lists and finds channels, over the narrow table `channel_search`.

A page is codes first, in the order of codes, and then the rows of those. What is asked for may be
in nearly every row, or in three of a million, and one plan can't serve both: first a bounded walk
in the order of codes takes the page from what it passes; if that does not fill it, what is asked
for is rare, and the index of runs of three characters finds all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    case,
    column,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    table,
    text,
    true,
)
from sqlalchemy.dialects import postgresql

from ..domain import DeviceClass, Filing
from ..search_text import pieces, runs
from . import schema
from .contract import MAX_COUNT, MAX_FOUND_COUNT, ChannelQuery, ClassAreas
from .dialect import POSTGRESQL, among, holds
from .repos_base import Tx
from .rows import cursor_of, keys_of

# Rows that a walk passes: some ms. Of what is in one of thirty it finds a page of 50; and on
# PostgreSQL, which may hold a million, of what is in one of a hundred.
WALK_ROWS: Final = 1_500
WALK_ROWS_POSTGRESQL: Final = 5_000
# Of so few each is looked at, in about 10 ms: a grid, a small street, a small registry.
SCAN_ROWS: Final = 8_000
# Entries of the index (area_id, code) that the first rows of many areas are chosen from: 3 ms.
WALK_ENTRIES: Final = 20_000

_S = schema.channel_search.c
_GRAMS = table("channel_grams", column("rowid"), column("channel_grams"))


@dataclass(frozen=True, slots=True)
class CodePage:
    """Codes of one page. `total` is how many were counted, `capped` that there are more."""

    codes: list[str]
    next_cursor: str | None
    total: int
    capped: bool


@dataclass(frozen=True, slots=True)
class _Total:
    counted: int
    more: int = 0  # 1: there are more, or may be

    def up_to(self, bound: int) -> _Total:
        return _Total(bound, 1) if self.counted > bound else self


class CodeSearch:
    """One question, in one transaction."""

    def __init__(self, tx: Tx, query: ChannelQuery) -> None:
        self._tx = tx
        self._postgresql = tx.connection.dialect.name == POSTGRESQL
        self._walk_rows = WALK_ROWS_POSTGRESQL if self._postgresql else WALK_ROWS
        self._pieces = pieces(query.q or "")
        self._cap = MAX_FOUND_COUNT if self._pieces else MAX_COUNT
        self._areas, self._single = _scope(query)
        self._classes = _classes(query)
        self._query = query
        filters: list[ColumnElement[bool]] = []
        if query.except_channel_ids:
            filters.append(not_(self._among(_S.channel_id, query.except_channel_ids)))
        if query.device_class is not None:
            filters.append(_S.device_class == query.device_class.value)
        if query.enabled is not None:
            filters.append(_S.enabled == query.enabled)
        if query.device_id is not None:
            of_device = select(schema.channels.c.id).where(
                schema.channels.c.device_id == query.device_id
            )
            filters.append(_S.channel_id.in_(of_device))
        if query.filing is not None:
            filters.append(_S.filing == query.filing.value)
        if query.unfiled_area_ids is not None or query.unfiled_channel_ids is not None:
            filters.append(self._filed_or_managed(query))
        self._filters = and_(true(), *filters)
        # Of its areas only what is of the right class, where that is not every one.
        self._inside_areas = self._filters
        if query.visible_class_areas:
            whole = query.visible_area_ids or frozenset()
            self._inside_areas = and_(self._filters, self._cells(whole, query.visible_class_areas))

    def _filed_or_managed(self, query: ChannelQuery) -> ColumnElement[bool]:
        """What is not filed is there for whoever manages it alone."""
        managed = [self._cells(query.unfiled_area_ids, query.unfiled_class_areas)]
        if query.unfiled_channel_ids:
            managed.append(self._among(_S.channel_id, query.unfiled_channel_ids))
        is_managed = or_(*managed)
        if query.unfiled_except_ids:
            is_managed = and_(
                is_managed, not_(self._among(_S.channel_id, query.unfiled_except_ids))
            )
        return or_(_S.filing == Filing.FILED.value, is_managed)

    def _cells(
        self, area_ids: frozenset[str] | None, class_areas: ClassAreas | None
    ) -> ColumnElement[bool]:
        """In one of the areas; or in one of those of its class."""
        cells = [self._among(_S.area_id, area_ids)] if area_ids else []
        for device_class, areas in (class_areas or {}).items():
            of_class = _S.device_class == device_class.value
            cells.append(and_(of_class, self._among(_S.area_id, areas)))
        return or_(false(), *cells)

    def _among(self, column: ColumnElement[Any], ids: Iterable[str]) -> ColumnElement[bool]:
        return among(column, sorted(ids), postgresql_=self._postgresql)

    async def page(self, limit: int, cursor: str | None) -> CodePage:
        """The codes after the cursor, which carries the total of the first page on."""
        after, total = "", None
        if cursor is not None:
            after, *counted = keys_of(cursor, str, int, int)
            total = _Total(*counted)
        if self._postgresql and self._pieces:
            # The planner does not know that what is asked for may all stand at the table's end.
            await self._tx.connection.execute(text("SET LOCAL enable_seqscan = off"))
        codes: list[str] = []
        if self._areas is None or self._areas:
            codes, found = await self._in_areas(limit, after, count=total is None)
        else:
            found = _Total(0)
        if self._single:
            single = await self._singles()
            codes = sorted({*codes, *(code for code in single if code > after)})[: limit + 1]
            found = _Total(found.counted + len(single), found.more)
        total = (total or found).up_to(self._cap)
        more = len(codes) > limit
        codes = codes[:limit]
        next_cursor = cursor_of(codes[-1], total.counted, total.more) if more else None
        return CodePage(codes, next_cursor, total.counted, bool(total.more))

    async def _in_areas(self, limit: int, after: str, *, count: bool) -> tuple[list[str], _Total]:
        """One code more than `limit`; and the total, where it is wanted."""
        if not self._pieces:
            codes = await self._codes(self._walked(limit + 1, after))
            return codes, await self._counted() if count else _Total(0)
        if await self._size() <= SCAN_ROWS:
            wanted = max(limit, self._cap if count else 0) + 1
            codes = await self._codes(self._scanned(self._inside(), after).limit(wanted))
            return codes[: limit + 1], _Total(len(codes))
        codes = await self._codes(self._walked(limit + 1, after))
        if len(codes) > limit:
            return codes, await self._counted_by_walk(len(codes)) if count else _Total(0)
        found = self._found(after).cte("found").prefix_with("MATERIALIZED", dialect=POSTGRESQL)
        all_found = select(func.count()).select_from(found).scalar_subquery()
        rows = await self._tx.rows(
            select(found.c.code, all_found.label("total")).order_by(found.c.code).limit(limit + 1)
        )
        return [row.code for row in rows], _Total(rows[0].total if rows else 0)

    async def _codes(self, statement: Select[Any]) -> list[str]:
        return [row.code for row in await self._tx.rows(statement)]

    def _held_by(self, text: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(true(), *(holds(text, piece) for piece in self._pieces))

    def _inside(self) -> ColumnElement[bool]:
        if self._areas is None:
            return self._filters
        return and_(self._inside_areas, self._among(_S.area_id, self._areas))

    async def _size(self) -> int:
        """Rows to look among, up to one more than the bound."""
        few = select(_S.n).where(self._inside()).limit(SCAN_ROWS + 1)
        return await self._tx.number(select(func.count()).select_from(few.subquery()))

    def _scanned(self, inside: ColumnElement[bool], after: str = "") -> Select[Any]:
        """All that match, in order, by looking at each row."""
        some = select(_S.code, _S.area_id, _S.device_class, _S.text).where(inside)
        if after:
            some = some.where(_S.code > after)
        # Apart, or PostgreSQL would ask the index of runs for a few rows of an area.
        rows = some.cte("looked_at").prefix_with("MATERIALIZED", dialect=POSTGRESQL).c
        found = select(rows.code, rows.area_id, rows.device_class)
        return found.where(self._held_by(rows.text)).order_by(rows.code)

    def _walked(self, wanted: int, after: str) -> Select[Any]:
        """The first codes that match, of a bounded number of rows in the order of codes."""
        if self._postgresql and self._areas is not None:
            return self._walked_by_area(wanted, after)
        if self._pieces:
            rows = select(_S.code, _S.text).where(self._inside(), _S.code > after)
            passed = rows.order_by(_S.code).limit(self._walk_rows).subquery("passed").c
            found = select(passed.code).where(self._held_by(passed.text))
            return found.order_by(passed.code).limit(wanted)
        first = select(_S.code).where(self._inside(), _S.code > after)
        return first.order_by(_S.code).limit(wanted)

    def _walked_by_area(self, wanted: int, after: str) -> Select[Any]:
        """The first codes of some areas: of each its first ones, and of those the first."""
        areas = self._areas or []
        rows = wanted
        if self._pieces:
            rows = max(wanted, min(self._walk_rows, WALK_ENTRIES // len(areas)))
        each = (
            func.unnest(literal(areas, postgresql.ARRAY(String)))
            .table_valued("id", name="area")
            .render_derived()
        )
        firsts = (
            select(_S.code)
            .where(self._inside_areas, _S.area_id == each.c.id, _S.code > after)
            .order_by(_S.code)
            .limit(rows)
            .lateral("firsts")
        )
        passed = select(firsts.c.code).select_from(each.join(firsts, true()))
        passed = passed.order_by(firsts.c.code).limit(rows)
        if not self._pieces:
            return passed
        first = passed.subquery("first")
        return (
            select(_S.code)
            .select_from(first.join(schema.channel_search, _S.code == first.c.code))
            .where(self._held_by(_S.text))
            .order_by(first.c.code)
            .limit(wanted)
        )

    def _found(self, after: str = "") -> Select[Any]:
        """All that match, by the index, in no order."""
        found = select(_S.code).where(self._inside())
        asked = dict.fromkeys(run for piece in self._pieces for run in runs(piece))
        if self._postgresql:
            found = found.where(*(holds(_S.text, run) for run in asked))
            # Where a piece is one run, that is all of it.
            whole = [piece for piece in self._pieces if len(runs(piece)) > 1]
            found = found.where(*(func.strpos(_S.text, piece) > 0 for piece in whole))
        else:
            grams = select(_GRAMS.c.rowid).where(_GRAMS.c.channel_grams.op("MATCH")(_fts(asked)))
            found = found.where(self._held_by(_S.text), _S.n.in_(grams))
        return found.where(_S.code > after) if after else found

    async def _counted(self) -> _Total:
        few = select(_S.n).where(self._inside()).limit(self._cap + 1).subquery()
        return _Total(await self._tx.number(select(func.count()).select_from(few)))

    async def _counted_by_walk(self, at_least: int) -> _Total:
        """Of what fills a page so soon nobody has to know how many there are: those in as many
        rows as a walk passes, whichever."""
        some = select(_S.text).where(self._inside()).limit(self._walk_rows).subquery("some").c
        held = func.coalesce(func.sum(case((self._held_by(some.text), 1), else_=0)), 0)
        [row] = await self._tx.rows(select(func.count().label("rows"), held.label("held")))
        return _Total(max(row.held, at_least), int(row.rows == self._walk_rows))

    async def _singles(self) -> list[str]:
        """The codes of the single channels of the scope that match, without those of its areas."""
        inside = and_(self._filters, self._among(_S.channel_id, self._single))
        within = self._query.area_ids
        return [
            row.code
            for row in await self._tx.rows(self._scanned(inside))
            if row.area_id not in self._classes.get(row.device_class, ())
            and (within is None or row.area_id in within)
        ]


def _scope(query: ChannelQuery) -> tuple[list[str] | None, list[str]]:
    """(areas, single channels): either suffices. None: every area."""
    areas = query.area_ids
    if query.visible_area_ids is None and query.visible_channel_ids is None:
        return None if areas is None else sorted(areas), []
    visible = query.visible_area_ids or frozenset()
    visible = visible.union(*(query.visible_class_areas or {}).values())
    return (
        sorted(visible if areas is None else areas & visible),
        sorted(query.visible_channel_ids or ()),
    )


def _classes(query: ChannelQuery) -> dict[str, frozenset[str]]:
    """Of each class the areas that list all of its channels."""
    whole = query.visible_area_ids or frozenset()
    more = query.visible_class_areas or {}
    return {each.value: whole | more.get(each, frozenset()) for each in DeviceClass}


def _fts(asked: Iterable[str]) -> str:
    """A question to FTS5: rows with all of these runs."""
    return " AND ".join('"' + run.replace('"', '""') + '"' for run in asked)
