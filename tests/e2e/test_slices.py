"""A camera with four slices a picture: its packets are padded to one size; Chromium takes it."""

from __future__ import annotations

import time
from pathlib import Path

from playwright.async_api import Browser

from streamhub import _core
from streamhub.cli.demo import FARM_USERNAME
from support.aiortc_viewer import gaps
from support.core_viewer import STREAM, CoreViewer
from support.district import Farm, Service, farm_secret
from support.page import Wall
from support.patience import KernelDrops
from support.watching import PATIENCE_S, add_camera

SLICES = "hazard/slices4"


async def test_chromium_plays_padded_packets_without_loss(
    service: Service, farm: Farm, template: Path, browser: Browser
) -> None:
    secret = farm_secret(template)
    url = f"rtsp://{FARM_USERNAME}:{secret}@127.0.0.1:{farm.port}/{SLICES}"
    async with service.client("admin") as admin:
        areas = (await admin.get("/api/v1/areas", params={"limit": 200})).json()["items"]
        area_id = next(area["id"] for area in areas if area["name"] == "永顺镇")
        channel = await add_camera(admin, url, area_id)
    drops, wall = KernelDrops(), Wall(await browser.new_page(), service)
    await wall.sign_in("yongshun")
    await wall.page.get_by_test_id("wall-1").click()
    await wall.open_channel(channel)
    await wall.wait_decoding(pictures=75)
    numbers: set[int] = set()
    until = time.monotonic() + PATIENCE_S
    while len(numbers) < 5:
        picture = await wall.picture()
        if picture is not None and picture["number"] is not None:
            numbers.add(picture["number"])
        assert time.monotonic() < until, numbers
    stats = await wall.stats()
    assert stats["width"] == 1920
    assert stats["lost"] <= drops.count()


async def test_four_slices_are_far_fewer_than_four_messages(farm: Farm, template: Path) -> None:
    core = _core.Core()
    viewer = CoreViewer(core, "v", time.time() + 600)
    try:
        url = f"rtsp://127.0.0.1:{farm.port}/{SLICES}"
        core.open_source(STREAM, url, FARM_USERNAME, farm_secret(template))
        await viewer.open()
        await viewer.viewer.wait_packets(50, PATIENCE_S)
        before = core.stats()["counters"], len(viewer.viewer.packets)
        await viewer.viewer.wait_packets(before[1] + 1500, PATIENCE_S)
        after = core.stats()["counters"]
        assert gaps(viewer.viewer.packets) == []
        times = {packet.rtp_ts for packet in viewer.viewer.packets[before[1] :]}
        messages = after["messages_sent"] - before[0]["messages_sent"]
        print(f"{messages} messages for {len(times)} pictures of four slices")
        assert messages < 3 * len(times), "a message for each slice"
    finally:
        await viewer.viewer.close()
        core.shutdown(1000)
