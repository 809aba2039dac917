"""All couriers: one for each webhook that is switched on, made anew when it changes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from camera_registry.channel_events import ChannelEvent
from camera_registry.domain import new_id
from camera_registry.errors import NotFound, RegistryError
from camera_registry.secret import Secret
from camera_registry.units import utc_now
from camera_registry.webhooks import Webhooks
from streamhub.access.facts import FactsSource
from streamhub.access.facts_cache import FactsChange

from .courier import Courier
from .outbox import RetryPolicy
from .sender import Outcome, Sender

TEST_TYPE: Final = "webhook.test"
RETRY_S: Final = 2.0  # the store was busy or ill
_WEBHOOKS: Final = frozenset({"webhook"})

_log = structlog.get_logger(__name__)

MakeSender = Callable[[str, Secret], Sender]
"""(url, secret) -> a sender of its own."""


def sender_maker(*, allow_local: bool) -> MakeSender:
    """Senders that trust whom the system trusts: an inner network has authorities of its own."""
    tls = ssl.create_default_context()

    def make(url: str, secret: Secret) -> Sender:
        return Sender(url, secret, allow_local=allow_local, tls=tls)

    return make


class Couriers:
    """`start()` before use, `stop()` at the end."""

    def __init__(
        self,
        webhooks: Webhooks,
        facts: FactsSource,
        make_sender: MakeSender,
        *,
        policy: RetryPolicy | None = None,
    ) -> None:
        self._webhooks = webhooks
        self._facts = facts
        self._make_sender = make_sender
        self._policy = policy
        self._couriers: dict[str, Courier] = {}
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._delivered = self._failed = self._dead = 0  # by couriers that are no more

    async def start(self) -> None:
        await self._reconcile()
        self._task = asyncio.create_task(self._run(), name="couriers")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await asyncio.gather(*(self._end(each) for each in list(self._couriers)))

    async def facts_changed(self, change: FactsChange) -> None:
        """Follower of the facts: a webhook was added, changed, removed, or its dead queued.
        Only wakes: what is under way may take a second, and revocations don't wait for it."""
        if change.kinds & _WEBHOOKS:
            self._changed |= change.object_ids
            self._wake.set()

    async def told(self, events: Sequence[ChannelEvent]) -> None:
        """Follower of the hub."""
        if events and self._couriers:
            await self._webhooks.queue_events(events, self._facts.current.tree)
        for courier in list(self._couriers.values()):
            courier.nudge()

    async def test(self, webhook_id: str) -> Outcome:
        """Sends one event of the type `webhook.test`, once and now, past the queue. Raises
        NotFound, SealBroken."""
        webhook, secret = await self._webhooks.opened(webhook_id)
        sender = self._make_sender(webhook.url, secret)
        event_id = new_id("ev")
        body = {
            "type": TEST_TYPE,
            "id": event_id,
            "timestamp": utc_now().isoformat(timespec="milliseconds"),
            "data": {"webhook_id": webhook_id},
        }
        try:
            return await sender.send(event_id, json.dumps(body), int(time.time()))
        finally:
            await sender.close()

    def figures(self) -> dict[str, float]:
        """For /metrics."""
        couriers = self._couriers.values()
        return {
            "webhooks": len(self._couriers),
            "webhook_deliveries_total": self._delivered + sum(c.delivered_total for c in couriers),
            "webhook_failures_total": self._failed + sum(c.failed_total for c in couriers),
            "webhook_dead_total": self._dead + sum(c.dead_total for c in couriers),
        }

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._reconcile()
            except Exception:
                _log.exception("couriers_failed")
                await asyncio.sleep(RETRY_S)
                self._wake.set()

    async def _reconcile(self) -> None:
        """One courier for each that is switched on; those that changed are made anew."""
        enabled = {each.id for each in await self._webhooks.all_enabled()}
        changed, self._changed = self._changed, set()
        ending = (self._couriers.keys() - enabled) | (self._couriers.keys() & changed)
        await asyncio.gather(*(self._end(each) for each in ending))
        for webhook_id in enabled - self._couriers.keys():
            await self._begin(webhook_id)

    async def _begin(self, webhook_id: str) -> None:
        try:
            webhook, secret = await self._webhooks.opened(webhook_id)
        except NotFound:
            return  # removed since
        except RegistryError as error:
            _log.error("webhook_not_begun", webhook_id=webhook_id, code=error.code)
            return
        sender = self._make_sender(webhook.url, secret)
        courier = Courier(webhook_id, self._webhooks, sender, policy=self._policy)
        self._couriers[webhook_id] = courier
        courier.start()

    async def _end(self, webhook_id: str) -> None:
        courier = self._couriers.get(webhook_id)
        if courier is not None:
            await courier.stop()
            # Together, so that no total ever goes back.
            self._couriers.pop(webhook_id, None)
            self._delivered += courier.delivered_total
            self._failed += courier.failed_total
            self._dead += courier.dead_total
