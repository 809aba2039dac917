"""A second factor for local accounts: codes by time (TOTP, RFC 6238), and recovery codes.

The secret has 160 bits (RFC 4226 section 4, R6) and lies sealed as cameras' passwords do. A code is
taken within one step of 30 s before or after ours, and once: neither it nor an older one again
(RFC 6238 section 5.2).
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from camera_registry.credentials import SecondFactor
from camera_registry.domain import Actor, Subject
from camera_registry.errors import Conflict, NotFound
from camera_registry.feed import ChangeFeed
from camera_registry.secret import Secret
from camera_registry.store.contract import Store, WriteTx
from camera_registry.units import Units
from camera_registry.vault import Vault

from .rate_limit import SignInLimiter

SECRET_BYTES = 20
STEP_S = 30
DIGITS = 6
DRIFT_STEPS = 1
ISSUER = "StreamHub"
RECOVERY_CODES = 10
RECOVERY_BYTES = 10  # 80 bits: 16 characters of base32
PURPOSE = "streamhub recovery codes"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator is told, once: the secret in base32, and the same as a URI."""

    secret: Secret
    uri: Secret


@dataclass(frozen=True, slots=True)
class Status:
    confirmed: bool
    recovery_codes_left: int


class SecondFactors:
    """Set up, checked, taken away."""

    def __init__(
        self,
        *,
        store: Store,
        feed: ChangeFeed,
        vault: Vault,
        limiter: SignInLimiter,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._units = Units(store, feed)
        self._vault = vault
        # Keyed, so that the database alone does not tell what to try.
        self._hash_key = vault.derive(PURPOSE)
        self._limiter = limiter
        self._now = now

    async def status(self, subject_id: str) -> Status:
        async with self._store.read() as tx:
            factor = await tx.second_factors.get(subject_id)
            left = await tx.second_factors.recovery_codes_left(subject_id)
        return Status(factor is not None and factor.confirmed, left)

    async def enrol(self, subject: Subject, by: Actor) -> Enrolment:
        """A new secret; it counts for nothing until `confirm`. Raises
        Conflict("second_factor_exists")."""
        secret = secrets.token_bytes(SECRET_BYTES)
        sealed = self._vault.seal_bytes(_owner(subject.id), secret)
        async with self._units.begin(by) as unit:
            known = await unit.tx.second_factors.get(subject.id)
            if known is not None and known.confirmed:
                raise Conflict(
                    "second_factor", "second_factor_exists", "There is one; remove it first."
                )
            await unit.tx.second_factors.put(SecondFactor(subject.id, sealed, False, 0))
            await unit.record("second_factor_enrol", of=subject.username)
        text = base64.b32encode(secret).decode()
        uri = _totp(secret).get_provisioning_uri(subject.username, ISSUER)
        return Enrolment(Secret(text), Secret(uri))

    async def confirm(self, subject: Subject, code: str, by: Actor) -> list[Secret] | None:
        """The first code of the authenticator: from now on sign-ins ask for one. The recovery
        codes, to be kept elsewhere; None when the code is wrong. Raises NotFound when nothing is
        set up, Conflict("second_factor_exists"), TooManyAttempts."""
        self._limiter.attempt_code(subject.id)
        codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
        async with self._units.begin(by) as unit:
            factor = await unit.tx.second_factors.get(subject.id)
            if factor is None:
                raise NotFound("second factor of", subject.username)
            if factor.confirmed:
                raise Conflict("second_factor", "second_factor_exists", "It is confirmed already.")
            if not await self._take(unit.tx, factor, code):
                return None
            await unit.tx.second_factors.confirm(subject.id, [self._hash(each) for each in codes])
            await unit.record("second_factor_confirm", of=subject.username)
        self._limiter.code_succeeded(subject.id)
        return [Secret(each) for each in codes]

    async def check(self, subject: Subject, code: str) -> bool:
        """Whether it is the code of now, or a recovery code; it is used up by that. Raises
        TooManyAttempts."""
        self._limiter.attempt_code(subject.id)
        actor = Actor(subject.id, subject.username)
        async with self._units.begin(actor) as unit:
            factor = await unit.tx.second_factors.get(subject.id)
            if factor is None or not factor.confirmed:
                return False
            taken = await self._take(unit.tx, factor, code)
            if not taken:
                taken = await unit.tx.second_factors.take_recovery_code(
                    subject.id, self._hash(code)
                )
                if taken:
                    left = await unit.tx.second_factors.recovery_codes_left(subject.id)
                    await unit.record("recovery_code_used", of=subject.username, left=left)
        if taken:
            self._limiter.code_succeeded(subject.id)
        return taken

    async def remove(self, subject: Subject, by: Actor) -> None:
        """Sign-ins ask for no code any more; no error when there is none."""
        async with self._units.begin(by) as unit:
            if await unit.tx.second_factors.delete(subject.id):
                await unit.record("second_factor_remove", of=subject.username)

    async def _take(self, tx: WriteTx, factor: SecondFactor, code: str) -> bool:
        totp = _totp(self._vault.open_bytes(_owner(factor.subject_id), factor.secret_sealed))
        given = code.replace(" ", "").encode()
        now_step = int(self._now().timestamp()) // STEP_S
        for step in range(now_step - DRIFT_STEPS, now_step + DRIFT_STEPS + 1):
            if hmac.compare_digest(totp.generate(step * STEP_S), given):
                return await tx.second_factors.take_step(factor.subject_id, step)
        return False

    def _hash(self, code: str) -> str:
        plain = code.replace("-", "").replace(" ", "").lower()
        return hmac.new(self._hash_key, plain.encode(), sha256).hexdigest()


def _totp(secret: bytes) -> TOTP:
    # Authenticators know SHA-1 alone for certain; for HMAC it is sound (RFC 6238 section 1.2).
    return TOTP(secret, DIGITS, SHA1(), STEP_S)  # noqa: S303


def _owner(subject_id: str) -> str:
    return f"totp {subject_id}"


def _recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))
