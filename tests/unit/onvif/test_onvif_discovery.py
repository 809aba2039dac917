"""WS-Discovery: probes that cameras understand, answers as they come, on a socket in the loop."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.onvif import discovery
from gateways.onvif.address import DeviceAddress
from gateways.onvif.discovery import (
    discover,
    discover_host,
    merge,
    probe,
    read_matches,
    read_xaddrs,
)
from gateways.onvif.soap import parse, text_of
from support import onvif_shapes as shapes

ENDPOINT = "4d454930-0000-1000-8000-c056e30a0b0c"


def match(
    xaddrs: str = "http://192.168.1.64/onvif/device_service", endpoint: str = ENDPOINT
) -> bytes:
    return shapes.PROBE_MATCH.format(
        message_id=uuid.uuid4(), endpoint=endpoint, xaddrs=xaddrs
    ).encode()


def test_a_probe_asks_for_cameras_or_for_anything() -> None:
    message_id = uuid.uuid4()
    typed, untyped = (parse(probe(message_id, typed=typed)) for typed in (True, False))
    for root in (typed, untyped):
        assert text_of(root, "Header/MessageID") == f"uuid:{message_id}"
        assert text_of(root, "Header/To") == "urn:schemas-xmlsoap-org:ws:2005:04:discovery"
        assert text_of(root, "Header/Action") == (
            "http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe"
        )
    assert text_of(typed, "Body/Probe/Types") == "dn:NetworkVideoTransmitter"
    assert text_of(untyped, "Body/Probe/Types") == ""


def test_a_match_is_read_whatever_it_relates_to() -> None:
    [found] = read_matches(match(), "192.168.1.64")
    assert found == discovery.Match(
        endpoint=f"urn:uuid:{ENDPOINT}",
        answered_from="192.168.1.64",
        addresses=(DeviceAddress("192.168.1.64"),),
        types=("NetworkVideoTransmitter", "Device"),
        name="North Gate 北门",
        hardware="EV-D4",
        location="city/tongzhou",
        profiles=("Streaming", "T"),
    )


@pytest.mark.parametrize(
    ("xaddrs", "urls"),
    [
        (
            "http://[fe80::1]/onvif/d http://10.0.0.9:8000/onvif/d http://192.168.1.64/onvif/d",
            [
                "http://192.168.1.64:80/onvif/d",
                "http://10.0.0.9:8000/onvif/d",
                "http://[fe80::1]:80/onvif/d",
            ],
        ),
        ("http://0.0.0.0:8000/onvif/d", ["http://192.168.1.64:8000/onvif/d"]),
        ("http://127.0.0.1/onvif/d", ["http://192.168.1.64:80/onvif/d"]),
        ("https://192.168.1.64/onvif/d", ["https://192.168.1.64:443/onvif/d"]),
        ("http://192.168.1.64/a http://192.168.1.64/a", ["http://192.168.1.64:80/a"]),
        ("soap.udp://1.2.3.4 nonsense http://bad_host!/x", []),
        ("", []),
    ],
)
def test_the_address_that_answered_comes_first(xaddrs: str, urls: list[str]) -> None:
    assert [one.url for one in read_xaddrs(xaddrs, "192.168.1.64")] == urls


def test_answers_of_one_device_are_one_match() -> None:
    first = read_matches(match("http://192.168.1.64/onvif/d"), "192.168.1.64")
    again = read_matches(match("http://192.168.1.64/onvif/d http://10.0.0.9/d"), "192.168.1.64")
    wifi = read_matches(match("http://10.0.0.9/d"), "10.0.0.9")
    [one] = merge(first + again + wifi)
    assert [address.host for address in one.addresses] == ["192.168.1.64", "10.0.0.9"]


def test_a_series_sold_with_one_endpoint_is_many_devices() -> None:
    answers = [
        read_matches(match(f"http://192.168.1.{host}/onvif/d"), f"192.168.1.{host}")
        for host in range(60, 70)
    ]
    assert len(merge(one for answer in answers for one in answer)) == 10


@pytest.mark.parametrize(
    "datagram", [b"", b"hello", probe(uuid.uuid4(), typed=True), shapes.NOT_AUTHORIZED]
)
def test_what_is_no_match_is_passed_over(datagram: bytes) -> None:
    assert read_matches(datagram, "192.168.1.64") == []


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 900))
def test_any_datagram_is_matches_or_nothing(noise: bytes, at: int) -> None:
    damaged = match()
    for datagram in (noise, damaged[:at] + noise + damaged[at:]):
        for found in read_matches(datagram, "192.168.1.64"):
            assert found.endpoint


class Camera(asyncio.DatagramProtocol):
    """Answers typed probes once, untyped ones twice, and talks nonsense besides."""

    def __init__(self, endpoint: str = ENDPOINT) -> None:
        self.endpoint = endpoint
        self.heard: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.append(data)
        self.transport.sendto(b"\x00noise", addr)
        for _ in range(1 if b"NetworkVideoTransmitter" in data else 2):
            self.transport.sendto(match("http://127.0.0.1/onvif/d", self.endpoint), addr)


@asynccontextmanager
async def camera_on_udp(group: str | None = None) -> AsyncIterator[tuple[Camera, int]]:
    """A camera on loopback, by unicast or as a member of a multicast group there."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((group or "127.0.0.1", 0))
    if group is not None:
        membership = socket.inet_aton(group) + socket.inet_aton("127.0.0.1")
        one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    transport, camera = await asyncio.get_running_loop().create_datagram_endpoint(Camera, sock=one)
    try:
        yield camera, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def test_one_host_is_asked_by_unicast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "PROBE_EVERY_S", 0.02)
    async with camera_on_udp() as (camera, port):
        [found] = await discover_host("localhost", port=port, collect_s=0.5)
    assert found.addresses == (DeviceAddress("127.0.0.1", path="/onvif/d"),)
    assert len(camera.heard) == 6  # three times, with and without types
    assert len(set(camera.heard)) == 6  # each with a MessageID of its own


async def test_an_interface_is_probed_by_multicast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "PROBE_EVERY_S", 0.02)
    group = discovery.MULTICAST_GROUP
    async with camera_on_udp(group) as (camera, port):
        found = await discover(["127.0.0.1"], collect_s=0.5, group=(group, port))
    assert [one.endpoint for one in found] == [f"urn:uuid:{ENDPOINT}"]
    assert len(camera.heard) == 6


async def test_nobody_there_is_an_empty_list_and_a_foreign_address_an_error() -> None:
    async with camera_on_udp() as (_, port):
        pass
    assert await discover_host("127.0.0.1", port=port, collect_s=0.05) == []
    with pytest.raises(OSError):  # noqa: PT011  (which one is the system's choice)
        await discover(["203.0.113.9"], collect_s=0.05)
