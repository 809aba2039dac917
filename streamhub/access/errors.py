"""The exception tree of `access`; each leaf has a stable `code` that doors pass on.

AccessError
├── Unauthenticated   nobody, or no longer somebody        (401)
├── NotVisible        not yours or not there: same answer  (404)
├── Forbidden         you may know it, not do this         (403)
│   └── PurposeRequired   say what for, then you may       (403)
└── TooManyAttempts   sign-in attempts are limited         (429)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from camera_registry.domain import Purpose


@dataclass(frozen=True, slots=True)
class Known:
    """Whose a refused credential is, or was."""

    subject_id: str | None  # None: of an API key that nobody remembers any more
    credential_id: str | None = None  # of the sign-in, the API key or the ticket
    key_id: str | None = None  # the API key that the ticket was asked for with


class AccessError(Exception):
    """Base of all refusals. `code` is stable, the message is one sentence for a person."""

    default_code = "access"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.default_code


class Unauthenticated(AccessError):
    """No sign-in, or one that no longer holds. Codes: unauthenticated, bad_credentials,
    second_factor_needed, token_expired, token_invalid, key_expired, key_invalid, sign_in_ended.
    `known`: for the audit, never for who asks."""

    default_code = "unauthenticated"

    def __init__(
        self, message: str, *, code: str | None = None, known: Known | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.known = known


class NotVisible(AccessError):
    """The subject may not know whether it exists."""

    default_code = "not_found"


class Forbidden(AccessError):
    """The subject may know of it, but not do this. Codes: forbidden, channel_disabled,
    cross_origin, key_not_enough, pass_on_denied, pass_on_lent, pass_on_purpose, second_factor_due,
    wrong_password, wrong_code."""

    default_code = "forbidden"


class PurposeRequired(Forbidden):
    """It would be allowed with one of `purposes`. Codes: purpose_required,
    purpose_note_required."""

    default_code = "purpose_required"

    def __init__(
        self, message: str, purposes: Sequence[Purpose], *, code: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.purposes = tuple(purposes)


class TooManyAttempts(AccessError):
    """Attempts to sign in are used up for a while: `limit` says whose; `is_first` when nobody was
    told yet."""

    default_code = "too_many_attempts"

    def __init__(
        self, message: str, *, retry_after_s: int, limit: str = "", is_first: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.limit = limit
        self.is_first = is_first
