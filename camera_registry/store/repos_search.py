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
    and_,
    case,
    column,
    func,
    or_,
    select,
    table,
    true,
)

from ..search_text import GLUE, pieces, runs
from . import schema
from .contract import MAX_COUNT, MAX_FOUND_COUNT, ChannelQuery
from .dialect import POSTGRESQL, holds, like
from .repos_base import Tx
from .repos_runs import centres_with
from .repos_scope import ScopeRows
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
# Of so many pieces of a scope not each is asked for its first rows, as long as so many rows, in the
# order of codes, have a page of them.
MANY_PIECES: Final = 20
PASSED_ROWS: Final = 3_000
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
        self._scope = ScopeRows(query, postgresql=tx.is_postgresql)
        self._inside = self._scope.inside
        self._by_pieces = self._postgresql and not self._scope.everywhere

    async def page(self, limit: int, cursor: str | None) -> CodePage:
        """The codes after the cursor, which carries the total of the first page on."""
        after, total = "", None
        if cursor is not None:
            after, *counted = keys_of(cursor, str, int, int)
            total = _Total(*counted)
        if self._postgresql:
            await self._tx.connection.exec_driver_sql(_PLANS)
        codes, found = list[str](), _Total(0)
        if not self._scope.is_empty:
            codes, found = await self._in_areas(limit, after, count=total is None)
        if self._scope.single:
            single = self._scanned(self._scope.singly(), after)
            more_codes, count = await self._counted_with(single, limit)
            codes = sorted({*codes, *more_codes})[: limit + 1]
            found = _Total(found.counted + count, found.more)
        total = (total or found).up_to(self._cap)
        more = len(codes) > limit
        codes = codes[:limit]
        next_cursor = cursor_of(codes[-1], total.counted, total.more) if more else None
        return CodePage(codes, next_cursor, total.counted, bool(total.more))

    async def _in_areas(self, limit: int, after: str, *, count: bool) -> tuple[list[str], _Total]:
        """One code more than `limit`; and the total, where it is wanted."""
        if not self._pieces:
            codes = await self._listed(limit + 1, after)
            return codes, await self._counted() if count else _Total(0)
        if await self._size() <= SCAN_ROWS:
            codes, found = await self._counted_with(self._scanned(self._inside, after), limit)
            return codes, _Total(found)
        self._centres = await centres_with(self._tx, self._asked, after)
        if not self._centres:
            return [], _Total(0)
        if self._by_pieces:
            codes, complete = await self._walk_pieces(limit + 1, after)
            if complete and len(codes) <= limit:
                return codes, _Total(len(codes))
        else:
            codes = await self._walk(limit + 1, after)
        if len(codes) > limit:
            return codes, await self._counted_by_walk(len(codes)) if count else _Total(0)
        codes, found = await self._counted_with(self._found(after), limit)
        return codes, _Total(found)

    async def _counted_with(self, matching: Select[Any], limit: int) -> tuple[list[str], int]:
        """The first codes of all that match, one more than `limit`, and how many match, up to one
        more than is counted."""
        first = matching.order_by(matching.selected_columns.code).limit(max(limit, self._cap) + 1)
        found = first.cte("found").prefix_with("MATERIALIZED", dialect=POSTGRESQL)
        all_found = select(func.count()).select_from(found).scalar_subquery()
        rows = await self._tx.rows(
            select(found.c.code, all_found.label("total")).order_by(found.c.code).limit(limit + 1)
        )
        return [row.code for row in rows], rows[0].total if rows else 0

    async def _codes(self, statement: Select[Any]) -> list[str]:
        return [row.code for row in await self._tx.rows(statement)]

    def _held_by(self, text: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(true(), *(holds(text, piece) for piece in self._pieces))

    async def _size(self) -> int:
        """Rows to look among, up to one more than the bound."""
        few = select(_S.n).where(self._inside).limit(SCAN_ROWS + 1)
        return await self._tx.number(select(func.count()).select_from(few.subquery()))

    def _scanned(self, inside: ColumnElement[bool], after: str = "") -> Select[Any]:
        """All that match, by looking at each row."""
        some = select(_S.code).where(inside)
        if after:
            some = some.where(_S.code > after)
        if not self._pieces:
            return some
        some = some.add_columns(_S.text)
        # Apart, or PostgreSQL would ask the index of runs for a few rows of an area.
        rows = some.cte("looked_at").prefix_with("MATERIALIZED", dialect=POSTGRESQL).c
        return select(rows.code).where(self._held_by(rows.text))

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
        rows = select(_S.code, _S.text).where(self._inside, *self._between(after))
        passed = rows.order_by(_S.code).limit(among_rows).subquery("passed").c
        found = select(passed.code).where(self._held_by(passed.text))
        return found.order_by(passed.code).limit(wanted)

    def _between(self, after: str) -> list[ColumnElement[bool]]:
        """Codes behind the cursor, and at the centres where all of the question can be."""
        first, last = (self._centres[0], self._centres[-1]) if self._centres else ("", "")
        behind = _S.code > max(after, first)
        return [behind, _S.code < f"{last}:"] if last else [behind]  # ":" comes after "9"

    async def _walk_pieces(self, wanted: int, after: str) -> tuple[list[str], bool]:
        """The first codes of some pieces that match, and whether every row was passed. A step reads
        all of its rows, so it is as long as what was found so far lets expect, and half as much."""
        least = passed = self._walk_rows // FIRST_SHARE
        codes, end = await self._passed(wanted, after, least)
        while end is not None and WORTH_A_WALK <= len(codes) < wanted and passed < self._walk_rows:
            missing = wanted - len(codes)
            rows = max(least, 3 * passed * missing // (2 * max(1, len(codes))))
            rows = min(rows, self._walk_rows)
            more, end = await self._passed(missing, end, rows)
            codes += more
            passed += rows
        return codes, end is None

    async def _passed(self, wanted: int, after: str, rows: int) -> tuple[list[str], str | None]:
        """The codes that match in the first rows of each piece, up to where the first of them was
        not read on; and where that is, or None."""
        each = max(1, rows // self._scope.pieces)
        held = self._held_by(_S.text).label("held")
        some = select(self._scope.firsts(self._between(after), each, _S.code, held))
        firsts = some.cte("firsts").prefix_with("MATERIALIZED", dialect=POSTGRESQL)
        ends = (
            select(func.max(firsts.c.code).label("code"))
            .group_by(firsts.c.piece)
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
        found = select(_S.code).where(self._inside)
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

    async def _listed(self, wanted: int, after: str) -> list[str]:
        """The first codes of whatever there is."""
        behind = _S.code > after
        if not self._by_pieces:
            some = select(_S.code).where(self._inside, behind)
            return await self._codes(some.order_by(_S.code).limit(wanted))
        if self._scope.pieces > MANY_PIECES:
            rows = select(_S.code, self._inside.label("inside")).where(behind)
            passed = rows.order_by(_S.code).limit(PASSED_ROWS).subquery("passed").c
            some = select(passed.code).where(passed.inside)
            codes = await self._codes(some.order_by(passed.code).limit(wanted))
            if len(codes) == wanted:
                return codes
        firsts = self._scope.firsts([behind], wanted, _S.code).c
        return await self._codes(select(firsts.code).order_by(firsts.code).limit(wanted))

    async def _counted(self) -> _Total:
        some = select(_S.n).where(self._inside)
        if self._by_pieces:  # one after the other, up to the bound
            some = select(self._scope.firsts([], self._cap + 1, _S.n))
        few = some.limit(self._cap + 1).subquery()
        return _Total(await self._tx.number(select(func.count()).select_from(few)))

    async def _counted_by_walk(self, at_least: int) -> _Total:
        """Of what fills a page so soon nobody has to know how many there are: those in some of the
        rows, on the whole the ones that the walk has passed."""
        rows = select(_S.text).where(self._inside, *self._between(""))
        if self._scope.everywhere:
            rows = rows.order_by(_S.code)
        some = rows.limit(self._count_rows).subquery("some").c
        held = func.coalesce(func.sum(case((self._held_by(some.text), 1), else_=0)), 0)
        [row] = await self._tx.rows(select(func.count().label("rows"), held.label("held")))
        return _Total(max(row.held, at_least), int(row.rows == self._count_rows))


def _fts(asked: Iterable[str]) -> str:
    """A question to FTS5: rows with all of these runs."""
    return " AND ".join('"' + run.replace('"', '""') + '"' for run in asked)
