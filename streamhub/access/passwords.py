"""Passwords of people and services: argon2id, always off the event loop.

One check costs about 50 ms and 64 MiB, so the number at once is bounded.
"""

from __future__ import annotations

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from .password_rules import MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS, check_length, check_new

# Two checks at once: 128 MiB and two cores at most, however many sign in at shift change.
MAX_CHECKS_AT_ONCE = 2


def hash_password(password: str) -> str:
    """The argon2id string to store, whatever the password is but for its length; blocks for about
    50 ms, so not for the event loop. Raises PasswordTooWeak."""
    check_length(password)
    return PasswordHasher().hash(password)


class Passwords:
    """Hash and verify. `hasher` is given by tests that need cheap hashes."""

    def __init__(
        self, hasher: PasswordHasher | None = None, *, min_chars: int = MIN_PASSWORD_CHARS
    ) -> None:
        self._min_chars = min_chars
        self._hasher = hasher or PasswordHasher()
        self._slots = asyncio.Semaphore(MAX_CHECKS_AT_ONCE)
        self._decoy: str | None = None

    async def hash(self, password: str, username: str) -> str:
        """The argon2id string to store of a new password. Raises PasswordTooWeak."""
        check_new(password, username, min_chars=self._min_chars)
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether it matches. Without a stored hash (unknown name) it takes as long all the
        same, so that time does not tell which names exist."""
        if len(password) > MAX_PASSWORD_CHARS:
            return False
        async with self._slots:
            return await asyncio.to_thread(self._verify, stored, password)

    def _verify(self, stored: str | None, password: str) -> bool:
        if stored is None:
            if self._decoy is None:
                self._decoy = self._hasher.hash(secrets.token_urlsafe(16))
            stored, known = self._decoy, False
        else:
            known = True
        try:
            return self._hasher.verify(stored, password) and known
        except (VerificationError, InvalidHashError):
            return False
