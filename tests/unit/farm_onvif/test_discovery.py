"""WS-Discovery: who answers a probe, with what, from where."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streamhub.farm_onvif.device import Device
from streamhub.farm_onvif.discovery import Probe, is_match, probe_match, read_probe
from streamhub.farm_onvif.discovery_server import DiscoveryServer
from streamhub.farm_onvif.server import FarmUnavailable
from support.district import free_port
from support.onvif_client import device, devices
from support.patience import PATIENCE_S

GROUP = "239.255.255.250"


def probe(types: str = "dn:NetworkVideoTransmitter", message: str = "uuid:7") -> bytes:
    return (
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing">'
        f"<s:Header><a:MessageID>{message}</a:MessageID>"
        "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>"
        "<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action></s:Header>"
        '<s:Body><d:Probe xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" '
        'xmlns:dn="http://www.onvif.org/ver10/network/wsdl">'
        f"<d:Types>{types}</d:Types></d:Probe></s:Body></s:Envelope>"
    ).encode()


@pytest.mark.parametrize(
    "datagram", [b"", b"<a/>", probe().replace(b"Probe", b"Hello"), probe(message=""), b"x" * 9000]
)
def test_what_is_no_probe_is_not_answered(datagram: bytes) -> None:
    assert read_probe(datagram) is None


@pytest.mark.parametrize(
    ("types", "scopes", "match"),
    [
        ("", (), True),
        ("dn:NetworkVideoTransmitter", (), True),
        ("dn:NetworkVideoTransmitter tds:Device", (), True),
        ("wsdp:Printer", (), False),
        ("", ("onvif://www.onvif.org/type/ptz",), True),
        ("", ("onvif://www.onvif.org/hardware/TC-H",), True),
        ("", ("onvif://www.onvif.org/location/elsewhere",), False),
    ],
)
def test_types_and_scopes_must_all_match(types: str, scopes: tuple[str, ...], match: bool) -> None:
    read = read_probe(probe(types))
    assert read is not None
    assert is_match(device(4), Probe(read.message_id, read.types, scopes)) is match


def test_a_match_tells_where_the_device_is_and_fits_a_datagram() -> None:
    asked = device(3)
    answer = probe_match(asked, Probe("uuid:<7>", (), ())).decode()
    assert "<a:RelatesTo>uuid:&lt;7&gt;</a:RelatesTo>" in answer
    assert "<d:XAddrs>http://127.77.0.3:8000/onvif/device_service</d:XAddrs>" in answer
    assert "onvif://www.onvif.org/name/UNIVIEW%20IPC2124LB-SF40" in answer
    assert len(answer) < 1472
    asked.faults = asked.faults.adding("wrong-host")
    assert "http://192.0.2.1:8000/" in probe_match(asked, Probe("7", (), ())).decode()


@asynccontextmanager
async def discoverable() -> AsyncIterator[tuple[list[Device], int, socket.socket]]:
    """Fourteen devices, the sixth dead; their port; a client's socket on loopback."""
    made = devices("127.77.12.0/28")
    made[5].faults = made[5].faults.adding("dead")
    port = free_port(socket.SOCK_DGRAM)
    server = DiscoveryServer(made, port)
    assert await server.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        client.bind(("127.0.0.1", 0))
        client.setblocking(False)
        yield made, port, client
    server.stop()


async def heard(client: socket.socket, answers: int) -> dict[str, str]:
    """The next datagrams: the address each came from, and the address it tells."""
    loop = asyncio.get_running_loop()
    got: dict[str, str] = {}
    async with asyncio.timeout(PATIENCE_S):
        while len(got) < answers:
            data, (address, _) = await loop.sock_recvfrom(client, 65536)
            assert address not in got, "answered twice"
            got[address] = re.findall(r"<d:XAddrs>http://([\d.]+):", data.decode())[0]
    return got


async def test_a_unicast_probe_is_answered_by_that_device() -> None:
    async with discoverable() as (made, port, client):
        for number in (2, 6, 3):  # the sixth is dead
            client.sendto(probe(), (made[number - 1].spec.address, port))
        expected = {f"127.77.12.{n}": f"127.77.12.{n}" for n in (2, 3)}
        assert await heard(client, 2) == expected


async def test_a_multicast_probe_is_answered_once_by_all_that_live() -> None:
    async with discoverable() as (made, port, client):
        for _ in range(3):  # as clients do
            client.sendto(probe(), (GROUP, port))
        alive = {each.spec.address for each in made} - {"127.77.12.6"}
        assert set(await heard(client, len(alive))) == alive
        # Another probe's answers come next: none of the first was left.
        client.sendto(probe(message="uuid:8"), (GROUP, port))
        assert set(await heard(client, len(alive))) == alive


async def test_a_port_that_is_taken_is_named() -> None:
    async with discoverable() as (made, port, _):
        with pytest.raises(FarmUnavailable, match="--onvif-discovery-port"):
            await DiscoveryServer(made, port).start()
