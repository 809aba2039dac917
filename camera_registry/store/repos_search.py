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
    FromClause,
    Select,
    and_,
    case,
    column,
    false,
    func,
    not_,
    or_,
    select,
    table,
    true,
)

from ..domain import Filing
from ..search_text import GLUE, pieces, runs
from . import schema
from .contract import MAX_COUNT, MAX_FOUND_COUNT, ChannelQuery, ClassAreas
from .dialect import POSTGRESQL, among, each_of, holds, like
from .repos_base import Tx
from .repos_runs import centres_with
from .rows import cursor_of, keys_of

# Rows that a walk passes: some ms. Of what is in one of thirty it finds a page of 50; and on
# PostgreSQL, which may hold a million, of what is in one of three hundred.
WALK_ROWS: Final = 1_500
WALK_ROWS_POSTGRESQL: Final = 15_000
# An eighth of it at first on PostgreSQL. What is in fewer of those rows than this is rare enough
# for the index: it finds some thousand, sooner than the rest of the walk would fill the page.
FIRST_SHARE: Final = 8
WORTH_A_WALK: Final = 8
# Rows that are counted among of what is common.
COUNT_ROWS: Final = 2_500
# Of so few each is looked at, in about 10 ms: a grid, a small street, a small registry.
SCAN_ROWS: Final = 8_000
# The planner does not know that what is asked for may all stand at the table's end; and one plan
# for all words knows nothing of how rare they are.
_PLANS: Final = "SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_custom_plan"

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
        self._postgresql = tx.is_postgresql
        self._walk_rows = WALK_ROWS_POSTGRESQL if self._postgresql else WALK_ROWS
        self._count_rows = min(self._walk_rows, COUNT_ROWS)
        self._pieces = pieces(query.q or "")
        self._asked = list(dict.fromkeys(run for piece in self._pieces for run in runs(piece)))
        self._cap = MAX_FOUND_COUNT if self._pieces else MAX_COUNT
        self._centres: list[str] = []
        self._areas, self._single = _scope(query)
        self._query = query
        filters: list[ColumnElement[bool]] = []
        if query.except_channel_ids:
            filters.append(not_(self._among(_S.channel_id, query.except_channel_ids)))
        if query.visible_classes is not None:
            classes = sorted(each.value for each in query.visible_classes)
            filters.append(_S.device_class.in_(classes))
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
            await self._tx.connection.exec_driver_sql(_PLANS)
        codes: list[str] = []
        if self._areas is None or self._areas:
            codes, found = await self._in_areas(limit, after, count=total is None)
        else:
            found = _Total(0)
        if self._single:
            # The first page counts them, too; those behind it have its total.
            wanted = limit + 1 if total is not None else max(limit, self._cap) + 1
            single = await self._codes(self._singles(after).limit(wanted))
            codes = sorted({*codes, *single})[: limit + 1]
            found = _Total(found.counted + len(single), found.more)
        total = (total or found).up_to(self._cap)
        more = len(codes) > limit
        codes = codes[:limit]
        next_cursor = cursor_of(codes[-1], total.counted, total.more) if more else None
        return CodePage(codes, next_cursor, total.counted, bool(total.more))

    async def _in_areas(self, limit: int, after: str, *, count: bool) -> tuple[list[str], _Total]:
        """One code more than `limit`; and the total, where it is wanted."""
        if not self._pieces:
            codes = await self._codes(self._first(limit + 1, after))
            return codes, await self._counted() if count else _Total(0)
        if await self._size() <= SCAN_ROWS:
            wanted = max(limit, self._cap if count else 0) + 1
            codes = await self._codes(self._scanned(self._inside(), after).limit(wanted))
            return codes[: limit + 1], _Total(len(codes))
        self._centres = await centres_with(self._tx, self._asked, after)
        if not self._centres:
            return [], _Total(0)
        if self._postgresql and self._areas is not None:
            codes, complete = await self._walk_areas(limit + 1, after)
            if complete and len(codes) <= limit:
                return codes, _Total(len(codes))
        else:
            codes = await self._walk(limit + 1, after)
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
        some = select(_S.code, _S.text).where(inside)
        if after:
            some = some.where(_S.code > after)
        # Apart, or PostgreSQL would ask the index of runs for a few rows of an area.
        rows = some.cte("looked_at").prefix_with("MATERIALIZED", dialect=POSTGRESQL).c
        return select(rows.code).where(self._held_by(rows.text)).order_by(rows.code)

    async def _walk(self, wanted: int, after: str) -> list[str]:
        """The first codes that match, of a bounded number of rows in the order of codes."""
        codes: list[str] = []
        if self._postgresql:
            first = self._matching(wanted, after, self._walk_rows // FIRST_SHARE)
            codes = await self._codes(first)
            if len(codes) == wanted or len(codes) < WORTH_A_WALK:
                return codes
        return await self._codes(self._matching(wanted, after, self._walk_rows))

    def _matching(self, wanted: int, after: str, among_rows: int) -> Select[Any]:
        rows = select(_S.code, _S.text).where(self._inside(), *self._between(after))
        passed = rows.order_by(_S.code).limit(among_rows).subquery("passed").c
        found = select(passed.code).where(self._held_by(passed.text))
        return found.order_by(passed.code).limit(wanted)

    def _first(self, wanted: int, after: str) -> Select[Any]:
        """The first codes, of whatever there is."""
        if self._postgresql and self._areas is not None:
            firsts = self._firsts(after, wanted, _S.code).c
            return select(firsts.code).order_by(firsts.code).limit(wanted)
        first = select(_S.code).where(self._inside(), _S.code > after)
        return first.order_by(_S.code).limit(wanted)

    def _between(self, after: str) -> list[ColumnElement[bool]]:
        """Codes behind the cursor, and at the centres where all of the question can be."""
        first, last = (self._centres[0], self._centres[-1]) if self._centres else ("", "")
        behind = _S.code > max(after, first)
        return [behind, _S.code < f"{last}:"] if last else [behind]  # ":" comes after "9"

    def _firsts(self, after: str, rows: int, *columns: ColumnElement[Any]) -> FromClause:
        """(area, *columns) of the first rows of each area of the scope."""
        area = select(each_of(self._areas or [], postgresql_=True).label("id")).subquery("area").c
        first = (
            select(*columns)
            .where(self._inside_areas, _S.area_id == area.id, *self._between(after))
            .order_by(_S.code)
            .limit(rows)
            .lateral("first")
        )
        return select(area.id, *first.c).join(first, true()).subquery("firsts")

    async def _walk_areas(self, wanted: int, after: str) -> tuple[list[str], bool]:
        """The first codes of some areas that match, and whether every row was passed."""
        codes, end = await self._passed(wanted, after, self._walk_rows // FIRST_SHARE)
        if end is not None and WORTH_A_WALK <= len(codes) < wanted:
            more, end = await self._passed(wanted - len(codes), end, self._walk_rows)
            codes += more
        return codes, end is None

    async def _passed(self, wanted: int, after: str, rows: int) -> tuple[list[str], str | None]:
        """The codes that match in the first rows of each area, up to where the first of them was
        not read on; and where that is, or None."""
        each = max(1, rows // len(self._areas or [""]))
        held = self._held_by(_S.text).label("held")
        some = select(self._firsts(after, each, _S.code, held))
        firsts = some.cte("firsts").prefix_with("MATERIALIZED", dialect=POSTGRESQL)
        ends = (
            select(func.max(firsts.c.code).label("code"))
            .group_by(firsts.c.id)
            .having(func.count() == each)
            .subquery("ends")
        )
        end = select(func.min(ends.c.code).label("code")).subquery("end_of_all")
        within = or_(end.c.code.is_(None), firsts.c.code <= end.c.code)
        found = await self._tx.rows(
            select(firsts.c.code, end.c.code.label("end"))
            .select_from(end.outerjoin(firsts, and_(firsts.c.held, within)))  # one row at least
            .order_by(firsts.c.code)
            .limit(wanted)
        )
        return [row.code for row in found if row.code is not None], found[0].end

    def _found(self, after: str = "") -> Select[Any]:
        """All that match, by the index, in no order."""
        found = select(_S.code).where(self._inside())
        if self._postgresql:
            for piece in self._pieces:
                found = found.where(*self._by_index(piece))
        else:
            grams = select(_GRAMS.c.rowid).where(
                _GRAMS.c.channel_grams.op("MATCH")(_fts(self._asked))
            )
            found = found.where(self._held_by(_S.text), _S.n.in_(grams))
        return found.where(*self._between(after))

    def _by_index(self, piece: str) -> list[ColumnElement[bool]]:
        if not piece.startswith(GLUE):
            # All of its runs: each is in very many rows, so that few of them find too much.
            return [like(_S.text, piece)]
        asked = runs(piece)
        whole = [holds(_S.text, piece)] if len(asked) > 1 else []  # else one run is all of it
        return [*(like(_S.text, run) for run in asked), *whole]

    async def _counted(self) -> _Total:
        few = select(_S.n).where(self._inside()).limit(self._cap + 1).subquery()
        return _Total(await self._tx.number(select(func.count()).select_from(few)))

    async def _counted_by_walk(self, at_least: int) -> _Total:
        """Of what fills a page so soon nobody has to know how many there are: those in some of the
        rows, on the whole the ones that the walk has passed."""
        rows = select(_S.text).where(self._inside(), *self._between(""))
        if self._areas is None:
            rows = rows.order_by(_S.code)
        some = rows.limit(self._count_rows).subquery("some").c
        held = func.coalesce(func.sum(case((self._held_by(some.text), 1), else_=0)), 0)
        [row] = await self._tx.rows(select(func.count().label("rows"), held.label("held")))
        return _Total(max(row.held, at_least), int(row.rows == self._count_rows))

    def _singles(self, after: str) -> Select[Any]:
        """The single channels of the scope that match, without those of its areas."""
        inside = and_(self._filters, self._among(_S.channel_id, self._single))
        if self._areas:
            inside = and_(inside, not_(self._inside()))
        if self._query.area_ids is not None:
            inside = and_(inside, self._among(_S.area_id, self._query.area_ids))
        return self._scanned(inside, after)


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


def _fts(asked: Iterable[str]) -> str:
    """A question to FTS5: rows with all of these runs."""
    return " AND ".join('"' + run.replace('"', '""') + '"' for run in asked)
