"""A viewer by TCP whose way is too narrow, or stands still now and then: it stays near to now by
missing whole pictures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from support.district import Farm, Service, copy_of, free_port, running_service
from support.page import Wall
from support.patience import HeldUp
from support.relay import running_tcp_relay

WATCHED_S = 20
PICTURES_PER_S = 25
# The main stream has 500,000 bytes a second.
WAYS: dict[str, dict[str, int]] = {
    "narrow": {"bytes_per_s": 300_000, "delay_ms": 20},
    "stalling": {"stall_ms": 2_000, "stall_every_ms": 6_000},
}
# A stall, and a group of pictures; what waits in the service, the relay and the kernels between.
STILL_BELOW_S = 6.0
LATE_BELOW_MS = 4_000


@pytest.fixture
def relayed(farm: Farm, template: Path, tmp_path: Path) -> Iterator[tuple[Service, int, int]]:
    """A service that tells viewers the relay's port, where nobody answers by UDP; its own port for
    TCP; the relay's."""
    tcp_port, relay_port = free_port(), free_port()
    environment = {
        "STREAMHUB_MEDIA__TCP_PORT": str(tcp_port),
        "STREAMHUB_MEDIA__ADVERTISE": f'["127.0.0.1:{relay_port}"]',
    }
    with running_service(copy_of(template, tmp_path / "data"), environment) as service:
        yield service, tcp_port, relay_port


@pytest.mark.parametrize("way", WAYS)
async def test_a_viewer_behind_a_bad_tcp_way_misses_whole_pictures_and_goes_on(
    relayed: tuple[Service, int, int], farm: Farm, browser: Browser, way: str
) -> None:
    service, tcp_port, relay_port = relayed
    with running_tcp_relay(tcp_port, port=relay_port, seed=1, **WAYS[way]) as relay:
        wall = Wall(await browser.new_page(), service)
        await wall.sign_in("yongshun")
        await wall.page.get_by_test_id("wall-1").click()
        async with service.client("yongshun") as client:
            [channel] = (await client.get("/api/v1/channels", params={"limit": 1})).json()["items"]
            await wall.open_channel(channel)
            await wall.wait_decoding()
            held_up = HeldUp(*service.pids, farm.process.pid)
            await wall.keep_time()
            course: list[tuple[float, dict[str, Any]]] = []
            views: list[dict[str, Any]] = []
            ends = time.monotonic() + WATCHED_S
            while time.monotonic() < ends:
                course.append((time.monotonic(), await wall.stats()))
                views += (await client.get("/api/v1/views")).json()["items"]
                await asyncio.sleep(0.5)
            held_s = await wall.held_s() + held_up.seconds()
        counts = relay.end()
    decoded = [stats["framesDecoded"] for _, stats in course]
    rtts_ms = [view["reception"]["rtt_ms"] for view in views]
    still_s = longest_standstill_s([at for at, _ in course], decoded)
    print(
        f"{way}: decoded {decoded[-1] - decoded[0]} of {WATCHED_S * PICTURES_PER_S}, "
        f"still for {still_s:.1f} s, rtt {max(rtts_ms):.0f} ms at most, {counts}, "
        f"last {course[-1][1]}"
    )
    assert {view["id"] for view in views} == {views[0]["id"]}, "one view all the time"
    # Pictures were left out, whole ones: of those that are sent no packet is missing.
    assert decoded[-1] - decoded[0] < WATCHED_S * PICTURES_PER_S * 0.98
    assert course[-1][1]["lost"] == 0
    # It goes on until the end.
    assert decoded[-1] - decoded[0] > (WATCHED_S - held_s) * PICTURES_PER_S * 0.3
    assert still_s < STILL_BELOW_S + held_s
    # Reports come by the same way, behind all that waits: they are as late as the pictures.
    assert max(rtts_ms) < LATE_BELOW_MS + held_s * 1000


def longest_standstill_s(times: list[float], counts: list[int]) -> float:
    longest, changed = 0.0, times[0]
    for (_, before), (at, count) in pairwise(zip(times, counts, strict=True)):
        if count != before:
            changed = at
        longest = max(longest, at - changed)
    return longest
