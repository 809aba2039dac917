"""The one decision: may this principal do this, here, now? Pure: no clock, no SQL, no state.

Default deny. A decision says three things: allowed; whether the subject may know the thing exists
(so that a refusal is 403 rather than 404); and until when the allowing grants hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from camera_registry.domain import Channel, Grant

from .facts import Facts
from .principal import DISTRICT, Action, Principal, Resource, area, channel

__all__ = [
    "DISTRICT",
    "Action",
    "Decision",
    "Principal",
    "Resource",
    "Scope",
    "area",
    "channel",
    "decide",
    "scope",
]

# A channel that was switched off can be listed and managed, but gives no pictures and stands still.
PICTURE_ACTIONS = frozenset({Action.LIVE, Action.SNAPSHOT, Action.PTZ})


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is a stable code; `until` is when the allowing grants end, None when they do not."""

    allowed: bool
    visible: bool
    reason: str
    grant_ids: tuple[str, ...] = ()
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a principal may do one action: `area_ids` has all areas below the granted ones.

    A channel that is not filed is there only for whoever manages it: `managed` is where.
    """

    everything: bool = False
    area_ids: frozenset[str] = frozenset()
    channel_ids: frozenset[str] = frozenset()
    managed: Scope | None = None  # None: everything that the action is granted on

    @property
    def is_empty(self) -> bool:
        return not (self.everything or self.area_ids or self.channel_ids)

    @property
    def shows_all(self) -> bool:
        """Nothing is left out, drafts neither."""
        return self.everything and (self.managed is None or self.managed.everything)

    def has_channel(self, channel_id: str, area_id: str) -> bool:
        """Whether the action is granted there, however far the channel is filed."""
        return self.everything or area_id in self.area_ids or channel_id in self.channel_ids

    def shows(self, row: Channel) -> bool:
        """Whether a list has it: the same as `decide` says of the channel."""
        if not self.has_channel(row.id, row.area_id):
            return False
        return row.is_filed or self.managed is None or self.managed.has_channel(row.id, row.area_id)


def decide(
    principal: Principal, action: Action, resource: Resource, facts: Facts, now: datetime
) -> Decision:
    """The decision. `now` is timezone-aware. Reasons of a refusal: unknown_subject,
    subject_disabled, sign_in_outdated, not_there, not_filed, no_grant, channel_disabled."""
    if not _exists(resource, facts):
        return Decision(False, False, "not_there")
    if principal.is_local:
        return Decision(True, True, "local_operator")
    refusal = _subject_refusal(principal, facts)
    if refusal is not None:
        return Decision(False, False, refusal)

    valid = list(_valid_grants(principal, facts, now))
    if resource.kind == "district":
        return _decide_district(action, valid, facts)

    covering = [each for each in valid if _covers(each, resource, facts)]
    if _is_hidden(resource, covering, facts):
        return Decision(False, False, "not_filed")
    allowing = [each for each in covering if action in each.actions]
    if not allowing:
        visible = bool(covering) or _leads_to_granted(resource, valid, facts)
        return Decision(False, visible, "no_grant")
    if action in PICTURE_ACTIONS and resource.kind == "channel":
        row = facts.channel(resource.id)
        if row is not None and not row.enabled:
            return Decision(False, True, "channel_disabled")
    return _allowed(allowing)


def scope(principal: Principal, action: Action, facts: Facts, now: datetime) -> Scope:
    """Where the principal may do the action now: for lists, which show only what is visible."""
    if principal.is_local:
        return Scope(everything=True)
    if _subject_refusal(principal, facts) is not None:
        return Scope()
    valid = list(_valid_grants(principal, facts, now))
    managed = _where(Action.MANAGE, valid, facts)
    return (
        managed
        if action is Action.MANAGE
        else replace(_where(action, valid, facts), managed=managed)
    )


def _where(action: Action, valid: list[Grant], facts: Facts) -> Scope:
    area_ids: set[str] = set()
    channel_ids: set[str] = set()
    for grant in valid:
        if action not in grant.actions:
            continue
        if grant.area_id is not None:
            area_ids |= facts.descendants(grant.area_id)
        if grant.channel_id is not None:
            channel_ids.add(grant.channel_id)
    everything = bool(facts.roots) and area_ids.issuperset(facts.roots)
    return Scope(everything, frozenset(area_ids), frozenset(channel_ids))


def _is_hidden(resource: Resource, covering: list[Grant], facts: Facts) -> bool:
    """A channel that is not filed, to whoever does not manage it."""
    row = facts.channel(resource.id) if resource.kind == "channel" else None
    if row is None or row.is_filed:
        return False
    return not any(Action.MANAGE in each.actions for each in covering)


def _exists(resource: Resource, facts: Facts) -> bool:
    if resource.kind == "channel":
        return facts.channel(resource.id) is not None
    if resource.kind == "area":
        return facts.area(resource.id) is not None
    return True


def _subject_refusal(principal: Principal, facts: Facts) -> str | None:
    subject = facts.subject(principal.subject_id)
    if subject is None:
        return "unknown_subject"
    if not subject.enabled:
        return "subject_disabled"
    if subject.version != principal.version:
        return "sign_in_outdated"
    return None


def _valid_grants(principal: Principal, facts: Facts, now: datetime) -> Iterator[Grant]:
    for grant in facts.grants_of(principal.subject_id):
        started = grant.valid_from <= now
        ended = grant.valid_until is not None and grant.valid_until <= now
        if grant.revoked_at is None and started and not ended:
            yield grant


def _covers(grant: Grant, resource: Resource, facts: Facts) -> bool:
    if resource.kind == "channel":
        if grant.channel_id == resource.id:
            return True
        row = facts.channel(resource.id)
        return row is not None and grant.area_id in facts.area_chain(row.area_id)
    return grant.area_id is not None and grant.area_id in facts.area_chain(resource.id)


def _leads_to_granted(resource: Resource, grants: Iterable[Grant], facts: Facts) -> bool:
    """The parents of a granted area are known to its subject: the tree is drawn with them."""
    if resource.kind != "area":
        return False
    for grant in grants:
        area_id = grant.area_id
        if area_id is None and grant.channel_id is not None:
            row = facts.channel(grant.channel_id)
            shown = row is not None and (row.is_filed or Action.MANAGE in grant.actions)
            area_id = row.area_id if row is not None and shown else None
        if area_id is not None and resource.id in facts.area_chain(area_id):
            return True
    return False


def _decide_district(action: Action, valid: list[Grant], facts: Facts) -> Decision:
    """Rights over the whole district (subjects, devices): the action granted on every root."""
    roots = facts.roots
    allowing = [each for each in valid if action in each.actions and each.area_id in roots]
    if not roots or {each.area_id for each in allowing} != set(roots):
        return Decision(False, bool(valid), "no_grant")
    return _allowed(allowing)


def _allowed(grants: list[Grant]) -> Decision:
    ends = [each.valid_until for each in grants if each.valid_until is not None]
    until = max(ends) if len(ends) == len(grants) else None
    return Decision(True, True, "granted", tuple(each.id for each in grants), until)
