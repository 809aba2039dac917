"""WS-Discovery: who in this network segment says that it is a camera. Messages, and their driver.

WS-Discovery (April 2005), ONVIF Core section 7. Multicast does not cross VLANs: `sweep` does. Any
host may answer anything, so what comes is only ever a hint where to ask.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from gateways.onvif.address import DeviceAddress, read_uri
from gateways.onvif.errors import AddressInvalid, BadAnswer, quoted
from gateways.onvif.soap import children, find, name_of, parse, text_of, xml

MULTICAST_GROUP = "239.255.255.250"
DISCOVERY_PORT = 3702
# UDP is lossy and cameras are slow: sent so often, listened for so long.
PROBES = 3
PROBE_EVERY_S = 0.5
COLLECT_S = 4.0
# One street's switch, several times over; more answers than this come from no cameras.
MAX_MATCHES = 2048
# Distinct datagrams kept to be parsed after the collecting: far over what cameras send.
MAX_KEPT_BYTES = 16 << 20
MULTICAST_TTL = 2

_ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
_DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_NETWORK = "http://www.onvif.org/ver10/network/wsdl"
_SCOPE = "onvif://www.onvif.org/"
MAX_LISTED = 32


@dataclass(frozen=True, slots=True)
class Match:
    """One device's answer to a probe.

    `endpoint`: its EndpointReference, by which answers are told apart. `answered_from`: the IP
    address that the datagram came from. `addresses`: where to ask it, the likeliest first.
    `name`, `hardware`, `location`, `profiles`: of its scopes.
    """

    endpoint: str
    answered_from: str
    addresses: tuple[DeviceAddress, ...]
    types: tuple[str, ...]
    name: str
    hardware: str
    location: str
    profiles: tuple[str, ...]


def probe(message_id: uuid.UUID, *, typed: bool) -> bytes:
    """A Probe. `typed`: for NetworkVideoTransmitter, else for anything; some answer only one."""
    types = "<d:Types>dn:NetworkVideoTransmitter</d:Types>" if typed else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
        f' xmlns:a="{_ADDRESSING}" xmlns:d="{_DISCOVERY}" xmlns:dn="{_NETWORK}"><s:Header>'
        f"<a:MessageID>uuid:{message_id}</a:MessageID>"
        "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>"
        f"<a:Action>{xml(_DISCOVERY)}/Probe</a:Action></s:Header>"
        f"<s:Body><d:Probe>{types}</d:Probe></s:Body></s:Envelope>"
    ).encode()


def read_matches(datagram: bytes, answered_from: str) -> list[Match]:
    """The matches in a datagram; [] for whatever else came, our own probe included.

    `RelatesTo` is not looked at, since firmwares echo wrong ones: our sockets hear only answers.
    """
    try:
        root = parse(datagram)
    except BadAnswer:
        return []
    matches = find(root, "Body/ProbeMatches")
    if name_of(root) != "Envelope" or matches is None:
        return []
    found: list[Match] = []
    for element in children(matches, "ProbeMatch"):
        scopes = text_of(element, "Scopes").split()[: 8 * MAX_LISTED]
        endpoint = quoted(text_of(element, "EndpointReference/Address"))
        addresses = read_xaddrs(text_of(element, "XAddrs"), answered_from)
        found.append(
            Match(
                endpoint=endpoint or answered_from,
                answered_from=answered_from,
                addresses=addresses,
                types=tuple(
                    quoted(one.rpartition(":")[2])
                    for one in text_of(element, "Types").split()[:MAX_LISTED]
                ),
                name=_scope(scopes, "name"),
                hardware=_scope(scopes, "hardware"),
                location=_scope(scopes, "location"),
                profiles=tuple(sorted(set(_scopes(scopes, "Profile")))),
            )
        )
        if len(found) == MAX_LISTED:
            break
    return found


def read_xaddrs(written: str, answered_from: str) -> tuple[DeviceAddress, ...]:
    """Where to ask, of the XAddrs: first those at the address that answered, then IPv4, then IPv6.

    Unusable ones (0.0.0.0, loopback, no port) are read as if they named the address that answered.
    """
    ranked: list[tuple[int, DeviceAddress]] = []
    for xaddr in written.split()[:MAX_LISTED]:
        named = read_uri(xaddr)
        if named is None or named.scheme not in ("http", "https"):
            continue
        tls = named.scheme == "https"
        port = named.port or (443 if tls else 80)
        host = named.host
        elsewhere = answered_from.startswith("127.")
        if not host or host == "0.0.0.0" or (host.startswith("127.") and not elsewhere):  # noqa: S104
            host = answered_from
        rank = 0 if host == answered_from else 2 if ":" in host else 1
        try:
            ranked.append((rank, DeviceAddress(host, port, named.rest or "/", tls)))
        except AddressInvalid:
            continue
    ranked.sort(key=lambda pair: pair[0])
    return tuple(dict.fromkeys(address for _, address in ranked))


def merge(matches: Iterable[Match]) -> list[Match]:
    """One per device: of several answers the fields that are filled, and all addresses.

    Answers with one endpoint are one device, unless they come from different addresses and name
    none in common: whole series were sold with the same endpoint.
    """
    by_endpoint: dict[str, list[Match]] = {}
    for count, match in enumerate(matches):
        if count == MAX_MATCHES:
            break
        known = by_endpoint.setdefault(match.endpoint, [])
        for at, one in enumerate(known):
            if one.answered_from == match.answered_from or set(one.addresses) & set(
                match.addresses
            ):
                known[at] = _both(one, match)
                break
        else:
            known.append(match)
    return [match for known in by_endpoint.values() for match in known]


async def discover(
    interfaces: Sequence[str],
    *,
    collect_s: float = COLLECT_S,
    group: tuple[str, int] = (MULTICAST_GROUP, DISCOVERY_PORT),
) -> list[Match]:
    """Probe by multicast on the interfaces that have these IPv4 addresses, and collect.

    Raises `OSError` if an address is not one of ours.
    """
    return await _collect([(one, group) for one in interfaces], collect_s)


async def discover_host(
    host: str, *, port: int = DISCOVERY_PORT, collect_s: float = 2.0
) -> list[Match]:
    """The same probe to one host, past multicast's borders. Raises `OSError` without a route."""
    return await _collect([("", (host, port))], collect_s)


class _Collector(asyncio.DatagramProtocol):
    """Keeps what comes, each datagram once, for the parsing afterwards."""

    def __init__(self, kept: dict[bytes, str]) -> None:
        self.kept = kept
        self.kept_bytes = 0

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.kept_bytes + len(data) <= MAX_KEPT_BYTES and data not in self.kept:
            self.kept_bytes += len(data)
            self.kept[data] = addr[0]

    def error_received(self, exc: Exception) -> None:
        """ICMP says that nobody listens there: the collecting ends empty by itself."""


async def _collect(targets: Sequence[tuple[str, tuple[str, int]]], collect_s: float) -> list[Match]:
    loop = asyncio.get_running_loop()
    kept: dict[bytes, str] = {}
    transports: list[asyncio.DatagramTransport] = []
    to: list[tuple[Any, ...]] = []
    try:
        for interface, (host, port) in targets:
            one, target = await _socket(interface, host, port)
            transport, _ = await loop.create_datagram_endpoint(lambda: _Collector(kept), sock=one)
            transports.append(transport)
            to.append(target)
        until = loop.time() + collect_s
        for sent in range(PROBES):
            for transport, target in zip(transports, to, strict=True):
                for typed in (True, False):
                    transport.sendto(probe(uuid.uuid4(), typed=typed), target)
            left = max(0.0, until - loop.time())
            await asyncio.sleep(min(PROBE_EVERY_S, left) if sent < PROBES - 1 else left)
    finally:
        for transport in transports:
            transport.close()
    return await asyncio.to_thread(_read_all, kept)


def _both(one: Match, other: Match) -> Match:
    return replace(
        one,
        addresses=tuple(dict.fromkeys(one.addresses + other.addresses))[:MAX_LISTED],
        types=one.types or other.types,
        name=one.name or other.name,
        hardware=one.hardware or other.hardware,
        location=one.location or other.location,
        profiles=one.profiles or other.profiles,
    )


def _read_all(kept: dict[bytes, str]) -> list[Match]:
    return merge(match for data, source in kept.items() for match in read_matches(data, source))


async def _socket(interface: str, host: str, port: int) -> tuple[socket.socket, tuple[Any, ...]]:
    """A socket and where it sends. Names are resolved here, since `sendto` would block for it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    # Few cameras listen for this on IPv6.
    family, *_, target = min(found, key=lambda one: one[0] != socket.AF_INET)
    one = socket.socket(family, socket.SOCK_DGRAM)
    try:
        one.setblocking(False)
        if interface:
            one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, MULTICAST_TTL)
            one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
            one.bind((interface, 0))
    except OSError:
        one.close()
        raise
    return one, target


def _scopes(scopes: Sequence[str], kind: str) -> list[str]:
    start = f"{_SCOPE}{kind}/".lower()
    return [
        quoted(unquote(scope[len(start) :])) for scope in scopes if scope.lower().startswith(start)
    ][:MAX_LISTED]


def _scope(scopes: Sequence[str], kind: str) -> str:
    return next(iter(_scopes(scopes, kind)), "")
