"""Tickets for the RTSP door: signed text that the packet core can check alone.

They say who asks for which channel until when, and decide nothing: the guard is asked again when
one is shown. The format and its other half are in `core/wire/src/ticket.rs`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from camera_registry.credentials import API_KEY_KIND
from camera_registry.secret import Secret

from .departed import Departed
from .errors import Forbidden
from .facts import Facts
from .permit import Permit
from .principal import Principal

PREFIX: Final = "rt1.live"
# Eight characters: they name it beside its subject and channel, and guess nothing.
ID_BYTES: Final = 5
# RFC 2104 section 5. The whole is short, since FFmpeg keeps 127 characters of user and password.
MAC_BYTES: Final = 16
# A use of its own: what is signed for a bearer token is never a ticket.
_PURPOSE: Final = b"streamhub rtsp tickets 1"


def ticket_key(token_key: bytes) -> bytes:
    """The key of tickets, out of the one that is kept for tokens: 32 bytes, the same after a
    restart, so that what a recorder has stored goes on."""
    return hmac.digest(token_key, _PURPOSE, hashlib.sha256)


def holder_of(principal: Principal) -> str:
    """Whom a ticket names: the subject, or the API key that it was asked for with, since a ticket
    must not do what its key may not, nor outlive it."""
    by_key = principal.via == "key" and principal.credential_id is not None
    return str(principal.credential_id) if by_key else principal.subject_id


def shown_by(holder: str, version: int, remote: str, facts: Facts, departed: Departed) -> Principal:
    """Who shows a ticket that names `holder`. Of a key that is gone still its subject, who may
    nothing by it; without one (`subject_id` is "") where nobody remembers it."""
    by_key = holder.startswith(f"{API_KEY_KIND}_")
    subject_id = holder
    if by_key:
        key = facts.api_keys.get(holder) or departed.key(holder)
        subject_id = "" if key is None else key.subject_id or ""
    subject = facts.subject(subject_id)
    return Principal(
        subject_id=subject_id,
        username="" if subject is None else subject.username,
        remote=remote,
        via="key" if by_key else "ticket",
        version=version,
        credential_id=holder if by_key else None,
    )


@dataclass(frozen=True, slots=True)
class Ticket:
    """`text` is the secret; `id` is not, and names it in the audit."""

    id: str
    text: Secret
    profiles: tuple[str, ...]
    expires_at: datetime


class Tickets:
    """Issues tickets. `key` as `ticket_key` gives it; `max_valid_s`: none holds for longer."""

    def __init__(self, key: bytes, *, max_valid_s: float) -> None:
        self._key = key
        self.max_valid_s = max_valid_s

    def issue(
        self, permit: Permit, profiles: Sequence[str], valid_s: float, now: datetime
    ) -> Ticket:
        """A ticket for the permit's channel, for its subject; it ends with the grant at the latest.

        Raises `Forbidden` for the local operator, who is no subject whose right could end.
        """
        if permit.principal.is_local:
            raise Forbidden(
                "A ticket belongs to a subject; sign in as one (or ask with its token).",
                code="ticket_needs_subject",
            )
        expires_at = now + timedelta(seconds=min(valid_s, self.max_valid_s))
        if permit.until is not None:
            expires_at = min(expires_at, permit.until)
        expires_at = expires_at.replace(microsecond=0)
        ticket_id = base64.b32encode(secrets.token_bytes(ID_BYTES)).decode().lower()
        claims = ".".join(
            (
                PREFIX,
                str(round(expires_at.timestamp())),
                ticket_id,
                "-".join(profiles),
                permit.channel_id,
                holder_of(permit.principal),
                str(permit.principal.version),
            )
        )
        text = Secret(f"{claims}.{self._mac(claims)}")
        return Ticket(ticket_id, text, tuple(profiles), expires_at)

    def _mac(self, claims: str) -> str:
        mac = hmac.digest(self._key, claims.encode(), hashlib.sha256)[:MAC_BYTES]
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
