"""Events on their way from the core's threads to the control plane's loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from streamhub.media.contract import Event, EventsLost

# As the native core's: past that a full resync is cheaper.
CAPACITY = 32_768
# About a millisecond of the reader's loop.
PER_DRAIN = 256


class EventQueue:
    """Many threads push, one loop reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: deque[Event] = deque()
        self._lost = False
        self._closed = False
        self._wake: Callable[[], object] | None = None

    def push(self, event: Event) -> None:
        """Queue an event; when there is no room it is dropped, and `EventsLost` is read later."""
        with self._lock:
            if len(self._events) >= CAPACITY:
                self._lost = True
            else:
                self._events.append(event)
        self._notify()

    def close(self) -> None:
        """Nothing follows: `read` ends when all is read."""
        with self._lock:
            self._closed = True
        self._notify()

    async def read(self) -> AsyncIterator[Event]:
        """All events in order. One reader at a time."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(ready.set)
        try:
            while True:
                ready.clear()
                batch, lost, closed = self._take()
                for event in batch:
                    yield event
                if len(batch) == PER_DRAIN:
                    await asyncio.sleep(0)  # more is waiting: let the rest of the loop breathe
                    continue
                if lost:
                    yield EventsLost()  # after those that survived it: the resync has the last word
                if closed:
                    return
                await ready.wait()
        finally:
            self._wake = None

    def _take(self) -> tuple[list[Event], bool, bool]:
        with self._lock:
            count = min(PER_DRAIN, len(self._events))
            batch = [self._events.popleft() for _ in range(count)]
            if self._events:
                return batch, False, False
            lost, self._lost = self._lost, False
            return batch, lost, self._closed

    def _notify(self) -> None:
        wake = self._wake
        if wake is not None:
            with suppress(RuntimeError):  # the reader's loop has been closed
                wake()
