"""Carries a run of inspections out: has cameras looked at as `Pace` says, and keeps the cards.

What a look costs is spent in other processes (`LookPool`, `DecodePool`); this one waits, decides
and writes. A run goes on after a restart with what is left of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog

from camera_registry.domain import Actor, StreamAddress
from camera_registry.errors import NotFound, RegistryError
from camera_registry.filing import Manages
from camera_registry.inspection.card import (
    MAX_PICTURE_BYTES,
    PICTURE_WIDTH,
    Card,
    Facts,
    Run,
    RunState,
    Target,
)
from camera_registry.inspection.cases import InspectionCases, Result
from camera_registry.inspection.verdicts import judged
from gateways.decode.contract import DecodeError, Picture, TooLarge, Undecodable
from gateways.rtsp.inspect import Looked
from gateways.rtsp.inspect_pool import LookBroken
from gateways.rtsp.prepare import Address
from streamhub.inspection.pace import DEAD, GONE, Ended, Pace, PaceSettings

log = structlog.get_logger(__name__)

SYSTEM: Final = Actor(None, "system")
# Results share a commit: progress is a second old at most, and 3,000 cards are not 3,000 syncs.
FLUSH_S: Final = 1.0
# A look at who holds how many dials walks all routes.
LIVE_FRESH_S: Final = 1.0
# Stills on their way at a time; a picture takes 30 ms, and the pool refuses over 16.
STILLS_WAITING: Final = 8
STILL_TIMEOUT_S: Final = 10.0


class Looker(Protocol):
    """`gateways.rtsp.inspect_pool.LookPool`."""

    async def look(self, address: Address) -> Looked: ...
    async def close(self) -> None: ...


class StillDecoder(Protocol):
    """`gateways.decode.DecodePool`."""

    async def decode(
        self, annexb: bytes, *, codec: str, timeout_s: float, most_width: int
    ) -> Picture: ...
    async def close(self) -> None: ...


class Addresses(Protocol):
    """The registry: where a stream is and how to get in."""

    async def spec_for(self, channel_id: str, profile: str) -> StreamAddress: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run works with; made at its begin and closed at its end, so that an idle service
    keeps no processes for it."""

    looker: Looker
    decoder: StillDecoder

    async def close(self) -> None:
        await asyncio.gather(self.looker.close(), self.decoder.close())


@dataclass(frozen=True, slots=True)
class _Seen:
    """Of one look. `facts` is None when the channel is gone."""

    facts: Facts | None
    jpeg: bytes | None = None

    @property
    def code(self) -> str | None:
        return GONE if self.facts is None else self.facts.failure


class Inspector:
    """One run at a time. `start()` once before use, `stop()` at the end.

    `live_dials` gives how many streams are pulled from each device for others; `on_card` is told
    of each card that was kept.
    """

    def __init__(
        self,
        cases: InspectionCases,
        addresses: Addresses,
        *,
        make_tools: Callable[[], Tools],
        live_dials: Callable[[], Mapping[str, int]] = dict,
        on_card: Callable[[Card], None] = lambda _: None,
        settings: PaceSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # given
        self._cases = cases
        self._on_card = on_card
        self._addresses = addresses
        self._make_tools = make_tools
        self._live_dials = live_dials
        self._settings = settings or PaceSettings()
        self._clock = clock
        # owned
        self._task: asyncio.Task[None] | None = None
        self._run_id: str | None = None

    async def start(self, *, resume: bool) -> None:
        """Goes on with the run that the last end of the service cut short, if `resume`: a command
        without a service must not dial cameras that it was not asked to."""
        run = await self._cases.running()
        if resume and run is not None:
            self._spawn(run.id)

    async def stop(self) -> None:
        """Ends the looking; what is left of the run stays for the next start."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def begin(
        self,
        by: Actor,
        *,
        area_id: str | None = None,
        channel_ids: Sequence[str] | None = None,
        profiles: Sequence[str] = ("main",),
        manages: Manages | None = None,
    ) -> Run:
        """See `InspectionCases.begin`; the looking begins at once."""
        run = await self._cases.begin(
            by, area_id=area_id, channel_ids=channel_ids, profiles=profiles, manages=manages
        )
        self._spawn(run.id)
        return run

    async def resume(self, run_id: str) -> Run:
        """Goes on with a run that nobody drives here; one that is driven, or over, is left alone.

        Raises NotFound("inspection")."""
        run = await self._cases.get(run_id)
        if run.state is RunState.RUNNING and not self._drives(run_id):
            self._spawn(run_id)
        return run

    async def end(self, run_id: str, by: Actor) -> Run:
        """Stops a run before its end; cards that are there stay. Raises NotFound("inspection")."""
        run = await self._cases.finish(run_id, by, stopped=True)
        if self._drives(run_id):
            await self.stop()
        return run

    async def over(self, run_id: str) -> Run:
        """Waits until a run that is driven here has ended."""
        if self._drives(run_id) and self._task is not None:
            await asyncio.wait([self._task])
        return await self._cases.get(run_id)

    # --- inside -----------------------------------------------------------------------------------

    def _drives(self, run_id: str) -> bool:
        return self._run_id == run_id and self._task is not None and not self._task.done()

    def _spawn(self, run_id: str) -> None:
        self._run_id = run_id
        self._task = asyncio.create_task(self._driving(run_id), name=f"inspection-{run_id}")

    async def _driving(self, run_id: str) -> None:
        drive = _Drive(
            run_id,
            self._cases,
            self._addresses,
            tools=self._make_tools(),
            live_dials=self._live_dials,
            on_card=self._on_card,
            pace=Pace(self._settings),
            clock=self._clock,
        )
        try:
            await drive.all()
        except Exception:
            # It stays as it is in the store: a restart, or `resume`, goes on with it.
            log.exception("inspection_broke_off", run_id=run_id)
            return
        await self._cases.finish(run_id, SYSTEM)
        log.info("inspection_done", run_id=run_id)


class _Drive:
    """One run, from what is left of it to its end."""

    def __init__(
        self,
        run_id: str,
        cases: InspectionCases,
        addresses: Addresses,
        *,
        tools: Tools,
        live_dials: Callable[[], Mapping[str, int]],
        on_card: Callable[[Card], None],
        pace: Pace,
        clock: Callable[[], float],
    ) -> None:
        # given
        self._run_id = run_id
        self._cases = cases
        self._addresses = addresses
        self._tools = tools
        self._live_dials = live_dials
        self._on_card = on_card
        self._pace = pace
        self._clock = clock
        # owned
        self._flights: dict[asyncio.Task[_Seen], Target] = {}
        self._stills = asyncio.Semaphore(STILLS_WAITING)
        self._results: list[Result] = []
        self._flushed_at = self._clock()
        self._live: tuple[float, Mapping[str, int]] | None = None

    async def all(self) -> None:
        try:
            targets, gone = await self._cases.left(self._run_id)
            self._results += [Result(number, None) for number in gone]
            for target in targets:
                self._pace.add(target)
            while self._pace.waiting or self._flights:
                go, ended = self._pace.poll(self._clock(), self._dials())
                for target in go:
                    self._flights[asyncio.create_task(self._fly(target))] = target
                self._keep(ended, None)
                await self._land()
                if self._clock() - self._flushed_at >= FLUSH_S:
                    await self._flush()
        finally:
            for flight in self._flights:
                flight.cancel()
            await asyncio.gather(*self._flights, return_exceptions=True)
            await self._tools.close()
            await self._flush()

    async def _land(self) -> None:
        """Waits for the next look to end, or for the time to poll or to write."""
        now = self._clock()
        due = self._flushed_at + FLUSH_S if self._results else None
        timeout = self._pace.next_timeout()
        waits = [each - now for each in (due, timeout) if each is not None]
        wait_s = max(0.0, min(waits)) if waits else None
        if not self._flights:
            await asyncio.sleep(FLUSH_S if wait_s is None else wait_s)
            return
        done, _ = await asyncio.wait(
            self._flights, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED
        )
        for flight in done:
            target = self._flights.pop(flight)
            seen = flight.result()
            self._keep(self._pace.landed(self._clock(), target, seen.code), seen)

    def _keep(self, ended: Sequence[Ended], seen: _Seen | None) -> None:
        """`seen` is the result of those that have no code of their own."""
        for each in ended:
            what = seen if each.code is None else _Seen(_undialled(each.code))
            if what is None or what.facts is None:
                self._results.append(Result(each.target.number, None))
            else:
                self._results.append(
                    Result(
                        each.target.number,
                        _card(self._run_id, each.target, what.facts, what.jpeg),
                        what.jpeg,
                    )
                )

    async def _flush(self) -> None:
        results, self._results = self._results, []
        self._flushed_at = self._clock()
        if results:
            await self._cases.record(self._run_id, results)
            for each in results:
                if each.card is not None:
                    self._on_card(each.card)

    def _dials(self) -> Mapping[str, int]:
        now = self._clock()
        if self._live is None or now - self._live[0] >= LIVE_FRESH_S:
            self._live = (now, self._live_dials())
        return self._live[1]

    async def _fly(self, target: Target) -> _Seen:
        try:
            address = await self._addresses.spec_for(target.channel_id, target.profile)
        except NotFound:
            return _Seen(None)
        except RegistryError as error:
            return _Seen(Facts(failure=error.code))
        try:
            looked = await self._tools.looker.look(address)
        except LookBroken as error:
            return _Seen(Facts(failure=error.code))
        if looked.keyframe is None or looked.facts.codec is None:
            return _Seen(looked.facts)
        return await self._still(looked.facts, looked.facts.codec, looked.keyframe)

    async def _still(self, facts: Facts, codec: str, keyframe: bytes) -> _Seen:
        try:
            async with self._stills:
                picture = await self._tools.decoder.decode(
                    keyframe, codec=codec, timeout_s=STILL_TIMEOUT_S, most_width=PICTURE_WIDTH
                )
        except Undecodable:
            return _Seen(replace(facts, picture="undecodable"))
        except TooLarge:
            return _Seen(replace(facts, picture="too_large"))
        except DecodeError:
            return _Seen(replace(facts, picture="not_decoded"))
        if len(picture.jpeg) > MAX_PICTURE_BYTES:
            return _Seen(replace(facts, picture="too_large"))
        return _Seen(replace(facts, picture="kept"), picture.jpeg)


def _undialled(code: str) -> Facts:
    """Of a channel whose device has said all already."""
    if code in DEAD:
        return Facts(failed_step="connect", failure=code)
    locked = code in ("auth_failed", "auth_required")
    return Facts(failure=code, authenticated=False if locked else None)


def _card(run_id: str, target: Target, facts: Facts, jpeg: bytes | None) -> Card:
    verdict, codes = judged(facts, target.profile)
    return Card(
        channel_id=target.channel_id,
        profile=target.profile,
        at=datetime.now(UTC),
        run_id=run_id,
        verdict=verdict,
        codes=codes,
        facts=facts,
        has_picture=jpeg is not None,
    )
