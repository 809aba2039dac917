"""The first sign-in of an empty registry: whoever reads the code where the service was started
becomes its administrator. No default password, and no open door until somebody comes.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Final

from camera_registry.domain import Actor, Subject
from camera_registry.first_start import FirstStart, FirstStartDraft

from .errors import Forbidden
from .passwords import Passwords
from .rate_limit import SignInLimiter

# Without I, L, O and U: read aloud and typed by hand. 60 bits, and five tries at once.
_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_GROUPS, _GROUP_CHARS = 3, 4


class Setup:
    """`code` is there while it is needed; it is told to the terminal alone."""

    def __init__(
        self, first_start: FirstStart, passwords: Passwords, limiter: SignInLimiter
    ) -> None:
        self._first_start = first_start
        self._passwords = passwords
        self._limiter = limiter
        self.code: str | None = None

    async def start(self) -> None:
        """Makes a code if nobody can sign in yet."""
        if await self._first_start.is_needed():
            self.code = "-".join(
                "".join(secrets.choice(_LETTERS) for _ in range(_GROUP_CHARS))
                for _ in range(_GROUPS)
            )

    async def is_needed(self) -> bool:
        """Also a subject that the command line made ends it."""
        if self.code is not None and not await self._first_start.is_needed():
            self.code = None
        return self.code is not None

    async def make(self, code: str, draft: FirstStartDraft, password: str, remote: str) -> Subject:
        """The administrator. Raises TooManyAttempts, Forbidden (setup_done, setup_code_wrong),
        PasswordTooWeak, ValidationFailed, Conflict."""
        self._limiter.attempt("", remote)
        if not await self.is_needed() or self.code is None:
            raise Forbidden("An administrator exists already: sign in.", code="setup_done")
        if not hmac.compare_digest(_plain(code), _plain(self.code)):
            raise Forbidden(
                "This is not the code that the service printed when it started; after a restart "
                "there is a new one.",
                code="setup_code_wrong",
            )
        hashed = await self._passwords.hash(password, draft.username)
        actor = Actor(subject_id=None, subject_name="setup", remote=remote, as_role="first_start")
        subject = await self._first_start.make(draft, hashed, actor)
        self.code = None
        self._limiter.succeeded("", remote)
        return subject


def _plain(code: str) -> bytes:
    return "".join(code.upper().replace("-", " ").split()).encode()
