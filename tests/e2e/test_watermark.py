"""The viewer's name, the camera and the time lie over the picture, and come back when removed."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from playwright.async_api import Browser, Page, expect

from support.district import Service
from support.page import Wall
from support.watching import PATIENCE_S, channels_of

_LOOK = """() => {
  const canvas = document.querySelector('[data-testid="tile-0"] [data-testid="watermark"]');
  if (!canvas || !canvas.width || !canvas.offsetWidth) return null;
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let inked = 0;
  for (let i = 3; i < pixels.length; i += 4) inked += pixels[i] > 0;
  const box = canvas.getBoundingClientRect();
  const video = canvas.parentElement.querySelector('video').getBoundingClientRect();
  return {text: canvas.dataset.text, inked: inked / (pixels.length / 4),
          covers: box.width >= video.width && box.height >= video.height,
          shown: getComputedStyle(canvas).display === 'block'};
}"""
# What is drawn over the mark, and over the picture with it.
_COVERED = """() => getComputedStyle(
  document.querySelector('[data-testid="tile-0"] .picture'), '::after').content !== 'none'"""
_HARM = {
    "removed": "(mark) => mark.remove()",
    "hidden": "(mark) => mark.style.setProperty('display', 'none', 'important')",
    "shrunk": "(mark) => mark.style.setProperty('width', '1px', 'important')",
    "covered": "(mark) => mark.after(document.createElement('div'))",
    "wiped": "(mark) => { mark.width = 10 }",
}


async def _seen(page: Page, who: str, where: str) -> dict[str, Any]:
    """The mark, once it lies over the whole picture."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            look: dict[str, Any] | None = await page.evaluate(_LOOK)
            if look and look["shown"] and look["covers"] and look["inked"] > 0.005:
                assert who in look["text"]
                assert where in look["text"]
                return look
            await asyncio.sleep(0.1)


async def test_it_names_who_watches_what_and_when(service: Service, browser: Browser) -> None:
    page = await browser.new_page()
    wall = Wall(page, service)
    await wall.sign_in("yongshun")
    async with service.client("yongshun") as client:
        [channel] = await channels_of(client, 1)
    await wall.open_channel(channel)
    await wall.wait_decoding(pictures=20)
    first = await _seen(page, "(yongshun)", channel["name"])
    for name, harm in _HARM.items():
        await page.locator('[data-testid="tile-0"] [data-testid="watermark"]').evaluate(harm)
        print(f"{name}: back as {(await _seen(page, '(yongshun)', channel['name']))['text']}")
    async with asyncio.timeout(PATIENCE_S):
        while (await _seen(page, "(yongshun)", channel["name"]))["text"] == first["text"]:
            await asyncio.sleep(0.2)
    # The picture itself is as it was: the mark lies over it.
    await wall.wait_decoding(pictures=40)
    assert await page.locator('[data-testid="watermark"]').count() == 1


async def test_it_lies_over_pictures_and_not_over_the_reason_why_there_is_none(
    service: Service, browser: Browser
) -> None:
    page = await browser.new_page()
    await page.route("**/whep/**", lambda route: route.abort())
    wall = Wall(page, service)
    await wall.sign_in("yongshun")
    async with service.client("yongshun") as client:
        [channel] = await channels_of(client, 1)
    await wall.open_channel(channel)
    await expect(page.get_by_test_id("tile-reason")).to_be_visible()
    assert await page.evaluate(_COVERED)
    await page.unroute("**/whep/**")
    await page.get_by_test_id("tile-retry").click()
    await wall.wait_decoding()
    await expect(page.get_by_test_id("tile-0")).to_have_class(re.compile(r"\bpictured\b"))
    assert not await page.evaluate(_COVERED)
    await _seen(page, "(yongshun)", channel["name"])
