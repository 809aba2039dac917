"""`MediaCore` over `streamhub._core`: plain arguments down, typed events up.

The native side never calls Python; it makes an eventfd readable, and this file drains the ring.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from streamhub import _core
from streamhub.media.contract import (
    CoreClosed,
    CoreStats,
    Event,
    EventsLost,
    GsoRefused,
    IdentityRefused,
    KeyframeTaken,
    MalformedOffer,
    MediaError,
    NoCommonCodec,
    OverCapacity,
    Reception,
    RtspAsked,
    RtspTicketRefused,
    SourceHasBSlices,
    SourceLive,
    SourceLost,
    SourceSpec,
    SourceStats,
    StepTaken,
    SwitchRefused,
    ViewerClosed,
    ViewerConnected,
    ViewerLagging,
    ViewerStats,
    ViewerSwitched,
    WorkerFault,
    channel_of,
    require_permit,
)

if TYPE_CHECKING:
    from streamhub.access.permit import Permit

log = structlog.get_logger(__name__)

# About 2 ms of the loop: converting an event costs a few microseconds.
EVENTS_PER_DRAIN = 256

_ERRORS: tuple[tuple[str, type[MediaError]], ...] = (
    ("MalformedOffer", MalformedOffer),
    ("NoCommonCodec", NoCommonCodec),
    ("OverCapacity", OverCapacity),
    ("CoreClosed", CoreClosed),
    ("BadIdentity", IdentityRefused),
)

_Fields = Mapping[str, Any]

_CONVERT: dict[str, Callable[[str, _Fields], Event]] = {
    "step": lambda owner, f: StepTaken(owner, f["step"], f["at_ms"]),
    "source_live": lambda owner, f: SourceLive(
        owner, f["codec"], f["width"], f["height"], str(f["profile"])
    ),
    "source_has_b_slices": lambda owner, _: SourceHasBSlices(owner),
    "source_lost": lambda owner, f: SourceLost(owner, f["cause"], f["retryable"], f["detail"]),
    "viewer_connected": lambda owner, f: ViewerConnected(owner, f["srtp_cipher"]),
    "viewer_switched": lambda owner, f: ViewerSwitched(owner, f["stream_id"]),
    "rtsp_asked": lambda owner, f: RtspAsked(
        owner,
        f["channel_id"],
        f["profile"],
        f["subject_id"],
        f["subject_version"],
        f["ticket_id"],
        f["expires"],
        f["remote"],
    ),
    "rtsp_ticket_refused": lambda _owner, f: RtspTicketRefused(f["remote"], f["cause"]),
    "switch_refused": lambda owner, f: SwitchRefused(owner, f["stream_id"], f["cause"]),
    "viewer_closed": lambda owner, f: ViewerClosed(
        owner, f["cause"], f["sent_bytes"], f["packets"], _reception(f)
    ),
    "viewer_lagging": lambda owner, _: ViewerLagging(owner),
    "keyframe_taken": lambda owner, f: KeyframeTaken(
        f["request_id"], owner, f["annexb"], f["age_ms"], f["width"], f["height"], f["codec"]
    ),
    "gso_refused": lambda _owner, f: GsoRefused(f["detail"]),
    "worker_fault": lambda owner, f: WorkerFault(owner, f.get("detail", "")),
    "events_lost": lambda _owner, _f: EventsLost(),
}


def _reception(row: _Fields) -> Reception:
    return Reception(
        lost_percent=row["lost_permille_remote"] / 10,
        lost_packets=row["packets_lost_remote"],
        jitter_ms=row["jitter_us_remote"] / 1000,
        rtt_ms=row["rtt_us"] / 1000,
        retransmitted=row["retransmitted"],
        transport=row["transport"],
        estimated_bps=row["remb_bps"] or None,
    )


def to_event(kind: str, owner: str, fields: _Fields) -> Event | None:
    """One native event tuple as a typed event; None for a kind this version does not know."""
    convert = _CONVERT.get(kind)
    return None if convert is None else convert(owner, fields)


def _raise_ours(error: Exception) -> None:
    """Raise what a refusal of the native side is here, with its arguments."""
    for name, typed in _ERRORS:
        native_type = getattr(_core, name, None)
        if native_type is not None and isinstance(error, native_type):
            raise typed(*error.args) from None


class NativeCore:
    """The Rust packet plane, in this process."""

    def __init__(
        self,
        *,
        udp_bind: str = "127.0.0.1:0",
        tcp_port: int | None = 0,
        advertise: Sequence[str] = ("127.0.0.1",),
        max_viewers: int = 4000,
        shards: int = 1,
        remb: bool = False,
        rtsp_listen: str | None = None,
        rtsp_key: bytes | None = None,
        rtsps_listen: str | None = None,
        rtsps_identity: tuple[bytes, bytes] | None = None,
        native: Any = None,
    ) -> None:
        """`rtsp_listen`, `rtsps_listen`: where the RTSP door listens, in the clear and by TLS;
        `rtsp_key`: what its tickets are signed with (32 bytes); `rtsps_identity`: certificate with
        chain, and key, both PEM. `native`: an object with the methods of `_core.Core`, for tests of
        this file. Raises `IdentityRefused`; OSError where it can't listen."""
        try:
            self._native: Any = (
                native
                if native is not None
                else _core.Core(
                    udp_bind=udp_bind,
                    tcp_port=tcp_port,
                    advertise=list(advertise),
                    max_viewers=max_viewers,
                    shards=shards,
                    remb=remb,
                    rtsp_listen=rtsp_listen,
                    rtsp_key=rtsp_key,
                    rtsps_listen=rtsps_listen,
                    rtsps_identity=rtsps_identity,
                )
            )
        except ValueError as error:
            _raise_ours(error)
            raise
        self._fd: int = self._native.event_fd
        self._wake = asyncio.Event()
        self._closing = False  # commands do nothing from here on
        self._closed = False
        self._stopping: asyncio.Task[None] | None = None

    @property
    def udp_port(self) -> int:
        return int(self._native.udp_port)

    @property
    def rtsp_port(self) -> int | None:
        port: int | None = self._native.rtsp_port
        return port

    @property
    def rtsps_port(self) -> int | None:
        port: int | None = self._native.rtsps_port
        return port

    def open_source(self, stream_id: str, spec: SourceSpec) -> None:
        if self._closing:
            return
        password = None if spec.password is None else spec.password.reveal()
        self._native.open_source(stream_id, spec.url, spec.username, password)

    def close_source(self, stream_id: str) -> None:
        if not self._closing:
            self._native.close_source(stream_id)

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
        if self._closing:
            raise CoreClosed("the core was shut down")
        try:
            return str(
                self._native.open_viewer(
                    viewer_id, stream_id, channel_id, subject_id, offer_sdp, until
                )
            )
        except Exception as error:
            _raise_ours(error)
            if isinstance(error, ValueError):
                raise MalformedOffer(str(error)) from None
            raise

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
        if self._closing:
            raise CoreClosed("the core was shut down")
        try:
            self._native.accept_rtsp(
                connection_id, viewer_id, stream_id, channel_id, subject_id, until
            )
        except Exception as error:
            _raise_ours(error)
            raise

    def refuse_rtsp(self, connection_id: str, status: int, *, retry_after_s: int = 0) -> None:
        if self._closing:
            return
        try:
            self._native.refuse_rtsp(connection_id, status, retry_after_s)
        except Exception as error:
            _raise_ours(error)
            raise

    def set_rtsp_identity(self, certificate: bytes, key: bytes) -> None:
        if self._closing:
            return
        try:
            self._native.set_rtsp_identity(certificate, key)
        except Exception as error:
            _raise_ours(error)
            raise

    def renew_viewers(self, leases: Sequence[tuple[str, float]]) -> None:
        if leases and not self._closing:
            self._native.renew_viewers(list(leases))

    def set_viewer_audio(self, viewer_id: str, on: bool) -> None:
        if not self._closing:
            self._native.set_viewer_audio(viewer_id, on)

    def switch_viewer(self, viewer_id: str, stream_id: str, permit: Permit) -> None:
        require_permit(permit, channel_of(stream_id))
        if self._closing:
            return
        try:
            self._native.switch_viewer(viewer_id, stream_id)
        except Exception as error:
            _raise_ours(error)
            raise

    def close_viewers(
        self,
        *,
        viewer_ids: Collection[str] | None = None,
        channel_id: str | None = None,
        subject_id: str | None = None,
        cause: str,
    ) -> None:
        ids = None if viewer_ids is None else list(viewer_ids)
        if not self._closing:
            self._native.close_viewers(ids, channel_id, subject_id, cause)

    def request_keyframe(self, stream_id: str) -> None:
        if not self._closing:
            self._native.request_keyframe(stream_id)

    def take_keyframe(self, request_id: str, stream_id: str) -> None:
        if not self._closing:
            self._native.take_keyframe(request_id, stream_id)

    def stats(self) -> CoreStats:
        row = self._native.stats()
        return CoreStats(row["sources"], row["viewers"], dict(row["counters"]))

    def source_stats(self, stream_ids: Collection[str]) -> dict[str, SourceStats]:
        rows = self._native.source_stats(list(stream_ids))
        return {
            row["stream_id"]: SourceStats(
                row["stream_id"],
                row["state"],
                row["last_packet_age_ms"],
                row["received_bytes"],
                row["packets"],
                row.get("cause"),
                row["transport"],
            )
            for row in rows
        }

    def viewer_stats(self, viewer_ids: Collection[str]) -> dict[str, ViewerStats]:
        rows = self._native.viewer_stats(list(viewer_ids))
        return {
            row["viewer_id"]: ViewerStats(
                row["viewer_id"],
                row["stream_id"],
                row["connected"],
                row["last_packet_age_ms"],
                row["sent_bytes"],
                row["packets"],
                row["dropped_units"],
                row["until"],
                _reception(row),
                audio_packets=row["audio_packets"],
            )
            for row in rows
        }

    async def events(self) -> AsyncIterator[Event]:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._fd, self._readable)
        try:
            lost: EventsLost | None = None
            while True:
                self._wake.clear()
                batch = self._native.drain_events(EVENTS_PER_DRAIN)
                for kind, owner, fields in batch:
                    event = to_event(kind, owner, fields)
                    if event is None:
                        log.warning("unknown_core_event", kind=kind)
                    elif isinstance(event, EventsLost):
                        # Those that waited are older than the lost ones: the resync comes after
                        # them, so that the rows have the last word.
                        lost = event
                    else:
                        yield event
                if len(batch) >= EVENTS_PER_DRAIN:
                    await asyncio.sleep(0)  # more is waiting: let the rest of the loop breathe
                    continue
                if lost is not None:
                    log.warning("core_events_lost")
                    yield lost
                    lost = None
                if self._closed:
                    return
                else:
                    await self._wake.wait()
        finally:
            loop.remove_reader(self._fd)

    async def shutdown(self, deadline_ms: int) -> None:
        self._closing = True
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(deadline_ms), name="core-stop")
        await asyncio.shield(self._stopping)

    async def _stop(self, deadline_ms: int) -> None:
        # It waits for the shards to say goodbye, hence not on the loop.
        await asyncio.to_thread(self._native.shutdown, deadline_ms)
        self._closed = True
        self._wake.set()

    def _readable(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._fd, 8)
        self._wake.set()
