"""One viewer: aiortc's DTLS, SRTP and RTP sender on our lite ICE.

Not its `RTCPeerConnection`, but the parts that it is made of: it answers by coroutines alone, makes
a certificate for each viewer, and binds a socket for each on every address of the machine.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiortc import RTCRtpSender
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtcdtlstransport import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
)
from aiortc.rtcrtpparameters import (
    RTCRtcpFeedback,
    RTCRtcpParameters,
    RTCRtpCodecParameters,
    RTCRtpSendParameters,
)
from aiortc.stats import RTCRemoteInboundRtpStreamStats

from streamhub.media.contract import Reception, ViewerConnected, ViewerLagging

from .source import RTP_CLOCK_RATE

if TYPE_CHECKING:
    import av

    from streamhub.media.contract import Event

    from .figures import Totals, ViewerRow
    from .ice import IcePath
    from .stream import Stream, Unit

# As the native core's: nothing heard, or no keys, for so long.
CONSENT_TIMEOUT_S = 15.0
DTLS_TIMEOUT_S = 15.0
GOODBYE_S = 1.0
# The cached GOP at join: all of it within 300 ms, its units at most 3 ms apart.
CATCH_UP_S = 0.3
CATCH_UP_STEP_S = 0.003
# A viewer that is so far behind goes on at the newest keyframe.
MAX_LAG_S = 1.0
MAX_LAG_BYTES = 4 * 1024 * 1024
CIPHERS = {
    "SRTP_AEAD_AES_256_GCM": "AEAD_AES_256_GCM",
    "SRTP_AEAD_AES_128_GCM": "AEAD_AES_128_GCM",
    "SRTP_AES128_CM_SHA1_80": "AES_CM_128_HMAC_SHA1_80",
}


class UnitTrack(MediaStreamTrack):
    """A stream's access units for one viewer, as aiortc's sender pulls them: already encoded."""

    kind = "video"

    def __init__(self, row: ViewerRow, on_lag: Callable[[int], None]) -> None:
        super().__init__()
        self._row = row
        self._on_lag = on_lag
        # Each with what is added to its time.
        self._queue: deque[tuple[Unit, int]] = deque()
        self._live_bytes = 0
        self._behind = 0  # units at the head of the queue that are of the cached GOP
        self._step_s = 0.0
        self._needs_keyframe = False
        self._wake = asyncio.Event()
        # What is added to the stream's times since the viewer went over to it, and the last unit.
        self._shift = 0
        self._last: Unit | None = None

    def go_over(self, unit: Unit) -> None:
        """The next unit is `unit`, of another stream: the time goes on as it went by."""
        if self._last is not None:
            gone_s = unit.recv_at - self._last.recv_at
            at = self._last.pts + self._shift + max(1, round(gone_s * RTP_CLOCK_RATE))
            self._shift = at - unit.pts
        self._needs_keyframe = False

    def join(self, gop: Sequence[Unit]) -> None:
        """Begin with the cached GOP, or with the next keyframe when there is none."""
        self._queue.extend((unit, self._shift) for unit in gop)
        self._last = gop[-1] if gop else None
        self._behind = len(gop)
        self._step_s = min(CATCH_UP_STEP_S, CATCH_UP_S / max(1, len(gop)))
        self._needs_keyframe = not gop
        self._wake.set()

    def put(self, unit: Unit) -> None:
        """The stream's next unit."""
        if self._needs_keyframe and not unit.is_keyframe:
            self._row.dropped_units += 1
            return
        if self._lags(unit.recv_at):
            dropped = len(self._queue)
            self._queue.clear()
            self._live_bytes = self._behind = 0
            self._needs_keyframe = not unit.is_keyframe
            if self._needs_keyframe:
                dropped += 1
            self._row.dropped_units += dropped
            self._on_lag(dropped)
            if self._needs_keyframe:
                return
        self._needs_keyframe = False
        self._queue.append((unit, self._shift))
        self._last = unit
        self._live_bytes += unit.size_bytes
        self._wake.set()

    async def recv(self) -> av.Packet[Any]:
        """The next unit; `MediaStreamError` once the viewer's time is over."""
        while not self._queue:
            self._wake.clear()
            await self._wake.wait()
        if self._behind:
            await asyncio.sleep(self._step_s)
        if time.time() >= self._row.until:  # whatever becomes of the timer
            raise MediaStreamError
        if not self._queue:  # it was told to lag meanwhile
            return await self.recv()
        unit, shift = self._queue.popleft()
        if self._behind:
            self._behind -= 1
        else:
            self._live_bytes -= unit.size_bytes
        return unit.at(unit.pts + shift) if shift else unit.packet

    def _lags(self, now: float) -> bool:
        if self._live_bytes > MAX_LAG_BYTES:
            return True
        if self._behind or not self._queue:
            return False
        return now - self._queue[0][0].recv_at > MAX_LAG_S


@dataclass(frozen=True, slots=True)
class ViewerPlan:
    """What `open_viewer` has agreed on, on its way to the core's loop."""

    row: ViewerRow
    channel_id: str
    subject_id: str
    ufrag: str
    password: str
    ssrc: int
    rtx_ssrc: int
    payload_type: int
    rtx_payload_type: int | None
    fingerprints: Sequence[tuple[str, str]]


class Viewer:
    """In the core's loop. `run` goes on until the viewer's end is known, and gives the cause."""

    def __init__(
        self,
        plan: ViewerPlan,
        stream: Stream,
        path: IcePath,
        certificate: RTCCertificate,
        *,
        tell: Callable[[Event], None],
        step: Callable[[str], None],
        totals: Totals,
    ) -> None:
        # given
        self.plan = plan
        self.row = plan.row
        self.stream = stream
        self.next_stream: Stream | None = None
        self._tell = tell
        self._step = step
        self._totals = totals
        # owned
        self.path = path
        self.lease: asyncio.TimerHandle | None = None
        self._track = UnitTrack(self.row, self._lagged)
        ice: Any = path  # of an RTCIceTransport only `_recv`, `_send` and `role` are used
        self._dtls = RTCDtlsTransport(ice, [certificate])
        self._dtls._set_role("server")
        self._sender: RTCRtpSender | None = None
        self._ended = asyncio.Event()

    @property
    def viewer_id(self) -> str:
        return self.row.viewer_id

    async def run(self) -> str:
        """Connect, send, and wait for the viewer to leave; returns why it ended."""
        try:
            async with asyncio.timeout(CONSENT_TIMEOUT_S):
                await self.path.nominated.wait()
        except TimeoutError:
            return "ice_timeout"
        self._step("ice")
        try:
            async with asyncio.timeout(DTLS_TIMEOUT_S):
                await self._dtls.start(self._remote_parameters())
        except TimeoutError:
            return "dtls_timeout"
        if self._dtls.state != "connected":
            return self._dtls_failure()
        self._dtls.on("statechange", self._dtls_changed)
        self.row.connected = True
        self._step("dtls")
        self._tell(ViewerConnected(self.viewer_id, CIPHERS.get(self._profile(), "unknown")))
        await self._begin_sending()
        await self._ended.wait()
        return "closed_by_peer"

    def put(self, unit: Unit) -> None:
        """The stream's next unit; without effect before it is connected."""
        if self._sender is not None:
            self._track.put(unit)

    def go_over(self, unit: Unit) -> None:
        """`unit` is the keyframe of its next stream."""
        if self._sender is not None:
            self._track.go_over(unit)

    def consent_lost(self, now: float) -> bool:
        """Whether a connected viewer has shown no sign of life for too long (`now`: monotonic)."""
        return self.row.connected and now - self.path.heard_at > CONSENT_TIMEOUT_S

    async def read_reception(self) -> None:
        """Take over what its newest receiver report says."""
        if self._sender is None:
            return
        for each in (await self._sender.getStats()).values():
            if isinstance(each, RTCRemoteInboundRtpStreamStats):
                self.row.reception = Reception(
                    lost_percent=round(each.fractionLost * 100 / 256, 1),
                    lost_packets=max(0, each.packetsLost),
                    jitter_ms=round(each.jitter * 1000 / RTP_CLOCK_RATE, 3),
                    rtt_ms=round((each.roundTripTime or 0.0) * 1000, 3),
                    retransmitted=self.row.retransmitted,
                )

    async def goodbye(self) -> None:
        """No media from here on; RTCP BYE and close_notify where it was connected."""
        self.path.mute()
        with suppress(Exception):  # what can't be said is not said
            async with asyncio.timeout(GOODBYE_S):
                if self._sender is not None:
                    await self._sender.stop()
                await self._dtls.stop()
        self._track.stop()
        self.path.close()

    async def _begin_sending(self) -> None:
        plan = self.plan
        sender = RTCRtpSender(self._track, self._dtls)
        sender._ssrc, sender._rtx_ssrc = plan.ssrc, plan.rtx_ssrc
        codecs = [
            RTCRtpCodecParameters(
                mimeType="video/H264",
                clockRate=RTP_CLOCK_RATE,
                payloadType=plan.payload_type,
                rtcpFeedback=[RTCRtcpFeedback("nack", "pli")],
            )
        ]
        if plan.rtx_payload_type is not None:
            codecs.append(
                RTCRtpCodecParameters(
                    mimeType="video/rtx",
                    clockRate=RTP_CLOCK_RATE,
                    payloadType=plan.rtx_payload_type,
                    parameters={"apt": plan.payload_type},
                )
            )
        rtcp = RTCRtcpParameters(cname=self.viewer_id, mux=True, ssrc=plan.ssrc)
        self._track.join(self.stream.gop)
        self._sender = sender
        await sender.send(RTCRtpSendParameters(codecs=codecs, rtcp=rtcp))

    def _remote_parameters(self) -> RTCDtlsParameters:
        prints = [RTCDtlsFingerprint(*each) for each in self.plan.fingerprints]
        return RTCDtlsParameters(fingerprints=prints, role="client")

    def _profile(self) -> str:
        ssl = self._dtls._ssl
        return "" if ssl is None else ssl.get_selected_srtp_profile().decode()

    def _dtls_failure(self) -> str:
        """aiortc says only that it failed; a handshake that went through leaves two reasons."""
        matched = self._dtls.encrypted and self._profile() in CIPHERS
        return "fingerprint_mismatch" if matched else "dtls_failed"

    def _dtls_changed(self) -> None:
        if self._dtls.state in ("closed", "failed"):
            self._ended.set()

    def _lagged(self, dropped: int) -> None:
        self._totals.units_dropped += dropped
        self._tell(ViewerLagging(self.viewer_id))
