"""Whether what somebody came with still holds, and what it is for. Pure, as the decision is.

Sign-ins and API keys end by themselves or by somebody; a key is for some of what its subject may.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from camera_registry.credentials import SignInMethod

from .facts import Facts, Held
from .principal import Principal

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def subject_refusal(principal: Principal, facts: Facts, now: datetime) -> str | None:
    """Why the sign-in does not hold, whatever is asked; None when it does."""
    subject = facts.subject(principal.subject_id)
    if subject is None:
        return "unknown_subject"
    if not subject.enabled:
        return "subject_disabled"
    # A key is not of a password, and outlives it.
    if subject.version != principal.version and principal.via != "key":
        return "sign_in_outdated"
    end = credential_end(principal, facts)
    return end_of(principal) if end is not None and end <= now else None


def what_is_due(principal: Principal, facts: Facts) -> str | None:
    """What the subject must see to before it may do anything else: password_change_due,
    second_factor_due. None when nothing is; of a program that comes with a key nothing is
    asked."""
    subject = facts.subject(principal.subject_id)
    if subject is None or principal.via in ("key", "local"):
        return None
    sign_in = facts.sign_ins.get(principal.credential_id or "")
    if sign_in is not None and sign_in.method is SignInMethod.OIDC:
        return None  # passwords and second factors are the provider's
    if subject.must_change_password:
        return "password_change_due"
    if subject.second_factor_required and not subject.has_second_factor:
        return "second_factor_due"
    return None


def credential_end(principal: Principal, facts: Facts) -> datetime | None:
    """When what the principal came with ends: long ago, if it is not there any more. What a token
    opened goes on after it, as long as its sign-in is there."""
    if principal.credential_id is None:
        return None
    rows = facts.api_keys if principal.via == "key" else facts.sign_ins
    row = rows.get(principal.credential_id)
    if row is None:
        return _LONG_AGO
    return None if principal.via == "bearer" else row.expires_at


def end_of(principal: Principal) -> str:
    return "key_ended" if principal.via == "key" else "sign_in_ended"


def held_by(principal: Principal, facts: Facts) -> Held:
    """The grants of whoever asks; with an API key, what that is for."""
    key = facts.api_keys.get(principal.credential_id or "") if principal.via == "key" else None
    return facts.held(principal.subject_id) if key is None else facts.held_with(key)


def is_narrowed(principal: Principal, facts: Facts) -> bool:
    """Whether they came with an API key that is for some of what its subject may, or that is gone:
    what comes with the subject, and not with a right, is then not for them."""
    if principal.via != "key":
        return False
    key = facts.api_keys.get(principal.credential_id or "")
    return key is None or key.actions is not None or key.area_ids is not None
