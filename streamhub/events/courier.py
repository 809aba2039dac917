"""Drives one webhook's outbox: store, sender and clock around the machine."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from camera_registry.domain import Delivery, DeliveryState
from camera_registry.webhooks import Webhooks

from .outbox import Outbox, RetryPolicy
from .sender import Outcome, Sender

# What is under way when the service leaves; it has 3 s for everything. What is cut short is sent
# again: the receiver knows it by its id.
FAREWELL_S = 1.0
# The store is busy or ill: not asked again at once.
STORE_PAUSE_S = 2.0

_log = structlog.get_logger(__name__)


class Courier:
    """One webhook's task. `clock` is unix seconds: due times outlive the process."""

    def __init__(
        self,
        webhook_id: str,
        webhooks: Webhooks,
        sender: Sender,
        *,
        policy: RetryPolicy | None = None,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        # given
        self._webhook_id = webhook_id
        self._webhooks = webhooks
        self._sender = sender
        self._clock = clock
        # owned
        self._outbox = Outbox(policy or RetryPolicy(), jitter)
        self._last_seq = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._attempts: dict[asyncio.Task[Outcome], Delivery] = {}
        # Ended, and not yet in the store: at most what is under way at once, unless that is ill.
        self._delivered: list[int] = []
        self._failed: list[Delivery] = []
        self._task: asyncio.Task[None] | None = None
        self.delivered_total = 0
        self.failed_total = 0
        self.dead_total = 0

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"webhook-{self._webhook_id}")

    def nudge(self) -> None:
        """There may be something new in the queue, or among the versions."""
        self._wake.set()

    async def stop(self) -> None:
        """Ends it; what is under way has FAREWELL_S."""
        if self._task is not None:
            self._stopping = True
            self._wake.set()
            done, _ = await asyncio.wait({self._task}, timeout=FAREWELL_S)
            if not done:
                self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._sender.close()

    async def _run(self) -> None:
        try:
            while self._attempts or self._unwritten or not self._stopping:
                self._wake.clear()
                try:
                    await self._settle()
                    if not self._stopping:
                        await self._take_up()
                        await self._send_due()
                except Exception:
                    # What is not written is sent again after a restart, with the same id.
                    _log.exception("webhook_store_failed", webhook_id=self._webhook_id)
                    if self._stopping:
                        break
                    await asyncio.sleep(STORE_PAUSE_S)
                    continue
                if self._attempts or not self._stopping:
                    await self._sleep()
        finally:
            for attempt in self._attempts:
                attempt.cancel()
            await asyncio.gather(*self._attempts, return_exceptions=True)

    @property
    def _unwritten(self) -> bool:
        return bool(self._delivered or self._failed)

    async def _take_up(self) -> None:
        """Versions become deliveries, deliveries come into the outbox."""
        more = True
        while more:
            more = await self._webhooks.queue_versions(self._webhook_id)
            for each in await self._webhooks.waiting(self._webhook_id, after=self._last_seq):
                self._outbox.add(
                    each.seq,
                    each.channel_id,
                    attempts=each.attempts,
                    due=each.due_at.timestamp(),
                )
                self._last_seq = each.seq

    async def _send_due(self) -> None:
        while (seq := self._outbox.poll(self._clock())) is not None:
            try:
                delivery = await self._webhooks.delivery(seq)
            except Exception:
                self._outbox.unsent(seq)
                raise
            if delivery is None or delivery.state is not DeliveryState.QUEUED:
                self._outbox.gone(seq)
                continue
            attempt = asyncio.create_task(
                self._sender.send(delivery.event_id, delivery.body, int(self._clock()))
            )
            self._attempts[attempt] = delivery

    async def _sleep(self) -> None:
        """Until an attempt has ended, something is due, or somebody nudges."""
        due = None if self._stopping else self._outbox.poll_timeout()
        timeout_s = None if due is None else max(0.0, due - self._clock())
        wake = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait(
                {wake, *self._attempts}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            wake.cancel()

    async def _settle(self) -> None:
        """Writes how the ended attempts ended, in one transaction."""
        for attempt in [each for each in self._attempts if each.done()]:
            delivery, outcome = self._attempts.pop(attempt), attempt.result()
            if outcome.ok:
                self._outbox.delivered(delivery.seq)
                self._delivered.append(delivery.seq)
                self.delivered_total += 1
            else:
                self._failed.append(self._after_failure(delivery, outcome))
                self.failed_total += 1
        if self._unwritten:
            await self._webhooks.settle(self._delivered, self._failed)
            self._delivered.clear()
            self._failed.clear()

    def _after_failure(self, delivery: Delivery, outcome: Outcome) -> Delivery:
        was_ill = self._outbox.is_ill
        verdict = self._outbox.failed(
            self._clock(), delivery.seq, retry_after_s=outcome.retry_after_s
        )
        if self._outbox.is_ill and not was_ill:
            _log.warning("webhook_receiver_ill", webhook_id=self._webhook_id, why=outcome.error)
        after = replace(delivery, attempts=verdict.attempts, last_error=outcome.error)
        if verdict.due is None:
            self.dead_total += 1
            _log.warning(
                "webhook_delivery_dead",
                webhook_id=self._webhook_id,
                event_id=delivery.event_id,
                attempts=verdict.attempts,
                why=outcome.error,
            )
            return replace(after, state=DeliveryState.DEAD)
        due_at = datetime.fromtimestamp(0, UTC) + timedelta(seconds=verdict.due)
        return replace(after, due_at=due_at)
