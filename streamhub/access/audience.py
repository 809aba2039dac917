"""Who would see more or less if channels were otherwise: the decision, asked of what is not yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from camera_registry.domain import Channel, Subject

from .facts import Facts
from .policy import Scope, scope
from .principal import Action, Principal

SEEING = (Action.LIST, Action.LIVE, Action.SNAPSHOT)


@dataclass(frozen=True, slots=True)
class Audience:
    """What becomes visible to one subject, and what does not stay so."""

    subject: Subject
    gained: tuple[Channel, ...]
    lost: tuple[Channel, ...]


def audience(facts: Facts, changed: Sequence[Channel], now: datetime) -> list[Audience]:
    """For each subject that may sign in, the difference that these channels as they would be make
    to what it may list, watch or have a still of; by user name, those without any left out.

    A channel that the facts do not have is not looked at. Pure.
    """
    pairs = [(old, new) for new in changed if (old := facts.channel(new.id)) is not None]
    found = []
    for subject in sorted(facts.subjects.values(), key=lambda each: each.username):
        principal = Principal(subject.id, subject.username, "", "bearer", subject.version)
        # Where a subject may see things does not depend on the channels: one answer for both.
        where = [scope(principal, action, facts, now, despite_due=True) for action in SEEING]
        gained, lost = [], []
        for old, new in pairs:
            saw, sees = _shows(where, old), _shows(where, new)
            if sees and not saw:
                gained.append(new)
            elif saw and not sees:
                lost.append(old)
        if gained or lost:
            found.append(Audience(subject, tuple(gained), tuple(lost)))
    return found


def _shows(scopes: list[Scope], row: Channel) -> bool:
    return any(each.shows(row) for each in scopes)
