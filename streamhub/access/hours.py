"""When a grant holds: within its time, and within its weekly windows. Pure."""

from __future__ import annotations

from datetime import datetime

from camera_registry.domain import Grant
from camera_registry.weekly import week_of


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
