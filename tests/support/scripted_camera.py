"""An RTSP camera in the test's own loop: plays a clip of the farm over interleaved TCP, and puts
whatever bytes a test wants between its packets; or plays it by UDP, in a bad order."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from streamhub.farm_clips import ensure_clips

CLIPS = Path(__file__).resolve().parents[2] / ".cache" / "clips"
PAYLOAD_TYPE = 96
SSRC = 0x5EC0DE01
MAX_PAYLOAD_BYTES = 1400
PICTURE_S = 1 / 15
RTP_TICKS = 6000


@cache
def clip_units() -> list[list[bytes]]:
    """The NAL units of each access unit of one sub clip (one slice a picture)."""
    stream = (ensure_clips(CLIPS) / "sub0.h264").read_bytes()
    units: list[list[bytes]] = [[]]
    for nal in stream.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1"):
        if not nal:
            continue
        units[-1].append(nal)
        if nal[0] & 0x1F in (1, 5):
            units.append([])
    return [unit for unit in units if unit]


def rtp_payloads(nal: bytes) -> Iterator[bytes]:
    """A NAL unit as RFC 6184 payloads: single, or FU-A."""
    if len(nal) <= MAX_PAYLOAD_BYTES:
        yield nal
        return
    indicator, kind = nal[0] & 0xE0 | 28, nal[0] & 0x1F
    body = nal[1:]
    for at in range(0, len(body), MAX_PAYLOAD_BYTES):
        start = 0x80 if at == 0 else 0
        end = 0x40 if at + MAX_PAYLOAD_BYTES >= len(body) else 0
        yield bytes((indicator, start | end | kind)) + body[at : at + MAX_PAYLOAD_BYTES]


def interleaved(packet: bytes, channel: int = 0) -> bytes:
    """A packet with the four bytes of RFC 2326 section 10.12 before it."""
    return struct.pack("!cBH", b"$", channel, len(packet)) + packet


@dataclass
class ScriptedCamera:
    """`inject` puts bytes on every playing connection, between two of its packets. `udp_only`:
    refuses TCP, and sends each access unit by UDP, packets in the order 3 2 1 6 5 4 and so on."""

    udp_only: bool = False
    date: str | None = None  # the header of this name in all answers
    port: int = 0
    dials: int = 0
    playing: int = 0
    rtsp_requests: list[str] = field(default_factory=list)
    transports_asked: list[str] = field(default_factory=list)
    _seq: int = 65_500  # wraps soon
    _injections: list[bytes] = field(default_factory=list)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/scripted"

    def rtp(self, payload: bytes, *, rtp_ts: int = 0, marker: bool = False) -> bytes:
        """The next RTP packet in this camera's sequence."""
        self._seq = (self._seq + 1) & 0xFFFF
        second = PAYLOAD_TYPE | (0x80 if marker else 0)
        return struct.pack("!BBHII", 0x80, second, self._seq, rtp_ts & 0xFFFF_FFFF, SSRC) + payload

    def inject(self, *chunks: bytes) -> None:
        self._injections.extend(chunks)

    def hang_up(self) -> None:
        """Close every connection; the next dial is answered."""
        for writer in self._writers:
            writer.transport.abort()

    @property
    def injected_all(self) -> bool:
        return not self._injections

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.dials += 1
        self._writers.add(writer)
        player: asyncio.Task[None] | None = None
        client_port = 0
        try:
            while True:
                first = await reader.readexactly(1)
                if first == b"$":  # a receiver report
                    _, length = struct.unpack("!BH", await reader.readexactly(3))
                    await reader.readexactly(length)
                    continue
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
                method = head.partition(" ")[0]
                self.rtsp_requests.append(method)
                cseq = head.lower().partition("cseq:")[2].split("\r\n")[0].strip()
                transport = head.lower().partition("transport:")[2].split("\r\n")[0].strip()
                if method == "SETUP":
                    self.transports_asked.append(transport)
                if found := re.search(r"client_port=(\d+)", transport):
                    client_port = int(found[1])
                writer.write(self._answer(method, cseq, transport))
                await writer.drain()
                if method == "PLAY":
                    playing = self._play_udp(client_port) if client_port else self._play(writer)
                    player = asyncio.create_task(playing)
                if method == "TEARDOWN":
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            return
        finally:
            if player is not None:
                player.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await player
            self._writers.discard(writer)
            writer.close()

    def _answer(self, method: str, cseq: str, transport: str) -> bytes:
        by_tcp = "client_port" not in transport
        if method == "SETUP" and self.udp_only and by_tcp:
            return f"RTSP/1.0 461 Unsupported Transport\r\nCSeq: {cseq}\r\n\r\n".encode()
        lines = ["RTSP/1.0 200 OK", f"CSeq: {cseq}"]
        if self.date is not None:
            lines.append(f"Date: {self.date}")
        body = ""
        if method == "OPTIONS":
            lines.append("Public: " + ", ".join(METHODS))
        elif method == "DESCRIBE":
            body = self._sdp()
            lines += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        elif method == "SETUP":
            answered = "RTP/AVP/TCP;interleaved=0-1" if by_tcp else transport.upper()
            lines += ["Session: 1234;timeout=60", f"Transport: {answered}"]
        else:
            lines.append("Session: 1234")
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    def _sdp(self) -> str:
        sets = [nal for nal in clip_units()[0] if nal[0] & 0x1F in (7, 8)]
        sprop = ",".join(base64.b64encode(nal).decode() for nal in sets)
        return (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=scripted\r\nt=0 0\r\n"
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}\r\na=rtpmap:{PAYLOAD_TYPE} H264/90000\r\n"
            f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;sprop-parameter-sets={sprop}\r\n"
            "a=control:track1\r\n"
        )

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        self.playing += 1
        try:
            rtp_ts = 0
            while True:
                for unit in clip_units():
                    payloads = [p for nal in unit for p in rtp_payloads(nal)]
                    for at, payload in enumerate(payloads):
                        last = at == len(payloads) - 1
                        packet = self.rtp(payload, rtp_ts=rtp_ts, marker=last)
                        writer.write(interleaved(packet))
                    while self._injections:
                        writer.write(self._injections.pop(0))
                    await writer.drain()
                    rtp_ts += RTP_TICKS
                    await asyncio.sleep(PICTURE_S)  # the camera's own pace
        finally:
            self.playing -= 1

    async def _play_udp(self, client_port: int) -> None:
        self.playing += 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            try:
                rtp_ts = 0
                while True:
                    for unit in clip_units():
                        payloads = [p for nal in unit for p in rtp_payloads(nal)]
                        packets = [
                            self.rtp(payload, rtp_ts=rtp_ts, marker=at == len(payloads) - 1)
                            for at, payload in enumerate(payloads)
                        ]
                        # The first of all shows where the numbers begin.
                        fixed = 1 if rtp_ts == 0 else 0
                        order = packets[:fixed]
                        for at in range(fixed, len(packets), 3):
                            order += reversed(packets[at : at + 3])
                        for packet in order:
                            out.sendto(packet, ("127.0.0.1", client_port))
                        rtp_ts += RTP_TICKS
                        await asyncio.sleep(PICTURE_S)  # the camera's own pace
            finally:
                self.playing -= 1


METHODS = ("OPTIONS", "DESCRIBE", "SETUP", "PLAY", "GET_PARAMETER", "SET_PARAMETER", "TEARDOWN")


@asynccontextmanager
async def scripted_camera(
    port: int = 0, *, udp_only: bool = False, date: str | None = None
) -> AsyncIterator[ScriptedCamera]:
    """A camera on a port (0: any), gone at the end of the block."""
    # Clips are made once on a machine, which takes a while: before anybody waits for an answer.
    await asyncio.to_thread(clip_units)
    camera = ScriptedCamera(udp_only=udp_only, date=date)
    connections: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        task.add_done_callback(connections.discard)
        await camera.serve(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", port)
    camera.port = server.sockets[0].getsockname()[1]
    try:
        yield camera
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()
