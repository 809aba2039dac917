"""The page in a real Chromium: signing in, opening a camera, and reading what is on the screen."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from playwright.async_api import Page

from streamhub.cli.demo import demo_password
from support.district import Service
from support.patience import PATIENCE_S, HeldUp

HELD_FROM_MS = 200
"""Between two animation frames, of which there are sixty a second."""

# docs/farm.md: 24 cells over the full width in the top 18th: 4 bits scene, 12 bits picture number,
# 8 bits CRC-8 (polynomial 0x07, start 0xFF) of those two bytes.
_READ_PICTURE = """(tile) => {
  const video = document.querySelector(`[data-testid="tile-${tile}"] video`);
  if (!video || !video.videoWidth) return null;
  const width = video.videoWidth, height = video.videoHeight;
  const canvas = document.createElement('canvas');
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.drawImage(video, 0, 0);
  const pixels = context.getImageData(0, 0, width, height).data;
  let luma = 0;
  for (let i = 0; i < pixels.length; i += 4)
    luma += 0.299 * pixels[i] + 0.587 * pixels[i + 1] + 0.114 * pixels[i + 2];
  luma /= pixels.length / 4;
  let bits = 0;
  for (let cell = 0; cell < 24; cell++) {
    let sum = 0, count = 0;
    for (let x = Math.ceil((cell + .25) * width / 24); x < (cell + .75) * width / 24; x++)
      for (let y = Math.ceil(.25 * height / 18); y < .75 * height / 18; y++) {
        sum += pixels[(y * width + x) * 4]; count++;
      }
    const mean = sum / count;
    if (mean > 90 && mean < 165) return {luma, number: null};
    bits = bits * 2 + (mean >= 165 ? 1 : 0);
  }
  let crc = 0xFF;
  for (const byte of [bits >> 16 & 0xFF, bits >> 8 & 0xFF]) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = crc & 0x80 ? (crc << 1 ^ 0x07) & 0xFF : crc << 1;
  }
  return {luma, number: crc === (bits & 0xFF) ? bits >> 8 & 0xFFF : null};
}"""

_STATS = """async (tile) => {
  const player = window.__streamhub?.players?.[tile];
  const report = player && await player.getStats();
  const found = {};
  if (report) for (const row of report.values()) {
    if (row.type === 'inbound-rtp' && row.kind === 'video')
      Object.assign(found, {framesDecoded: row.framesDecoded, packets: row.packetsReceived,
        lost: row.packetsLost, freezes: row.freezeCount, width: row.frameWidth,
        freezesDuration: row.totalFreezesDuration, retransmitted: row.retransmittedPacketsReceived,
        nacks: row.nackCount, plis: row.pliCount});
    if (row.type === 'transport')
      Object.assign(found, {srtpCipher: row.srtpCipher, dtls: row.dtlsState});
  }
  return found;
}"""

_KEEP_TIME = f"""() => {{
  window.__heldMs = 0;
  let last = performance.now();
  const look = (now) => {{
    if (now - last > {HELD_FROM_MS}) window.__heldMs += now - last;
    last = now;
    requestAnimationFrame(look);
  }};
  requestAnimationFrame(look);
}}"""


class Wall:
    """The signed-in page of one operator."""

    def __init__(self, page: Page, service: Service) -> None:
        self.page = page
        page.set_default_timeout(PATIENCE_S * 1000)
        self.service = service

    async def sign_in(self, username: str) -> None:
        await self.page.goto(f"{self.service.url}/?debug")
        await self.page.get_by_test_id("sign-in-username").fill(username)
        await self.page.get_by_test_id("sign-in-password").fill(demo_password(username))
        await self.page.get_by_test_id("sign-in-submit").click()
        # Whoever reads the log alone begins there.
        first = self.page.get_by_test_id("tree").or_(self.page.get_by_test_id("log"))
        await first.wait_for()

    async def open_channel(self, channel: dict[str, Any]) -> None:
        """Finds it by its code, as an operator would, and opens it in the next tile."""
        await self.page.get_by_test_id("search").fill(channel["code"])
        await self.page.get_by_test_id(f"channel-{channel['id']}").click()

    async def stats(self, tile: int = 0) -> dict[str, Any]:
        stats: dict[str, Any] = await self.page.evaluate(_STATS, tile)
        return stats

    async def picture(self, tile: int = 0) -> dict[str, Any] | None:
        """{luma: mean 0..255, number: picture number or None where unreadable}."""
        picture: dict[str, Any] | None = await self.page.evaluate(_READ_PICTURE, tile)
        return picture

    async def wait_decoding(
        self, tile: int = 0, pictures: int = 5, timeout_s: float = PATIENCE_S
    ) -> None:
        deadline = time.monotonic() + timeout_s
        while (await self.stats(tile)).get("framesDecoded", 0) < pictures:
            if time.monotonic() > deadline:
                state = await self.tile_text(tile)
                raise AssertionError(f"no {pictures} pictures in {timeout_s} s; tile: {state}")
            await asyncio.sleep(0.05)

    async def wait_standstill(self, tile: int = 0) -> float:
        """Seconds until the last packet that came in, or fewer where the page was slow to say;
        still for 400 ms counts as the end."""
        held_up, started = HeldUp(*self.service.pids), time.monotonic()
        last_change = asked = started
        packets = -1
        while time.monotonic() - last_change < 0.4:
            before, asked = asked, time.monotonic()
            seen = (await self.stats(tile)).get("packets", packets)
            if seen != packets:
                # It came after the question before this one.
                packets, last_change = seen, before
            if time.monotonic() - started > PATIENCE_S:
                raise AssertionError(f"packets still come after {PATIENCE_S} s")
            await asyncio.sleep(0.01)
        return last_change - started - held_up.seconds()

    async def keep_time(self) -> None:
        """From now on `held_s` counts."""
        await self.page.evaluate(_KEEP_TIME)

    async def held_s(self) -> float:
        """For how long the page itself did nothing: its animation frames were late."""
        return float(await self.page.evaluate("window.__heldMs")) / 1000

    async def tile_text(self, tile: int = 0) -> str:
        return await self.page.get_by_test_id(f"tile-{tile}").inner_text()
