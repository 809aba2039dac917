"""Asks every address of given networks whether it is an ONVIF device: the driver beside the plan.

Discovery by multicast ends at the VLAN. A sweep asks by HTTP for the clock, which needs no
password, so that it costs no try anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta

from gateways.onvif.address import DeviceAddress
from gateways.onvif.client import UtcNow, read_reply, utc_now
from gateways.onvif.clock import GET_CLOCK, read_clock
from gateways.onvif.errors import BadAnswer, Fault, Unreachable
from gateways.onvif.soap import envelope, name_of
from gateways.onvif.sweep_plan import (
    SweepCursor,
    SweepPace,
    SweepPaceSettings,
    SweepPlan,
    Target,
)
from gateways.onvif.transport import HttpTransport, Timeouts

USUAL_PORTS = (80, 8000, 2020, 8899)
# Long enough for one lost SYN, which is sent again after a second.
SWEEP_TIMEOUTS = Timeouts(connect_s=1.5, total_s=4.0)
PROGRESS_EVERY_S = 0.5
# A clock is 2 KB with all its namespaces; hundreds of answers are under way at once.
MAX_CLOCK_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class SweepHit:
    """A device that was found.

    `registered`: its (host, port) was among those given. `certain`: it spoke SOAP; False: it asks
    for a password first, as a web server without ONVIF would. `clock_offset_s`: its clock minus
    ours, None if not told.
    """

    address: DeviceAddress
    registered: bool
    certain: bool
    clock_offset_s: float | None


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """Counts so far, of `total` targets, and where to resume."""

    total: int
    done: int
    found: int
    registered: int
    cursor: SweepCursor


async def sweep(
    plan: SweepPlan,
    http: HttpTransport,
    *,
    registered: Collection[tuple[str, int]] = frozenset(),
    pace: SweepPaceSettings | None = None,
    timeouts: Timeouts = SWEEP_TIMEOUTS,
    cursor: SweepCursor | None = None,
    on_progress: Callable[[SweepProgress], None] | None = None,
    now: UtcNow = utc_now,
) -> AsyncGenerator[SweepHit, None]:
    """Yields devices as they are found.

    `on_progress` is called at most each half second and at the end; its cursor resumes a sweep that
    was stopped (`aclose()`, or the task cancelled): a hit may come twice then, none is missed.
    Raises `SweepInvalid` for a cursor of another plan.
    """
    paced = SweepPace(plan, pace or SweepPaceSettings(), cursor)
    run = _Sweep(len(plan), paced, http, frozenset(registered), timeouts, now)
    loop = asyncio.get_running_loop()
    told_at = loop.time()
    try:
        while not run.pace.over:
            for target, hit in await run.step():
                if hit is not None:
                    yield hit
                # Only now: who stops us at the yield finds the rest again from the cursor.
                run.finished(target, hit)
            if on_progress is not None and loop.time() - told_at >= PROGRESS_EVERY_S:
                told_at = loop.time()
                on_progress(run.progress())
    finally:
        await run.stop()
        if on_progress is not None:
            on_progress(run.progress())


class _Sweep:
    """The tasks of one sweep, as many as the pace allows."""

    def __init__(
        self,
        total: int,
        pace: SweepPace,
        http: HttpTransport,
        registered: frozenset[tuple[str, int]],
        timeouts: Timeouts,
        now: UtcNow,
    ) -> None:
        # given
        self.total = total
        self.pace = pace
        self.http = http
        self.registered = registered
        self.timeouts = timeouts
        self.now = now
        # owned
        self.tasks: dict[asyncio.Task[SweepHit | None], Target] = {}
        self.hits = 0
        self.hits_registered = 0

    async def step(self) -> list[tuple[Target, SweepHit | None]]:
        """Start what may be started, wait for the next thing to happen, collect."""
        loop = asyncio.get_running_loop()
        while (target := self.pace.next(loop.time())) is not None:
            self.tasks[asyncio.create_task(self._ask(target), name="onvif sweep")] = target
        at = self.pace.timeout(loop.time())
        wait_s = None if at is None else max(0.0, at - loop.time())
        if not self.tasks:
            await asyncio.sleep(wait_s or 0.0)
            return []
        done, _ = await asyncio.wait(
            self.tasks, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED
        )
        # In order, so that the cursor comes as far as it can.
        ended = sorted(done, key=lambda task: self.tasks[task].index)
        return [(self.tasks.pop(task), task.result()) for task in ended]

    def finished(self, target: Target, hit: SweepHit | None) -> None:
        self.pace.finished(target)
        if hit is not None:
            self.hits += 1
            self.hits_registered += hit.registered

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def progress(self) -> SweepProgress:
        return SweepProgress(
            self.total,
            self.pace.finished_count,
            self.hits,
            self.hits_registered,
            self.pace.cursor(),
        )

    async def _ask(self, target: Target) -> SweepHit | None:
        address = DeviceAddress(target.host, target.port)
        kind = f'application/soap+xml; charset=utf-8; action="{GET_CLOCK.action}"'
        before = self.now()
        try:
            reply = await self.http.post(
                address.url,
                envelope(GET_CLOCK),
                {"Content-Type": kind},
                self.timeouts,
                max_bytes=MAX_CLOCK_BYTES,
            )
            answer = read_reply(reply)
        except (Unreachable, BadAnswer):
            return None
        certain = answer is not None
        if answer is None and reply.status != 401:
            return None
        offset_s: float | None = None
        if answer is not None and not isinstance(answer, Fault):
            if name_of(answer) != "GetSystemDateAndTimeResponse":
                return None
            elapsed: timedelta = self.now() - before
            reading = read_clock(answer, before + elapsed / 2)
            offset_s = None if reading is None else reading.offset_s
        known = (target.host, target.port) in self.registered
        return SweepHit(address, known, certain, offset_s)
