"""When a grant holds, by its time and weekly windows; until when several together do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from camera_registry.domain import Grant
from camera_registry.weekly import week_of

# How far ahead `until` is looked for: beyond both of these it is said to hold so long at least. A
# view's lease is a minute; shifts that meet without a gap would have no end at all.
LOOKED_AHEAD: Final = timedelta(days=1)
EDGES_AHEAD: Final = 64


class End(NamedTuple):
    """Until when something holds. `at` None: until something is changed; `is_least`: it still holds
    at `at`, and what comes after was not looked at."""

    at: datetime | None
    is_least: bool = False


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


def until_of(needed: Sequence[tuple[str, Sequence[Grant]]], now: datetime) -> End:
    """The first time after `now` at which one of the actions, all allowed now by these grants, is
    not any more; or, as `is_least`, one before it."""
    said = [(action, [g for g in grants if action in g.actions]) for action, grants in needed]
    at, seen = now, 0
    while True:
        ends = [end for _, grants in said if (end := _sure_until(grants, at)) is not None]
        if not ends:
            return End(None)
        at, seen = min(ends), seen + 1
        if not all(is_granted(a, [g for g in grants if is_open(g, at)]) for a, grants in said):
            return End(at)
        if seen >= EDGES_AHEAD and at - now >= LOOKED_AHEAD:
            return End(at, is_least=True)


def _sure_until(grants: Sequence[Grant], at: datetime) -> datetime | None:
    """What is allowed at `at` is so before it: while the one that holds longest does, and until one
    that denies turns. What begins or ends meanwhile beside that one changes nothing. None: for
    good."""
    allowing = [next_edge(each, at) for each in grants if not each.denies and is_open(each, at)]
    ends = [next_edge(each, at) for each in grants if each.denies]
    if None not in allowing:
        ends.append(max(filter(None, allowing)))
    return min(filter(None, ends), default=None)
