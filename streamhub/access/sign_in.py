"""Signing in and being recognised: passwords to tokens and cookies, and these to a `Principal`.

A cookie is 256 random bits; the store keeps only its SHA-256, so a stolen database signs nobody
in. It renews itself while used: an operator is not signed out in the middle of a shift.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from camera_registry.domain import AuditEntry, SignIn, Subject
from camera_registry.store.contract import Store

from .audit import entry_for
from .errors import Unauthenticated
from .facts import FactsSource
from .facts_cache import FactsChange
from .passwords import Passwords
from .principal import Principal
from .rate_limit import SignInLimiter
from .tokens import Tokens

SIGN_IN_LIFETIME_S = 12 * 3600
# Renewed at most this often, so that a page that polls does not write at each request.
RENEW_EVERY_S = 10 * 60
COOKIE_BYTES = 32
# A sign-in is about 300 bytes here; a district has some hundreds of operators.
MAX_CACHED_SIGN_INS = 4_096
MAX_USERNAME_CHARS = 128


@dataclass(frozen=True, slots=True)
class OpenedSignIn:
    """A new sign-in of the page. `cookie` is the secret to hand to the browser."""

    principal: Principal
    subject: Subject
    cookie: str


class SignIns:
    """The use cases of signing in. Reads on each request are from memory."""

    def __init__(
        self,
        *,
        store: Store,
        facts: FactsSource,
        passwords: Passwords,
        tokens: Tokens,
        limiter: SignInLimiter,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._facts = facts
        self._passwords = passwords
        self._tokens = tokens
        self._limiter = limiter
        self._now = now
        self._cached: OrderedDict[str, SignIn] = OrderedDict()
        self._changes_heard = 0

    async def open(self, username: str, password: str, remote: str) -> OpenedSignIn:
        """Sign the page in. Raises Unauthenticated (bad_credentials) or TooManyAttempts."""
        subject = await self._verified(username, password, remote, act="sign_in")
        principal = Principal(subject.id, subject.username, remote, "cookie", subject.version)
        cookie = secrets.token_urlsafe(COOKIE_BYTES)
        now = self._now()
        row = SignIn(
            id_hash=_id_hash(cookie),
            subject_id=subject.id,
            created_at=now,
            expires_at=now + timedelta(seconds=SIGN_IN_LIFETIME_S),
            remote=remote,
        )
        async with self._store.write() as tx:
            await tx.sign_ins.delete_expired(now)
            await tx.sign_ins.add(row)
            await tx.audit.append(entry_for("sign_in", principal=principal))
        return OpenedSignIn(principal, subject, cookie)

    async def token(self, username: str, password: str, remote: str) -> str:
        """A bearer token. Raises Unauthenticated (bad_credentials) or TooManyAttempts."""
        subject = await self._verified(username, password, remote, act="token")
        principal = Principal(subject.id, subject.username, remote, "bearer", subject.version)
        token = self._tokens.issue(
            subject_id=subject.id, username=subject.username, version=subject.version
        )
        await self._store.append_audit(entry_for("token", principal=principal))
        return token

    async def close(self, cookie: str, principal: Principal) -> None:
        """Sign the page out; the cookie is worth nothing afterwards."""
        id_hash = _id_hash(cookie)
        async with self._store.write() as tx:
            await tx.sign_ins.delete(id_hash)
            await tx.audit.append(entry_for("sign_out", principal=principal))
        self._changes_heard += 1
        self._cached.pop(id_hash, None)

    def from_bearer(self, token: str, remote: str) -> Principal:
        """Who holds the token. Raises Unauthenticated."""
        principal = self._tokens.read(token, remote=remote)
        subject = self._present_subject(principal.subject_id)
        if subject.version != principal.version:
            raise Unauthenticated("The sign-in has ended; sign in again.", code="sign_in_ended")
        return principal

    async def from_cookie(self, cookie: str, remote: str) -> tuple[Principal, bool]:
        """Who holds the cookie, and whether it was renewed (then send it again). Raises
        Unauthenticated."""
        row = await self._sign_in(_id_hash(cookie))
        now = self._now()
        if row is None or row.expires_at <= now:
            raise Unauthenticated("The sign-in has ended; sign in again.", code="sign_in_ended")
        subject = self._present_subject(row.subject_id)
        principal = Principal(subject.id, subject.username, remote, "cookie", subject.version)
        fresh_until = now + timedelta(seconds=SIGN_IN_LIFETIME_S)
        renew = (fresh_until - row.expires_at).total_seconds() >= RENEW_EVERY_S
        if renew:
            async with self._store.write() as tx:
                # It may have been signed out meanwhile: a renewal must not bring it back.
                await tx.sign_ins.extend(row.id_hash, fresh_until)
            if row.id_hash in self._cached:
                self._cached[row.id_hash] = replace(row, expires_at=fresh_until)
        return principal, renew

    async def facts_changed(self, change: FactsChange) -> None:
        """Forget cached sign-ins that another request or process may have ended."""
        self._changes_heard += 1
        if change.is_everything or "subject" in change.kinds:
            self._cached.clear()
        elif "sign_in" in change.kinds:
            for id_hash in change.object_ids:
                self._cached.pop(id_hash, None)

    async def _verified(self, username: str, password: str, remote: str, *, act: str) -> Subject:
        name = username.strip().lower()[:MAX_USERNAME_CHARS]
        # Counted before the check, so that guesses at once do not pass together.
        self._limiter.attempt(name, remote)
        async with self._store.read() as tx:
            subject = await tx.subjects.by_username(name)
            stored = None if subject is None else await tx.subjects.password_hash(subject.id)
        matches = await self._passwords.verify(stored, password)
        if not matches or subject is None or not subject.enabled:
            await self._store.append_audit(
                AuditEntry(
                    act=act,
                    outcome="refused",
                    subject_id=None if subject is None else subject.id,
                    subject_name=name,
                    remote=remote,
                    detail={"reason": _why(subject, matches)},
                )
            )
            raise Unauthenticated("The name or the password is wrong.", code="bad_credentials")
        self._limiter.succeeded(name, remote)
        return subject

    def _present_subject(self, subject_id: str) -> Subject:
        subject = self._facts.current.subject(subject_id)
        if subject is None or not subject.enabled:
            raise Unauthenticated("The sign-in has ended; sign in again.", code="sign_in_ended")
        return subject

    async def _sign_in(self, id_hash: str) -> SignIn | None:
        row = self._cached.get(id_hash)
        if row is None:
            heard = self._changes_heard
            async with self._store.read() as tx:
                row = await tx.sign_ins.get(id_hash)
            # A sign-out heard of while reading: what was read may be from before it.
            if row is not None and heard == self._changes_heard:
                self._cached[id_hash] = row
        if id_hash in self._cached:
            self._cached.move_to_end(id_hash)
            while len(self._cached) > MAX_CACHED_SIGN_INS:
                self._cached.popitem(last=False)
        return row


def _why(subject: Subject | None, matches: bool) -> str:
    if subject is None:
        return "unknown_name"
    return "wrong_password" if not matches else "subject_disabled"


def _id_hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
