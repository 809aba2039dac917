"""What a subject was let in by, as plain records. No SQL, no hashing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

# Of a sign-in that ends when nothing of it is left, however long it is used.
NO_END: Final = datetime(9999, 12, 31, tzinfo=UTC)
# What ids of API keys begin with: a ticket names a subject or a key.
API_KEY_KIND: Final = "ak"


class SignInMethod(StrEnum):
    PASSWORD = "password"  # noqa: S105
    OIDC = "oidc"
    TOKEN = "token"  # noqa: S105 - a script's, with a password; the others are a page's


@dataclass(frozen=True, slots=True)
class SignIn:
    """A page's sign-in: the store keeps only the SHA-256 of the cookie's random bits. Or a
    script's, of whose tokens it keeps nothing: they name it, and are signed."""

    id: str  # what it is called by, where it is listed and ended
    id_hash: str  # 64 hex digits; of a script's `token <id>`, which is no cookie's
    subject_id: str
    created_at: datetime
    expires_at: datetime  # moves on while it is used, but never past `ends_at`
    ends_at: datetime
    remote: str | None = None
    agent: str | None = None  # what the browser or the script calls itself
    method: SignInMethod = SignInMethod.PASSWORD


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that a program comes with in its subject's name: the store keeps only a keyed hash.

    It allows what the subject's grants allow, and of that only `actions` (None: all) within
    `area_ids` (None: everywhere; an area counts with all below it).
    """

    id: str
    key_hash: str  # 64 hex digits
    prefix: str  # how the key begins: to recognise it by
    subject_id: str
    name: str
    actions: frozenset[str] | None
    area_ids: frozenset[str] | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None  # to the hour


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """A subject's TOTP secret (RFC 6238), sealed; it counts once it was confirmed."""

    subject_id: str
    secret_sealed: bytes
    confirmed: bool
    last_step: int  # the newest time step that a code was taken of: none of it or before again


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody as an OpenID provider knows them: `sub` is unique and kept for ever, there alone."""

    issuer: str
    sub: str


@dataclass(frozen=True, slots=True)
class WantedGrant:
    """One grant that a provider's word stands for."""

    actions: frozenset[str]
    area_code: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that a provider's word about somebody stands for here."""

    grants: frozenset[WantedGrant] = frozenset()
    roles: frozenset[str] = frozenset()  # to be in, each by its name or its id
