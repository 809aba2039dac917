"""Streams and viewers, in the core's own loop. Commands come in order from `core`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from aiortc.rtcdtlstransport import RTCCertificate

from streamhub.media.contract import (
    KeyframeTaken,
    SourceHasBSlices,
    SourceLive,
    SourceLost,
    StepTaken,
    ViewerClosed,
    ViewerSwitched,
    WorkerFault,
)

from .ice import IcePath, UdpPort
from .source import Heard, Playing, Pull, PulledUnit, PullFailed
from .stream import Stream, Unit
from .viewer import Viewer, ViewerPlan

if TYPE_CHECKING:
    from streamhub.media.contract import SourceSpec

    from .events import EventQueue
    from .figures import Figures, SourceRow

log = structlog.get_logger(__name__)

CODEC = "H264"
# A thread each, and one interpreter for all of them.
MAX_SOURCES = 256
SWEEP_EVERY_S = 1.0


class Engine:
    """Every method is called in the core's loop."""

    def __init__(
        self, port: UdpPort, events: EventQueue, figures: Figures, certificate: RTCCertificate
    ) -> None:
        # given
        self._port = port
        self._events = events
        self._figures = figures
        self._certificate = certificate
        # owned
        self._streams: dict[str, Stream] = {}
        self._source_rows: dict[Pull, SourceRow] = {}
        self._viewers: dict[str, Viewer] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sweeping: asyncio.Task[None] | None = None
        self._goodbyes: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._port.start()
        self._sweeping = asyncio.create_task(self._sweep(), name="pycore-sweep")

    # --- sources ----------------------------------------------------------------------------------

    def open_source(self, row: SourceRow, spec: SourceSpec) -> None:
        stream = self._stream(row.stream_id)
        self._hang_up(stream)
        if len(self._source_rows) >= MAX_SOURCES:
            detail = f"the Python core pulls {MAX_SOURCES} cameras at most; use the native core"
            self._lose(stream, row, PullFailed("engine_busy", detail))
            return
        loop = asyncio.get_running_loop()

        def hear(pull: Pull, heard: Heard) -> None:
            with suppress(RuntimeError):  # the loop has ended, and nobody listens
                loop.call_soon_threadsafe(self._heard, pull, heard)

        pull = Pull(row.stream_id, spec, hear)
        self._source_rows[pull] = row
        stream.begin(pull)
        pull.start()

    def close_source(self, stream_id: str) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._hang_up(stream)
            self._forget_idle(stream)

    def _hang_up(self, stream: Stream) -> None:
        pull = stream.pull
        if pull is not None:
            pull.abandon()
            self._source_rows.pop(pull, None)
            stream.end()

    def _heard(self, pull: Pull, heard: Heard) -> None:
        if isinstance(heard, PulledUnit):
            pull.taken()
        row = self._source_rows.get(pull)
        if row is None or not self._figures.is_current(row):
            return  # hung up on meanwhile
        stream = self._streams[pull.stream_id]
        match heard:
            case Playing():
                self._step(row.stream_id, "play")
            case PulledUnit():
                self._take(stream, row, heard)
            case PullFailed():
                self._source_rows.pop(pull, None)
                stream.end()
                self._lose(stream, row, heard)

    def _take(self, stream: Stream, row: SourceRow, pulled: PulledUnit) -> None:
        if row.last_packet_at is None:
            self._step(row.stream_id, "first_packet")
        row.last_packet_at = pulled.recv_at
        row.received_bytes += len(pulled.annexb)
        row.units += 1
        had_b_slices = stream.has_b_slices
        unit = stream.take(pulled)
        if pulled.picture is not None:
            self._keyframe_came(stream, row, unit)
        if stream.has_b_slices and not had_b_slices:
            self._events.push(SourceHasBSlices(stream.stream_id))
        if unit.is_keyframe:
            for viewer in list(stream.coming):
                viewer.go_over(unit)
                self._went_over(viewer, stream)
        for viewer in stream.viewers:
            viewer.put(unit)

    def _keyframe_came(self, stream: Stream, row: SourceRow, unit: Unit) -> None:
        picture = unit.picture
        if picture is not None and not stream.is_live:
            stream.is_live = True
            row.state = "live"
            self._step(stream.stream_id, "first_keyframe")
            self._events.push(
                SourceLive(stream.stream_id, CODEC, picture.width, picture.height, picture.profile)
            )
        waiting, stream.waiting_stills = stream.waiting_stills, []
        for request_id in waiting:
            self._hand_out(request_id, stream.stream_id, unit)

    def _lose(self, stream: Stream, row: SourceRow, failure: PullFailed) -> None:
        row.state, row.cause = "lost", failure.cause
        self._events.push(
            SourceLost(stream.stream_id, failure.cause, failure.retryable, failure.detail)
        )
        self._forget_idle(stream)

    # --- stills -----------------------------------------------------------------------------------

    def take_keyframe(self, request_id: str, stream_id: str) -> None:
        stream = self._stream(stream_id)
        keyframe = stream.fresh_keyframe(time.monotonic())
        if keyframe is None:
            stream.wait_for_still(request_id)
        else:
            self._hand_out(request_id, stream_id, keyframe)

    def _hand_out(self, request_id: str, stream_id: str, unit: Unit) -> None:
        if unit.picture is None:
            return
        self._events.push(
            KeyframeTaken(
                request_id,
                stream_id,
                bytes(unit.packet),
                max(0, round((time.monotonic() - unit.recv_at) * 1000)),
                unit.picture.width,
                unit.picture.height,
            )
        )

    # --- viewers ----------------------------------------------------------------------------------

    def open_viewer(self, plan: ViewerPlan) -> None:
        viewer_id = plan.row.viewer_id
        stream = self._stream(plan.row.stream_id)

        def step(name: str) -> None:
            self._step(viewer_id, name)

        path = IcePath(
            ufrag=plan.ufrag,
            password=plan.password,
            row=plan.row,
            port=self._port,
            rtx_payload_type=plan.rtx_payload_type,
            on_first_sent=lambda: step("first_sent"),
        )
        viewer = Viewer(
            plan,
            stream,
            path,
            self._certificate,
            tell=self._events.push,
            step=step,
            totals=self._figures.totals,
        )
        self._port.add(path)
        self._viewers[viewer_id] = viewer
        stream.viewers.add(viewer)
        self._arm_lease(viewer)
        self._tasks[viewer_id] = asyncio.create_task(self._live(viewer), name=f"view-{viewer_id}")

    def renew_viewers(self, leases: Sequence[tuple[str, float]]) -> None:
        for viewer_id, until in leases:
            viewer = self._viewers.get(viewer_id)
            if viewer is not None:
                viewer.row.until = until
                self._arm_lease(viewer)

    def switch_viewer(self, viewer_id: str, stream_id: str) -> None:
        viewer = self._viewers.get(viewer_id)
        if viewer is None:
            return
        self._stay(viewer)
        stream = self._stream(stream_id)
        if viewer.stream is stream:
            self._events.push(ViewerSwitched(viewer_id, stream_id))
            return
        viewer.next_stream = stream
        stream.coming.add(viewer)

    def _went_over(self, viewer: Viewer, stream: Stream) -> None:
        before, viewer.stream = viewer.stream, stream
        self._stay(viewer)
        before.viewers.discard(viewer)
        stream.viewers.add(viewer)
        viewer.row.stream_id = stream.stream_id
        self._forget_idle(before)
        self._events.push(ViewerSwitched(viewer.viewer_id, stream.stream_id))

    def _stay(self, viewer: Viewer) -> None:
        """It is on its way nowhere any more."""
        if viewer.next_stream is not None:
            viewer.next_stream.coming.discard(viewer)
            self._forget_idle(viewer.next_stream)
            viewer.next_stream = None

    def close_viewers(self, is_meant: Callable[[ViewerPlan], bool], cause: str) -> None:
        for viewer in [each for each in self._viewers.values() if is_meant(each.plan)]:
            self._end(viewer, cause)

    async def _live(self, viewer: Viewer) -> None:
        try:
            cause = await viewer.run()
        except Exception as error:
            log.exception("viewer_fault", viewer_id=viewer.viewer_id)
            detail = f"a viewer's connection raised {type(error).__name__}; the view was closed"
            self._events.push(WorkerFault(viewer.viewer_id, detail))
            cause = "worker_fault"
        self._end(viewer, cause)

    def _arm_lease(self, viewer: Viewer) -> None:
        if viewer.lease is not None:
            viewer.lease.cancel()
        left_s = max(0.0, viewer.row.until - time.time())
        loop = asyncio.get_running_loop()
        viewer.lease = loop.call_later(left_s, self._end, viewer, "lease_expired")

    def _end(self, viewer: Viewer, cause: str) -> None:
        """The one way out: whoever comes first gives the cause."""
        if self._viewers.pop(viewer.viewer_id, None) is None:
            return
        viewer.path.mute()
        if viewer.lease is not None:
            viewer.lease.cancel()
        self._stay(viewer)
        viewer.stream.viewers.discard(viewer)
        self._forget_idle(viewer.stream)
        row = viewer.row
        self._figures.remove_viewer(row.viewer_id)
        self._events.push(
            ViewerClosed(row.viewer_id, cause, row.sent_bytes, row.packets, row.reception)
        )
        goodbye = asyncio.create_task(self._say_goodbye(viewer, self._tasks.pop(row.viewer_id)))
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)

    @staticmethod
    async def _say_goodbye(viewer: Viewer, life: asyncio.Task[None]) -> None:
        life.cancel()
        await viewer.goodbye()

    # --- all --------------------------------------------------------------------------------------

    async def stop(self, deadline_ms: int) -> None:
        """Goodbye to each viewer, TEARDOWN to each camera, as far as the time goes."""
        deadline = time.monotonic() + deadline_ms / 1000
        self.close_viewers(lambda _: True, "shutdown")
        pulls = list(self._source_rows)
        for stream in list(self._streams.values()):
            self._hang_up(stream)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await asyncio.gather(*self._goodbyes)
        for pull in pulls:
            await asyncio.to_thread(pull.join, max(0.0, deadline - time.monotonic()))
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._port.close()

    async def _sweep(self) -> None:
        """Once a second: who is not heard any more, and what the others report."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            now = time.monotonic()
            for viewer in list(self._viewers.values()):
                if viewer.consent_lost(now):
                    self._end(viewer, "consent_lost")
                else:
                    await viewer.read_reception()

    def _stream(self, stream_id: str) -> Stream:
        return self._streams.setdefault(stream_id, Stream(stream_id))

    def _forget_idle(self, stream: Stream) -> None:
        if stream.is_idle:
            self._streams.pop(stream.stream_id, None)

    def _step(self, owner: str, step: str) -> None:
        self._events.push(StepTaken(owner, step, round(time.time() * 1000)))
