"""The sound button of a tile in Chromium: the camera is heard after a click, and no longer after
the next one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from playwright.async_api import Browser, Page, expect

from support.district import Service, running_farm
from support.page import Wall
from support.watching import PATIENCE_S, add_camera, channels_of

TONE_HZ = 500
# What the tile's own element plays: the loudest pitch of its stream, and whether it is muted.
_LISTEN = """() => {
  const video = document.querySelector('[data-testid="tile-0"] video');
  const context = new AudioContext(), analyser = context.createAnalyser();
  analyser.fftSize = 4096;
  context.createMediaStreamSource(video.srcObject).connect(analyser);
  window.__ear = {video, context, analyser};
}"""
_HEARD = """async () => {
  const {video, context, analyser} = window.__ear;
  const loudness = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(loudness);
  const loudest = loudness.reduce((best, db, at) => db > loudness[best] ? at : best, 0);
  let packets = 0;
  for (const row of (await window.__streamhub.players[0].getStats()).values())
    if (row.type === 'inbound-rtp' && row.kind === 'audio') packets = row.packetsReceived;
  return {muted: video.muted, packets, loudestDb: loudness[loudest],
          pitchHz: loudest * context.sampleRate / analyser.fftSize};
}"""


async def heard(page: Page, what: str, ready: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found: dict[str, Any] = await page.evaluate(_HEARD)
        if ready(found):
            return found
        assert time.monotonic() < deadline, f"{what}: {found}"
        await page.wait_for_timeout(100)


async def test_a_tile_is_heard_after_a_click_and_silent_after_the_next(
    one_service: Service, browser: Browser
) -> None:
    page = await browser.new_page(locale="en-US")
    wall = Wall(page, one_service)
    tile, button = page.get_by_test_id("tile-0"), page.get_by_test_id("tile-sound")
    hears = page.get_by_test_id("tile-hears")
    with running_farm("", cameras=3) as farm:
        async with one_service.client("admin") as admin:
            [neighbour] = await channels_of(admin, 1)
            url = f"rtsp://127.0.0.1:{farm.port}/sound/pcma/cam/3"
            area_id = neighbour["area_id"]
            channel = await add_camera(admin, f"{url}/sub", area_id, main_url=f"{url}/main")
        await wall.sign_in("admin")
        await wall.open_channel(channel)
        await wall.wait_decoding()
        await page.evaluate(_LISTEN)
        silent = await page.evaluate(_HEARD)
        assert (silent["muted"], silent["packets"]) == (True, 0)

        await button.click()
        found = await heard(page, "the tone", lambda f: f["packets"] > 100 and f["loudestDb"] > -60)
        assert not found["muted"]
        assert abs(found["pitchHz"] - TONE_HZ) < 20
        await expect(hears).to_have_text("Sound")

        await tile.dblclick()  # sound goes on over the change to the main stream
        await expect(tile).to_have_attribute("data-profile", "main", timeout=PATIENCE_S * 1000)
        packets = found["packets"]
        await heard(page, "the tone in main", lambda f: f["packets"] > packets + 100)
        await tile.dblclick()

        await button.click()
        found = await heard(page, "silence", lambda f: f["loudestDb"] < -100)
        assert found["muted"]
        await expect(hears).to_have_count(0)
        await expect(tile).to_have_attribute("data-state", "live")


async def test_a_camera_without_sound_is_named_as_such(
    one_service: Service, browser: Browser
) -> None:
    page = await browser.new_page(locale="en-US")
    wall = Wall(page, one_service)
    await wall.sign_in("yongshun")
    async with one_service.client("yongshun") as client:
        [channel] = await channels_of(client, 1)
    await wall.open_channel(channel)
    await wall.wait_decoding()
    await page.get_by_test_id("tile-sound").click()
    await expect(page.get_by_test_id("tile-hears")).to_have_text(
        "No sound from this camera", timeout=PATIENCE_S * 1000
    )
    await expect(page.get_by_test_id("tile-0")).to_have_attribute("data-state", "live")
