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

from camera_registry.domain import Purpose


class AccessError(Exception):
    """Base of all refusals. `code` is stable, the message is one sentence for a person."""

    default_code = "access"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.default_code


class Unauthenticated(AccessError):
    """No sign-in, or one that no longer holds. Codes: unauthenticated, bad_credentials,
    token_expired, token_invalid, sign_in_ended."""

    default_code = "unauthenticated"


class NotVisible(AccessError):
    """The subject may not know whether it exists."""

    default_code = "not_found"


class Forbidden(AccessError):
    """The subject may know of it, but not do this. Codes: forbidden, channel_disabled,
    cross_origin."""

    default_code = "forbidden"


class PurposeRequired(Forbidden):
    """It would be allowed with one of `purposes`."""

    default_code = "purpose_required"

    def __init__(self, message: str, purposes: Sequence[Purpose]) -> None:
        super().__init__(message)
        self.purposes = tuple(purposes)


class TooManyAttempts(AccessError):
    """Sign-in attempts for this name from this address are used up for a while."""

    default_code = "too_many_attempts"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
