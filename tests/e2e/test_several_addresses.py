"""A service bound to all addresses of its machine, spoken to at one of them; and REMB."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from support.district import Farm, Service, copy_of, running_service
from support.page import Wall
from support.patience import PATIENCE_S, KernelDrops


@pytest.fixture
def on_all(farm: Farm, template: Path, tmp_path: Path) -> Iterator[Service]:
    """Reached at the loopback's second address: the kernel alone would answer from the first."""
    environment = {
        "STREAMHUB_MEDIA__UDP_HOST": "0.0.0.0",
        "STREAMHUB_MEDIA__ADVERTISE": '["127.0.0.2"]',
        "STREAMHUB_MEDIA__TCP": "false",
        "STREAMHUB_MEDIA__REMB": "true",
    }
    with running_service(copy_of(template, tmp_path / "data"), environment) as service:
        yield service


async def test_the_picture_comes_from_the_address_that_the_browser_was_told(
    on_all: Service, browser: Browser
) -> None:
    drops, wall = KernelDrops(), Wall(await browser.new_page(), on_all)
    await wall.sign_in("yongshun")
    await wall.page.get_by_test_id("wall-1").click()
    async with on_all.client("yongshun") as client:
        [channel] = (await client.get("/api/v1/channels", params={"limit": 1})).json()["items"]
        await wall.open_channel(channel)
        await wall.wait_decoding(pictures=60)
        ends = time.monotonic() + PATIENCE_S
        estimated = None
        while estimated is None:  # a browser sends its first estimate after a second or so
            [view] = (await client.get("/api/v1/views")).json()["items"]
            estimated = view["reception"]["estimated_bps"]
            assert time.monotonic() < ends, view
        stats = await wall.stats()
    assert view["reception"]["transport"] == "udp"
    assert estimated > 100_000
    assert stats["lost"] <= drops.count()
