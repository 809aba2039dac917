"""Where UDP is blocked: the same view by TCP (RFC 6544); and whoever else connects."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser

from support.district import Farm, Service, copy_of, free_port, running_service, wait_until
from support.page import Wall
from support.patience import PATIENCE_S, HeldUp
from support.watching import channels_of

# The shard closes a connection that shows no check after 5 s.
PROOF_DEADLINE_S = 5


def refused(service: Service) -> float:
    text = httpx.get(f"{service.url}/metrics", timeout=PATIENCE_S).text
    [line] = [
        row for row in text.splitlines() if row.startswith("streamhub_core_tcp_refused_total")
    ]
    return float(line.split()[1])


@pytest.fixture(params=[1, 3])
def tcp_only(
    farm: Farm, template: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Service]:
    """Viewers are told a port at which nobody answers by UDP, as behind a firewall. With several
    shards, connections are handed over to the one that has the viewer."""
    port = free_port()
    environment = {
        "STREAMHUB_MEDIA__SHARDS": str(request.param),
        "STREAMHUB_MEDIA__TCP_PORT": str(port),
        "STREAMHUB_MEDIA__ADVERTISE": f'["127.0.0.1:{port}"]',
    }
    with running_service(copy_of(template, tmp_path / "data"), environment) as service:
        yield service


async def test_without_udp_the_picture_comes_by_tcp(tcp_only: Service, browser: Browser) -> None:
    service = tcp_only
    wall = Wall(await browser.new_page(), service)
    await wall.sign_in("yongshun")
    await wall.page.get_by_test_id("wall-4").click()
    async with service.client("yongshun") as client:
        for channel in await channels_of(client, 4):
            await wall.open_channel(channel)
        for tile in range(4):
            await wall.wait_decoding(tile, pictures=60)
        views = (await client.get("/api/v1/views")).json()["items"]
        stats = [await wall.stats(tile) for tile in range(4)]
        await wall.page.close()
        ended = time.monotonic() + PATIENCE_S
        while (await client.get("/api/v1/views")).json()["items"]:
            assert time.monotonic() < ended, "the view outlived its page"
    assert [view["reception"]["transport"] for view in views] == ["tcp"] * 4
    for tile in stats:
        assert tile["lost"] == 0
        assert "AEAD_AES_" in tile["srtpCipher"]


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff\xff", b"\x00\x04abcd"])
def test_a_connection_that_shows_no_viewer_is_closed(one_service: Service, sent: bytes) -> None:
    with socket.create_connection(
        ("127.0.0.1", one_service.udp_port), timeout=PATIENCE_S
    ) as connection:
        connection.sendall(sent)
        held_up, began = HeldUp(*one_service.pids), time.monotonic()
        assert connection.recv(1) == b""
        assert time.monotonic() - began - held_up.seconds() < PROOF_DEADLINE_S + 3


def test_a_crowd_of_silent_connections_is_bounded_and_the_next_viewer_is_served(
    one_service: Service,
) -> None:
    crowd, before = [], refused(one_service)
    address = ("127.0.0.1", one_service.udp_port)
    for _ in range(80):
        connection = socket.create_connection(address, timeout=PATIENCE_S)
        connection.setblocking(False)
        crowd.append(connection)
    wait_until("the crowd is bounded", lambda: refused(one_service) >= before + 16)
    for connection in crowd:
        connection.close()
