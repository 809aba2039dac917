"""One reader of the core's events, who hands each to the rooms that follow them, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from streamhub.media.contract import Event, GsoRefused, MediaCore, WorkerFault

log = structlog.get_logger(__name__)

GSO_MEND = (
    "Each packet is now sent alone, at twice the cost. Use Linux 4.18 or newer and a network card "
    "that checksums what it sends (ethtool -K DEVICE tx on); `streamhub doctor` tells of the "
    "kernel. Then start the service again."
)


class EventPump:
    """Calls every subscriber with every event, in the order of subscription.

    Subscribers are synchronous and quick (the loop waits for them); one that raises is logged and
    does not keep the others from hearing.
    """

    def __init__(self, core: MediaCore) -> None:
        self._core = core
        self._subscribers: list[Callable[[Event], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._gso_told = False

    def subscribe(self, subscriber: Callable[[Event], None]) -> None:
        self._subscribers.append(subscriber)

    def start(self) -> None:
        """Begin to read. Twice is one."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="media-events")

    async def stop(self) -> None:
        """Stop reading; events that are still queued are lost."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        async for event in self._core.events():
            if isinstance(event, WorkerFault):
                log.error("worker_fault", owner=event.owner, detail=event.detail)
            elif isinstance(event, GsoRefused) and not self._gso_told:
                self._gso_told = True
                log.warning("gso_refused", detail=event.detail, mend=GSO_MEND)
            for subscriber in self._subscribers:
                try:
                    subscriber(event)
                except Exception:
                    log.exception("event_subscriber_failed", event_type=type(event).__name__)
