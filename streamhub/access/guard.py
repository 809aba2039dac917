"""The guard at every door: asks `decide`, and is the only maker of a `Permit`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from camera_registry.domain import Channel, Stated

from .errors import AccessError, Forbidden, NotVisible, PurposeRequired, Unauthenticated
from .facts import Facts, FactsSource
from .grounds import grounds_of
from .permit import _MINT, Permit
from .policy import (
    Decision,
    Scope,
    actions_on,
    asks_why,
    decide,
    grants_now,
    is_borrowed,
    is_undenied,
    scope,
    subject_refusal,
    what_is_due,
)
from .principal import Action, Principal, Resource

SIGN_IN_ENDED = frozenset(
    {"unknown_subject", "subject_disabled", "sign_in_outdated", "sign_in_ended", "key_ended"}
)

# What must be seen to first, and how it is said.
DUE = {
    "password_change_due": "Change the password first: PUT /api/v1/me/password.",
    "second_factor_due": "Set up a second factor first: POST /api/v1/me/second-factor.",
}


_PURPOSE_WANTED = {
    "purpose_required": "What is it for? Ask again with the code of one of these purposes.",
    "purpose_unknown": "Not for that here. Ask again with the code of one of these purposes.",
    "purpose_note_required": "This purpose wants words of your own with it; ask again with them.",
}
_NOT_PASSED_ON = {
    "pass_on_denied": "Some of it is denied to you there, so you can't pass it on.",
    "pass_on_lent": "You have it there on loan, so you can't pass it on.",
    "pass_on_purpose": "You are asked for a purpose there, so whoever has it of you must be, too: "
    "set purpose_required.",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the audit is told when someone was refused. `as_code` is what they were told."""

    principal: Principal
    action: Action
    resource: Resource
    reason: str
    as_code: str


def utc_now() -> datetime:
    """The wall clock, timezone-aware."""
    return datetime.now(UTC)


class Guard:
    """Synchronous and without SQL: the facts are in memory."""

    def __init__(
        self,
        facts: FactsSource,
        *,
        now: Callable[[], datetime] = utc_now,
        on_refusal: Callable[[Refusal], None] | None = None,
    ) -> None:
        self._facts = facts
        self._now = now
        self._on_refusal = on_refusal

    def require(
        self,
        principal: Principal,
        action: Action,
        resource: Resource,
        *,
        stated: Stated | None = None,
    ) -> Permit:
        """A permit, or raises Unauthenticated (the sign-in no longer holds), NotVisible (not
        theirs or not there), PurposeRequired or Forbidden. A refusal is noted for the audit."""
        facts, now = self._facts.current, self._now()
        decision = decide(principal, action, resource, facts, now, stated)
        if decision.allowed:
            return Permit(
                _MINT,
                principal=principal,
                action=action,
                resource=resource,
                decision=decision,
                decided_at=now,
                stated=stated,
            )
        error = _refusal_error(decision, facts)
        self._tell(Refusal(principal, action, resource, decision.reason, error.code))
        raise error

    def note(self, permit: Permit, code: str) -> None:
        """What was allowed could not be had, as where a quota is full: for the audit."""
        self._tell(Refusal(permit.principal, permit.action, permit.resource, code, code))

    def _tell(self, refusal: Refusal) -> None:
        if self._on_refusal is not None:
            self._on_refusal(refusal)

    def recheck(self, permit: Permit) -> Permit | None:
        """A fresh permit for the same thing, or None when the facts no longer allow it."""
        facts, now = self._facts.current, self._now()
        decision = decide(
            permit.principal, permit.action, permit.resource, facts, now, permit.stated
        )
        if not decision.allowed:
            return None
        return Permit(
            _MINT,
            principal=permit.principal,
            action=permit.action,
            resource=permit.resource,
            decision=decision,
            decided_at=now,
            stated=permit.stated,
        )

    def refusal(self, permit: Permit) -> AccessError | None:
        """What its holder is answered when the facts no longer allow it; None: they do. Notes
        nothing: whoever opened something by the permit has a row of its own."""
        facts, now = self._facts.current, self._now()
        decision = decide(
            permit.principal, permit.action, permit.resource, facts, now, permit.stated
        )
        return None if decision.allowed else _refusal_error(decision, facts)

    def fall_cause(self, permit: Permit) -> str:
        """Why a permit that the facts no longer allow fell, as audit rows and tiles say it:
        channel_removed, channel_disabled, channel_not_filed, sign_in_ended, key_ended, grant_ended
        or revoked."""
        channel = self._facts.current.channel(permit.channel_id)
        if channel is None:
            return "channel_removed"
        if not channel.enabled:
            return "channel_disabled"
        if not channel.is_filed:
            return "channel_not_filed"
        ended = self.ended(permit.principal)
        if ended in ("sign_in_ended", "key_ended"):
            return ended
        if permit.until is not None and permit.until <= self._now():
            return permit.ends_as
        return "revoked"

    def require_nothing_due(self, principal: Principal) -> None:
        """Raises Forbidden while something has to be seen to first."""
        due = what_is_due(principal, self._facts.current)
        if due is not None:
            raise Forbidden(DUE[due], code=due)

    def ended(self, principal: Principal) -> str | None:
        """Why the principal's sign-in holds no more, None when it does."""
        if principal.is_local:
            return None
        return subject_refusal(principal, self._facts.current, self._now())

    def allows(self, principal: Principal, action: Action, resource: Resource) -> bool:
        """Whether it would be allowed: for what a list shows. Notes nothing."""
        facts, now = self._facts.current, self._now()
        return decide(principal, action, resource, facts, now, allowed_only=True).allowed

    def actions_on(self, principal: Principal, row: Channel) -> dict[Action, bool]:
        """All that would be allowed on a channel, each with whether it asks for a purpose. Notes
        nothing."""
        return actions_on(principal, row, self._facts.current, self._now())

    def require_passing_on(
        self, principal: Principal, action: Action, resource: Resource, *, asked_why: bool
    ) -> None:
        """Whether the principal may give the action on to others: it is theirs there altogether,
        with nothing in it denied, and without a question that they are asked and the others
        (`asked_why`: they are, too) would not be; and it is not on loan. Raises as `require`, and
        Forbidden (pass_on_denied, pass_on_lent, pass_on_purpose), which the audit is told, too."""
        facts, now = self._facts.current, self._now()
        decision = decide(principal, action, resource, facts, now)
        if decision.reason != "purpose_required":
            self.require(principal, action, resource)
        if not is_undenied(principal, action, resource, facts, now):
            code = "pass_on_denied"
        elif is_borrowed(principal, action, resource, facts, now):
            code = "pass_on_lent"
        elif not asked_why and asks_why(principal, action, resource, facts, now):
            code = "pass_on_purpose"
        else:
            return
        self._tell(Refusal(principal, action, resource, code, code))
        raise Forbidden(_NOT_PASSED_ON[code], code=code)

    def asks_why(self, principal: Principal, action: Action, resource: Resource) -> bool:
        """Whether the principal's own right to it always asks for a purpose, grant by grant."""
        return asks_why(principal, action, resource, self._facts.current, self._now())

    def grounds(self, principal: Principal, action: Action) -> dict[str, Any]:
        """What a list of where the principal may do the action rests on, as an audit row keeps
        it."""
        if principal.is_local:
            return {}
        held = grants_now(principal, self._facts.current, self._now())
        return grounds_of(each for each in held if action in each.actions and not each.denies)

    def scope(self, principal: Principal, action: Action) -> Scope:
        """Where the principal may do the action now."""
        return scope(principal, action, self._facts.current, self._now())


def purpose_wanted(reason: str, facts: Facts) -> PurposeRequired:
    """What is answered where the decision's reason is one of a purpose."""
    return PurposeRequired(
        _PURPOSE_WANTED[reason],
        sorted(facts.purposes.values(), key=lambda each: each.code),
        code="purpose_note_required" if reason == "purpose_note_required" else None,
    )


def _refusal_error(decision: Decision, facts: Facts) -> Unauthenticated | NotVisible | Forbidden:
    if decision.reason in SIGN_IN_ENDED:
        return Unauthenticated("The sign-in has ended; sign in again.", code="sign_in_ended")
    if not decision.visible:
        return NotVisible("There is no such thing, or it is not yours to see.")
    if decision.reason == "channel_disabled":
        return Forbidden("The channel is switched off.", code="channel_disabled")
    if decision.reason in _PURPOSE_WANTED:
        return purpose_wanted(decision.reason, facts)
    if decision.reason in DUE:
        return Forbidden(DUE[decision.reason], code=decision.reason)
    return Forbidden("Your grants do not allow this; ask whoever manages the area.")
