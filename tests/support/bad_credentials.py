"""Credentials that nobody may get in with, by name: what is shown, and how it is refused.

A table for each kind of them; who walks it against which doors: tests/contract/
test_bad_credentials.py (HTTP), tests/contract/test_http_oidc.py (ID tokens), tests/e2e/
test_bad_tickets.py (the RTSP door of the real core).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from streamhub.access.tickets import MAC_BYTES, ticket_key


def b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def jws(claims: Mapping[str, Any], key: bytes, *, alg: str = "HS256", **head: Any) -> str:
    """A signed token, by hand: libraries refuse to make what is made here."""
    parts = [{"alg": alg, "typ": "JWT", **head}, claims]
    signed = ".".join(b64(json.dumps(part).encode()) for part in parts)
    name = {"HS384": "sha384", "HS512": "sha512"}.get(alg, "sha256")
    return f"{signed}.{b64(hmac.digest(key, signed.encode(), name))}"


def changed(text: str, place: int) -> str:
    """With another character there."""
    place %= len(text)
    return text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]


@dataclass(frozen=True)
class Hand:
    """What an attacker may hold, and the service's own key to sign what it never would."""

    now: float  # seconds since 1970
    token_key: bytes
    token: str  # good, of yongshun
    other_token: str  # good, of somebody else
    disabled_token: str
    outdated_token: str  # the password has changed since
    signed_out_token: str
    ended_token: str  # by whoever manages the district
    cookie: str  # good
    disabled_cookie: str
    outdated_cookie: str
    signed_out_cookie: str
    signed_out_id: str
    expired_cookie: str
    sign_in_id: str
    api_key: str  # good
    api_key_id: str
    disabled_key: str
    revoked_key: str
    revoked_key_id: str
    expired_key: str
    expired_key_id: str
    ticket: str  # good
    password: str

    def claims(self, **wrong: Any) -> dict[str, Any]:
        """Of the good token, with some of them wrong; None takes one away."""
        claims = {**json.loads(unb64(self.token.split(".")[1])), **wrong}
        return {key: value for key, value in claims.items() if value is not None}

    @property
    def token_id(self) -> str:
        """Of the good token's sign-in."""
        return str(self.claims()["sid"])

    def signed(self, **wrong: Any) -> str:
        return jws(self.claims(**wrong), self.token_key)

    def swapped(self, **wrong: Any) -> str:
        """Other claims under the good token's signature."""
        head, _, mac = self.token.split(".")
        return f"{head}.{b64(json.dumps(self.claims(**wrong)).encode())}.{mac}"


Make = Callable[[Hand], str]


@dataclass(frozen=True)
class Bad:
    """`code` is that of the problem; its status is 401."""

    name: str
    make: Make
    code: str


def _bearer(name: str, make: Make, code: str = "token_invalid") -> Bad:
    return Bad(name, lambda hand: f"Bearer {make(hand)}", code)


def _unsigned(hand: Hand, alg: str, mac: str = "") -> str:
    head = b64(json.dumps({"alg": alg, "typ": "JWT"}).encode())
    return f"{head}.{hand.token.split('.')[1]}.{mac}"


AUTHORIZATION: tuple[Bad, ...] = (
    # --- algorithms
    _bearer("algorithm none", lambda h: _unsigned(h, "none")),
    _bearer("algorithm None, in other letters", lambda h: _unsigned(h, "NoNe")),
    _bearer(
        "algorithm none, with a good token's signature",
        lambda h: _unsigned(h, "none", h.token.split(".")[2]),
    ),
    _bearer("no algorithm", lambda h: jws(h.claims(), h.token_key, alg="")),
    _bearer("HS384 with the right key", lambda h: jws(h.claims(), h.token_key, alg="HS384")),
    _bearer("HS512 with the right key", lambda h: jws(h.claims(), h.token_key, alg="HS512")),
    _bearer("RS256 in the head, HMAC beneath", lambda h: jws(h.claims(), h.token_key, alg="RS256")),
    # --- keys
    _bearer("another key", lambda h: jws(h.claims(), b"k" * 32)),
    _bearer("the empty key", lambda h: jws(h.claims(), b"")),
    _bearer("the key of tickets", lambda h: jws(h.claims(), ticket_key(h.token_key))),
    _bearer(
        "a key that the token brings",
        lambda h: jws(
            h.claims(), b"k" * 32, jwk={"kty": "oct", "k": b64(b"k" * 32)}, kid="../../dev/null"
        ),
    ),
    # --- claims
    _bearer("another audience", lambda h: h.signed(aud="another-service")),
    _bearer("no audience", lambda h: h.signed(aud=None)),
    _bearer("no subject", lambda h: h.signed(sub=None)),
    _bearer("no version", lambda h: h.signed(ver=None)),
    _bearer("no sign-in", lambda h: h.signed(sid=None)),
    _bearer("a sign-in that is not there", lambda h: h.signed(sid="si_none"), "sign_in_ended"),
    _bearer("a page's sign-in", lambda h: h.signed(sid=h.sign_in_id), "sign_in_ended"),
    _bearer("another's subject", lambda h: h.signed(sub="su_admin", name="admin"), "sign_in_ended"),
    _bearer("no end", lambda h: h.signed(exp=None)),
    _bearer("an end that is no time", lambda h: h.signed(exp="never")),
    _bearer("ended a second ago", lambda h: h.signed(exp=h.now - 1), "token_expired"),
    _bearer("ended long ago", lambda h: h.signed(exp=1), "token_expired"),
    _bearer("begins in an hour", lambda h: h.signed(nbf=h.now + 3600)),
    _bearer("a subject that is not there", lambda h: h.signed(sub="su_nobody"), "sign_in_ended"),
    _bearer("a version to come", lambda h: h.signed(ver=10_000), "sign_in_ended"),
    _bearer("the password has changed since", lambda h: h.outdated_token, "sign_in_ended"),
    _bearer("its subject is disabled", lambda h: h.disabled_token, "sign_in_ended"),
    _bearer("replayed after signing out", lambda h: h.signed_out_token, "sign_in_ended"),
    _bearer("ended by an administrator", lambda h: h.ended_token, "sign_in_ended"),
    # --- swapped and cut
    _bearer("swapped subject", lambda h: h.swapped(sub="su_admin")),
    _bearer("swapped end", lambda h: h.swapped(exp=h.now + 10**9)),
    _bearer(
        "another's claims under this signature",
        lambda h: ".".join([*h.other_token.split(".")[:2], h.token.split(".")[2]]),
    ),
    _bearer("one character of the signature", lambda h: changed(h.token, h.token.rindex(".") + 1)),
    _bearer("one character of the claims", lambda h: changed(h.token, h.token.index(".") + 9)),
    _bearer("truncated by one", lambda h: h.token[:-1]),
    _bearer("truncated by half", lambda h: h.token[: len(h.token) // 2]),
    _bearer("without its signature", lambda h: h.token.rpartition(".")[0] + "."),
    _bearer("with a fourth part", lambda h: h.token + ".e30"),
    _bearer("two tokens", lambda h: f"{h.token} {h.other_token}"),
    _bearer("rubbish", lambda h: "rubbish"),
    Bad("nothing after Bearer", lambda h: "Bearer ", "token_invalid"),
    Bad("the token as Basic", lambda h: f"Basic {b64(h.token.encode())}", "token_invalid"),
    Bad("a scheme of its own", lambda h: f"Token {h.token}", "token_invalid"),
    Bad("no scheme", lambda h: h.token, "token_invalid"),
    # --- API keys
    _bearer("an API key of nobody", lambda h: "shk_" + b64(b"n" * 32), "key_invalid"),
    _bearer("an API key, changed", lambda h: changed(h.api_key, 20), "key_invalid"),
    _bearer("an API key, truncated", lambda h: h.api_key[:-1], "key_invalid"),
    _bearer("an API key, as lists show it", lambda h: h.api_key[:12], "key_invalid"),
    _bearer("an API key in capitals", lambda h: h.api_key.upper()),
    _bearer("an API key without its prefix", lambda h: h.api_key.removeprefix("shk_")),
    _bearer("an API key's id", lambda h: h.api_key_id),
    _bearer("a revoked API key", lambda h: h.revoked_key, "key_invalid"),
    _bearer("an API key that has run out", lambda h: h.expired_key, "key_expired"),
    _bearer("an API key of a disabled subject", lambda h: h.disabled_key, "key_invalid"),
    # --- what opens another door
    _bearer("a cookie", lambda h: h.cookie),
    _bearer("a sign-in's id", lambda h: h.sign_in_id),
    _bearer("an RTSP ticket", lambda h: h.ticket),
    _bearer("the password", lambda h: h.password),
)

COOKIES: tuple[Bad, ...] = tuple(
    Bad(name, make, "sign_in_ended")
    for name, make in {
        "random": lambda h: b64(b"r" * 32),
        "truncated": lambda h: h.cookie[:-1],
        "one character": lambda h: changed(h.cookie, 7),
        "with a tail": lambda h: h.cookie + "A",
        "what the store keeps of it": lambda h: hashlib.sha256(h.cookie.encode()).hexdigest(),
        "a sign-in's id": lambda h: h.sign_in_id,
        "what the store keeps of a token": lambda h: f"token {h.token_id}",
        "replayed after signing out": lambda h: h.signed_out_cookie,
        "unused for too long": lambda h: h.expired_cookie,
        "its subject is disabled": lambda h: h.disabled_cookie,
        "the password has changed since": lambda h: h.outdated_cookie,
        "a bearer token": lambda h: h.token,
        "an API key": lambda h: h.api_key,
        "an RTSP ticket": lambda h: h.ticket,
    }.items()
)

# `Origin` of a change that comes with a good cookie: 403 `cross_origin`.
ORIGINS: Mapping[str, str] = {
    "another site": "http://evil.example",
    "another port of this host": "http://testserver:9999",
    "a host above": "http://server",
    "a host beneath": "http://x.testserver",
    "this host as a user name": "http://testserver@evil.example",
    "this host as a path": "http://evil.example/testserver",
    "this host with a tail": "http://testserver.evil.example",
    "a sandboxed frame": "null",
    "a file": "file://",
    "nothing": "",
}

# What a provider's token answer is made to hold (tests/support/oidc_provider), and what the audit
# then says of it. The page is told `oidc_bad_answer`.
ID_TOKENS: Mapping[str, str] = {
    "nonce": "nonce",
    "no_nonce": "nonce",
    "audience": "audience",
    "two_audiences": "issued_to_another",
    "party": "issued_to_another",
    "issuer": "issuer",
    "expired": "expired",
    "future": "not_yet_valid",
    "no_expiry": "claim_missing",
    "alg_none": "algorithm_refused",
    "hmac": "algorithm_refused",
    "other_key": "signature",
    "unknown_key": "unknown_key",
    "swapped_subject": "signature",
    "truncated": "id_token_malformed",
    "rubbish": "id_token_malformed",
    "sub": "userinfo_of_another",
}

# Of the code that the start printed, e.g. 1A2B-3C4D-5E6F: 403 `setup_code_wrong`.
SETUP_CODES: Mapping[str, Callable[[str], str]] = {
    "another": lambda code: "0000-0000-0000",
    "none": lambda code: "",
    "only dashes": lambda code: "--",
    "truncated": lambda code: code[:-1],
    "one group too few": lambda code: code.rpartition("-")[0],
    "one group too many": lambda code: f"{code}-{code[:4]}",
    "groups swapped": lambda code: "-".join(reversed(code.split("-"))),
    "one character": lambda code: changed(code, 0),
    "not ASCII": lambda code: f"{code[:-1]}\N{FULLWIDTH DIGIT ONE}",
}


@dataclass(frozen=True)
class Tickets:
    """What may be held of the RTSP door: of one channel and the profile sub."""

    now: float
    token_key: bytes
    good: str
    token: str
    foreign_channel: str  # that its subject may not see

    def fields(self, **wrong: Any) -> str:
        """The claims, without their MAC."""
        names = ("v", "act", "expires", "id", "profiles", "channel", "subject", "version")
        given = dict(zip(names, self.good.split(".")[:-1], strict=True))
        return ".".join(str(value) for value in (given | wrong).values())

    def signed(self, key: bytes | None = None, **wrong: Any) -> str:
        claims = self.fields(**wrong)
        mac = hmac.digest(key or ticket_key(self.token_key), claims.encode(), hashlib.sha256)
        return f"{claims}.{b64(mac[:MAC_BYTES])}"

    def swapped(self, **wrong: Any) -> str:
        return f"{self.fields(**wrong)}.{self.good.rpartition('.')[2]}"


@dataclass(frozen=True)
class BadTicket:
    name: str
    make: Callable[[Tickets], str]
    status: int = 401


TICKETS: tuple[BadTicket, ...] = (
    BadTicket("none", lambda t: ""),
    BadTicket("rubbish", lambda t: "rubbish"),
    BadTicket("a forged MAC", lambda t: t.good[:-4] + "AAAA"),
    BadTicket("no MAC", lambda t: t.good.rpartition(".")[0]),
    BadTicket("an empty MAC", lambda t: t.good.rpartition(".")[0] + "."),
    BadTicket("truncated by half", lambda t: t.good[: len(t.good) // 2]),
    BadTicket("in capitals", lambda t: t.good.upper()),
    BadTicket("with a tail", lambda t: t.good + ".A"),
    BadTicket("too long", lambda t: t.good + "A" * 600),
    BadTicket("another key", lambda t: t.signed(b"k" * 32)),
    BadTicket("the key of bearer tokens", lambda t: t.signed(t.token_key)),
    BadTicket("another version of tickets", lambda t: t.signed(v="rt0")),
    BadTicket("another action", lambda t: t.signed(act="ptz")),
    BadTicket("ended a second ago", lambda t: t.signed(expires=int(t.now) - 1)),
    BadTicket("ended long ago", lambda t: t.signed(expires=1)),
    BadTicket("an end that is no time", lambda t: t.signed(expires="never")),
    BadTicket("swapped end", lambda t: t.swapped(expires=int(t.now) + 10**6)),
    BadTicket("swapped subject", lambda t: t.swapped(subject="su_admin")),
    BadTicket("swapped channel", lambda t: t.swapped(channel=t.foreign_channel)),
    BadTicket("swapped profile", lambda t: t.swapped(profiles="main-sub")),
    BadTicket("of another channel", lambda t: t.signed(channel=t.foreign_channel), 404),
    BadTicket("of another profile", lambda t: t.signed(profiles="main"), 404),
    BadTicket("of nobody", lambda t: t.signed(subject="su_nobody")),
    BadTicket("of a version to come", lambda t: t.signed(version=10_000)),
    BadTicket("a bearer token", lambda t: t.token),
)
