"""`MediaCore` in Python: answers in the caller's thread, hands the rest to the core's loop."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import TYPE_CHECKING

from aiortc.rtcdtlstransport import RTCCertificate

from streamhub.media.contract import (
    CoreClosed,
    CoreStats,
    CoreUnavailable,
    Event,
    OverCapacity,
    SourceStats,
    StepTaken,
    ViewerStats,
    channel_of,
    require_permit,
)

from .answer import Ours, negotiate
from .engine import Engine
from .events import EventQueue
from .figures import Figures, ViewerRow
from .ice import UdpPort, bind_udp
from .viewer import ViewerPlan

if TYPE_CHECKING:
    from streamhub.access.permit import Permit
    from streamhub.media.contract import SourceSpec

# Of a shutdown, beyond its deadline: for the loop itself to end.
JOIN_S = 1.0


class PyCore:
    """The packet plane without Rust. `open_viewer` waits for nothing: its answer needs only what is
    known here (the port, the certificate, random numbers); the rest is done in the core's loop."""

    def __init__(
        self, *, udp_host: str, udp_port: int, advertise: Sequence[str], max_viewers: int
    ) -> None:
        # given
        self._max_viewers = max_viewers
        # owned
        try:
            bound = bind_udp(udp_host, udp_port)
        except OSError as error:
            raise CoreUnavailable(
                f"The media port {udp_host}:{udp_port} (UDP) can't be had ({error.strerror}); "
                "stop what has it, or set STREAMHUB_MEDIA__UDP_PORT."
            ) from None
        self._events = EventQueue()
        self._figures = Figures()
        certificate = RTCCertificate.generateCertificate()
        self._loop = asyncio.new_event_loop()
        self._engine = Engine(
            UdpPort(bound, self._figures.totals), self._events, self._figures, certificate
        )
        self._closed = False
        self._stopping: asyncio.Task[None] | None = None
        # derived
        self._udp_port = int(bound.getsockname()[1])
        self._candidates = [_address(text, self._udp_port) for text in advertise]
        self._fingerprint = next(
            each.value for each in certificate.getFingerprints() if each.algorithm == "sha-256"
        )
        self._thread = threading.Thread(target=self._run, name="pycore", daemon=True)
        self._thread.start()

    @property
    def udp_port(self) -> int:
        return self._udp_port

    @property
    def rtsp_port(self) -> int | None:
        return None

    @property
    def rtsps_port(self) -> int | None:
        return None

    def open_source(self, stream_id: str, spec: SourceSpec) -> None:
        row = self._figures.add_source(stream_id)
        self._events.push(StepTaken(stream_id, "dial", round(time.time() * 1000)))
        self._hand_over(self._engine.open_source, row, spec)

    def close_source(self, stream_id: str) -> None:
        self._figures.remove_source(stream_id)
        self._hand_over(self._engine.close_source, stream_id)

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
        ours = Ours(
            ufrag=secrets.token_hex(8),
            password=secrets.token_hex(16),
            fingerprint=self._fingerprint,
            candidates=self._candidates,
            ssrc=secrets.randbelow(1 << 31) + 1,
            # Another one in any case: the upper half.
            rtx_ssrc=secrets.randbelow(1 << 31) + (1 << 31),
            cname=viewer_id,
            origin_id=secrets.randbits(48),
        )
        agreed = negotiate(offer_sdp, ours)
        row = ViewerRow(viewer_id, stream_id, until)
        if not self._figures.add_viewer(row, self._max_viewers):
            raise OverCapacity("as many viewers as are allowed")
        plan = ViewerPlan(
            row=row,
            channel_id=channel_id,
            subject_id=subject_id,
            ufrag=ours.ufrag,
            password=ours.password,
            ssrc=ours.ssrc,
            rtx_ssrc=ours.rtx_ssrc,
            payload_type=agreed.payload_type,
            rtx_payload_type=agreed.rtx_payload_type,
            fingerprints=agreed.fingerprints,
        )
        self._hand_over(self._engine.open_viewer, plan)
        return agreed.answer

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
        raise CoreUnavailable("The Python core has no RTSP door; use the native one.")

    def refuse_rtsp(self, connection_id: str, status: int, *, retry_after_s: int = 0) -> None:
        pass  # nobody asks

    def set_rtsp_identity(self, certificate: bytes, key: bytes) -> None:
        pass  # nobody is shown it

    def renew_viewers(self, leases: Sequence[tuple[str, float]]) -> None:
        self._hand_over(self._engine.renew_viewers, list(leases))

    def set_viewer_audio(self, viewer_id: str, on: bool) -> None:
        pass  # it answers no audio section, and such viewers are passed over

    def switch_viewer(self, viewer_id: str, stream_id: str, permit: Permit) -> None:
        require_permit(permit, channel_of(stream_id))
        self._hand_over(self._engine.switch_viewer, viewer_id, stream_id)

    def close_viewers(
        self,
        *,
        viewer_ids: Collection[str] | None = None,
        channel_id: str | None = None,
        subject_id: str | None = None,
        cause: str,
    ) -> None:
        ids = frozenset(viewer_ids or ())

        def is_meant(plan: ViewerPlan) -> bool:
            return (
                plan.row.viewer_id in ids
                or (channel_id is not None and plan.channel_id == channel_id)
                or (subject_id is not None and plan.subject_id == subject_id)
            )

        self._hand_over(self._engine.close_viewers, is_meant, cause)

    def request_keyframe(self, stream_id: str) -> None:
        pass  # RTSP has no way to ask

    def take_keyframe(self, request_id: str, stream_id: str) -> None:
        self._hand_over(self._engine.take_keyframe, request_id, stream_id)

    def stats(self) -> CoreStats:
        sources, viewers = self._figures.counts()
        totals = self._figures.totals
        counters = {name: getattr(totals, name) for name in totals.__slots__}
        return CoreStats(sources, viewers, counters)

    def source_stats(self, stream_ids: Collection[str]) -> dict[str, SourceStats]:
        return self._figures.source_stats(stream_ids)

    def viewer_stats(self, viewer_ids: Collection[str]) -> dict[str, ViewerStats]:
        return self._figures.viewer_stats(viewer_ids)

    def events(self) -> AsyncIterator[Event]:
        return self._events.read()

    async def shutdown(self, deadline_ms: int) -> None:
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(deadline_ms), name="pycore-stop")
        await asyncio.shield(self._stopping)

    async def _stop(self, deadline_ms: int) -> None:
        self._closed = True
        stopped = asyncio.run_coroutine_threadsafe(self._engine.stop(deadline_ms), self._loop)
        await asyncio.wrap_future(stopped)
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join, JOIN_S)
        self._events.close()

    def _run(self) -> None:
        """The core's thread."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            loop = runner.get_loop()
            loop.call_soon(self._engine.start)
            loop.run_forever()

    def _hand_over(self, command: Callable[..., None], *arguments: object) -> None:
        if not self._closed:
            self._loop.call_soon_threadsafe(command, *arguments)


def _address(text: str, own_port: int) -> tuple[str, int]:
    """An address that viewers are told, with the port where it differs from our own."""
    try:
        return str(ipaddress.ip_address(text)), own_port
    except ValueError:
        host, _, port = text.rpartition(":")
        return host.strip("[]"), int(port)
