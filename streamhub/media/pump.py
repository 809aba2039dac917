"""One reader of the core's events, who hands each to the rooms that follow them, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from streamhub.media.contract import Event, EventsLost, GsoRefused, MediaCore, WorkerFault

log = structlog.get_logger(__name__)

# Before the core is read anew, where reading failed: it may fail at once again.
AGAIN_S = 0.1

GSO_MEND = (
    "Each packet is now sent alone, at twice the cost. Use Linux 4.18 or newer and a network card "
    "that checksums what it sends (ethtool -K DEVICE tx on); `streamhub doctor` tells of the "
    "kernel. Then start the service again."
)


class EventPump:
    """Calls every subscriber with every event, in the order of subscription.

    Subscribers are synchronous and quick (the loop waits for them); one that raises is logged and
    does not keep the others from hearing. Reading that fails begins anew, with `EventsLost` for
    what was in hand.
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
        while True:
            try:
                async for event in self._core.events():
                    self._hand_on(event)
                return  # the core was shut down
            except Exception:
                # Nobody else would hear of the core any more. What the reader had in hand is lost.
                log.exception("core_events_failed")
                self._hand_on(EventsLost())
                await asyncio.sleep(AGAIN_S)

    def _hand_on(self, event: Event) -> None:
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
