"""A tile is enlarged and made small again in Chromium: one view all the while, never dark."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Browser, Page, expect

from support.district import Service, free_port
from support.logged_farm import logged_farm
from support.page import Wall
from support.patience import HeldUp
from support.watching import PATIENCE_S, add_camera, channels_of

MAIN_WIDTH, SUB_WIDTH = 1920, 640
FROZEN_MS = 1_000

# What is on the glass: the gaps between pictures, and how dark it ever was. Kept in the page, as
# nothing outside of it looks often enough.
_KEEP_AN_EYE = """(tile) => {
  const video = document.querySelector(`[data-testid="tile-${tile}"] video`);
  const canvas = Object.assign(document.createElement('canvas'), {width: 16, height: 9});
  const context = canvas.getContext('2d', {willReadFrequently: true});
  const eye = window.__eye = {video, pictures: 0, longestGapMs: 0, darkest: 255, widths: []};
  // A gap between pictures is without the time in which the page itself did nothing.
  let last = performance.now(), lastFelt = last, heldMs = 0;
  const look = (now) => {
    eye.longestGapMs = Math.max(eye.longestGapMs, now - last - heldMs);
    last = now;
    heldMs = 0;
    eye.pictures += 1;
    if (eye.widths.at(-1) !== video.videoWidth) eye.widths.push(video.videoWidth);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  const feel = (now) => {
    if (now - lastFelt > 200) heldMs += now - lastFelt;
    lastFelt = now;
    context.drawImage(video, 0, 0, 16, 9);
    const {data} = context.getImageData(0, 0, 16, 9);
    let luma = 0;
    for (let i = 0; i < data.length; i += 4)
      luma += (0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]) / (16 * 9);
    eye.darkest = Math.min(eye.darkest, luma);
    requestAnimationFrame(feel);
  };
  requestAnimationFrame(feel);
}"""

_WHAT_IT_SAW = """(tile) => {
  const {video, pictures, longestGapMs, darkest, widths} = window.__eye;
  const glass = document.querySelector(`[data-testid="tile-${tile}"] video`);
  const {droppedVideoFrames} = video.getVideoPlaybackQuality();
  return {pictures, longestGapMs, darkest, widths, dropped: droppedVideoFrames,
          sameElement: video === glass};
}"""


async def shows(page: Page, profile: str, width: int) -> None:
    """The tile says that it shows the stream, and the eye has seen a picture of it."""
    tile = page.get_by_test_id("tile-0")
    deadline = time.monotonic() + PATIENCE_S
    while True:
        seen = await page.evaluate("window.__eye.widths.at(-1) ?? null")
        said = await tile.get_attribute("data-profile")
        if (said, seen) == (profile, width):
            return
        assert time.monotonic() < deadline, (said, seen, await tile.inner_text())
        await asyncio.sleep(0.05)


async def the_view(client: httpx.AsyncClient) -> dict[str, Any]:
    [view] = (await client.get("/api/v1/views")).raise_for_status().json()["items"]
    row: dict[str, Any] = view
    return row


async def test_an_enlarged_tile_goes_to_main_and_back_in_its_own_view(
    one_service: Service, browser: Browser
) -> None:
    page = await browser.new_page()
    offers: list[str] = []
    page.on(
        "request",
        lambda r: offers.append(r.url) if "/whep/" in r.url and r.method == "POST" else None,
    )
    wall = Wall(page, one_service)
    await wall.sign_in("yongshun")
    tile = page.get_by_test_id("tile-0")
    async with one_service.client("yongshun") as client:
        [channel] = await channels_of(client, 1)
        await wall.open_channel(channel)
        await wall.wait_decoding()
        view_id = await tile.get_attribute("data-view-id")
        held_up = HeldUp(*one_service.pids)
        await page.evaluate(_KEEP_AN_EYE, 0)
        await shows(page, "sub", SUB_WIDTH)

        asked = time.monotonic()
        await tile.dblclick()
        await shows(page, "main", MAIN_WIDTH)
        to_main_s = time.monotonic() - asked
        await expect(page.get_by_test_id("tile-size")).to_have_text("1920×1080")
        assert (await the_view(client))["id"] == view_id
        pictures = (await wall.stats())["framesDecoded"]
        await wall.wait_decoding(pictures=pictures + 50)

        asked = time.monotonic()
        await tile.dblclick()
        await shows(page, "sub", SUB_WIDTH)
        to_sub_s = time.monotonic() - asked
        pictures = (await wall.stats())["framesDecoded"]
        await wall.wait_decoding(pictures=pictures + 30)
        assert (await the_view(client))["id"] == view_id

    saw = await page.evaluate(_WHAT_IT_SAW, 0)
    stats = await wall.stats()
    print(f"\nto main in {to_main_s:.2f} s, back in {to_sub_s:.2f} s; {saw}; {stats}")
    assert saw["sameElement"]
    assert saw["widths"] == [SUB_WIDTH, MAIN_WIDTH, SUB_WIDTH]
    assert saw["longestGapMs"] < FROZEN_MS + held_up.seconds() * 1000
    assert saw["darkest"] > 16
    assert await tile.get_attribute("data-view-id") == view_id
    assert len(offers) == 1, offers


async def test_a_main_stream_that_does_not_come_leaves_the_sub_stream_on_the_glass(
    one_service: Service, browser: Browser, tmp_path: Path
) -> None:
    page = await browser.new_page(locale="en-US")
    wall = Wall(page, one_service)
    tile, change = page.get_by_test_id("tile-0"), page.get_by_test_id("tile-change")
    with logged_farm(1, tmp_path / "send.log") as farm:
        async with one_service.client("admin") as admin:
            [neighbour] = await channels_of(admin, 1)
            nowhere = f"rtsp://127.0.0.1:{free_port()}/main"
            area_id, url = neighbour["area_id"], farm.url("cam/1/sub")
            channel = await add_camera(admin, url, area_id, main_url=nowhere)
        await wall.sign_in("admin")
        await wall.open_channel(channel)
        await wall.wait_decoding()
        view_id = await tile.get_attribute("data-view-id")
        held_up = HeldUp(*one_service.pids)
        await page.evaluate(_KEEP_AN_EYE, 0)

        await tile.dblclick()
        await expect(change).to_contain_text("refused the connection", timeout=PATIENCE_S * 1000)
        pictures = (await wall.stats())["framesDecoded"]
        await wall.wait_decoding(pictures=pictures + 30)
        await expect(tile).to_have_attribute("data-state", "live")
        await expect(tile).to_have_attribute("data-profile", "sub")

        await tile.dblclick()
        await expect(change).to_have_count(0)
        pictures = (await wall.stats())["framesDecoded"]
        await wall.wait_decoding(pictures=pictures + 30)
    saw = await page.evaluate(_WHAT_IT_SAW, 0)
    assert saw["widths"] == [SUB_WIDTH]
    assert saw["longestGapMs"] < FROZEN_MS + held_up.seconds() * 1000
    assert await tile.get_attribute("data-view-id") == view_id
