"""Why somebody may, or may not, do something to a channel; and who may do what. Pure.

The same parts as the decision, told one by one: an explanation that differs from the decision is a
bug that a test finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from camera_registry.domain import Channel, Condition, Grant, Stated, Subject
from camera_registry.matching import holds

from .facts import Facts
from .hours import EDGES_AHEAD, is_open, next_edge
from .policy import Decision, actions_on, decide, deciding
from .principal import Action, Principal, channel

# Near misses that are told besides the grants that decide: who has more looks at the list.
MAX_MISSES = 20


@dataclass(frozen=True, slots=True)
class GrantLine:
    """One grant of the subject, and what it has to do with the question.

    `says`: allows, allows_with_purpose, denies; or why it says nothing: other_action, not_yet,
    ended, out_of_hours, elsewhere, rule (`unmet` is the condition that does not hold).
    """

    grant: Grant
    says: str
    until: datetime | None = None  # when what it says turns by itself
    unmet: Condition | None = None

    @property
    def decides(self) -> bool:
        return self.says in ("allows", "allows_with_purpose", "denies")


@dataclass(frozen=True, slots=True)
class Explanation:
    """`lines`: what denies first, then what allows, then what comes near. `opens_at`: when it will
    be allowed as the grants are now; None: never, or it is."""

    subject: Subject
    action: Action
    channel: Channel
    at: datetime
    decision: Decision
    lines: tuple[GrantLine, ...]
    opens_at: datetime | None


@dataclass(frozen=True, slots=True)
class Ability:
    """One action that a subject may do."""

    action: Action
    asks_why: bool
    until: datetime | None
    until_is_least: bool
    grant_ids: tuple[str, ...]


def principal_for(subject: Subject) -> Principal:
    """The subject as if it had just signed in."""
    return Principal(subject.id, subject.username, "", "bearer", subject.version)


def explain(
    subject: Subject, action: Action, row: Channel, facts: Facts, at: datetime
) -> Explanation:
    """Of the facts as they are now, asked at `at`."""
    principal = principal_for(subject)
    decision = decide(principal, action, channel(row.id), facts, at)
    lines = [_line(each, action, row, facts, at) for each in facts.grants_of(subject.id)]
    order = ("denies", "allows", "allows_with_purpose")
    deciders = sorted((e for e in lines if e.decides), key=lambda each: order.index(each.says))
    misses = [e for e in lines if not e.decides and e.says != "other_action"][:MAX_MISSES]
    opens_at = None
    if not decision.allowed:
        opens_at = _opens_at(principal, action, row, facts, at)
    return Explanation(subject, action, row, at, decision, (*deciders, *misses), opens_at)


def abilities(subject: Subject, row: Channel, facts: Facts, now: datetime) -> Iterator[Ability]:
    """What the subject may do to the channel, with a purpose where one is asked for."""
    principal = principal_for(subject)
    for action, asks_why in actions_on(principal, row, facts, now).items():
        stated = _some_purpose(facts) if asks_why else None
        decision = decide(principal, action, channel(row.id), facts, now, stated)
        end, is_least = decision.until, decision.until_is_least
        yield Ability(action, asks_why, end, is_least, decision.grant_ids)


def _some_purpose(facts: Facts) -> Stated | None:
    return next((Stated(code, "-") for code in facts.purposes), None)


def _line(grant: Grant, action: Action, row: Channel, facts: Facts, at: datetime) -> GrantLine:
    if action not in grant.actions:
        return GrantLine(grant, "other_action")
    if grant.channel_id is not None and grant.channel_id != row.id:
        return GrantLine(grant, "elsewhere")
    if grant.area_id is not None and grant.area_id not in facts.area_chain(row.area_id):
        return GrantLine(grant, "elsewhere")
    unmet = next((each for each in grant.conditions if not holds(each, row)), None)
    if unmet is not None:
        return GrantLine(grant, "rule", unmet=unmet)
    turns = next_edge(grant, at)
    if is_open(grant, at):
        if grant.denies:
            return GrantLine(grant, "denies", turns)
        return GrantLine(
            grant, "allows_with_purpose" if grant.purpose_required else "allows", turns
        )
    if grant.valid_from > at:
        return GrantLine(grant, "not_yet", turns)
    if grant.valid_until is not None and grant.valid_until <= at:
        return GrantLine(grant, "ended")
    return GrantLine(grant, "out_of_hours", turns)


def _opens_at(
    principal: Principal, action: Action, row: Channel, facts: Facts, at: datetime
) -> datetime | None:
    """The first of the next edges at which it is allowed, with a purpose where one is asked."""
    grants = deciding(principal.subject_id, channel(row.id), facts)
    moment = at
    for _ in range(EDGES_AHEAD):
        if action in actions_on(principal, row, facts, moment):
            return moment if moment > at else None
        edges = [edge for each in grants if (edge := next_edge(each, moment)) is not None]
        if not edges:
            return None
        moment = min(edges)
    return None
