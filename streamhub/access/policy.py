"""The one decision: may this principal do this, here, now? Pure: no clock, no SQL, no state.

Default deny, and a grant that denies wins over all that allow. A decision says three things:
allowed; whether the subject may know the thing exists (so that a refusal is 403 rather than 404);
and until when it holds as the grants are now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from camera_registry.domain import Channel, Grant, Stated

from .facts import MAX_SCOPES, Facts, Held
from .holding import credential_end, end_of, held_by, subject_refusal, what_is_due
from .hours import End, is_granted, is_open, until_of
from .principal import DISTRICT, Action, Principal, Resource, area, channel
from .reach import Scope, side_of

__all__ = [
    "ASKED_WHY",
    "DISTRICT",
    "Action",
    "Decision",
    "Principal",
    "Resource",
    "Scope",
    "actions_on",
    "area",
    "asks_why",
    "channel",
    "decide",
    "deciding",
    "grants_now",
    "is_borrowed",
    "is_undenied",
    "scope",
    "subject_refusal",
    "what_is_due",
]

# A channel that was switched off can be listed and managed, but gives no pictures and no sound, and
# stands still.
PICTURE_ACTIONS: Final = frozenset({Action.LIVE, Action.SNAPSHOT, Action.TALK, Action.PTZ})
# What a purpose may be asked for: to look, to listen, to take pictures along.
ASKED_WHY: Final = frozenset(
    {Action.LIVE, Action.SNAPSHOT, Action.PLAYBACK, Action.TALK, Action.EXPORT}
)
# What takes one for its audit row. Steering asks for none: who sees the picture was asked.
TAKES_PURPOSE: Final = ASKED_WHY | {Action.PTZ}


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is a stable code. `grants`: those that allow it, or that deny it. `until`: the
    decision to allow holds before it, as far as grants and sign-in go; None: until something is
    changed. `until_is_least`: and longer, how long was not looked for."""

    allowed: bool
    visible: bool
    reason: str
    grants: tuple[Grant, ...] = ()
    until: datetime | None = None
    ends_as: str = "grant_ended"  # what `until` will then have been
    until_is_least: bool = False

    @property
    def grant_ids(self) -> tuple[str, ...]:
        return tuple(each.id for each in self.grants)


def decide(
    principal: Principal,
    action: Action,
    resource: Resource,
    facts: Facts,
    now: datetime,
    stated: Stated | None = None,
    *,
    allowed_only: bool = False,
) -> Decision:
    """The decision. `now` is timezone-aware; `stated` is what it is wanted for; `allowed_only`:
    nobody asks what a refusal says of `visible`, and it does not look.

    Reasons of a refusal: unknown_subject, subject_disabled, sign_in_outdated, sign_in_ended,
    key_ended, password_change_due, second_factor_due, not_there, not_filed, no_grant, denied,
    purpose_required, purpose_unknown, purpose_note_required, channel_disabled.
    """
    due = what_is_due(principal, facts)
    if due is not None and subject_refusal(principal, facts, now) is None:
        return Decision(False, True, due)
    row = facts.channel(resource.id) if resource.kind == "channel" else None
    if not _exists(resource, row, facts):
        return Decision(False, False, "not_there")
    if principal.is_local:
        return Decision(True, True, "local_operator")
    refusal = subject_refusal(principal, facts, now)
    if refusal is not None:
        return Decision(False, False, refusal)
    decision = _decide(principal, action, resource, row, facts, now, stated, allowed_only)
    return _within(principal, facts, decision)


def _decide(
    principal: Principal,
    action: Action,
    resource: Resource,
    row: Channel | None,
    facts: Facts,
    now: datetime,
    stated: Stated | None,
    allowed_only: bool,
) -> Decision:
    if resource.kind == "district":
        return _decide_district(principal, action, facts, now)

    covering = _covering(held_by(principal, facts), resource, facts)
    open_now = [each for each in covering if is_open(each, now)]
    if row is not None and not row.is_filed and not is_granted(Action.MANAGE, open_now):
        return Decision(False, False, "not_filed")
    said = [each for each in open_now if action in each.actions]
    denying = tuple(each for each in said if each.denies)
    if denying or not said:
        visible = not allowed_only and (
            _visible(open_now) or _leads_to_granted(principal, resource, facts, now)
        )
        return Decision(False, visible, "denied" if denying else "no_grant", denying)
    if row is None:
        return _granted(said, until_of([(action, covering)], now))
    if action in PICTURE_ACTIONS and not row.enabled:
        return Decision(False, True, "channel_disabled")
    unfit = None if stated is None else purpose_unfit(stated, facts)
    if unfit is not None:
        return Decision(False, True, unfit, tuple(said))
    rests_on = covering
    if stated is None and action in ASKED_WHY:
        rests_on = [] if row.sensitive else [g for g in covering if not _asks_why(g)]
        freely = [each for each in said if each in rests_on]
        if not freely:
            return Decision(False, True, "purpose_required", tuple(said))
        said = freely
    needed = [(action, rests_on)]
    if not row.is_filed:
        needed.append((Action.MANAGE, covering))
    return _granted(said, until_of(needed, now))


def _granted(said: list[Grant], end: End) -> Decision:
    return Decision(True, True, "granted", tuple(said), end.at, until_is_least=end.is_least)


def purpose_unfit(stated: Stated, facts: Facts) -> str | None:
    """Why the district does not accept it; None: it does."""
    purpose = facts.purposes.get(stated.purpose)
    if purpose is None:
        return "purpose_unknown"
    return "purpose_note_required" if purpose.needs_note and stated.note is None else None


def actions_on(
    principal: Principal, row: Channel, facts: Facts, now: datetime
) -> dict[Action, bool]:
    """What `decide` allows on a channel, all at once and cheaper, for lists: each action with
    whether it asks for a purpose."""
    if principal.is_local:
        return dict.fromkeys(Action, False)
    if subject_refusal(principal, facts, now) or what_is_due(principal, facts):
        return {}
    covering = held_by(principal, facts).covering_channel(row, facts.area_chain(row.area_id))
    open_now = [each for each in covering if is_open(each, now)]
    if not row.is_filed and not is_granted(Action.MANAGE, open_now):
        return {}
    found: dict[Action, bool] = {}
    for action in Action:
        if is_granted(action, open_now) and (row.enabled or action not in PICTURE_ACTIONS):
            said = [each for each in open_now if action in each.actions]
            asked = row.sensitive or all(each.purpose_required for each in said)
            found[action] = asked and action in ASKED_WHY
    return found


def scope(
    principal: Principal, action: Action, facts: Facts, now: datetime, *, despite_due: bool = False
) -> Scope:
    """Where the principal may do the action now (where a purpose is asked for: with one): for
    lists, which show only what is visible. `despite_due`: as it will be when what is due was seen
    to."""
    if principal.is_local:
        return Scope(facts, everything=True)
    if subject_refusal(principal, facts, now) is not None:
        return Scope(facts)
    if what_is_due(principal, facts) is not None and not despite_due:
        return Scope(facts)
    open_now = grants_now(principal, facts, now)
    narrowed_by = principal.credential_id if principal.via == "key" else None
    key = (action.value, narrowed_by or "", *(each.id for each in open_now))
    known = facts.scopes.get(key)
    if known is None:
        managed = _where(Action.MANAGE, open_now, facts)
        known = managed
        if action is not Action.MANAGE:
            known = _where(action, open_now, facts, managed)
        if len(facts.scopes) >= MAX_SCOPES:
            facts.scopes.pop(next(iter(facts.scopes)))
        facts.scopes[key] = known
    return known


def grants_now(principal: Principal, facts: Facts, now: datetime) -> list[Grant]:
    """What the principal was granted that holds now; with an API key, what that is for."""
    return [each for each in held_by(principal, facts).all if is_open(each, now)]


def is_undenied(
    principal: Principal, action: Action, resource: Resource, facts: Facts, now: datetime
) -> bool:
    """Whether nothing of it, nor beneath it, is denied to the principal, now or later: what one
    passes on must be one's own altogether."""
    if principal.is_local:
        return True
    held = held_by(principal, facts)
    if resource.kind == "channel":
        return not any(_will_deny(g, action, now) for g in _covering(held, resource, facts))
    area_id = resource.id if resource.kind == "area" else None
    within = facts.tree.descendants_of_all() if area_id is None else facts.descendants(area_id)
    above = () if area_id is None else facts.area_chain(area_id)
    for each in held.all:
        if not _will_deny(each, action, now):
            continue
        row = None if each.channel_id is None else facts.channel(each.channel_id)
        if row is not None and row.area_id not in within:
            continue
        if each.area_id is not None and each.area_id not in within and each.area_id not in above:
            continue
        return False
    return True


def _will_deny(grant: Grant, action: Action, now: datetime) -> bool:
    """Now, or at some hour to come."""
    is_over = grant.valid_until is not None and grant.valid_until <= now
    return grant.denies and action in grant.actions and not is_over


def asks_why(
    principal: Principal, action: Action, resource: Resource, facts: Facts, now: datetime
) -> bool:
    """Whether the principal's own right to it, on loan not counted, always asks for a purpose,
    grant by grant; to the district, on some root."""
    if principal.is_local or action not in ASKED_WHY:
        return False
    return any(
        all(each.purpose_required for each in said if each.lent_by is None)
        for said in _allowing(principal, action, resource, facts, now)
    )


def is_borrowed(
    principal: Principal, action: Action, resource: Resource, facts: Facts, now: datetime
) -> bool:
    """Whether all that allows it to the principal now is on loan."""
    if principal.is_local:
        return False
    return any(
        bool(said) and all(each.lent_by is not None for each in said)
        for said in _allowing(principal, action, resource, facts, now)
    )


def _allowing(
    principal: Principal, action: Action, resource: Resource, facts: Facts, now: datetime
) -> list[list[Grant]]:
    """What allows it to the principal now, if nothing denies it; of the district, root by root."""
    held = held_by(principal, facts)
    parts: list[Sequence[Grant]] = [_covering(held, resource, facts)]
    if resource.kind == "district":
        parts = [held.covering_area([root]) for root in facts.roots]
    return [
        [g for g in part if action in g.actions and not g.denies and is_open(g, now)]
        for part in parts
    ]


def deciding(subject_id: str, resource: Resource, facts: Facts) -> Sequence[Grant]:
    """The subject's grants that say something of a channel or an area, whatever and whenever."""
    return _covering(facts.held(subject_id), resource, facts)


def _covering(held: Held, resource: Resource, facts: Facts) -> Sequence[Grant]:
    if resource.kind == "area":
        return held.covering_area(facts.area_chain(resource.id))
    row = facts.channel(resource.id)
    return [] if row is None else held.covering_channel(row, facts.area_chain(row.area_id))


def _within(principal: Principal, facts: Facts, decision: Decision) -> Decision:
    """The decision, held to the end of what the principal came with."""
    end = credential_end(principal, facts)
    if end is None or not decision.allowed or (decision.until and decision.until <= end):
        return decision
    return replace(decision, until=end, ends_as=end_of(principal), until_is_least=False)


def _where(
    action: Action, open_now: list[Grant], facts: Facts, managed: Scope | None = None
) -> Scope:
    said = [each for each in open_now if action in each.actions]
    allow = side_of((each for each in said if not each.denies), facts)
    deny = side_of((each for each in said if each.denies), facts)
    everything = bool(facts.roots) and deny.is_empty and allow.areas.issuperset(facts.roots)
    return Scope(facts, allow, deny, everything=everything, managed=managed)


def _visible(open_now: list[Grant]) -> bool:
    """Whether anything is left that is allowed."""
    allowed: set[str] = set()
    denied: set[str] = set()
    for each in open_now:
        (denied if each.denies else allowed).update(each.actions)
    return bool(allowed - denied)


def _asks_why(grant: Grant) -> bool:
    return grant.purpose_required and not grant.denies


def _leads_to_granted(
    principal: Principal, resource: Resource, facts: Facts, now: datetime
) -> bool:
    """The parents of what is granted are known to its subject: the tree is drawn with them."""
    if resource.kind != "area":
        return False
    beneath = facts.descendants(resource.id)
    for action in Action:
        where = scope(principal, action, facts, now)
        listing = where.listing
        if not beneath.isdisjoint(listing.areas):
            return True
        if any(not beneath.isdisjoint(each) for each in listing.class_areas.values()):
            return True
        for channel_id in listing.channel_ids:
            row = facts.channel(channel_id)
            if row is not None and row.area_id in beneath and where.shows(row):
                return True
    return False


def _decide_district(principal: Principal, action: Action, facts: Facts, now: datetime) -> Decision:
    """Rights over the whole district (subjects, devices): the action allowed on every root."""
    held = held_by(principal, facts)
    open_now = [each for each in held.all if is_open(each, now)]
    visible = any(not each.denies for each in open_now)
    by_root = [held.covering_area([root]) for root in facts.roots]
    said = [
        each
        for grants in by_root
        for each in grants
        if action in each.actions and is_open(each, now)
    ]
    denying = tuple(each for each in said if each.denies)
    if denying:
        return Decision(False, visible, "denied", denying)
    if not by_root or not all(any(each in said for each in grants) for grants in by_root):
        return Decision(False, visible, "no_grant")
    ends = [until_of([(action, grants)], now) for grants in by_root]
    return _granted(said, min((e for e in ends if e.at is not None), default=End(None)))


def _exists(resource: Resource, row: Channel | None, facts: Facts) -> bool:
    if resource.kind == "channel":
        return row is not None
    if resource.kind == "area":
        return facts.area(resource.id) is not None
    return True
