"""The area tree in memory: immutable, built anew when an area changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .domain import Area


class AreaTree:
    """Answers "above", "beneath" and "within" without SQL. `version` is the changes seq it shows.

    Areas whose parent is missing count as roots, so that a damaged tree is seen, not hidden.
    """

    def __init__(self, areas: Iterable[Area], version: int = 0) -> None:
        self.version = version
        self._by_id = {area.id: area for area in areas}
        self._children: dict[str | None, list[str]] = {}
        for area in sorted(self._by_id.values(), key=lambda area: (area.code, area.id)):
            parent = area.parent_id if area.parent_id in self._by_id else None
            self._children.setdefault(parent, []).append(area.id)

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, area_id: object) -> bool:
        return area_id in self._by_id

    def __iter__(self) -> Iterator[Area]:
        """Depth first: parents before children, siblings by code."""
        stack = list(reversed(self._children.get(None, [])))
        while stack:
            area_id = stack.pop()
            yield self._by_id[area_id]
            stack.extend(reversed(self._children.get(area_id, [])))

    def get(self, area_id: str) -> Area | None:
        return self._by_id.get(area_id)

    def roots(self) -> list[Area]:
        return [self._by_id[area_id] for area_id in self._children.get(None, [])]

    def children(self, area_id: str) -> list[Area]:
        return [self._by_id[child] for child in self._children.get(area_id, [])]

    def path(self, area_id: str) -> list[Area]:
        """From the root down to the area itself; empty when there is no such area."""
        path: list[Area] = []
        seen: set[str] = set()
        at = self._by_id.get(area_id)
        while at is not None and at.id not in seen:
            seen.add(at.id)
            path.append(at)
            at = self._by_id.get(at.parent_id) if at.parent_id else None
        path.reverse()
        return path

    def ancestors(self, area_id: str) -> list[str]:
        """Ids from the area's parent up to the root (the area itself left out)."""
        return [area.id for area in reversed(self.path(area_id)[:-1])]

    def descendants(self, area_id: str) -> frozenset[str]:
        """Ids of the area itself and all beneath it; empty when there is no such area."""
        if area_id not in self._by_id:
            return frozenset()
        found: set[str] = set()
        stack = [area_id]
        while stack:
            at = stack.pop()
            if at not in found:
                found.add(at)
                stack.extend(self._children.get(at, ()))
        return frozenset(found)

    def descendants_of_all(self) -> frozenset[str]:
        """The ids of every area."""
        return frozenset(self._by_id)

    def expand(self, area_ids: Iterable[str]) -> frozenset[str]:
        """The union of `descendants` over `area_ids`."""
        found: set[str] = set()
        for area_id in area_ids:
            if area_id not in found:
                found |= self.descendants(area_id)
        return frozenset(found)

    def is_within(self, area_id: str, ancestor_id: str) -> bool:
        """True when `area_id` is `ancestor_id` or lies beneath it."""
        return any(area.id == ancestor_id for area in self.path(area_id))
