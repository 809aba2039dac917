"""Drives the routes: turns their actions into dials on the core, and the core's events back.

All methods but the address lookup are synchronous and for the event loop's thread.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import structlog

from streamhub.media.contract import (
    Event,
    EventsLost,
    MediaError,
    SourceHasBSlices,
    SourceLive,
    SourceLost,
    SourceSpec,
    StepTaken,
    channel_of,
    require_permit,
    stream_id_of,
)
from streamhub.router.placement import Placement
from streamhub.router.policy import RouterSettings
from streamhub.router.route import Action, Route, RouteState

if TYPE_CHECKING:
    from camera_registry.secret import Secret
    from streamhub.access.permit import Permit

log = structlog.get_logger(__name__)

# A dial has seven steps; redirects and retried transports may add a few.
STEPS_KEPT = 16


class StreamAddress(Protocol):
    """Where a stream is and how to get in; what the registry knows of it."""

    @property
    def url(self) -> str: ...
    @property
    def username(self) -> str | None: ...
    @property
    def password(self) -> Secret | None: ...


class AddressBook(Protocol):
    """Looks up addresses. An exception's `code` attribute becomes the reason of the loss."""

    async def spec_for(self, channel_id: str, profile: str) -> StreamAddress: ...


@dataclass(frozen=True, slots=True)
class RouteView:
    """A route as others may see it."""

    stream_id: str
    state: RouteState
    cause: str | None
    detail: str
    retry_in_ms: int | None
    leases: int
    has_b_slices: bool
    steps: tuple[StepTaken, ...]


@dataclass(slots=True)
class _Entry:
    stream_id: str
    route: Route
    steps: list[StepTaken] = field(default_factory=list)
    spec: SourceSpec | None = None
    dialling: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    # What the listeners were last told of.
    shown: tuple[RouteState, str | None, str, float | None, bool] | None = None
    has_b_slices: bool = False


class Router:
    """Owner of all routes. `prepare` is the gateway's: (address, profile) -> `SourceSpec`."""

    def __init__(
        self,
        placement: Placement,
        addresses: AddressBook,
        *,
        prepare: Callable[[StreamAddress, str], SourceSpec],
        settings: RouterSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        # given
        self._placement = placement
        self._addresses = addresses
        self._prepare = prepare
        self._settings = settings or RouterSettings()
        self._clock = clock
        self._jitter = jitter
        # owned
        self._entries: dict[str, _Entry] = {}
        self._stream_of_lease: dict[str, str] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._closed = False
        self.dials_total = 0
        self.losses_total = 0

    # --- what others ask --------------------------------------------------------------------------

    def ensure_live(self, permit: Permit, channel_id: str, profile: str, lease_id: str) -> None:
        """Keep this stream live until `release(lease_id)`. However many ask: one dial.

        The permit is the proof that somebody may; it must be for this very channel.
        """
        require_permit(permit, channel_id)
        if self._closed:
            return
        stream_id = stream_id_of(channel_id, profile)
        entry = self._entries.get(stream_id)
        if entry is None:
            entry = _Entry(stream_id, Route(self._settings, self._jitter))
            self._entries[stream_id] = entry
        self._stream_of_lease[lease_id] = stream_id
        entry.route.acquire(self._clock(), lease_id)
        self._drive(entry)

    def release(self, lease_id: str, *, linger_s: float | None = None) -> None:
        """Give a lease back. Unknown ids are ignored. `linger_s`: see `Route.release`."""
        stream_id = self._stream_of_lease.pop(lease_id, None)
        entry = self._entries.get(stream_id) if stream_id is not None else None
        if entry is not None:
            entry.route.release(self._clock(), lease_id, linger_s)
            self._drive(entry)

    def route(self, stream_id: str) -> RouteView:
        """How it stands with a stream; an unknown one is idle."""
        entry = self._entries.get(stream_id)
        if entry is None:
            return RouteView(stream_id, RouteState.IDLE, None, "", None, 0, False, ())
        retry_in_s = entry.route.retry_in_s(self._clock())
        return RouteView(
            stream_id,
            entry.route.state,
            entry.route.cause,
            entry.route.detail,
            None if retry_in_s is None else round(retry_in_s * 1000),
            len(entry.route.leases),
            entry.has_b_slices,
            tuple(entry.steps),
        )

    def routes(self) -> list[RouteView]:
        return [self.route(stream_id) for stream_id in self._entries]

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Call `listener(stream_id)` whenever the state of a route has changed."""
        self._listeners.append(listener)

    async def addresses_changed(self, channel_ids: Collection[str] | None = None) -> None:
        """The registry changed these channels (None: any): dial again where the address differs.

        A live stream whose channel only got another name is left alone; one that waits for its
        next try is tried at once, because what made it fail may have been mended.
        """
        for entry in list(self._entries.values()):
            if channel_ids is not None and channel_of(entry.stream_id) not in channel_ids:
                continue
            held = entry.route.state in (RouteState.OPENING, RouteState.LIVE)
            if held and entry.dialling is None and await self._same_address(entry):
                continue
            if self._entries.get(entry.stream_id) is entry:
                entry.route.address_changed(self._clock())
                self._drive(entry)

    # --- what the core says -----------------------------------------------------------------------

    def handle_event(self, event: Event) -> None:
        """Subscriber of the event pump; must come before the delivery room's."""
        match event:
            case StepTaken(owner=owner) if owner in self._entries:
                steps = self._entries[owner].steps
                if len(steps) < STEPS_KEPT:
                    steps.append(event)
            case SourceLive(stream_id=stream_id) if stream_id in self._entries:
                entry = self._entries[stream_id]
                entry.route.source_live(self._clock())
                self._drive(entry)
            case SourceLive(stream_id=stream_id):
                self._placement.core_for(stream_id).close_source(stream_id)
            case SourceHasBSlices(stream_id=stream_id) if stream_id in self._entries:
                log.warning("source_has_b_slices", stream_id=stream_id)
                self._entries[stream_id].has_b_slices = True
                self._drive(self._entries[stream_id])
            case SourceLost(stream_id=stream_id) if stream_id in self._entries:
                self._lost(self._entries[stream_id], event.cause, event.retryable, event.detail)
            case EventsLost():
                self._resync()
            case _:
                pass

    def tick(self) -> None:
        """Run everything that is due; timers do it by themselves, tests with a clock call this."""
        for entry in list(self._entries.values()):
            entry.route.handle_timeout(self._clock())
            self._drive(entry)

    async def close(self) -> None:
        """Stop dialling. The core hangs up by its own shutdown."""
        self._closed = True
        tasks = [entry.dialling for entry in self._entries.values() if entry.dialling]
        for entry in self._entries.values():
            if entry.timer is not None:
                entry.timer.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._entries.clear()
        self._stream_of_lease.clear()

    # --- inside -----------------------------------------------------------------------------------

    def _drive(self, entry: _Entry) -> None:
        if self._closed:
            return
        while (action := entry.route.poll_action()) is not None:
            if entry.dialling is not None:
                entry.dialling.cancel()
                entry.dialling = None
            if action is Action.DIAL:
                entry.steps.clear()
                entry.has_b_slices = False
                self.dials_total += 1
                entry.dialling = asyncio.create_task(self._dial(entry))
            else:
                self._placement.core_for(entry.stream_id).close_source(entry.stream_id)
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None
        due = entry.route.poll_timeout()
        if due is not None:
            delay_s = max(0.0, due - self._clock())
            entry.timer = asyncio.get_running_loop().call_later(delay_s, self._due, entry)
        elif entry.route.forgettable:
            self._entries.pop(entry.stream_id, None)
        # Most calls change nothing that others see: a viewer more or less.
        retry_at = due if entry.route.state is RouteState.BACKOFF else None
        route = entry.route
        shown = (route.state, route.cause, route.detail, retry_at, entry.has_b_slices)
        if shown != entry.shown:
            entry.shown = shown
            for listener in self._listeners:
                listener(entry.stream_id)

    def _due(self, entry: _Entry) -> None:
        entry.route.handle_timeout(self._clock())
        self._drive(entry)

    async def _spec(self, stream_id: str) -> SourceSpec:
        channel_id, _, profile = stream_id.rpartition("/")
        return self._prepare(await self._addresses.spec_for(channel_id, profile), profile)

    async def _same_address(self, entry: _Entry) -> bool:
        try:
            return await self._spec(entry.stream_id) == entry.spec
        except Exception:
            return False  # gone or unreadable: the dial that follows says why

    async def _dial(self, entry: _Entry) -> None:
        try:
            entry.spec = await self._spec(entry.stream_id)
            self._placement.core_for(entry.stream_id).open_source(entry.stream_id, entry.spec)
        except Exception as error:
            code = getattr(error, "code", None)
            # An error with a code is an answer (disabled, not there); else it is an accident.
            retryable = code is None or isinstance(error, MediaError)
            log.warning(
                "dial_not_possible",
                stream_id=entry.stream_id,
                code=code,
                error=type(error).__name__,
            )
            entry.dialling = None
            self._lost(entry, str(code or "address_failed"), retryable, type(error).__name__)
        else:
            entry.dialling = None

    def _lost(self, entry: _Entry, cause: str, retryable: bool, detail: str) -> None:
        self.losses_total += 1
        before = entry.route.state
        entry.route.source_lost(self._clock(), cause, retryable, detail)
        if before is not RouteState.BACKOFF:
            log.info("source_lost", stream_id=entry.stream_id, cause=cause, retryable=retryable)
        self._drive(entry)

    def _resync(self) -> None:
        """Events were lost: believe the core's rows instead."""
        by_core: dict[int, list[_Entry]] = {}
        for entry in self._entries.values():
            if entry.dialling is None:
                key = id(self._placement.core_for(entry.stream_id))
                by_core.setdefault(key, []).append(entry)
        for entries in by_core.values():
            core = self._placement.core_for(entries[0].stream_id)
            rows = core.source_stats([entry.stream_id for entry in entries])
            for entry in entries:
                row = rows.get(entry.stream_id)
                if row is None or row.state == "lost":
                    cause = (row.cause if row else None) or "unknown"
                    self._lost(entry, cause, True, "learnt after lost events")
                elif row.state == "live":
                    entry.route.source_live(self._clock())
                    self._drive(entry)
