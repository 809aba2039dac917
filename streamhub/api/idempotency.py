"""`Idempotency-Key`: a creating call that is sent again gives the first answer, not a second thing.

Kept in memory: a retry after a lost answer comes within seconds or minutes, and unique codes and
names in the registry catch the rest.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pydantic import BaseModel, SecretStr

from .problems import Problem

KEEP_S = 24 * 3600.0
# An answer is about 1 kB; an importer that creates 3,000 channels fits.
MAX_KEPT = 10_000
MAX_KEY_CHARS = 128

T = TypeVar("T")


@dataclass(slots=True)
class _Kept:
    fingerprint: bytes
    answer: asyncio.Future[Any]
    since: float


class Idempotency:
    """Answers by (who, route, key)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str, str], _Kept] = OrderedDict()
        # Bodies may hold passwords: their fingerprints mean nothing outside this process.
        self._key = secrets.token_bytes(32)

    async def once(
        self,
        key: str | None,
        *,
        subject_id: str,
        route: str,
        body: BaseModel,
        create: Callable[[], Awaitable[T]],
    ) -> T:
        """Call `create`, or give what it gave for the same key. Raises Problem 422 when the key
        was used for another body; a failure is not kept."""
        if key is None:
            return await create()
        if not key or len(key) > MAX_KEY_CHARS:
            raise Problem(
                422, "idempotency_key_invalid", f"Idempotency-Key: 1 to {MAX_KEY_CHARS} characters."
            )
        self._forget_old()
        at = (subject_id, route, key)
        fingerprint = self._fingerprint(body)
        kept = self._kept.get(at)
        if kept is not None:
            if not hmac.compare_digest(kept.fingerprint, fingerprint):
                raise Problem(
                    422, "idempotency_key_reused", "This Idempotency-Key was for another request."
                )
            # Shielded: a client that leaves must not cancel the one that creates.
            return cast(T, await asyncio.shield(kept.answer))
        task = asyncio.ensure_future(create())
        self._kept[at] = _Kept(fingerprint, task, self._clock())
        task.add_done_callback(lambda done: self._settle(at, done))
        return await asyncio.shield(task)

    def _settle(self, at: tuple[str, str, str], done: asyncio.Future[Any]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._kept.pop(at, None)

    def _forget_old(self) -> None:
        while self._kept:
            at, kept = next(iter(self._kept.items()))
            if len(self._kept) < MAX_KEPT and self._clock() - kept.since < KEEP_S:
                break
            del self._kept[at]

    def _fingerprint(self, body: BaseModel) -> bytes:
        # With its passwords: another one is another request.
        text = json.dumps(body.model_dump(), default=_plain).encode()
        return hmac.digest(self._key, text, hashlib.sha256)


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
