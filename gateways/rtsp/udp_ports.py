"""Two UDP ports for the check of a camera that does not send over TCP (RFC 2326, RTP/AVP)."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass, field

# A keyframe's burst; the check reads no faster than it looks at each packet.
MAX_WAITING = 512
# Every second port that the kernel picks is odd, and the next one may be taken.
BIND_TRIES = 64
# What opens the way through a NAT of ours: an RTP packet and a receiver report, both empty.
EMPTY_RTP = bytes([0x80]) + bytes(11)
EMPTY_REPORT = bytes([0x80, 201, 0, 1, 0, 0, 0, 0])


@dataclass(slots=True)
class _Inbox(asyncio.DatagramProtocol):
    """What comes from one address; more than fits is dropped, as by a full socket."""

    camera: str
    waiting: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(MAX_WAITING))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr[0] == self.camera and not self.waiting.full():
            self.waiting.put_nowait(data)


def _giving(inbox: _Inbox) -> Callable[[], _Inbox]:
    return lambda: inbox


@dataclass(slots=True)
class UdpPorts:
    """An even port and the next one of `local`; only `camera` (an IP address) is listened to."""

    local: str
    camera: str
    rtp_port: int = 0
    _inbox: _Inbox | None = None
    _transports: list[asyncio.DatagramTransport] = field(default_factory=list)

    async def open(self) -> None:
        """Raises `OSError` when no pair is free."""
        loop = asyncio.get_running_loop()
        for _ in range(BIND_TRIES):
            rtp, inbox = await loop.create_datagram_endpoint(
                lambda: _Inbox(self.camera), (self.local, 0)
            )
            port: int = rtp.get_extra_info("sockname")[1]
            if port % 2 == 0:
                try:
                    rtcp, _ = await loop.create_datagram_endpoint(
                        _giving(inbox), (self.local, port + 1)
                    )
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        rtp.close()
                        raise
                else:
                    self._transports, self._inbox, self.rtp_port = [rtp, rtcp], inbox, port
                    return
            rtp.close()
        raise OSError(errno.EADDRINUSE, "no pair of UDP ports is free")

    def punch(self, server_ports: tuple[int, int]) -> None:
        """Send the empty packets to the camera's ports."""
        for transport, port, packet in zip(
            self._transports, server_ports, (EMPTY_RTP, EMPTY_REPORT), strict=True
        ):
            transport.sendto(packet, (self.camera, port))

    async def packet(self) -> bytes:
        """The next datagram, RTP or RTCP: their payload types tell them apart (RFC 5761)."""
        assert self._inbox is not None  # noqa: S101  (open() comes first)
        return await self._inbox.waiting.get()

    def close(self) -> None:
        for transport in self._transports:
            transport.close()
        self._transports = []


def server_ports(transport: str) -> tuple[int, int] | None:
    """The camera's ports in the answer to SETUP, when it names them."""
    for part in transport.split(";"):
        name, _, value = part.strip().partition("=")
        if name.lower() == "server_port":
            first, _, second = value.partition("-")
            if first.isdecimal() and 0 < int(first) < 65_535:
                rtcp = int(second) if second.isdecimal() else int(first) + 1
                return int(first), min(max(rtcp, 1), 65_535)
    return None
