"""How one device wants to be asked: nothing, a UsernameToken, HTTP digest, or both. Sans-IO.

The first request goes unsigned; the device's refusal says what it wants, and costs no try. A
refusal of a signed request is a failed try, but for a nonce gone stale, a clock that was set, and a
token that is wanted beside the digest. WS-Security UsernameToken Profile 1.0 (OASIS), RFC 7616,
ONVIF Core section 5.11.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NoReturn

from camera_registry.secret import Secret
from gateways.challenge import authorization, best_challenge
from gateways.onvif.errors import AuthRefused, Fault
from gateways.onvif.soap import xml

_OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
_PASSWORD_DIGEST = f"{_OASIS}username-token-profile-1.0#PasswordDigest"
_BASE64 = f"{_OASIS}soap-message-security-1.0#Base64Binary"
NONCE_BYTES = 16
# A clock that moved less than this between two readings was not set: the password is wrong.
CLOCK_WAS_SET_S = 5.0


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and a password."""

    username: str
    password: Secret


class Scheme(StrEnum):
    """How requests are signed."""

    NONE = "none"
    TOKEN = "token"  # noqa: S105  (a name, not a secret)
    DIGEST = "digest"
    BOTH = "both"


class Next(StrEnum):
    """What to do after an answer."""

    DONE = "done"
    AGAIN = "again"
    # Read the device's clock, tell `clock_read`, and do what that says.
    READ_CLOCK = "read_clock"


def password_digest(nonce: bytes, created: str, password: str) -> str:
    """Base64(SHA-1(nonce + created + password)), UsernameToken Profile 1.0 section 3.1."""
    raw = nonce + created.encode() + password.encode()
    return b64encode(hashlib.sha1(raw, usedforsecurity=False).digest()).decode()


def username_token(login: Login, created_at: datetime, nonce: bytes) -> str:
    """The Security header. `created_at`: UTC by the device's clock."""
    created = created_at.replace(tzinfo=None, microsecond=0).isoformat() + "Z"
    digest = password_digest(nonce, created, login.password.reveal())
    return (
        f'<wsse:Security s:mustUnderstand="1" xmlns:wsse="{_OASIS}wssecurity-secext-1.0.xsd"'
        f' xmlns:wsu="{_OASIS}wssecurity-utility-1.0.xsd"><wsse:UsernameToken>'
        f"<wsse:Username>{xml(login.username)}</wsse:Username>"
        f'<wsse:Password Type="{_PASSWORD_DIGEST}">{digest}</wsse:Password>'
        f'<wsse:Nonce EncodingType="{_BASE64}">{b64encode(nonce).decode()}</wsse:Nonce>'
        f"<wsu:Created>{created}</wsu:Created></wsse:UsernameToken></wsse:Security>"
    )


@dataclass(slots=True)
class SignOn:
    """One device's way in, learnt from its answers. `login`: None asks without a password."""

    # given
    login: Login | None
    clock_offset_s: float = 0.0
    # owned
    scheme: Scheme = Scheme.NONE
    served: bool = False
    _challenge: dict[str, str] | None = field(default=None, repr=False)
    _nonce_uses: int = 0
    _nonce_renewed: bool = False
    _clock_tried: bool = False

    def use(self, login: Login | None) -> None:
        """Another password, or none. It answers a challenge of its own: a nonce gone stale between
        two would look like a wrong password, or a wrong password like a nonce gone stale."""
        self.login = login
        self.served = False
        self._challenge, self._nonce_uses = None, 0
        if self.scheme is not Scheme.TOKEN or login is None:
            self.scheme = Scheme.NONE
        self.began()

    def began(self) -> None:
        """A new request: what is granted once per request is granted again."""
        self._clock_tried = self._nonce_renewed = False

    def token(self, now: datetime) -> str:
        """The Security header of the next request, or "". `now`: our UTC."""
        if self.login is None or self.scheme not in (Scheme.TOKEN, Scheme.BOTH):
            return ""
        return username_token(self.login, self._device_time(now), os.urandom(NONCE_BYTES))

    def authorization(self, uri: str, method: str = "POST") -> str | None:
        """The value of HTTP's `Authorization` for the next request. `uri`: path and query."""
        if self.login is None or self._challenge is None:
            return None
        self._nonce_uses += 1
        login = self.login
        return authorization(
            self._challenge, method, uri, login.username, login.password.reveal(), self._nonce_uses
        )

    def answered(self, status: int, www_authenticate: list[str], fault: Fault | None) -> Next:
        """What an answer to the last request means.

        Raises `AuthRefused`. Only `auth_failed` and `account_locked` are failed tries.
        """
        asks = status == 401 or (fault is not None and fault.not_authorized)
        signed = self.scheme is not Scheme.NONE
        if signed and ((status == 403 and fault is None) or (asks and fault and fault.locked)):
            self._refuse("account_locked", status, fault)
        if not asks:
            self.served = self.served or signed
            return Next.DONE
        if self.login is None:
            self._refuse("auth_required", status, fault)
        challenge = best_challenge(www_authenticate) if status == 401 else None
        if challenge is not None and challenge["scheme"] != "digest":
            challenge = None
        if not signed and challenge is None and fault is None:
            self._refuse("auth_scheme_unsupported", status, fault)
        if not signed or (challenge is not None and self._nonce_is_stale(challenge)):
            self._challenge, self._nonce_uses = challenge, 0
            if not signed:
                self.scheme = Scheme.TOKEN if challenge is None else Scheme.DIGEST
            return Next.AGAIN
        if self.scheme is Scheme.DIGEST and status != 401:
            self.scheme = Scheme.BOTH  # HTTP let the digest pass, SOAP wants a token beside it
            return Next.AGAIN
        if self.scheme is not Scheme.DIGEST and not self._clock_tried:
            self._clock_tried = True
            return Next.READ_CLOCK
        return self._refuse("auth_failed", status, fault)

    def clock_read(self, offset_s: float | None) -> Next:
        """The device's clock, read again after a refusal. The same as before: `AuthRefused`."""
        if offset_s is None or abs(offset_s - self.clock_offset_s) < CLOCK_WAS_SET_S:
            self._refuse("auth_failed", 0, None)
        else:
            self.clock_offset_s = offset_s
        return Next.AGAIN

    # --- inside -----------------------------------------------------------------------------------

    def _nonce_is_stale(self, challenge: dict[str, str]) -> bool:
        """Whether the nonce was refused rather than the password; believed once per request.

        Few firmwares say `stale`. One whose password has served before is given the benefit.
        """
        if self._challenge is None or self._nonce_renewed:
            return False
        self._nonce_renewed = True
        changed = challenge.get("nonce") != self._challenge.get("nonce")
        return challenge.get("stale", "").lower() == "true" or (self.served and changed)

    def _refuse(self, code: str, status: int, fault: Fault | None) -> NoReturn:
        if self.served and code in ("auth_failed", "account_locked"):
            code = "not_permitted"
        detail = f"HTTP {status}" if status else ""
        raise AuthRefused(code, fault.said() if fault is not None else detail)

    def _device_time(self, now: datetime) -> datetime:
        try:
            return now + timedelta(seconds=self.clock_offset_s)
        except OverflowError:
            return now
