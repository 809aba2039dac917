"""What a decision is made from: an immutable snapshot of subjects, grants, areas and channels.

`Facts` is plain data with lookups by id; `facts_cache` keeps the newest one in memory, so that
deciding on the join path needs no SQL.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Protocol

from camera_registry.area_tree import AreaTree
from camera_registry.domain import Area, Channel, Grant, Subject


class Facts:
    """One snapshot; never changed after it was built."""

    __slots__ = ("_chains", "_grants", "channels", "roots", "subjects", "tree", "version")

    def __init__(
        self,
        *,
        version: int,
        tree: AreaTree,
        channels: Mapping[str, Channel],
        subjects: Mapping[str, Subject],
        grants: Mapping[str, Grant],
    ) -> None:
        self.version = version
        self.tree = tree
        self.channels = channels
        self.subjects = subjects
        by_subject: defaultdict[str, list[Grant]] = defaultdict(list)
        for grant in grants.values():
            if grant.revoked_at is None:
                by_subject[grant.subject_id].append(grant)
        self._grants = {subject_id: tuple(rows) for subject_id, rows in by_subject.items()}
        self._chains = {each.id: (each.id, *tree.ancestors(each.id)) for each in tree}
        self.roots = frozenset(each.id for each in tree.roots())

    @classmethod
    def build(
        cls,
        *,
        version: int = 0,
        areas: Iterable[Area] = (),
        channels: Iterable[Channel] = (),
        subjects: Iterable[Subject] = (),
        grants: Iterable[Grant] = (),
    ) -> Facts:
        """Index plain rows. Revoked grants may be among them; they never allow anything."""
        return cls(
            version=version,
            tree=AreaTree(areas, version),
            channels={row.id: row for row in channels},
            subjects={row.id: row for row in subjects},
            grants={row.id: row for row in grants},
        )

    def subject(self, subject_id: str) -> Subject | None:
        return self.subjects.get(subject_id)

    def channel(self, channel_id: str) -> Channel | None:
        return self.channels.get(channel_id)

    def area(self, area_id: str) -> Area | None:
        return self.tree.get(area_id)

    def grants_of(self, subject_id: str) -> tuple[Grant, ...]:
        """Grants that were not revoked; their time windows are the decision's business."""
        return self._grants.get(subject_id, ())

    def area_chain(self, area_id: str) -> tuple[str, ...]:
        """The area itself first, then its parents up to the root; empty when unknown."""
        return self._chains.get(area_id, ())

    def area_path(self, area_id: str) -> tuple[str, ...]:
        """Names from the root down to the area."""
        return tuple(each.name for each in self.tree.path(area_id))

    def descendants(self, area_id: str) -> frozenset[str]:
        """The area and all below it; empty when unknown."""
        return self.tree.descendants(area_id)


class FactsSource(Protocol):
    """Where the newest snapshot is read."""

    @property
    def current(self) -> Facts: ...

    @property
    def deaf_s(self) -> float:
        """Seconds for which nobody could say whether the snapshot is still the newest."""
        ...


class StaticFacts:
    """A snapshot set by hand: for tests and for the command line without a service."""

    def __init__(self, facts: Facts) -> None:
        self._current = facts
        self.deaf_s = 0.0

    @property
    def current(self) -> Facts:
        return self._current

    def set(self, facts: Facts) -> None:
        self._current = facts
