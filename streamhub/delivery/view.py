"""One live view: its record, its state for the tile, and what its watchers are told."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from weakref import WeakSet

from streamhub.media.contract import Reception, stream_id_of
from streamhub.router.route import RouteState
from streamhub.router.supervisor import RouteView

if TYPE_CHECKING:
    from streamhub.access.permit import Permit

StateName = Literal["opening", "live", "stale", "lost", "ended"]

# A join has eleven steps; each re-dial of a flapping camera adds seven: the last few tell enough.
TRACE_STEPS = 64
# A page and a colleague's second look at it; more would be a script.
MAX_WATCHERS = 4


class Opened(NamedTuple):
    """What a door returns at once."""

    view_id: str
    answer: str


@dataclass(frozen=True, slots=True)
class ViewState:
    """How a view stands, as its tile shows it."""

    name: StateName
    step: str | None = None
    reason: str | None = None
    detail: str = ""
    retry_in_ms: int | None = None
    last_packet_age_ms: int | None = None
    # What is wrong with the camera although the picture comes.
    warning: str | None = None
    # Which stream is shown, which one is wanted, and why that one is not there yet.
    profile: str = ""
    wanted_profile: str = ""
    wanted_reason: str | None = None

    def data(self) -> dict[str, Any]:
        """As the `state` event carries it."""
        return {
            "state": self.name,
            "step": self.step,
            "reason": self.reason,
            "detail": self.detail,
            "retry_in_ms": self.retry_in_ms,
            "last_packet_age_ms": self.last_packet_age_ms,
            "warning": self.warning,
            "profile": self.profile,
            "wanted_profile": self.wanted_profile,
            "wanted_reason": self.wanted_reason,
        }


@dataclass(frozen=True, slots=True)
class TraceStep:
    """A step with its time: unix milliseconds, and since the view was asked for."""

    step: str
    at_ms: int
    elapsed_ms: int

    def data(self) -> dict[str, Any]:
        return {"step": self.step, "at_ms": self.at_ms, "elapsed_ms": self.elapsed_ms}


@dataclass(frozen=True, slots=True)
class ViewEvent:
    """What a watcher hears: `step` or `state`, with JSON data."""

    name: Literal["step", "state"]
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """A live view as others may see it: a snapshot, it does not follow."""

    id: str
    channel_id: str
    profile: str
    wanted_profile: str
    profiles_shown: tuple[str, ...]
    audio: bool
    subject_id: str
    subject_name: str
    started_at: datetime
    until: datetime
    state: StateName
    step: str | None
    reason: str | None
    detail: str
    retry_in_ms: int | None
    last_packet_age_ms: int | None
    sent_bytes: int
    srtp_cipher: str | None
    reception: Reception
    permit: Permit


class Watch:
    """Async iterator of one watcher's events. Ends after `state: ended`.

    A slow watcher misses nothing but time: steps wait (as many as the trace keeps), of the states
    only the newest does.
    """

    def __init__(self) -> None:
        self._steps: deque[ViewEvent] = deque(maxlen=TRACE_STEPS)
        self._state: ViewEvent | None = None
        self._wake = asyncio.Event()
        self._ended = False

    def tell(self, event: ViewEvent) -> None:
        if self._ended:
            return
        if event.name == "step":
            self._steps.append(event)
        else:
            self._state = event
            self._ended = event.data["state"] == "ended"
        self._wake.set()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> ViewEvent:
        while True:
            if self._steps:
                return self._steps.popleft()
            if self._state is not None:
                event, self._state = self._state, None
                return event
            if self._ended:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()


@dataclass(slots=True, eq=False)
class LiveView:
    """The room's own record of a view."""

    # given
    id: str
    channel_id: str
    area_id: str | None
    profile: str
    started_at: datetime
    # owned
    permit: Permit
    until: float
    # Where the core was last asked to send it; `profile` is what it shows.
    wanted_profile: str = ""
    # Why the core did not send it to the stream that was wanted last; it stays where it is.
    switch_refused: str | None = None
    profiles_shown: list[str] = field(default_factory=list)
    # Whether it asked for the camera's sound.
    audio: bool = False
    trace: deque[TraceStep] = field(default_factory=lambda: deque(maxlen=TRACE_STEPS))
    steps_total: int = 0
    connected: bool = False
    srtp_cipher: str | None = None
    # Of a view by RTSP: its ticket, and when that ends (unix seconds).
    ticket_id: str | None = None
    not_after: float | None = None
    last_packet_age_ms: int | None = None
    sent_bytes: int = 0
    packets: int = 0
    reception: Reception = field(default_factory=Reception)
    lagged: int = 0
    ended_cause: str | None = None
    close_by: float = 0.0
    watches: WeakSet[Watch] = field(default_factory=WeakSet)

    def __post_init__(self) -> None:
        self.wanted_profile = self.profile
        self.profiles_shown = [self.profile]

    @property
    def is_by_rtsp(self) -> bool:
        return self.ticket_id is not None

    @property
    def stream_id(self) -> str:
        """The stream that it shows."""
        return stream_id_of(self.channel_id, self.profile)

    def stream_lease(self, profile: str) -> str:
        """Under which the router keeps one of its streams live."""
        return f"{self.id}/{profile}"

    def shows(self, profile: str) -> None:
        """The viewer has gone over to this one."""
        self.profile = profile
        if profile not in self.profiles_shown:
            self.profiles_shown.append(profile)

    @property
    def started_at_ms(self) -> int:
        return round(self.started_at.timestamp() * 1000)

    def add_step(self, step: str, at_ms: int) -> None:
        """Put a step on the trace and tell the watchers."""
        taken = TraceStep(step, at_ms, max(0, at_ms - self.started_at_ms))
        self.trace.append(taken)
        self.steps_total += 1
        self.tell(ViewEvent("step", taken.data()))

    def tell(self, event: ViewEvent) -> None:
        for watch in self.watches:
            watch.tell(event)


def state_of(
    view: LiveView, route: RouteView, stale_after_ms: int, wanted: RouteView | None = None
) -> ViewState:
    """The state of a view, from what the routes and the core say of it. Pure.

    `wanted`: the route of the stream that it is on its way to.
    """
    return replace(
        _state_of(view, route, stale_after_ms),
        profile=view.profile,
        wanted_profile=view.wanted_profile,
        wanted_reason=view.switch_refused if wanted is None else wanted.cause,
    )


def _state_of(view: LiveView, route: RouteView, stale_after_ms: int) -> ViewState:
    age_ms = view.last_packet_age_ms
    step = view.trace[-1].step if view.trace else None
    if view.ended_cause is not None:
        return ViewState("ended", reason=view.ended_cause, last_packet_age_ms=age_ms)
    if route.state is RouteState.BACKOFF:
        return ViewState(
            "lost",
            step=step,
            reason=route.cause,
            detail=route.detail,
            retry_in_ms=route.retry_in_ms,
            last_packet_age_ms=age_ms,
        )
    if route.state is RouteState.LIVE and view.connected and age_ms is not None:
        if age_ms > stale_after_ms:
            return ViewState("stale", reason="no_packets", last_packet_age_ms=age_ms)
        warning = "b_frames" if route.has_b_slices else None
        return ViewState("live", last_packet_age_ms=age_ms, warning=warning)
    # A re-dial keeps the cause of the loss in sight until pictures are back.
    return ViewState(
        "opening",
        step=step,
        reason=route.cause,
        detail=route.detail,
        last_packet_age_ms=age_ms,
    )


def snapshot_of(view: LiveView, state: ViewState) -> View:
    """A view as it stands, for others to read."""
    return View(
        id=view.id,
        channel_id=view.channel_id,
        profile=view.profile,
        wanted_profile=view.wanted_profile,
        profiles_shown=tuple(view.profiles_shown),
        audio=view.audio,
        subject_id=view.permit.subject_id,
        subject_name=view.permit.principal.username,
        started_at=view.started_at,
        until=datetime.fromtimestamp(view.until, UTC),
        state=state.name,
        step=state.step,
        reason=state.reason,
        detail=state.detail,
        retry_in_ms=state.retry_in_ms,
        last_packet_age_ms=state.last_packet_age_ms,
        sent_bytes=view.sent_bytes,
        srtp_cipher=view.srtp_cipher,
        reception=view.reception,
        permit=view.permit,
    )
