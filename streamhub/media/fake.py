"""A core without packets: scripted sources and viewers in memory, for unit tests.

Product code, not a test file, so that every room's tests (and the contract suite) share one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamhub.media.contract import (
    STREAM_STEPS,
    CoreClosed,
    CoreStats,
    Event,
    EventsLost,
    KeyframeTaken,
    MalformedOffer,
    NoCommonCodec,
    OverCapacity,
    Reception,
    RtspAsked,
    SourceLive,
    SourceLost,
    SourceSpec,
    SourceStats,
    StepTaken,
    SwitchRefused,
    ViewerClosed,
    ViewerConnected,
    ViewerStats,
    ViewerSwitched,
    channel_of,
    require_permit,
)

if TYPE_CHECKING:
    from streamhub.access.permit import Permit


@dataclass(frozen=True, slots=True)
class Script:
    """What a stream does when it is dialled. `fail` = (cause, retryable) instead of going live."""

    goes_live: bool = True
    fail: tuple[str, bool] | None = None
    keyframe: bytes | None = b"\x00\x00\x00\x01\x65fake"
    width: int = 640
    height: int = 360
    codec: str = "H264"


@dataclass(slots=True)
class FakeSource:
    spec: SourceSpec
    state: str = "opening"
    cause: str | None = None
    last_packet_age_ms: int | None = None


@dataclass(slots=True)
class FakeViewer:
    """A viewer as a test may look at it and change it."""

    viewer_id: str
    stream_id: str
    channel_id: str
    subject_id: str
    until: float
    codecs: frozenset[str] = frozenset({"H264"})
    connected: bool = False
    last_packet_age_ms: int | None = None
    sent_bytes: int = 0
    packets: int = 0
    next_stream_id: str | None = None
    audio_on: bool = False
    by_rtsp: bool = False


@dataclass(slots=True)
class FakeCore:
    """In-memory `MediaCore`. `clock` gives unix seconds; call `tick()` after moving it."""

    clock: Callable[[], float] = time.time
    max_viewers: int = 1000
    udp_port: int = 40000
    rtsp_port: int | None = None
    rtsps_port: int | None = None
    scripts: dict[str, Script] = field(default_factory=dict)
    default_script: Script = field(default_factory=Script)
    sources: dict[str, FakeSource] = field(default_factory=dict)
    viewers: dict[str, FakeViewer] = field(default_factory=dict)
    dials: list[str] = field(default_factory=list)
    hang_ups: list[str] = field(default_factory=list)
    known_codecs: dict[str, str] = field(default_factory=dict)
    # RTSP clients that wait, and what those that were refused were answered.
    rtsp_waiting: dict[str, RtspAsked] = field(default_factory=dict)
    rtsp_answers: list[tuple[str, int, int]] = field(default_factory=list)
    rtsp_identities: list[tuple[bytes, bytes]] = field(default_factory=list)
    stats_calls: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    _queue: deque[Event] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting: list[tuple[str, str]] = field(default_factory=list)
    _closed: bool = False

    def script(self, stream_id: str, script: Script) -> None:
        """What `stream_id` does from its next dial on."""
        self.scripts[stream_id] = script

    # --- MediaCore ------------------------------------------------------------------------------

    def open_source(self, stream_id: str, spec: SourceSpec) -> None:
        if self._closed:
            return
        self.dials.append(stream_id)
        self.sources[stream_id] = FakeSource(spec)
        script = self.scripts.get(stream_id, self.default_script)
        self._step(stream_id, "dial")
        if script.fail is not None:
            self.lose(stream_id, *script.fail)
        elif script.goes_live:
            self.go_live(stream_id)

    def close_source(self, stream_id: str) -> None:
        if self.sources.pop(stream_id, None) is not None:
            self.hang_ups.append(stream_id)

    def open_viewer(
        self,
        *,
        viewer_id: str,
        stream_id: str,
        channel_id: str,
        subject_id: str,
        offer_sdp: str,
        until: float,
        permit: Permit,
    ) -> str:
        require_permit(permit, channel_id, subject_id)
        if self._closed:
            raise CoreClosed("the core was shut down")
        if not offer_sdp.startswith("v=0"):
            raise MalformedOffer("line 1: v=0 expected")
        codecs = frozenset(c for c in ("H264", "H265") if f"{c}/90000" in offer_sdp)
        known = self.known_codecs.get(stream_id)
        if not codecs or (known is not None and known not in codecs):
            raise NoCommonCodec(f"the offer lacks {known or 'H264 and H265'}", known)
        if len(self.viewers) >= self.max_viewers:
            raise OverCapacity()
        self.viewers[viewer_id] = FakeViewer(
            viewer_id, stream_id, channel_id, subject_id, until, codecs
        )
        return f"v=0\r\ns={viewer_id}\r\n"

    def accept_rtsp(
        self,
        *,
        connection_id: str,
        viewer_id: str,
        stream_id: str,
        channel_id: str,
        subject_id: str,
        until: float,
        permit: Permit,
    ) -> None:
        require_permit(permit, channel_id, subject_id)
        if self._closed:
            raise CoreClosed("the core was shut down")
        if len(self.viewers) >= self.max_viewers:
            raise OverCapacity()
        if self.rtsp_waiting.pop(connection_id, None) is None:
            self.emit(ViewerClosed(viewer_id, "client_gone", 0, 0))
            return
        codecs = frozenset({"H264", "H265"})
        self.viewers[viewer_id] = FakeViewer(
            viewer_id, stream_id, channel_id, subject_id, until, codecs, by_rtsp=True
        )

    def refuse_rtsp(self, connection_id: str, status: int, *, retry_after_s: int = 0) -> None:
        if self.rtsp_waiting.pop(connection_id, None) is not None:
            self.rtsp_answers.append((connection_id, status, retry_after_s))

    def set_rtsp_identity(self, certificate: bytes, key: bytes) -> None:
        self.rtsp_identities.append((certificate, key))

    def renew_viewers(self, leases: Sequence[tuple[str, float]]) -> None:
        for viewer_id, until in leases:
            if viewer_id in self.viewers:
                self.viewers[viewer_id].until = until

    def set_viewer_audio(self, viewer_id: str, on: bool) -> None:
        if viewer_id in self.viewers:
            self.viewers[viewer_id].audio_on = on

    def switch_viewer(self, viewer_id: str, stream_id: str, permit: Permit) -> None:
        require_permit(permit, channel_of(stream_id))
        viewer = self.viewers.get(viewer_id)
        if viewer is None:
            return
        codec = self.known_codecs.get(stream_id)
        if codec is not None and codec not in viewer.codecs:
            raise NoCommonCodec(f"the offer lacks {codec}", codec)
        viewer.next_stream_id = stream_id
        source = self.sources.get(stream_id)
        if viewer.stream_id == stream_id or (source is not None and source.state == "live"):
            self._go_over(viewer)

    def close_viewers(
        self,
        *,
        viewer_ids: Collection[str] | None = None,
        channel_id: str | None = None,
        subject_id: str | None = None,
        cause: str,
    ) -> None:
        wanted = set(viewer_ids or ())
        for viewer in list(self.viewers.values()):
            if (
                viewer.viewer_id in wanted
                or (channel_id is not None and viewer.channel_id == channel_id)
                or (subject_id is not None and viewer.subject_id == subject_id)
            ):
                self.drop_viewer(viewer.viewer_id, cause)

    def request_keyframe(self, stream_id: str) -> None:
        pass

    def take_keyframe(self, request_id: str, stream_id: str) -> None:
        source = self.sources.get(stream_id)
        if source is not None and source.state == "live":
            self._hand_out(request_id, stream_id)
        else:
            self._waiting.append((request_id, stream_id))

    def stats(self) -> CoreStats:
        return CoreStats(len(self.sources), len(self.viewers), dict(self.counters))

    def source_stats(self, stream_ids: Collection[str]) -> dict[str, SourceStats]:
        return {
            stream_id: SourceStats(
                stream_id, source.state, source.last_packet_age_ms, 0, 0, source.cause
            )
            for stream_id in stream_ids
            if (source := self.sources.get(stream_id)) is not None
        }

    def viewer_stats(self, viewer_ids: Collection[str]) -> dict[str, ViewerStats]:
        self.stats_calls += 1
        return {
            viewer.viewer_id: ViewerStats(
                viewer.viewer_id,
                viewer.stream_id,
                viewer.connected,
                viewer.last_packet_age_ms,
                viewer.sent_bytes,
                viewer.packets,
                0,
                viewer.until,
                Reception(transport="rtsp" if viewer.by_rtsp else "udp"),
            )
            for viewer_id in viewer_ids
            if (viewer := self.viewers.get(viewer_id)) is not None
        }

    async def events(self) -> AsyncIterator[Event]:
        while True:
            self._wake.clear()
            while self._queue:
                yield self._queue.popleft()
            if self._closed:
                return
            await self._wake.wait()

    async def shutdown(self, deadline_ms: int) -> None:
        self._closed = True
        for viewer_id in list(self.viewers):
            self.drop_viewer(viewer_id, "shutdown")
        self.sources.clear()
        self._wake.set()

    # --- what a test makes happen -----------------------------------------------------------------

    def go_live(self, stream_id: str) -> None:
        """The dialled source delivers its first keyframe."""
        script = self.scripts.get(stream_id, self.default_script)
        source = self.sources[stream_id]
        source.state, source.last_packet_age_ms = "live", 0
        for step in STREAM_STEPS[1:]:
            self._step(stream_id, step)
        self.known_codecs[stream_id] = script.codec
        self.emit(SourceLive(stream_id, script.codec, script.width, script.height, "42e01f"))
        for viewer in list(self.viewers.values()):
            takes = script.codec in viewer.codecs
            if viewer.stream_id == stream_id and not takes:
                self.drop_viewer(viewer.viewer_id, "no_common_codec")
            elif viewer.next_stream_id == stream_id and takes:
                self._go_over(viewer)
            elif viewer.next_stream_id == stream_id:
                viewer.next_stream_id = None
                self.emit(SwitchRefused(viewer.viewer_id, stream_id, "no_common_codec"))
        waiting, self._waiting = self._waiting, []
        for request_id, wanted in waiting:
            if wanted == stream_id:
                self._hand_out(request_id, stream_id)
            else:
                self._waiting.append((request_id, wanted))

    def ask_by_rtsp(self, asked: RtspAsked) -> None:
        """A client with a genuine ticket waits at the RTSP door."""
        self.rtsp_waiting[asked.connection_id] = asked
        self.emit(asked)

    def lose(self, stream_id: str, cause: str, retryable: bool = True) -> None:
        """The source is gone."""
        source = self.sources[stream_id]
        source.state, source.cause = "lost", cause
        self.emit(SourceLost(stream_id, cause, retryable, f"scripted {cause}"))

    def connect_viewer(self, viewer_id: str, *, sent_bytes: int = 1000) -> None:
        """ICE and DTLS of a viewer are through, and it gets media."""
        viewer = self.viewers[viewer_id]
        viewer.connected, viewer.last_packet_age_ms = True, 0
        viewer.sent_bytes, viewer.packets = sent_bytes, 10
        for step in ("ice", "dtls"):
            self._step(viewer_id, step)
        self.emit(ViewerConnected(viewer_id, "AEAD_AES_256_GCM"))
        self._step(viewer_id, "first_sent")

    def drop_viewer(self, viewer_id: str, cause: str) -> None:
        """A viewer goes away."""
        viewer = self.viewers.pop(viewer_id)
        self.emit(ViewerClosed(viewer_id, cause, viewer.sent_bytes, viewer.packets))

    def tick(self) -> None:
        """Close the viewers whose `until` has passed."""
        now = self.clock()
        for viewer in list(self.viewers.values()):
            if viewer.until <= now:
                self.drop_viewer(viewer.viewer_id, "lease_expired")

    def lose_events(self) -> None:
        """As if the ring had overflowed: what is queued is gone, and `EventsLost` follows."""
        self._queue.clear()
        self.emit(EventsLost())

    def emit(self, event: Event) -> None:
        self._queue.append(event)
        self._wake.set()

    # --- inside -----------------------------------------------------------------------------------

    def _step(self, owner: str, step: str) -> None:
        self.emit(StepTaken(owner, step, round(self.clock() * 1000)))

    def _go_over(self, viewer: FakeViewer) -> None:
        viewer.stream_id = viewer.next_stream_id or viewer.stream_id
        viewer.next_stream_id = None
        self.emit(ViewerSwitched(viewer.viewer_id, viewer.stream_id))

    def _hand_out(self, request_id: str, stream_id: str) -> None:
        script = self.scripts.get(stream_id, self.default_script)
        if script.keyframe is not None:
            self.emit(
                KeyframeTaken(
                    request_id,
                    stream_id,
                    script.keyframe,
                    40,
                    script.width,
                    script.height,
                    script.codec,
                )
            )
