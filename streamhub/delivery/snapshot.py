"""Stills: the newest keyframe of a stream as a JPEG, from the pull that is there or a short one.

No second camera connection: the core's cached keyframe is used, and a stream nobody watches is
opened under a budget of its own, so that a wall of stills does not dial a wall of cameras.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from gateways.decode.contract import Busy, DecodeError, Picture
from streamhub.delivery.errors import NoKeyframe, ShuttingDown, StillUndecodable
from streamhub.delivery.settings import DeliverySettings
from streamhub.delivery.whep import check_permit
from streamhub.media.contract import (
    Event,
    EventsLost,
    KeyframeTaken,
    MediaCore,
    OverCapacity,
    stream_id_of,
)
from streamhub.router.route import RouteState

if TYPE_CHECKING:
    from streamhub.access.facts import FactsSource
    from streamhub.access.guard import Guard
    from streamhub.access.permit import Permit
    from streamhub.delivery.view_log import ViewLog
    from streamhub.router.supervisor import Router


class StillDecoder(Protocol):
    """Turns one keyframe into a JPEG, in another process."""

    async def decode(self, annexb: bytes, *, codec: str, timeout_s: float) -> Picture: ...


@dataclass(frozen=True, slots=True)
class Still:
    """A picture. `age_ms`: how long ago its keyframe came from the camera."""

    jpeg: bytes
    age_ms: int
    width: int
    height: int


@dataclass(slots=True)
class _Waiting:
    stream_id: str
    keyframe: asyncio.Future[KeyframeTaken]
    deadline: float


class SnapshotDoor:
    """Takes stills. One decode per stream at a time, and the result serves all for a second."""

    def __init__(
        self,
        *,
        core: MediaCore,
        router: Router,
        guard: Guard,
        facts: FactsSource,
        view_log: ViewLog,
        decoder: StillDecoder,
        settings: DeliverySettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # given
        self._core = core
        self._router = router
        self._guard = guard
        self._facts = facts
        self._view_log = view_log
        self._decoder = decoder
        self._settings = settings
        self._clock = clock
        # owned
        self._taking: dict[str, asyncio.Task[Still]] = {}
        self._cached: dict[str, tuple[float, Still]] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._dials = asyncio.Semaphore(settings.still_dials)
        self._closed = False
        self.taken_total = 0
        self.failed_total = 0

    async def take(self, permit: Permit, profile: str = "sub") -> Still:
        """A still of the permit's channel. Raises `NoKeyframe`, `StillUndecodable`,
        `OverCapacity`, `UnknownProfile`, `AuditUnavailable`, `ShuttingDown`; what the guard answers
        (`AccessError`) when the right to it ended meanwhile.
        """
        check_permit(permit, "snapshot", self._facts, profile)
        if self._closed:
            raise ShuttingDown
        channel = self._facts.current.channel(permit.channel_id)
        area_id = channel.area_id if channel else None
        try:
            still = await self._newest(permit, stream_id_of(permit.channel_id, profile), profile)
        except (NoKeyframe, StillUndecodable) as error:
            self.failed_total += 1
            await self._view_log.still(
                permit,
                area_id=area_id,
                outcome="failed",
                detail={"profile": profile, "code": error.code, "reason": error.reason},
            )
            raise
        # A dial and a decode take seconds, a slow disk too: the right may have ended in either.
        await self._refuse_fallen(permit, area_id, profile)
        await self._view_log.still(
            permit,
            area_id=area_id,
            outcome="ok",
            detail={"profile": profile, "bytes": len(still.jpeg), "age_ms": still.age_ms},
        )
        await self._refuse_fallen(permit, area_id, profile)
        self.taken_total += 1
        return still

    def handle_event(self, event: Event) -> None:
        """Subscriber of the event pump, after the router."""
        if isinstance(event, KeyframeTaken):
            waiting = self._waiting.get(event.request_id)
            if waiting is not None and not waiting.keyframe.done():
                waiting.keyframe.set_result(event)
        elif isinstance(event, EventsLost):
            for request_id, waiting in self._waiting.items():
                self._core.take_keyframe(request_id, waiting.stream_id)

    def route_changed(self, stream_id: str) -> None:
        """Listener of the router: no use in waiting for a dial that comes after the deadline."""
        for waiting in self._waiting.values():
            if waiting.stream_id == stream_id:
                self._give_up_if_lost(waiting)

    async def close(self) -> None:
        """Take no more, and end those that are being taken."""
        self._closed = True
        tasks = list(self._taking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- inside -----------------------------------------------------------------------------------

    async def _refuse_fallen(self, permit: Permit, area_id: str | None, profile: str) -> None:
        """Nobody is handed what is no longer theirs; the row says why."""
        refusal = self._guard.refusal(permit)
        if refusal is None:
            return
        await self._view_log.still(
            permit,
            area_id=area_id,
            outcome="refused",
            detail={"profile": profile, "code": self._guard.fall_cause(permit)},
        )
        raise refusal

    async def _newest(self, permit: Permit, stream_id: str, profile: str) -> Still:
        now = self._clock()
        for key in [k for k, (until, _) in self._cached.items() if until <= now]:
            del self._cached[key]
        cached = self._cached.get(stream_id)
        if cached is not None:
            until, still = cached
            held_ms = round((now - (until - self._settings.still_cache_s)) * 1000)
            return replace(still, age_ms=still.age_ms + held_ms)
        task = self._taking.get(stream_id)
        if task is None:
            if len(self._taking) >= self._settings.still_waiting:
                raise OverCapacity("too many stills are being taken", retry_after_s=2)
            task = asyncio.create_task(self._take(permit, stream_id, profile))
            self._taking[stream_id] = task
            task.add_done_callback(lambda done: self._taken(stream_id, done))
        try:
            # Shielded: one caller that goes away must not take the picture from the others.
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise ShuttingDown from None
            raise

    def _taken(self, stream_id: str, task: asyncio.Task[Still]) -> None:
        self._taking.pop(stream_id, None)
        if not task.cancelled() and task.exception() is None:
            until = self._clock() + self._settings.still_cache_s
            self._cached[stream_id] = (until, task.result())

    async def _take(self, permit: Permit, stream_id: str, profile: str) -> Still:
        deadline = self._clock() + self._settings.still_deadline_s
        if self._router.route(stream_id).state is RouteState.LIVE:
            taken = await self._keyframe(permit, stream_id, profile, deadline)
        else:
            try:
                async with asyncio.timeout(self._settings.still_deadline_s):
                    await self._dials.acquire()
            except TimeoutError:
                raise OverCapacity("too many stills wait for a dial", retry_after_s=2) from None
            try:
                taken = await self._keyframe(permit, stream_id, profile, deadline)
            finally:
                self._dials.release()
        if taken.age_ms > self._settings.still_max_age_ms:
            raise NoKeyframe("too_old", f"the newest keyframe is {taken.age_ms} ms old")
        started = self._clock()
        try:
            picture = await self._decoder.decode(
                taken.annexb, codec=taken.codec, timeout_s=max(0.1, deadline - started)
            )
        except Busy as error:
            raise OverCapacity(str(error), retry_after_s=2) from error
        except DecodeError as error:
            raise StillUndecodable(error.code) from error
        age_ms = taken.age_ms + round((self._clock() - started) * 1000)
        return Still(picture.jpeg, age_ms, picture.width, picture.height)

    async def _keyframe(
        self, permit: Permit, stream_id: str, profile: str, deadline: float
    ) -> KeyframeTaken:
        request_id = f"still:{secrets.token_hex(8)}"
        future: asyncio.Future[KeyframeTaken] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(stream_id, future, deadline)
        self._waiting[request_id] = waiting
        try:
            self._router.ensure_live(permit, permit.channel_id, profile, request_id)
            self._give_up_if_lost(waiting)
            self._core.take_keyframe(request_id, stream_id)
            async with asyncio.timeout(max(0.0, deadline - self._clock())):
                return await future
        except TimeoutError:
            route = self._router.route(stream_id)
            raise NoKeyframe(route.cause or "deadline", route.detail) from None
        finally:
            del self._waiting[request_id]
            self._router.release(request_id, linger_s=self._settings.still_linger_s)

    def _give_up_if_lost(self, waiting: _Waiting) -> None:
        route = self._router.route(waiting.stream_id)
        if route.retry_in_ms is None or waiting.keyframe.done():
            return
        left_ms = (waiting.deadline - self._clock()) * 1000
        if route.retry_in_ms >= left_ms:
            waiting.keyframe.set_exception(NoKeyframe(route.cause or "lost", route.detail))
