"""Signing in and being recognised: passwords to tokens and cookies, and these to a `Principal`.

A cookie is 256 random bits; the store keeps only its SHA-256, so a stolen database signs nobody
in. It renews itself while used, up to an absolute end: an operator is not signed out in the middle
of a shift. Which sign-ins there are is among the facts, so that what one opened ends with it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from camera_registry.credentials import SignIn, SignInMethod
from camera_registry.domain import AuditEntry, Subject, new_id
from camera_registry.feed import ChangeFeed
from camera_registry.store.contract import ReadTx, Store, WriteTx
from camera_registry.units import Units

from . import token_sign_ins
from .audit import entry_for
from .departed import Departed
from .errors import Forbidden, Known, TooManyAttempts, Unauthenticated
from .facts import FactsSource
from .late import catch_up
from .passwords import Passwords
from .principal import Principal
from .rate_limit import SignInLimiter
from .second_factor import SecondFactors
from .tokens import Tokens

SIGN_IN_IDLE = timedelta(hours=12)
SIGN_IN_ENDS_AFTER = timedelta(days=7)
# Renewed at most this often, so that a page that polls does not write at each request.
RENEW_EVERY = timedelta(minutes=10)
COOKIE_BYTES = 32
# An office may share an account among its screens; past it the one unused for longest ends.
MAX_SIGN_INS_OF_SUBJECT = 100
MAX_USERNAME_CHARS = 128


WRONG = "The name or the password is wrong."
NEEDS_CODE = "Give the code of your authenticator, or a recovery code, too."
WRONG_CODE = "The code is wrong, or was used already; wait for the next one."


class _Refused(Exception):
    """Why, for the audit; and what the caller is told."""

    def __init__(
        self,
        subject: Subject | None,
        reason: str,
        sentence: str = WRONG,
        code: str = "bad_credentials",
    ) -> None:
        super().__init__(reason)
        self.subject = subject
        self.reason = reason
        self.sentence = sentence
        self.code = code


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
        feed: ChangeFeed,
        facts: FactsSource,
        departed: Departed,
        passwords: Passwords,
        tokens: Tokens,
        second_factors: SecondFactors,
        limiter: SignInLimiter,
        now: Callable[[], datetime],
        lasts_at_most: timedelta = SIGN_IN_ENDS_AFTER,
    ) -> None:
        self._store = store
        self._feed = feed
        self._units = Units(store, feed)
        self._facts = facts
        self._departed = departed
        self._passwords = passwords
        self._tokens = tokens
        self._second_factors = second_factors
        self._limiter = limiter
        self._now = now
        self._lasts_at_most = lasts_at_most

    async def open(
        self,
        username: str,
        password: str,
        remote: str,
        *,
        code: str | None = None,
        agent: str | None = None,
    ) -> OpenedSignIn:
        """Sign the page in; `agent` is what the browser calls itself. Raises Unauthenticated
        (bad_credentials, second_factor_needed) or TooManyAttempts."""
        subject = await self._verified(username, password, code, remote, act="sign_in")
        return await self.open_for(subject, remote, agent=agent)

    async def open_for(
        self,
        subject: Subject,
        remote: str,
        *,
        agent: str | None = None,
        method: SignInMethod = SignInMethod.PASSWORD,
    ) -> OpenedSignIn:
        """Sign the page in for who was recognised already."""
        cookie = secrets.token_urlsafe(COOKIE_BYTES)
        now = self._now()
        ends_at = now + self._lasts_at_most
        row = SignIn(
            id=new_id("si"),
            id_hash=_id_hash(cookie),
            subject_id=subject.id,
            created_at=now,
            expires_at=min(now + SIGN_IN_IDLE, ends_at),
            ends_at=ends_at,
            remote=remote,
            agent=agent,
            method=method,
        )
        principal = Principal(
            subject.id, subject.username, remote, "cookie", subject.version, row.id
        )
        async with self._units.begin(principal.actor()) as unit:
            await unit.tx.sign_ins.delete_expired(now - token_sign_ins.REMEMBERED)
            await _make_room(unit.tx, subject.id)
            await unit.tx.sign_ins.add(row)
            await unit.record("sign_in", sign_in=row.id, method=method.value)
        return OpenedSignIn(principal, subject, cookie)

    async def token(
        self,
        username: str,
        password: str,
        remote: str,
        *,
        code: str | None = None,
        agent: str | None = None,
    ) -> str:
        """A bearer token, of a sign-in that is listed and ended as a page's; `agent` is what the
        script calls itself. Raises Unauthenticated (bad_credentials, second_factor_needed) or
        TooManyAttempts."""
        subject = await self._verified(username, password, code, remote, act="token")
        principal = Principal(subject.id, subject.username, remote, "bearer", subject.version)
        now = self._now()
        async with self._units.begin(principal.actor()) as unit:
            await unit.tx.sign_ins.delete_expired(now - token_sign_ins.REMEMBERED)
            sign_in_id = await token_sign_ins.enter(
                unit.tx, subject.id, now, remote=remote, agent=agent
            )
            await unit.record("token", sign_in=sign_in_id)
        return self._tokens.issue(
            subject_id=subject.id,
            username=subject.username,
            version=subject.version,
            sign_in_id=sign_in_id,
        )

    async def keep(self, sign_in_ids: Collection[str]) -> None:
        """What was opened with tokens of these goes on, and so do they. To be said every some 20 s;
        each is written once in 20 min."""
        now = self._now()
        due = token_sign_ins.due(sign_in_ids, self._facts.current, now)
        if due:
            async with self._store.write() as tx:
                for each in due:
                    await tx.sign_ins.extend(each, now + token_sign_ins.GOES_ON_FOR)

    async def close(self, principal: Principal) -> None:
        """Sign the page or the script out: cookie or token is worth nothing afterwards, and the
        views that it opened end. An API key is revoked, not signed out."""
        if principal.credential_id is None or principal.via not in ("cookie", "bearer"):
            return
        async with self._units.begin(principal.actor()) as unit:
            await unit.tx.sign_ins.delete([principal.credential_id])
            await unit.record("sign_out", sign_in=principal.credential_id)

    async def from_bearer(self, token: str, remote: str) -> Principal:
        """Who holds the token. Raises Unauthenticated."""
        principal = self._tokens.read(token, remote=remote)
        sign_in_id = principal.credential_id or ""
        known = Known(principal.subject_id, sign_in_id)
        row = self._facts.current.sign_ins.get(sign_in_id)
        # The store is asked of no token but one that was signed here.
        if row is None and await catch_up(self._store, self._feed, lambda tx: _has(tx, sign_in_id)):
            row = self._facts.current.sign_ins.get(sign_in_id)
        if row is None or (row.method, row.subject_id) != (SignInMethod.TOKEN, known.subject_id):
            raise _ended(known)
        subject = self._present_subject(known)
        if subject.version != principal.version:
            raise _ended(known)
        return principal

    async def from_cookie(self, cookie: str, remote: str) -> tuple[Principal, bool]:
        """Who holds the cookie, and whether it was renewed (then send it again). Raises
        Unauthenticated."""
        id_hash = _id_hash(cookie)
        row = self._facts.current.sign_in_by_hash(id_hash)
        if row is None and await catch_up(
            self._store, self._feed, lambda tx: tx.sign_ins.is_known(id_hash)
        ):
            row = self._facts.current.sign_in_by_hash(id_hash)
        now = self._now()
        if row is None:
            raise _ended(self._departed.by_hash(id_hash))
        known = Known(row.subject_id, row.id)
        if row.expires_at <= now:
            raise _ended(known)
        subject = self._present_subject(known)
        principal = Principal(
            subject.id, subject.username, remote, "cookie", subject.version, row.id
        )
        fresh_until = min(now + SIGN_IN_IDLE, row.ends_at)
        renew = fresh_until - row.expires_at >= RENEW_EVERY
        if renew:
            async with self._units.begin(principal.actor()) as unit:
                await unit.tx.sign_ins.extend(row.id, fresh_until)
        return principal, renew

    async def confirm_password(self, principal: Principal, password: str) -> Subject:
        """The signed-in subject, who has said its password again: for what would let others in.
        Raises Forbidden (wrong_password) or TooManyAttempts."""
        subject = self._present_subject(Known(principal.subject_id, principal.credential_id))
        # Whoever asks is signed in.
        self._limiter.attempt(subject.username, principal.remote, is_known=True)
        async with self._store.read() as tx:
            stored = await tx.subjects.password_hash(subject.id)
        if not await self._passwords.verify(stored, password):
            entry = entry_for(
                "password_check",
                principal=principal,
                outcome="refused",
                detail={"reason": "wrong_password"},
            )
            await self._store.append_audit(entry)
            raise Forbidden("The password is wrong.", code="wrong_password")
        self._limiter.succeeded(subject.username, principal.remote, is_known=True)
        return subject

    async def _verified(
        self, username: str, password: str, code: str | None, remote: str, *, act: str
    ) -> Subject:
        name = username.strip().lower()[:MAX_USERNAME_CHARS]
        try:
            return await self._checked(name, password, code, remote)
        except _Refused as refused:
            entry = AuditEntry(
                act=act,
                outcome="refused",
                subject_id=None if refused.subject is None else refused.subject.id,
                subject_name=name,
                remote=remote,
                detail={"reason": refused.reason},
            )
            await self._store.append_audit(entry)
            raise Unauthenticated(refused.sentence, code=refused.code) from None
        except TooManyAttempts as error:
            if error.is_first:
                detail = {"reason": "locked", "limit": error.limit, "for_s": error.retry_after_s}
                entry = AuditEntry(
                    act=act, outcome="refused", subject_name=name, remote=remote, detail=detail
                )
                await self._store.append_audit(entry)
            raise

    async def _checked(self, name: str, password: str, code: str | None, remote: str) -> Subject:
        # Counted before the check, so that guesses at once do not pass together.
        is_known = self._is_known(name, remote)
        self._limiter.attempt(name, remote, is_known=is_known)
        async with self._store.read() as tx:
            subject = await tx.subjects.by_username(name)
            stored = None if subject is None else await tx.subjects.password_hash(subject.id)
        matches = await self._passwords.verify(stored, password)
        if not matches or subject is None or not subject.enabled:
            raise _Refused(subject, _why(subject, matches))
        if subject.has_second_factor:
            # The password's attempt stays counted until the code is right.
            if code is None:
                raise _Refused(subject, "no_code", NEEDS_CODE, "second_factor_needed")
            if not await self._second_factors.check(subject, code):
                raise _Refused(subject, "wrong_code", WRONG_CODE, "second_factor_needed")
        self._limiter.succeeded(name, remote, is_known=is_known)
        return subject

    def _is_known(self, name: str, remote: str) -> bool:
        facts = self._facts.current
        subject = facts.subject_named(name)
        if subject is None:
            return False
        return any(row.remote == remote for row in facts.sign_ins_of(subject.id))

    def _present_subject(self, known: Known) -> Subject:
        subject = self._facts.current.subject(known.subject_id or "")
        if subject is None or not subject.enabled:
            raise _ended(known)
        return subject


def _ended(known: Known | None) -> Unauthenticated:
    sentence = "The sign-in has ended; sign in again."
    return Unauthenticated(sentence, code="sign_in_ended", known=known)


async def _make_room(tx: WriteTx, subject_id: str) -> None:
    """Among the page's; what scripts have is counted apart."""
    rows = await tx.sign_ins.of_subject(subject_id)
    rows = [row for row in rows if row.method is not SignInMethod.TOKEN]
    longest_unused = sorted(rows, key=lambda row: row.expires_at)
    await tx.sign_ins.delete(
        [row.id for row in longest_unused[: max(0, len(rows) + 1 - MAX_SIGN_INS_OF_SUBJECT)]]
    )


async def _has(tx: ReadTx, sign_in_id: str) -> bool:
    return await tx.sign_ins.get(sign_in_id) is not None


def _why(subject: Subject | None, matches: bool) -> str:
    if subject is None:
        return "unknown_name"
    return "wrong_password" if not matches else "subject_disabled"


def _id_hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
