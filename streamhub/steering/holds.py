"""Moves under way: each from its first request to the stop, with a row at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gateways.onvif import Velocity
from streamhub.access.permit import Permit
from streamhub.steering.errors import NotWritten
from streamhub.steering.heads import Head
from streamhub.steering.rows import Rows

SILENT = "silent"


@dataclass(slots=True)
class Hold:
    """`began_at`: monotonic seconds. `cause`: why it ends, unless something else ends it."""

    permit: Permit
    head: Head
    began_at: float
    cause: str = SILENT

    def goes_on_for(self, permit: Permit, head: Head) -> bool:
        """Whether this request repeats it."""
        return self.head is head and self.permit.subject_id == permit.subject_id

    def renew(self, permit: Permit, velocity: Velocity) -> None:
        self.permit, self.cause = permit, SILENT
        self.head.control.hold(velocity)


class Holds:
    """By channel; bounded by the open heads."""

    def __init__(self, rows: Rows, clock: Callable[[], float]) -> None:
        self._rows = rows
        self._clock = clock
        self._holds: dict[str, Hold] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def get(self, channel_id: str) -> Hold | None:
        return self._holds.get(channel_id)

    def begin(self, permit: Permit, head: Head) -> None:
        before = self._holds.get(permit.channel_id)
        if before is not None and before.head is head:
            return
        if before is not None:  # of a head that failed, and that is stopped while it is closed
            before.cause = "device_failed"
            self.ended(before.head)
        self._holds[permit.channel_id] = Hold(permit, head, self._clock())

    def end(self, channel_id: str, cause: str) -> None:
        """Stop now, without waiting for the camera."""
        hold = self._holds.get(channel_id)
        if hold is not None:
            # What ended it first is why it ended.
            hold.cause = cause if hold.cause == SILENT else hold.cause
            hold.head.control.release()

    def end_all(self, cause: str) -> None:
        for channel_id in list(self._holds):
            self.end(channel_id, cause)

    def ended(self, head: Head) -> None:
        """The camera stands: the move's last row."""
        hold = self._holds.get(head.channel_id)
        if hold is not None and hold.head is head:
            del self._holds[head.channel_id]
            task = asyncio.create_task(self._write_end(hold), name="ptz end")
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def settled(self) -> None:
        """Wait until every row is down that is being written now."""
        while self._writing:
            await asyncio.gather(*self._writing, return_exceptions=True)

    async def _write_end(self, hold: Hold) -> None:
        held_ms = round((self._clock() - hold.began_at) * 1000)
        with suppress(NotWritten):  # which has been logged
            detail = {"cause": hold.cause, "held_ms": held_ms}
            await self._rows.write("ptz_end", hold.permit, detail)
