"""Which area a camera belongs in: by the site's rules, then by the areas' boundaries. Pure.

Rules are asked in order of priority, the first that fits says it; what no rule fits lies in the
deepest area whose boundary contains its position. A broader area moves nothing out of a narrower
one: a camera that lies beneath what was found stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import shapely

from .area_tree import AreaTree
from .domain import Area, AssignmentRule, Channel, Condition, Op, RuleKind
from .geo import on_earth
from .matching import holds

# What rules by a beginning look at.
_FIELDS: Final = {RuleKind.ADDRESS_PREFIX: "address", RuleKind.NAME_PREFIX: "name"}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a camera belongs, and what says so."""

    area: Area
    rule_id: str | None  # None: the boundaries, which are asked after all rules
    schematic: bool  # the boundary that says it is a drawing, not a survey


class Places:
    """The boundaries of a tree, ready for many positions at once."""

    def __init__(self, tree: AreaTree) -> None:
        self._areas: list[Area] = []
        shapes: list[Any] = []
        for area in tree:
            if area.boundary is not None and len(area.boundary) >= 3:
                self._areas.append(area)
                shapes.append(shapely.make_valid(shapely.Polygon(area.boundary)))
        self._index = shapely.STRtree(shapes)
        # Deepest first; where siblings overlap, the smaller one.
        order = sorted(
            range(len(shapes)),
            key=lambda n: (-len(tree.path(self._areas[n].id)), shapes[n].area, self._areas[n].code),
        )
        self._rank = {number: rank for rank, number in enumerate(order)}

    def containing(self, channels: Sequence[Channel]) -> list[list[Area]]:
        """For each channel the areas that its position lies in or on the edge of, deepest first."""
        found: list[list[int]] = [[] for _ in channels]
        numbers: list[int] = []
        positions: list[tuple[float, float]] = []
        for number, channel in enumerate(channels):
            lon, lat = channel.lon, channel.lat
            if lon is not None and lat is not None and on_earth(lon, lat):
                numbers.append(number)
                positions.append((lon, lat))
        if positions and self._areas:
            points = shapely.points(positions)
            for point, shape in self._index.query(points, predicate="intersects").T.tolist():
                found[numbers[point]].append(shape)
        return [
            [self._areas[shape] for shape in sorted(shapes, key=self._rank.__getitem__)]
            for shapes in found
        ]


def asks_boundaries(rules: Iterable[AssignmentRule], boundaries: bool) -> bool:
    """Whether a `Placer` of these needs a tree that was read with boundaries."""
    return boundaries or any(rule.kind is RuleKind.POLYGON for rule in rules)


class Placer:
    """Places channels by these rules in this tree; `boundaries`: ask them where no rule fits."""

    def __init__(
        self, tree: AreaTree, rules: Iterable[AssignmentRule], *, boundaries: bool = True
    ) -> None:
        self._tree = tree
        self._rules = sorted(rules, key=lambda rule: (rule.priority, rule.id))
        self._boundaries = boundaries
        self._places = Places(tree if asks_boundaries(self._rules, boundaries) else AreaTree(()))
        self._beneath = {rule.area_id: tree.descendants(rule.area_id) for rule in self._rules}

    def place(self, channels: Sequence[Channel]) -> list[Placement | None]:
        """Where each belongs; None: nothing says it."""
        inside = self._places.containing(channels)
        return [self._one(*each) for each in zip(channels, inside, strict=True)]

    def stays(self, channel: Channel, area: Area) -> bool:
        """It is there already, or in an area beneath."""
        return self._tree.is_within(channel.area_id, area.id)

    def _one(self, channel: Channel, inside: list[Area]) -> Placement | None:
        for rule in self._rules:
            if rule.kind is RuleKind.POLYGON:
                beneath = self._beneath[rule.area_id]
                for area in inside:
                    if area.id in beneath:
                        return Placement(area, rule.id, area.schematic)
            elif _fits(rule, channel):
                target = self._tree.get(rule.area_id)
                if target is not None:
                    return Placement(target, rule.id, schematic=False)
        if self._boundaries and inside:
            return Placement(inside[0], None, inside[0].schematic)
        return None


def _fits(rule: AssignmentRule, channel: Channel) -> bool:
    op = Op.EQ if rule.kind is RuleKind.FACT else Op.PREFIX
    field = _FIELDS.get(rule.kind) or rule.field or ""
    return holds(Condition(field, op, (rule.text or "",)), channel)
