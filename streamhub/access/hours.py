"""When a grant holds, by its time and weekly windows; until when several together do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from camera_registry.domain import Grant
from camera_registry.weekly import week_of

# How far ahead `until` is looked for: beyond both of these it is said to hold so long at least. A
# view's lease is a minute; shifts that meet without a gap would have no end at all.
LOOKED_AHEAD: Final = timedelta(days=1)
EDGES_AHEAD: Final = 64


def is_open(grant: Grant, now: datetime) -> bool:
    """Whether it says something now. A revoked one never does."""
    if grant.revoked_at is not None or grant.valid_from > now:
        return False
    if grant.valid_until is not None and grant.valid_until <= now:
        return False
    return not grant.windows or week_of(grant.windows).is_open(now)


def next_edge(grant: Grant, now: datetime) -> datetime | None:
    """The first time after `now` at which `is_open` may turn; None when it stays as it is."""
    end = grant.valid_until
    if grant.revoked_at is not None or (end is not None and end <= now):
        return None
    if grant.valid_from > now:
        return grant.valid_from
    turn = week_of(grant.windows).next_change(now) if grant.windows else None
    if turn is None or end is None:
        return turn or end
    return min(turn, end)


def is_granted(action: str, grants: Iterable[Grant]) -> bool:
    """Whether one of them allows it and none denies it."""
    found = False
    for each in grants:
        if action in each.actions:
            if each.denies:
                return False
            found = True
    return found


def until_of(needed: Sequence[tuple[str, Sequence[Grant]]], now: datetime) -> datetime | None:
    """The first time after `now` at which one of the actions, all allowed now by these grants, is
    not any more."""
    said = [(action, [g for g in grants if action in g.actions]) for action, grants in needed]
    if all(_is_for_good(grants, now) for _, grants in said):
        return None

    def hold(moment: datetime) -> bool:
        return all(is_granted(a, [g for g in grants if is_open(g, moment)]) for a, grants in said)

    return _first_not(hold, [g for _, grants in said for g in grants], now)


def _is_for_good(grants: list[Grant], now: datetime) -> bool:
    """The common case: one that is allowed now and has no end, and nothing that denies."""
    endless = False
    for each in grants:
        if each.denies:
            return False
        if each.valid_until is None and not each.windows and each.valid_from <= now:
            endless = True
    return endless


def _first_not(
    hold: Callable[[datetime], bool], grants: list[Grant], now: datetime
) -> datetime | None:
    at, seen = now, 0
    while True:
        edges = [edge for each in grants if (edge := next_edge(each, at)) is not None]
        if not edges:
            return None
        at, seen = min(edges), seen + 1
        if not hold(at) or (seen >= EDGES_AHEAD and at - now >= LOOKED_AHEAD):
            return at
