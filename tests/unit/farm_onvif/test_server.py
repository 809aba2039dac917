"""Devices on their sockets: each at its own address, faults that need a socket, control lines."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from streamhub.farm_onvif import control
from streamhub.farm_onvif.device import Device
from streamhub.farm_onvif.server import MAX_CONNECTIONS_PER_DEVICE, FarmUnavailable
from support.district import eventually, free_port
from support.onvif_client import PASSWORD, USER, devices, request, serving, text_of, token
from support.patience import PATIENCE_S

INFORMATION = "<tds:GetDeviceInformation/>"
NETWORK = "127.77.4.0/22"
THOUSAND = 1000


def url(asked: Device, path: str = "/onvif/device_service") -> str:
    return f"http://{asked.spec.address}:{asked.spec.port}{path}"


async def serial(client: httpx.AsyncClient, asked: Device) -> str:
    body = request(INFORMATION, token(time.time()))
    answer = await client.post(url(asked), content=body)
    assert answer.status_code == 200
    return text_of(answer.content, "tds:SerialNumber")


async def test_a_thousand_devices_answer_in_one_process_each_its_own_serial() -> None:
    served = devices(NETWORK, devices=THOUSAND, port=free_port())
    begun = time.monotonic()
    async with serving(served):
        up_s = time.monotonic() - begun
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
            told = [await serial(client, each) for each in served]
    print(f"{THOUSAND} devices listen after {up_s:.2f} s, told who they are after "
          f"{time.monotonic() - begun:.2f} s")  # fmt: skip
    assert [int(each[-9:]) for each in told] == list(range(1, THOUSAND + 1))
    assert len(set(told)) == THOUSAND


async def test_nothing_listens_but_the_devices_addresses() -> None:
    served = devices("127.77.8.0/30", port=free_port())
    async with serving(served):
        for address in ("127.0.0.1", "127.77.8.3", "127.77.8.9"):
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(address, served[0].spec.port)


async def test_an_address_that_is_taken_is_named_and_nothing_is_left() -> None:
    served = devices("127.77.8.0/29", port=free_port())
    async with serving(served[3:4]):
        with pytest.raises(FarmUnavailable, match=r"127\.77\.8\.4:\d+ can't be listened on"):
            async with serving(served):
                raise AssertionError("it serves")
    async with serving(served):
        pass


@pytest.mark.parametrize("number", [1, 2])
async def test_a_foreign_digest_client_gets_the_picture(number: int) -> None:
    """SHA-256 with the first vendor, MD5 with the second."""
    served = devices("127.77.8.0/29", port=free_port())
    picture = url(served[number - 1], "/onvif/snapshot/1")
    auth = httpx.DigestAuth(USER, PASSWORD)
    async with (
        serving(served) as server,
        httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client,
    ):
        answer = await client.get(picture, auth=auth)
        assert (answer.status_code, answer.content[:2]) == (200, b"\xff\xd8")
        wrong = await client.get(picture, auth=httpx.DigestAuth(USER, "guess"))
        assert wrong.status_code == 401
        assert await control.command(server, f"onvif-stats {number}") == (
            "onvif-stats devices=1 requests=4 malformed=0 redirects_followed=0 snapshots=1 "
            "failed_tries=1 lockouts=0 locked=0 off_clock=0 connections=1 subscriptions=0 moves=0 "
            "stops=0 moving=0 failed_tries_most=1"
        )


async def test_a_dead_device_refuses_and_a_healed_one_answers() -> None:
    served = devices("127.77.8.0/30", port=free_port(), faults=("dead=0.5",))
    dead = next(each for each in served if each.faults.kinds)
    other = next(each for each in served if not each.faults.kinds)
    async with (
        serving(served) as server,
        httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client,
    ):
        with pytest.raises(httpx.ConnectError):
            await serial(client, dead)
        assert await serial(client, other)
        assert await control.command(server, f"onvif-fault {dead.spec.number} none") == "ok"
        assert await serial(client, dead)
        assert await control.command(server, "onvif-fault all dead") == "ok"
        for each in served:
            with pytest.raises(httpx.TransportError):
                await serial(client, each)


async def test_a_silent_device_keeps_the_connection_and_says_nothing() -> None:
    [asked, _] = served = devices("127.77.8.0/30", port=free_port(), faults=("no-answer=1",))
    async with serving(served) as server:
        reader, writer = await asyncio.open_connection(asked.spec.address, asked.spec.port)
        writer.write(b"POST /onvif/device_service HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        await eventually("the request is there", lambda: asked.counters.requests == 1)
        assert (reader.at_eof(), server.connections(1)) == (False, 1)
        writer.close()
        await writer.wait_closed()
        await eventually("it is let go", lambda: server.connections(1) == 0)


async def test_a_slow_device_takes_its_time() -> None:
    [asked, _] = served = devices("127.77.8.0/30", port=free_port(), faults=("slow:0.2=1",))
    async with serving(served), httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
        begun = time.monotonic()
        await serial(client, asked)
        assert time.monotonic() - begun >= 0.2


async def test_a_pull_waits_for_the_event() -> None:
    [asked, _] = served = devices("127.77.8.0/30", port=free_port(), credentials=())
    create = request("<tev:CreatePullPointSubscription/>")
    pull = request(
        "<tev:PullMessages><tev:Timeout>PT60S</tev:Timeout>"
        "<tev:MessageLimit>10</tev:MessageLimit></tev:PullMessages>"
    )
    # A clock that stands still: motion neither comes nor goes.
    async with (
        serving(served, clock=lambda: 1_790_000_000.0) as server,
        httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client,
    ):
        made = await client.post(url(asked, "/onvif/events"), content=create)
        address = text_of(made.content, "wsa5:Address")
        first = await client.post(address, content=pull)
        assert first.text.count("Initialized") == 2
        waiting = asyncio.create_task(client.post(address, content=pull))
        await eventually("the pull is there", lambda: asked.counters.requests == 3)
        assert not waiting.done()
        assert await control.command(server, "onvif-input 1 on") == "ok"
        assert "DigitalInput" in (await waiting).text


async def test_connections_are_bounded_for_each_device() -> None:
    [asked, other] = served = devices("127.77.8.0/30", port=free_port())
    async with serving(served) as server:
        address = (asked.spec.address, asked.spec.port)
        kept = [await asyncio.open_connection(*address) for _ in range(MAX_CONNECTIONS_PER_DEVICE)]
        await eventually("all are there", lambda: server.connections(1) == len(kept))
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
            assert await serial(client, other)
        for _, each in kept:
            each.close()
            await each.wait_closed()


async def test_bytes_that_are_no_http_get_400_and_the_end() -> None:
    [asked, _] = served = devices("127.77.8.0/30", port=free_port())
    async with serving(served):
        reader, writer = await asyncio.open_connection(asked.spec.address, asked.spec.port)
        writer.write(b"\x16\x03\x01\x00\xa5")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("onvif-fault 1 tired", "error: There is no fault tired"),
        ("onvif-fault 9 dead", "error: 9 is no device number; there are 1 to 2."),
        ("onvif-fault ² dead", "error: ² is no device number"),
        ("onvif-input 1 maybe", "error: commands are"),
        ("onvif-dance", "error: commands are"),
    ],
)
async def test_a_wrong_control_line_is_answered(line: str, part: str) -> None:
    async with serving(devices("127.77.8.0/30", port=free_port())) as server:
        assert (await control.command(server, line)).startswith(part)
