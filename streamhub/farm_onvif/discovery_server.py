"""The sockets of discovery: one for each device, and one that hears multicast on their interface.

Answers to a multicast probe leave from the devices' own addresses, spread over half a second.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from .device import Device
from .discovery import GROUP, MAX_DELAY_S, PORT, Probe, is_match, probe_match, read_probe
from .faults import FaultKind
from .server import FarmUnavailable

# ip(7): off, so that groups others joined on other interfaces are not heard.
IP_MULTICAST_ALL = 49
# Clients send a probe two or three times; each is answered once.
PROBES_REMEMBERED = 64
# Multicast probes that are being answered at once; a flood of them is not.
MAX_ROUNDS = 4

Address = tuple[str, int]


class DiscoveryServer:
    """WS-Discovery for all devices, on one event loop."""

    def __init__(self, devices: Sequence[Device], port: int = PORT) -> None:
        # given
        self._devices = devices
        self._port = port
        # owned
        self._transports: dict[int, asyncio.DatagramTransport] = {}
        self._multicast: asyncio.DatagramTransport | None = None
        self._answered: deque[str] = deque(maxlen=PROBES_REMEMBERED)
        self._rounds = 0

    async def start(self) -> bool:
        """Answer probes; whether those by multicast are heard too. Raises FarmUnavailable."""
        try:
            for device in self._devices:
                transport = await _endpoint(self._bound(device), self._unicast(device))
                self._transports[device.spec.number] = transport
        except FarmUnavailable:
            self.stop()
            raise
        # Not every machine lets its loopback take multicast; unicast is what a sweep needs.
        with suppress(OSError):
            self._multicast = await _endpoint(self._in_group(), self._heard_by_all)
        return self._multicast is not None

    def stop(self) -> None:
        for transport in self._transports.values():
            transport.close()
        self._transports.clear()
        if self._multicast is not None:
            self._multicast.close()
            self._multicast = None

    # --- inside -----------------------------------------------------------------------------------

    def _bound(self, device: Device) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            made.bind((device.spec.address, self._port))
        except OSError as error:
            made.close()
            raise FarmUnavailable(
                f"UDP {device.spec.address}:{self._port} can't be had "
                f"({error.strerror or error}); stop what is there, or choose another "
                "--onvif-discovery-port (0 for none)."
            ) from None
        return made

    def _in_group(self) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
            interface = self._devices[0].spec.address
            membership = socket.inet_aton(GROUP) + socket.inet_aton(interface)
            made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
            made.bind((GROUP, self._port))
        except OSError:
            made.close()
            raise
        return made

    def _unicast(self, device: Device) -> Callable[[bytes, Address], None]:
        def heard(datagram: bytes, client: Address) -> None:
            probe = read_probe(datagram)
            if probe is not None:
                self._send(device, probe, client)

        return heard

    def _heard_by_all(self, datagram: bytes, client: Address) -> None:
        probe = read_probe(datagram)
        if probe is None or probe.message_id in self._answered or self._rounds >= MAX_ROUNDS:
            return
        self._answered.append(probe.message_id)
        self._rounds += 1
        loop = asyncio.get_running_loop()
        for place, device in enumerate(self._devices):
            after_s = MAX_DELAY_S * place / len(self._devices)
            loop.call_later(after_s, self._send, device, probe, client)
        loop.call_later(MAX_DELAY_S, self._round_is_over)

    def _round_is_over(self) -> None:
        self._rounds -= 1

    def _send(self, device: Device, probe: Probe, client: Address) -> None:
        transport = self._transports.get(device.spec.number)
        is_silent = transport is None or FaultKind.DEAD in device.faults
        if transport is not None and not is_silent and is_match(device, probe):
            transport.sendto(probe_match(device, probe), client)


class _Heard(asyncio.DatagramProtocol):
    def __init__(self, heard: Callable[[bytes, Address], None]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._heard(data, addr)


async def _endpoint(
    bound: socket.socket, heard: Callable[[bytes, Address], None]
) -> asyncio.DatagramTransport:
    bound.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Heard(heard), sock=bound)
    return transport
