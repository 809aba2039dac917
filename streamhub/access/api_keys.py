"""API keys: what a program comes with instead of a password.

A key is `shk_` and 256 random bits. The store keeps HMAC-SHA256 of it: nobody guesses 256 bits, so
a slow hash as for passwords would protect nothing and cost 50 ms a request; and with the hash keyed
by the vault's key, a copy of the database alone does not even tell whether a key that was found
somewhere is one of ours.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from hashlib import sha256

import structlog

from camera_registry.credential_cases import Credentials
from camera_registry.credentials import API_KEY_KIND, ApiKey
from camera_registry.domain import new_id
from camera_registry.errors import RegistryError, ValidationFailed
from camera_registry.feed import ChangeFeed
from camera_registry.secret import Secret
from camera_registry.store.contract import Store
from camera_registry.vault import Vault

from .departed import Departed
from .errors import Known, Unauthenticated
from .facts import FactsSource
from .late import catch_up
from .principal import Principal

PREFIX = "shk_"
KEY_BYTES = 32
SHOWN_CHARS = 12  # of the 47: enough to recognise it by, and 208 bits stay unknown
PURPOSE = "streamhub api keys"
DEFAULT_DAYS = 90
# The last use is written once in so long, not at each request.
USED_TO_THE = timedelta(hours=1)

_log = structlog.get_logger("streamhub.access.api_keys")


class ApiKeys:
    """Made, and recognised from memory."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        store: Store,
        feed: ChangeFeed,
        facts: FactsSource,
        departed: Departed,
        vault: Vault,
        now: Callable[[], datetime],
        max_days: int,
    ) -> None:
        self._credentials = credentials
        self._store = store
        self._feed = feed
        self._facts = facts
        self._departed = departed
        self._hash_key = vault.derive(PURPOSE)
        self._now = now
        self._max_days = max_days
        self._used: dict[str, datetime] = {}  # by key: as many as there are

    async def make(
        self,
        subject_id: str,
        by: Principal,
        *,
        name: str,
        actions: Collection[str] | None = None,
        area_ids: Collection[str] | None = None,
        days: int | None = None,
    ) -> tuple[ApiKey, Secret]:
        """A new key, and its text: it is not to be had again. Without `days` it lasts 90, or as
        long as is allowed. Raises what `Credentials.add_key` does, ValidationFailed."""
        lasts = min(DEFAULT_DAYS, self._max_days) if days is None else days
        if not 1 <= lasts <= self._max_days:
            raise ValidationFailed(
                "expires_in_days", "out_of_range", f"Give 1 to {self._max_days} days."
            )
        text = PREFIX + secrets.token_urlsafe(KEY_BYTES)
        now = self._now()
        key = ApiKey(
            id=new_id(API_KEY_KIND),
            key_hash=self._hash(text),
            prefix=text[:SHOWN_CHARS],
            subject_id=subject_id,
            name=name,
            actions=None if actions is None else frozenset(actions),
            area_ids=None if area_ids is None else frozenset(area_ids),
            created_at=now,
            expires_at=now + timedelta(days=lasts),
        )
        return await self._credentials.add_key(key, by.actor()), Secret(text)

    async def read(self, text: str, remote: str) -> Principal:
        """Who comes with it. Raises Unauthenticated (key_invalid, key_expired)."""
        key_hash, now = self._hash(text), self._now()
        key = self._facts.current.api_key_by_hash(key_hash)
        if key is None and await catch_up(
            self._store, self._feed, lambda tx: tx.api_keys.is_known(key_hash)
        ):
            key = self._facts.current.api_key_by_hash(key_hash)
        facts = self._facts.current
        subject = None if key is None else facts.subject(key.subject_id)
        known = self._departed.by_hash(key_hash) if key is None else Known(key.subject_id, key.id)
        if key is None or subject is None or not subject.enabled:
            raise Unauthenticated(
                "The key is not valid, or was revoked.", code="key_invalid", known=known
            )
        if key.expires_at <= now:
            raise Unauthenticated(
                "The key has run out; ask for a new one.", code="key_expired", known=known
            )
        await self._note_use(key, now)
        return Principal(subject.id, subject.username, remote, "key", subject.version, key.id)

    async def _note_use(self, key: ApiKey, now: datetime) -> None:
        used_at = self._used.get(key.id, key.used_at)
        if used_at is not None and now - used_at < USED_TO_THE:
            return
        self._used[key.id] = now
        for gone in self._used.keys() - self._facts.current.api_keys.keys():
            del self._used[gone]
        try:
            await self._credentials.note_key_used(key.id, now)
        except RegistryError as error:
            # What is asked for may not need the store at all.
            _log.warning("key_use_not_noted", key=key.id, error=str(error))

    def _hash(self, text: str) -> str:
        return hmac.new(self._hash_key, text.encode(), sha256).hexdigest()
