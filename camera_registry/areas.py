"""Use cases about the area tree, and the tree itself kept in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from . import validation as check
from .area_tree import AreaTree
from .boundaries import Ring
from .domain import Actor, Area, AreaKind, Change, ChangeKind, new_id
from .drafts import AreaChanges, AreaDraft
from .errors import Conflict, NotFound, ValidationFailed
from .feed import ChangeFeed, Subscription
from .store.contract import Store
from .units import Units
from .vault import Vault

PARENT_KIND: Final = {
    AreaKind.STREET: AreaKind.DISTRICT,
    AreaKind.COMMUNITY: AreaKind.STREET,
    AreaKind.GRID: AreaKind.COMMUNITY,
}
_TREE_CHANGES: Final = frozenset({ChangeKind.AREA, ChangeKind.EVERYTHING})


class AreaCases:
    """The part of `Registry` about areas."""

    def __init__(self, store: Store, vault: Vault, feed: ChangeFeed | None = None) -> None:
        self._store = store
        self._vault = vault
        self._feed = feed
        self._units = Units(store, feed)
        self._tree = AreaTree(())
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Loads the area tree and, with a feed, follows it. Call once before use."""
        await self._load_tree()
        if self._feed is not None:
            self._subscription = self._feed.subscribe(
                self._on_changes, since=self._tree.version, name="registry-areas"
            )

    async def stop(self) -> None:
        if self._subscription is not None:
            await self._subscription.close()
            self._subscription = None

    @property
    def tree(self) -> AreaTree:
        """The tree as last loaded, without boundaries; no SQL."""
        return self._tree

    async def area_tree(self) -> AreaTree:
        """The tree; when nothing follows the feed for us (as in the CLI), the store is asked
        first whether it changed.
        """
        if self._subscription is None and (
            len(self._tree) == 0 or await self._store.latest_change_seq() != self._tree.version
        ):
            await self._load_tree()
        return self._tree

    async def area(self, area_id: str) -> Area:
        """With its boundary, which those of the tree lack. Raises NotFound."""
        async with self._store.read() as tx:
            area = await tx.areas.get(area_id)
        if area is None:
            raise NotFound("area", area_id)
        return area

    async def area_path(self, area_id: str) -> list[Area]:
        """From the district down to the area. Raises NotFound."""
        path = (await self.area_tree()).path(area_id)
        if not path:
            raise NotFound("area", area_id)
        return path

    async def channel_counts(self) -> dict[str, int]:
        """Channels in each area's whole subtree, for every area."""
        tree = await self.area_tree()
        async with self._store.read() as tx:
            own = await tx.channels.count_by_area()
        totals = {area.id: own.get(area.id, 0) for area in tree}
        for area in reversed(list(tree)):  # children come before parents
            if area.parent_id in totals:
                totals[area.parent_id] += totals[area.id]
        return totals

    async def create_area(self, draft: AreaDraft, by: Actor) -> Area:
        """Raises ValidationFailed, or Conflict("code_taken")."""
        kind = check.one_of("kind", draft.kind, AreaKind)
        area = Area(
            id=new_id("ar"),
            parent_id=draft.parent_id,
            kind=kind,
            code=check.area_code(draft.code),
            name=check.name("name", draft.name),
            boundary=check.boundary(draft.boundary),
            schematic=draft.schematic,
        )
        async with self._units.begin(by) as unit:
            await _check_parent(
                area, await unit.tx.areas.get(draft.parent_id) if draft.parent_id else None
            )
            await unit.tx.areas.add(area)
            await unit.record("area_create", area_id=area.id, code=area.code, name=area.name)
        return area

    async def update_area(self, area_id: str, changes: AreaChanges, by: Actor) -> Area:
        check.only_known(changes, AreaChanges.__annotations__)
        async with self._units.begin(by) as unit:
            area = await unit.tx.areas.get(area_id)
            if area is None:
                raise NotFound("area", area_id)
            area = replace(
                area,
                name=check.name("name", changes.get("name", area.name)),
                boundary=check.boundary(changes.get("boundary", area.boundary)),
                schematic=changes.get("schematic", area.schematic),
            )
            await unit.tx.areas.update(area)
            await unit.record("area_update", area_id=area_id, changed=sorted(changes))
        return area

    async def set_boundaries(
        self, rings: Mapping[str, Ring], by: Actor, *, schematic: bool = False
    ) -> None:
        """All or none, by the areas' ids. Raises NotFound, ValidationFailed."""
        checked = {area_id: check.boundary(ring) for area_id, ring in rings.items()}
        changed = ["boundary", "schematic"]
        async with self._units.begin(by) as unit:
            known = {area.id for area in await unit.tx.areas.all()}
            missing = next((area_id for area_id in rings if area_id not in known), None)
            if missing is not None:
                raise NotFound("area", missing)
            await unit.tx.areas.set_boundaries(checked, schematic=schematic)
            rows = [unit.entry("area_update", area_id=each, changed=changed) for each in checked]
            await unit.tx.audit.append_many(rows)

    async def delete_area(self, area_id: str, by: Actor) -> None:
        """Raises Conflict("area_in_use") while areas, channels, grants or people refer to it."""
        async with self._units.begin(by) as unit:
            area = await unit.tx.areas.get(area_id)
            if area is None:
                raise NotFound("area", area_id)
            await unit.tx.areas.delete(area_id)
            await unit.record("area_delete", area_id=area_id, code=area.code, name=area.name)

    async def _on_changes(self, batch: Sequence[Change]) -> None:
        if any(change.kind in _TREE_CHANGES for change in batch):
            await self._load_tree()

    async def _load_tree(self) -> None:
        async with self._store.read() as tx:
            self._tree = AreaTree(await tx.areas.all(), await tx.change_seq())


async def _check_parent(area: Area, parent: Area | None) -> None:
    if area.parent_id is not None and parent is None:
        raise ValidationFailed(
            "parent_id", "unknown_area", "There is no such area; choose one that exists."
        )
    wanted = PARENT_KIND.get(area.kind)
    if (parent.kind if parent else None) != wanted:
        raise ValidationFailed(
            "parent_id",
            "wrong_parent",
            f"A {area.kind} lies directly in a {wanted}."
            if wanted
            else "A district is the top of the tree and lies in nothing.",
        )
    if parent is not None and not area.code.startswith(parent.code):
        raise Conflict(
            "code",
            "area_code_prefix",
            f"The code must begin with its parent's code, {parent.code}.",
        )
