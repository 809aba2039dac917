"""The lite side of ICE (RFC 8445 section 2.5) on one UDP port for all viewers.

aioice is a full agent with sockets of its own for each viewer, on every address of the machine; of
it only the STUN codec is used. A check finds its viewer by the unguessable ufrag, anything else by
the address that a check has validated.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aioice import stun

from .figures import Totals, ViewerRow

UDP_BUFFER_BYTES = 4 * 1024 * 1024
# Taken in one visit, so that timers have their turn.
DATAGRAMS_PER_WAKE = 64
MAX_DATAGRAM_BYTES = 2_048
# DTLS repeats itself, and so do reports: a handshake and some RTCP.
MAX_DATAGRAMS_WAITING = 64
# Of one viewer: interfaces times address families, with room for rebindings.
MAX_ADDRESSES = 8
# A full socket is tried again for about this long; then the packet is lost like any datagram.
SEND_TRIES = 20
SEND_AGAIN_S = 0.001

Address = tuple[Any, ...]


@dataclass(slots=True, eq=False)
class IcePath:
    """The way to one viewer. What aiortc's DTLS transport wants of an ICE transport: `_recv`,
    `_send`, `role`."""

    # given
    ufrag: str
    password: str
    row: ViewerRow
    port: UdpPort
    rtx_payload_type: int | None
    on_first_sent: Callable[[], None]
    # owned
    nominated: asyncio.Event = field(default_factory=asyncio.Event)
    heard_at: float = field(default_factory=time.monotonic)
    address: Address | None = None
    addresses: list[Address] = field(default_factory=list)
    role: str = "controlled"
    _waiting: deque[bytes] = field(default_factory=deque)
    _readable: asyncio.Event = field(default_factory=asyncio.Event)
    _muted: bool = False
    _closed: bool = False

    def deliver(self, datagram: bytes) -> None:
        """A datagram from an address of this viewer."""
        if len(self._waiting) < MAX_DATAGRAMS_WAITING:
            self._waiting.append(datagram)
            self._readable.set()

    def mute(self) -> None:
        """No media from here on, whatever the sender still has; RTCP and DTLS may say goodbye."""
        self._muted = True

    def close(self) -> None:
        self._closed = True
        self._readable.set()
        self.port.remove(self)

    async def _recv(self) -> bytes:
        while not self._waiting:
            if self._closed:
                raise ConnectionError("the viewer was closed")
            self._readable.clear()
            await self._readable.wait()
        return self._waiting.popleft()

    async def _send(self, data: bytes) -> None:
        if self._closed or self.address is None:
            raise ConnectionError("the viewer was closed")
        if not _is_media(data):
            await self.port.send(data, self.address)
            return
        if self._muted:
            raise ConnectionError("the viewer is being closed")
        await self.port.send(data, self.address)
        row = self.row
        if data[1] & 0x7F == self.rtx_payload_type:
            row.retransmitted += 1
            return
        row.packets += 1
        row.sent_bytes += len(data)
        row.last_sent_at = time.monotonic()
        if row.packets == 1:
            self.on_first_sent()


def _is_media(data: bytes) -> bool:
    """RTP, and no RTCP (RFC 5761 section 4)."""
    return len(data) > 1 and data[0] >> 6 == 2 and not 192 <= data[1] <= 223


def bind_udp(host: str, port: int) -> socket.socket:
    """A bound socket. Raises `OSError`."""
    family, kind, proto, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST
    )[0]
    bound = socket.socket(family, kind, proto)
    try:
        bound.bind(address)
        bound.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            bound.setsockopt(socket.SOL_SOCKET, option, UDP_BUFFER_BYTES)
    except OSError:
        bound.close()
        raise
    return bound


class UdpPort:
    """The socket of all viewers, in the core's loop."""

    def __init__(self, bound: socket.socket, totals: Totals) -> None:
        self._socket = bound
        self._totals = totals
        self._by_ufrag: dict[str, IcePath] = {}
        self._by_address: dict[Address, IcePath] = {}

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def add(self, path: IcePath) -> None:
        self._by_ufrag[path.ufrag] = path

    def remove(self, path: IcePath) -> None:
        self._by_ufrag.pop(path.ufrag, None)
        for address in path.addresses:
            if self._by_address.get(address) is path:
                del self._by_address[address]

    async def send(self, data: bytes, to: Address) -> None:
        for _ in range(SEND_TRIES):
            try:
                self._socket.sendto(data, to)
            except BlockingIOError:
                self._totals.send_blocked += 1
                await asyncio.sleep(SEND_AGAIN_S)
            except OSError:
                return  # an ICMP error of an earlier datagram, or no route: lost like any datagram
            else:
                self._totals.datagrams_sent += 1
                self._totals.messages_sent += 1
                return

    def _read(self) -> None:
        for _ in range(DATAGRAMS_PER_WAKE):
            try:
                data, sender = self._socket.recvfrom(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue
            if not data:
                continue
            if data[0] < 4:
                if not self._take_check(data, sender):
                    self._totals.datagrams_refused += 1
            elif (path := self._by_address.get(sender)) is not None:
                path.deliver(data)
            else:
                self._totals.datagrams_refused += 1

    def _take_check(self, data: bytes, sender: Address) -> bool:
        """Answer a viewer's check (RFC 8445 section 7.3); False when it is not a valid one."""
        try:
            request = stun.parse_message(data)
        except Exception:  # whatever a stranger's bytes do to the codec
            return False
        if (request.message_class, request.message_method) != (
            stun.Class.REQUEST,
            stun.Method.BINDING,
        ):
            return False
        ufrag = str(request.attributes.get("USERNAME", "")).partition(":")[0]
        path = self._by_ufrag.get(ufrag)
        if path is None or not request.check_message_integrity(path.password.encode()):
            return False
        if sender not in path.addresses:
            if len(path.addresses) >= MAX_ADDRESSES:
                self._by_address.pop(path.addresses.pop(0), None)
            path.addresses.append(sender)
            self._by_address[sender] = path
        path.heard_at = time.monotonic()
        self._answer(request, path, sender)
        if "USE-CANDIDATE" in request.attributes or path.address is None:
            path.address = sender
            path.nominated.set()
        return True

    def _answer(self, request: stun.Message, path: IcePath, sender: Address) -> None:
        response = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
        response.attributes["XOR-MAPPED-ADDRESS"] = _mapped(sender)
        response.add_message_integrity(path.password.encode())
        try:
            self._socket.sendto(bytes(response), sender)
        except OSError:
            return  # the check will be repeated


def _mapped(sender: Address) -> tuple[str, int]:
    """An IPv4 address as such, though a socket of IPv6 heard it."""
    host, port = str(sender[0]), int(sender[1])
    mapped = getattr(ipaddress.ip_address(host.partition("%")[0]), "ipv4_mapped", None)
    return (str(mapped) if mapped else host.partition("%")[0]), port
