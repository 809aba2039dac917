"""Which denials cover a channel, and whether one is left behind by a change of it: by a move, by
another name or fact. That is for whoever manages the district; a denial would else be undone by
moving what it is about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Self

from .area_tree import AreaTree
from .domain import Channel, Grant
from .matching import fits
from .store.contract import ReadTx, WriteTx


class Denials:
    """Everybody's of areas and rules, but those that were revoked."""

    def __init__(self, grants: Iterable[Grant], tree: AreaTree) -> None:
        self._tree = tree
        self._of_area: defaultdict[str | None, list[Grant]] = defaultdict(list)  # None: of all
        for grant in grants:
            # One of a camera alone goes with it.
            if grant.denies and grant.revoked_at is None and grant.channel_id is None:
                self._of_area[grant.area_id].append(grant)

    @classmethod
    async def read(cls, tx: ReadTx | WriteTx) -> Self:
        return cls(await tx.grants.all_unrevoked(), AreaTree(await tx.areas.all()))

    def leaves_one(self, before: Channel, after: Channel) -> bool:
        """Whether a denial covers the channel as it is, and would not as it would be."""
        return not self._on(before) <= self._on(after)

    def _on(self, row: Channel) -> frozenset[str]:
        if not self._of_area:
            return frozenset()
        areas: Sequence[str | None] = (None, row.area_id, *self._tree.ancestors(row.area_id))
        return frozenset(
            grant.id
            for area_id in areas
            for grant in self._of_area.get(area_id, ())
            if fits(grant.conditions, row)
        )
