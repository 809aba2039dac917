"""The changes feed: tells every follower in this process what was committed by any process.

The feed holds no queue: each subscriber has a cursor and reads the store from there, in order,
in batches. So nothing is lost or reordered, memory is bounded, and a slow subscriber delays
nobody. A commit of this process nudges at once; another process's is told by the database where it
can (PostgreSQL), else seen by the next poll.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from .domain import Change
from .store.contract import Store

POLL_MS: Final = 200  # design section 6; half of the 500 ms that a revocation may take at p99
BATCH_CHANGES: Final = 500  # bounds one callback's work; a longer backlog comes in several
RETRY_FIRST_MS: Final = 100
RETRY_MAX_MS: Final = 5_000

Callback = Callable[[Sequence[Change]], Awaitable[None]]

_log = logging.getLogger(__name__)


class Subscription:
    """One follower; made by `ChangeFeed.subscribe`. `seq`: all up to it has been handled."""

    def __init__(self, feed: ChangeFeed, name: str, callback: Callback, since: int) -> None:
        self.name = name
        self.seq = since
        self._feed = feed
        self._callback = callback
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Stops the follower; a callback under way is cancelled."""
        self._feed._drop(self)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"change-feed-{self.name}")

    async def _run(self) -> None:
        retry_ms = RETRY_FIRST_MS
        while True:
            self._wake.clear()
            if self.seq >= self._feed.latest_seq:
                await self._wake.wait()
                continue
            try:
                batch = await self._feed.store.changes_since(self.seq, BATCH_CHANGES)
                if batch:
                    await self._callback(batch)
            except Exception:
                # Delivered again: a follower that misses a revocation would fail open.
                _log.exception("change feed: follower %r failed, retrying", self.name)
                await asyncio.sleep(retry_ms / 1000)
                retry_ms = min(retry_ms * 2, RETRY_MAX_MS)
                continue
            retry_ms = RETRY_FIRST_MS
            self.seq = batch[-1].seq if batch else self._feed.latest_seq
            self._feed._progressed()


class ChangeFeed:
    """Follows one store. `start()` before use, `stop()` at the end."""

    def __init__(self, store: Store, *, poll_ms: int = POLL_MS) -> None:
        self.store = store
        self.latest_seq = 0
        self._poll_ms = poll_ms
        self._heard_at = time.monotonic()
        self._subscriptions: list[Subscription] = []
        self._nudge = asyncio.Event()
        self._moved = asyncio.Condition()
        self._notifying: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._unregister: Callable[[], None] | None = None

    async def start(self) -> None:
        """Takes the newest seq as the beginning and follows from there."""
        self._heard_at = time.monotonic()
        self.latest_seq = max(self.latest_seq, await self.store.latest_change_seq())
        self._unregister = self.store.on_commit(self._advance)
        self._task = asyncio.create_task(self._poll(), name="change-feed-poll")

    async def stop(self) -> None:
        if self._unregister is not None:
            self._unregister()
            self._unregister = None
        for subscription in list(self._subscriptions):
            await subscription.close()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def subscribe(self, callback: Callback, *, since: int, name: str = "follower") -> Subscription:
        """Calls `callback(batch)` with every change after `since`, oldest first, one batch at a
        time. Load a cache inside `store.read()` and pass its `tx.change_seq()` as `since`.

        A callback that raises gets the same batch again (at-least-once): make it idempotent.
        """
        subscription = Subscription(self, name, callback, since)
        self._subscriptions.append(subscription)
        subscription._start()
        return subscription

    @property
    def deaf_s(self) -> float:
        """Seconds since the store last said what is new, or that nothing is."""
        return time.monotonic() - self._heard_at

    def nudge(self) -> None:
        """Look now instead of at the next poll."""
        self._nudge.set()

    async def wait_caught_up(self, seq: int, timeout_ms: int | None = None) -> bool:
        """Waits until every present subscriber has handled all up to `seq`.

        Returns False when `timeout_ms` passed first. A subscriber must not call this from its
        own callback.
        """

        def caught_up() -> bool:
            return self.latest_seq >= seq and all(s.seq >= seq for s in self._subscriptions)

        try:
            async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000):
                async with self._moved:
                    await self._moved.wait_for(caught_up)
        except TimeoutError:
            return False
        return True

    def _advance(self, seq: int) -> None:
        if seq <= self.latest_seq:
            return
        self.latest_seq = seq
        for subscription in self._subscriptions:
            subscription._wake.set()
        self._progressed()

    def _progressed(self) -> None:
        task = asyncio.create_task(self._notify_waiters())
        self._notifying.add(task)
        task.add_done_callback(self._notifying.discard)

    async def _notify_waiters(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    def _drop(self, subscription: Subscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            self._progressed()

    async def _poll(self) -> None:
        seen_version: int | None = None
        failing = False
        while True:
            try:
                version = await self.store.data_version()
                if version != seen_version:
                    self._advance(await self.store.latest_change_seq())
                    seen_version = version
                self._heard_at = time.monotonic()
                failing = False
            except Exception:
                if not failing:  # five times a second is too often to say it
                    _log.exception("change feed: the store could not be read, retrying")
                failing = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_ms / 1000):
                    await self._nudge.wait()
            self._nudge.clear()
