"""The store's interface to inspections; see `contract`, which it is a part of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ..domain import DeviceClass, Filing, Page
from ..inspection.card import Card, Run, Verdict


@dataclass(frozen=True, slots=True)
class CardQuery:
    """A filter over inspections; None means "any". Areas are taken as they are (no subtree).

    `visible_area_ids`, `visible_class_areas` and `visible_channel_ids`: either suffices.
    """

    verdict: Verdict | None = None
    profile: str | None = None
    run_id: str | None = None
    filing: Filing | None = None
    channel_ids: frozenset[str] | None = None
    area_ids: frozenset[str] | None = None
    visible_area_ids: frozenset[str] | None = None
    visible_channel_ids: frozenset[str] | None = None
    visible_class_areas: Mapping[DeviceClass, frozenset[str]] | None = None
    except_channel_ids: frozenset[str] = frozenset()


class InspectionReader(Protocol):
    async def card(self, channel_id: str, profile: str) -> Card | None: ...
    async def cards(self, query: CardQuery, *, limit: int, cursor: str | None) -> Page[Card]:
        """By (channel id, profile)."""
        ...

    async def picture(self, channel_id: str, profile: str) -> bytes | None:
        """A JPEG."""
        ...

    async def run(self, run_id: str) -> Run | None: ...
    async def runs(self, *, limit: int, cursor: str | None) -> Page[Run]:
        """Newest first."""
        ...

    async def running(self) -> list[Run]: ...
    async def left(self, run_id: str) -> list[tuple[int, str, str]]:
        """(number, channel id, profile) of what is left to do, by number."""
        ...

    async def still_left(self, run_id: str, numbers: Collection[int]) -> set[int]:
        """Those of these targets that have no result yet."""
        ...


class InspectionRepo(InspectionReader, Protocol):
    """Writes no changes rows: nobody caches cards."""

    async def put(self, card: Card, jpeg: bytes | None) -> None:
        """In place of the card and the picture that were there."""
        ...

    async def add_run(self, run: Run, targets: Sequence[tuple[str, str]]) -> None:
        """With its targets (channel id, profile), numbered from 1."""
        ...

    async def update_run(self, run: Run) -> None: ...
    async def drop_targets(self, run_id: str, numbers: Collection[int] | None) -> None:
        """They are done; None: all that are left."""
        ...

    async def delete_runs_before(self, at: datetime) -> None:
        """Those that have ended."""
        ...
