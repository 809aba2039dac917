"""Which rows of `channel_search` a question is about, before any word of it: filters and scope.

A scope is pieces, whole areas and one class of an area, and single channels besides. Each piece
stands in one index in the order of codes. As one condition of many words (this area, or that one if
it is of this class, or …) PostgreSQL would read whatever an area has, and sort it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    false,
    func,
    not_,
    or_,
    select,
    true,
    union_all,
)

from ..domain import DeviceClass, Filing
from . import schema
from .contract import ChannelQuery
from .dialect import among, each_of, pair_of_each

_S: Final = schema.channel_search.c


class ScopeRows:
    """The rows of one question. `everywhere`: no area is left out, and there are no pieces."""

    def __init__(self, query: ChannelQuery, *, postgresql: bool) -> None:
        self._postgresql = postgresql
        asked = query.area_ids
        scoped = query.visible_area_ids is not None or query.visible_channel_ids is not None
        self.everywhere = asked is None and not scoped
        whole = (query.visible_area_ids or frozenset()) if scoped else (asked or frozenset())
        if asked is not None:
            whole &= asked
        self._whole = sorted(whole)
        self._cells = {
            device_class.value: areas - whole if asked is None else (areas & asked) - whole
            for device_class, areas in (query.visible_class_areas or {}).items()
            if query.device_class in {None, device_class}
        }
        self.single = sorted(query.visible_channel_ids or ())
        self._asked_areas = asked
        self.filters = and_(true(), *self._filters(query))
        # In the areas, as one condition; without the single channels.
        self.inside = self.filters
        if not self.everywhere:
            self.inside = and_(self.filters, self._in_pieces(self._whole, self._cells))

    @property
    def pieces(self) -> int:
        return len(self._whole) + sum(map(len, self._cells.values()))

    @property
    def is_empty(self) -> bool:
        """But for single channels."""
        return not self.everywhere and not self.pieces

    def singly(self) -> ColumnElement[bool]:
        """The single channels that are in none of its areas."""
        inside = and_(self.filters, self._among(_S.channel_id, self.single))
        if not self.is_empty:
            inside = and_(inside, not_(self.inside))
        if self._asked_areas is not None:
            inside = and_(inside, self._among(_S.area_id, self._asked_areas))
        return inside

    def firsts(
        self, where: Sequence[ColumnElement[bool]], rows: int, *columns: ColumnElement[Any]
    ) -> FromClause:
        """(piece, *columns) of the first rows of each piece, on PostgreSQL."""
        found: list[Select[Any]] = []
        if self._whole:
            area = select(each_of(self._whole, postgresql_=True).label("id")).subquery("area").c
            first = self._first([*where, _S.area_id == area.id], rows, columns)
            found.append(select(area.id.label("piece"), *first.c).join(first, true()))
        cells = [(area_id, of) for of, areas in self._cells.items() for area_id in sorted(areas)]
        if cells:
            cell = pair_of_each(cells, "area_id", "device_class").c
            of_cell = [_S.area_id == cell.area_id, _S.device_class == cell.device_class]
            first = self._first([*where, *of_cell], rows, columns)
            piece = func.concat(cell.area_id, " ", cell.device_class).label("piece")
            found.append(select(piece, *first.c).join(first, true()))
        return (found[0] if len(found) == 1 else union_all(*found)).subquery("firsts")

    def _first(
        self, where: list[ColumnElement[bool]], rows: int, columns: Iterable[ColumnElement[Any]]
    ) -> FromClause:
        some = select(*columns).where(self.filters, *where).order_by(_S.code).limit(rows)
        return some.lateral("first")

    def _filters(self, query: ChannelQuery) -> list[ColumnElement[bool]]:
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
        return filters

    def _filed_or_managed(self, query: ChannelQuery) -> ColumnElement[bool]:
        """What is not filed is there for whoever manages it alone."""
        cells = {of.value: areas for of, areas in (query.unfiled_class_areas or {}).items()}
        managed = [self._in_pieces(query.unfiled_area_ids or (), cells)]
        if query.unfiled_channel_ids:
            managed.append(self._among(_S.channel_id, query.unfiled_channel_ids))
        is_managed = or_(*managed)
        if query.unfiled_except_ids:
            is_managed = and_(
                is_managed, not_(self._among(_S.channel_id, query.unfiled_except_ids))
            )
        return or_(_S.filing == Filing.FILED.value, is_managed)

    def _in_pieces(
        self, whole: Collection[str], cells: Mapping[str, Collection[str]]
    ) -> ColumnElement[bool]:
        """In one of the areas; or in one of those of its class. All classes are named, so that few
        shapes of SQL are made: to make one takes longer than to answer it."""
        found = [self._among(_S.area_id, whole)]
        for each in DeviceClass if any(cells.values()) else ():
            areas = self._among(_S.area_id, cells.get(each.value, ()))
            found.append(and_(_S.device_class == each.value, areas))
        return or_(false(), *found)

    def _among(self, column: ColumnElement[Any], ids: Iterable[str]) -> ColumnElement[bool]:
        return among(column, sorted(ids), postgresql_=self._postgresql)
