"""A viewer behind a way that loses one datagram in twenty, in both directions: the picture goes on.

One seed for 60 s in the ordinary suite; STREAMHUB_LOSS_SEEDS=1,2,3 takes others.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from support.district import Farm, Service, copy_of, free_port, running_service
from support.page import Wall
from support.patience import HeldUp
from support.relay import running_relay

LOSS = 0.05
WATCHED_S = 60
SEEDS = [int(seed) for seed in os.environ.get("STREAMHUB_LOSS_SEEDS", "1").split(",")]
FREEZES_BELOW_S = 1.0
RETRANSMITTED_BELOW = 0.15


@pytest.fixture
def relayed(farm: Farm, template: Path, tmp_path: Path) -> Iterator[tuple[Service, int]]:
    """A service that tells viewers the relay's port as its own."""
    port = free_port(socket.SOCK_DGRAM)
    environment = {"STREAMHUB_MEDIA__ADVERTISE": f'["127.0.0.1:{port}"]'}
    with running_service(copy_of(template, tmp_path / "data"), environment) as service:
        yield service, port


@pytest.mark.parametrize("seed", SEEDS)
async def test_with_five_percent_lost_both_ways_the_picture_hardly_freezes(
    relayed: tuple[Service, int], farm: Farm, browser: Browser, seed: int
) -> None:
    service, port = relayed
    with running_relay(service.udp_port, loss=LOSS, seed=seed, port=port) as relay:
        page = await browser.new_page()
        wall = Wall(page, service)
        await wall.sign_in("yongshun")
        await page.get_by_test_id("wall-1").click()  # the main stream: 4 Mbit/s
        async with service.client("yongshun") as client:
            [channel] = (await client.get("/api/v1/channels", params={"limit": 1})).json()["items"]
            await wall.open_channel(channel)
            await wall.wait_decoding()
            held_up = HeldUp(*service.pids, farm.process.pid)
            await wall.keep_time()
            before = await wall.stats()
            ends = time.monotonic() + WATCHED_S
            while time.monotonic() < ends:
                await asyncio.sleep(1)
                await page.title()  # a page that has crashed says so here
            after = await wall.stats()
            held_s = await wall.held_s() + held_up.seconds()
            [view] = (await client.get("/api/v1/views")).json()["items"]
        counts = relay.end()
    frozen_s = after["freezesDuration"] - before["freezesDuration"]
    again = after["retransmitted"] / after["packets"]
    print(
        f"seed {seed}: frozen {frozen_s:.2f} s in {WATCHED_S} s ({after['freezes']} freezes), "
        f"retransmitted {again:.1%}, lost for good {after['lost']}, "
        f"decoded {after['framesDecoded'] - before['framesDecoded']}, "
        f"PLI {after['plis']}, {view['reception']}, {counts}"
    )
    lost = counts["to_viewers"]["lost"] / sum(counts["to_viewers"].values())
    assert 0.03 < lost < 0.07
    assert after["nacks"] > 0
    assert after["framesDecoded"] - before["framesDecoded"] > 20 * (WATCHED_S - held_s)
    assert frozen_s < FREEZES_BELOW_S + held_s
    assert 0 < again < RETRANSMITTED_BELOW
    assert view["reception"]["retransmitted"] > 0
