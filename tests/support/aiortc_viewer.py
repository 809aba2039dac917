"""aiortc as a WHEP viewer: a foreign WebRTC stack that watches, and keeps what it saw."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import urljoin

import httpx
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtcpByePacket, RtcpSrPacket

from support.patience import PATIENCE_S

RECEIVE_BUFFER_BYTES = 8 << 20
SO_RCVBUFFORCE = 33  # socket(7): past the limit of the system, for root


def new_peer() -> RTCPeerConnection:
    """Without the STUN server somewhere outside that it would ask by itself, and wait for."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


@dataclass
class Packet:
    """Of one RTP packet: sequence number, RTP time, arrival (monotonic seconds).

    `payload` is kept of those that are not decoded.
    """

    seq: int
    rtp_ts: int
    ssrc: int
    at: float
    payload_type: int = 0
    marker: bool = False
    payload: bytes = b""


@dataclass
class AiortcViewer:
    """One view. `open` posts the offer; packets and decoded pictures gather until `close`."""

    client: httpx.AsyncClient
    channel_id: str
    profile: str = "sub"
    # Without decoding a viewer costs little: many of them fit into one test process.
    decode: bool = True
    # Asks for the camera's sound too, in one bundle.
    sound: bool = False
    packets: list[Packet] = field(default_factory=list)
    pictures: int = 0
    sound_packets: list[Packet] = field(default_factory=list)
    # Decoded sound, 16 bits a sample.
    samples: list[int] = field(default_factory=list)
    # The last sender report of each SSRC: NTP time (32.32 fixed point) and RTP time.
    reports: dict[int, tuple[int, int]] = field(default_factory=dict)
    # Of the newest decoded picture: width and height.
    size: tuple[int, int] = (0, 0)
    byes: int = 0
    location: str = ""
    peer: RTCPeerConnection = field(default_factory=new_peer)
    _readers: list[asyncio.Task[None]] = field(default_factory=list)

    async def open(self) -> httpx.Response:
        transceiver = self.peer.addTransceiver("video", direction="recvonly")
        receiver: Any = transceiver.receiver
        handle = receiver._handle_rtp_packet

        async def record(packet: Any, arrival_time_ms: int) -> None:
            seen = Packet(
                packet.sequence_number,
                packet.timestamp,
                packet.ssrc,
                time.monotonic(),
                packet.payload_type,
                bool(packet.marker),
                b"" if self.decode else packet.payload,
            )
            self.packets.append(seen)
            if self.decode:
                await handle(packet, arrival_time_ms=arrival_time_ms)

        handle_rtcp = receiver._handle_rtcp_packet

        async def record_rtcp(packet: Any) -> None:
            self.byes += isinstance(packet, RtcpByePacket)
            if isinstance(packet, RtcpSrPacket):
                info = packet.sender_info
                self.reports[packet.ssrc] = (info.ntp_timestamp, info.rtp_timestamp)
            await handle_rtcp(packet)

        receiver._handle_rtp_packet = record
        receiver._handle_rtcp_packet = record_rtcp

        if self.sound:
            self._add_sound()

        @self.peer.on("track")
        def tracked(track: Any) -> None:
            read = self._read if track.kind == "video" else self._listen
            self._readers.append(asyncio.create_task(read(track)))

        await self.peer.setLocalDescription(await self.peer.createOffer())
        self._widen(receiver)
        answer = await self.client.post(
            f"/whep/{self.channel_id}",
            params={"profile": self.profile},
            content=self.peer.localDescription.sdp,
            headers={"Content-Type": "application/sdp"},
        )
        if answer.status_code == httpx.codes.CREATED:
            self.location = urljoin(str(answer.url), answer.headers["Location"])
            await self.peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        return answer

    def _widen(self, receiver: Any) -> None:
        """Nothing is lost on the way to a test that does not get a core for some seconds."""
        for protocol in receiver.transport.transport._connection._protocols:
            to = protocol.transport.get_extra_info("socket")
            try:
                to.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
            except PermissionError:
                to.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)

    def _add_sound(self) -> None:
        receiver: Any = self.peer.addTransceiver("audio", direction="recvonly").receiver
        handle, handle_rtcp = receiver._handle_rtp_packet, receiver._handle_rtcp_packet

        async def record(packet: Any, arrival_time_ms: int) -> None:
            seen = Packet(packet.sequence_number, packet.timestamp, packet.ssrc, time.monotonic())
            self.sound_packets.append(seen)
            await handle(packet, arrival_time_ms=arrival_time_ms)

        async def rtcp(packet: Any) -> None:
            if isinstance(packet, RtcpSrPacket):
                info = packet.sender_info
                self.reports[packet.ssrc] = (info.ntp_timestamp, info.rtp_timestamp)
            await handle_rtcp(packet)

        receiver._handle_rtp_packet, receiver._handle_rtcp_packet = record, rtcp

    async def _listen(self, track: Any) -> None:
        try:
            while True:
                frame = await track.recv()
                self.samples.extend(frame.to_ndarray()[0].tolist())
        except MediaStreamError:
            return

    async def wait_sound(self, packets: int, timeout_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + timeout_s
        while len(self.sound_packets) < packets:
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{len(self.sound_packets)} of {packets} packets of sound after {timeout_s} s"
                )
            await asyncio.sleep(0.01)

    async def _read(self, track: Any) -> None:
        try:
            while True:
                picture = await track.recv()
                self.size = (picture.width, picture.height)
                self.pictures += 1
        except MediaStreamError:
            return

    async def wait_pictures(self, count: int, timeout_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + timeout_s
        while self.pictures < count:
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{self.pictures} of {count} pictures after {timeout_s} s"
                    f" ({len(self.packets)} packets, {self.peer.connectionState})"
                )
            await asyncio.sleep(0.02)

    async def wait_packets(self, count: int = 1, timeout_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + timeout_s
        while len(self.packets) < count:
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{len(self.packets)} of {count} packets after {timeout_s} s"
                    f" ({self.peer.connectionState})"
                )
            await asyncio.sleep(0.01)

    async def wait_goodbye(self, timeout_s: float = PATIENCE_S) -> None:
        """RTCP BYE came, and DTLS close_notify ended the connection."""
        deadline = time.monotonic() + timeout_s
        while not (self.byes and self.peer.connectionState == "closed"):
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.byes} BYE, {self.peer.connectionState}")
            await asyncio.sleep(0.01)

    def send_raw(self, datagram: bytes) -> None:
        """From the address that ICE validated, past all protocols."""
        [transceiver] = self.peer.getTransceivers()
        ice: Any = transceiver.receiver.transport.transport
        pair = ice._connection._nominated[1]
        pair.protocol.transport.sendto(datagram, pair.remote_addr)

    async def delete(self) -> httpx.Response:
        return await self.client.delete(self.location)

    async def close(self) -> None:
        await self.peer.close()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)


def gaps(packets: list[Packet]) -> list[tuple[int, int]]:
    """Neighbouring sequence numbers (in order of number) that are not one apart."""
    numbers = sorted(unwrap([p.seq for p in packets], 16))
    return [(a, b) for a, b in pairwise(numbers) if b != a + 1]


def unwrap(values: list[int], bits: int) -> list[int]:
    """Wrapping counters as growing numbers."""
    out: list[int] = []
    base, half, full = 0, 1 << (bits - 1), 1 << bits
    previous: int | None = None
    for value in values:
        if previous is not None:
            if value - previous > half:
                base -= full
            elif previous - value > half:
                base += full
        previous = value
        out.append(base + value)
    return out
