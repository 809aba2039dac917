"""Where a subject may do one action: what lists show, in memory and for the store's filters.

`Scope.shows` says of a channel, as it is or as it would be, what `policy.decide` says of it.
`Scope.listing` is the same said as sets of areas, classes and ids, for SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from camera_registry.domain import Channel, Condition, DeviceClass, Grant, Op
from camera_registry.matching import fits

if TYPE_CHECKING:
    from .facts import Facts

CLASSES: Final = frozenset(DeviceClass)
Areas = frozenset[str]
ClassAreas = Mapping[DeviceClass, Areas]
_NOWHERE: Final[Areas] = frozenset()


@dataclass(frozen=True, slots=True)
class Listing:
    """A scope's channels as sets. Areas stand for themselves, without those beneath.

    A channel is in it that lies in `areas`, or in those of its class in `class_areas`, or is among
    `channel_ids`; and is not among `except_ids`.
    """

    areas: Areas
    class_areas: ClassAreas
    channel_ids: frozenset[str]
    except_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Side:
    """What some grants cover together: all that allow, or all that deny."""

    areas: Areas = _NOWHERE  # of every class
    class_areas: ClassAreas = field(default_factory=dict)
    channel_ids: frozenset[str] = frozenset()
    rules: tuple[tuple[Areas, tuple[Condition, ...]], ...] = ()  # where, and what must hold there

    @property
    def is_empty(self) -> bool:
        return not (self.areas or self.class_areas or self.channel_ids or self.rules)

    def in_areas(self, row: Channel) -> bool:
        return row.area_id in self.areas or (
            bool(self.class_areas) and row.area_id in self.class_areas.get(row.device_class, ())
        )

    def has(self, row: Channel) -> bool:
        return (
            self.in_areas(row)
            or row.id in self.channel_ids
            or any(row.area_id in areas and fits(rule, row) for areas, rule in self.rules)
        )

    def of_class(self, device_class: DeviceClass) -> Areas:
        return self.areas | self.class_areas.get(device_class, _NOWHERE)

    def single(self, facts: Facts) -> frozenset[str]:
        """Those that are covered otherwise than by their area and class."""
        ids = set(self.channel_ids)
        for areas, rule in self.rules:
            ids.update(
                each
                for each in facts.matches(rule)
                if (row := facts.channel(each)) is not None and row.area_id in areas
            )
        return frozenset(ids)


class Scope:
    """Where a principal may do one action.

    A channel that is not filed is there only for whoever manages it: `managed` is where; None:
    everything that the action is allowed on.
    """

    __slots__ = ("_facts", "_listing", "allow", "deny", "everything", "managed")

    def __init__(
        self,
        facts: Facts,
        allow: Side | None = None,
        deny: Side | None = None,
        *,
        everything: bool = False,
        managed: Scope | None = None,
    ) -> None:
        self._facts = facts
        self._listing: Listing | None = None
        self.allow = allow or Side()
        self.deny = deny or Side()
        self.everything = everything
        self.managed = managed

    @property
    def is_empty(self) -> bool:
        """Nothing is in it, and nothing that may come would be, as the grants are now."""
        if self.everything or self.allow.rules:
            return False
        listing = self.listing
        return not (listing.areas or listing.class_areas or listing.channel_ids)

    @property
    def shows_all(self) -> bool:
        """Nothing is left out, drafts neither."""
        return self.everything and (self.managed is None or self.managed.everything)

    @property
    def area_ids(self) -> Areas:
        """Areas whose channels are in it, of whatever class, but for single ones."""
        return self.listing.areas

    @property
    def channel_ids(self) -> frozenset[str]:
        """Single channels in it, besides those of its areas."""
        return self.listing.channel_ids

    def has(self, row: Channel) -> bool:
        """Whether the action is allowed on the channel, however far it is filed."""
        if self.everything:
            return True
        return self.allow.has(row) and (self.deny.is_empty or not self.deny.has(row))

    def shows(self, row: Channel) -> bool:
        """Whether a list has it: the same as `decide` says of the channel."""
        return self.has(row) and (row.is_filed or self.managed is None or self.managed.has(row))

    @property
    def listing(self) -> Listing:
        """Made once. Rules are looked up among the channels that the facts have."""
        if self._listing is None:
            self._listing = self._made_listing()
        return self._listing

    def _made_listing(self) -> Listing:
        facts, allow, deny = self._facts, self.allow, self.deny
        if self.everything:
            return Listing(facts.tree.descendants_of_all(), {}, frozenset(), frozenset())
        by_class = {each: allow.of_class(each) - deny.of_class(each) for each in CLASSES}
        areas = frozenset.intersection(*by_class.values())
        denied = deny.single(facts)
        extra = frozenset(
            each
            for each in allow.single(facts) - denied
            if (row := facts.channel(each)) is not None
            and row.area_id not in by_class[row.device_class]
            and not deny.in_areas(row)
        )
        gone = frozenset(
            each
            for each in denied
            if (row := facts.channel(each)) is not None
            and row.area_id in by_class[row.device_class]
        )
        return Listing(
            areas,
            {each: more for each, all_ in by_class.items() if (more := all_ - areas)},
            extra,
            gone,
        )


def side_of(grants: Iterable[Grant], facts: Facts) -> Side:
    """What the grants cover together."""
    areas: set[str] = set()
    class_areas: dict[DeviceClass, set[str]] = {}
    channel_ids: set[str] = set()
    rules = []
    everywhere = facts.tree.descendants_of_all()
    for grant in grants:
        if grant.channel_id is not None:
            channel_ids.add(grant.channel_id)
        if grant.area_id is None and not grant.conditions:
            continue
        where = everywhere if grant.area_id is None else facts.descendants(grant.area_id)
        classes, rest = _by_class(grant.conditions)
        if rest:
            rules.append((where, grant.conditions))
        elif classes == CLASSES:
            areas |= where
        else:
            for each in classes:
                class_areas.setdefault(each, set()).update(where)
    return Side(
        frozenset(areas),
        {each: frozenset(where) for each, where in class_areas.items()},
        frozenset(channel_ids),
        tuple(rules),
    )


def _by_class(
    conditions: tuple[Condition, ...],
) -> tuple[frozenset[DeviceClass], list[Condition]]:
    """Classes that the conditions leave, and the conditions that go by something else."""
    classes, rest = set(CLASSES), []
    for each in conditions:
        if each.field == "device_class" and each.op is not Op.PREFIX:
            named = {known for known in CLASSES if known.value in each.values}
            classes = classes & named if each.op is Op.EQ else classes - named
        else:
            rest.append(each)
    return frozenset(classes), rest
