"""How a device knows who asks: WS-UsernameToken digest and HTTP digest, and its lock-out.

OASIS Web Services Security UsernameToken Profile 1.0; RFC 7616 (and RFC 2617's form without qop);
ONVIF Core section 5.9: who brings nothing gets 401, who brings a wrong token gets a fault.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from camera_registry.secret import Secret

from .soap import DIGEST_TYPE, WSSE, WSU, Element
from .xsd import unix_time

# A token made at another time than this is refused: the tightest that devices are known to be.
CLOCK_WINDOW_S = 5.0
# Every nonce that could still pass the window at a client's busiest; older ones fail by time.
NONCES_KEPT = 256
# A client may use one challenge for so long, then it is told `stale`.
CHALLENGE_LIFE_S = 300.0
LOCKOUT_S = 300.0
REALM = "onvif"

_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_FIELD = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True, slots=True)
class Credentials:
    """One user of a device."""

    username: str
    password: Secret


class Verdict(Enum):
    """What became of a request's credentials."""

    ALLOWED = "allowed"
    NOTHING = "nothing"  # none were brought
    STALE = "stale"  # an old challenge was answered: no failed try
    REFUSED = "refused"  # a failed try
    OFF_CLOCK = "off_clock"  # the right password, made at another time than the device's
    REPLAYED = "replayed"  # a nonce that was used before
    LOCKED = "locked"  # right or wrong: too many failed tries before it


@dataclass(slots=True)
class Gate:
    """One device's door. `challenge_key` makes its challenges unguessable."""

    # given
    credentials: Credentials | None
    algorithms: tuple[str, ...]
    lockout_tries: int
    challenge_key: bytes = field(repr=False)
    # owned
    failed_tries: int = 0
    lockouts: int = 0
    off_clock: int = 0
    _in_a_row: int = 0
    _locked_until: float = 0.0
    _nonces: deque[bytes] = field(default_factory=lambda: deque(maxlen=NONCES_KEPT))

    def locked(self, now: float) -> bool:
        return now < self._locked_until

    def token(self, security: Element | None, now: float, device_time: float) -> Verdict:
        """Judge the `wsse:Security` header; `device_time` is what the device's clock shows."""
        token = None if security is None else security.child(WSSE, "UsernameToken")
        if token is None:
            return Verdict.NOTHING
        if self.locked(now):
            return Verdict.LOCKED
        password = token.child(WSSE, "Password")
        created = token.value((WSU, "Created")) or ""
        nonce = _decoded(token.value((WSSE, "Nonce")) or "")
        if password is None or password.attributes.get("Type") != DIGEST_TYPE or nonce is None:
            return self._failed(now)
        if not self._digest_fits(token, password.text.strip(), nonce, created):
            return self._failed(now)
        made = unix_time(created)
        if made is None or abs(made - device_time) > CLOCK_WINDOW_S:
            self.off_clock += 1
            return Verdict.OFF_CLOCK
        if nonce in self._nonces:
            return Verdict.REPLAYED
        self._nonces.append(nonce)
        return self._passed()

    def http(self, header: str | None, method: str, target: str, now: float) -> Verdict:
        """Judge the value of `Authorization` for this request line.

        A response may come again while its challenge lives: `nc` is not followed.
        """
        scheme, _, rest = (header or "").partition(" ")
        if scheme.lower() != "digest":
            return Verdict.NOTHING
        if self.locked(now):
            return Verdict.LOCKED
        given = {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare
            for name, quoted, bare in _FIELD.findall(rest)
        }
        algorithm = given.get("algorithm", "MD5").upper()
        if (
            self.credentials is None
            or algorithm not in self.algorithms
            or given.get("uri") != target
            or not self._is_ours(given.get("nonce", ""))
        ):
            return self._failed(now)
        wanted = self._response(algorithm, given, method)
        known = _same(given.get("username", ""), self.credentials.username)
        if not (_same(wanted, given.get("response", "")) and known):
            return self._failed(now)
        if now - int(given["nonce"].partition(".")[0], 16) > CHALLENGE_LIFE_S:
            return Verdict.STALE
        return self._passed()

    def challenges(self, now: float, *, stale: bool = False) -> list[str]:
        """Values of `WWW-Authenticate`, one for each algorithm, the preferred first."""
        stamp = f"{int(now):x}"
        nonce = f"{stamp}.{self._sign(stamp)}"
        tail = ", stale=true" if stale else ""
        return [
            f'Digest realm="{REALM}", qop="auth", algorithm={name}, nonce="{nonce}"{tail}'
            for name in self.algorithms
        ]

    # --- inside -----------------------------------------------------------------------------------

    def _digest_fits(self, token: Element, digest: str, nonce: bytes, created: str) -> bool:
        if self.credentials is None:
            return False
        username = token.value((WSSE, "Username")) or ""
        password = self.credentials.password.reveal()
        # SHA-1 is what the profile asks for (section 3.1).
        whole = hashlib.sha1(
            nonce + created.encode() + password.encode(), usedforsecurity=False
        ).digest()
        fits = _same(b64encode(whole).decode(), digest)
        return _same(username, self.credentials.username) and fits

    def _response(self, algorithm: str, given: dict[str, str], method: str) -> str:
        assert self.credentials is not None  # noqa: S101  (http() has looked)

        def digest(*parts: str) -> str:
            data = ":".join(parts).encode()
            return _HASHES[algorithm](data, usedforsecurity=False).hexdigest()

        user, password = self.credentials.username, self.credentials.password.reveal()
        ha1, ha2 = digest(user, REALM, password), digest(method, given["uri"])
        if given.get("qop") == "auth":
            count, cnonce = given.get("nc", ""), given.get("cnonce", "")
            return digest(ha1, given["nonce"], count, cnonce, "auth", ha2)
        return digest(ha1, given["nonce"], ha2)

    def _is_ours(self, nonce: str) -> bool:
        stamp, _, signature = nonce.partition(".")
        return _same(self._sign(stamp), signature)

    def _sign(self, stamp: str) -> str:
        return hmac.new(self.challenge_key, stamp.encode(), hashlib.sha256).hexdigest()[:32]

    def _failed(self, now: float) -> Verdict:
        self.failed_tries += 1
        self._in_a_row += 1
        if self._in_a_row >= self.lockout_tries:
            self._in_a_row = 0
            self.lockouts += 1
            self._locked_until = now + LOCKOUT_S
        return Verdict.REFUSED

    def _passed(self) -> Verdict:
        self._in_a_row = 0
        return Verdict.ALLOWED


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _decoded(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True) or None
    except (binascii.Error, ValueError):
        return None
