"""A camera whose main stream is H.265, in a Chromium that has none: the page shows the sub stream,
says why, and does not keep asking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, Response, expect

from support.district import Service
from support.logged_farm import logged_farm
from support.page import Wall
from support.watching import PATIENCE_S, add_camera, channels_of

WORDS = "cannot play the codec of the main stream"
PICTURES = 30
"""Two seconds of the sub stream: time enough to ask once more, were the page to do so."""


@dataclass
class Opened:
    """The page with the camera at hand, and what the service answered to its wishes so far."""

    wall: Wall
    channel: dict[str, Any]
    answers: list[tuple[str, int]] = field(default_factory=list)

    def note(self, response: Response) -> None:
        method, path = response.request.method, response.url.partition("?profile=")
        if method == "POST" and "/whep/" in path[0]:
            self.answers.append((path[2], response.status))
        if method == "PUT" and path[0].endswith("/profile"):
            self.answers.append(("change", response.status))

    async def plays_on(self) -> None:
        """The sub stream is live, and stays so for a while."""
        tile = self.wall.page.get_by_test_id("tile-0")
        await expect(tile).to_have_attribute("data-state", "live", timeout=PATIENCE_S * 1000)
        await expect(tile).to_have_attribute("data-profile", "sub")
        decoded = (await self.wall.stats())["framesDecoded"]
        await self.wall.wait_decoding(pictures=decoded + PICTURES)
        assert (await self.wall.stats())["width"] == 640


@pytest_asyncio.fixture
async def opened(one_service: Service, browser: Browser, tmp_path: Path) -> AsyncIterator[Opened]:
    page = await browser.new_page(locale="en-US")
    has_h265 = await page.evaluate(
        """() => RTCRtpReceiver.getCapabilities('video').codecs
               .some((codec) => codec.mimeType.toLowerCase() === 'video/h265')"""
    )
    assert not has_h265, "this test wants a browser without H.265"
    with logged_farm(1, tmp_path / "send.log") as farm:
        async with one_service.client("admin") as admin:
            [neighbour] = await channels_of(admin, 1)
            urls = farm.url("cam/1/sub"), farm.url("cam/1/main_h265")
            channel = await add_camera(admin, urls[0], neighbour["area_id"], main_url=urls[1])
        found = Opened(Wall(page, one_service), channel)
        page.on("response", found.note)
        await found.wall.sign_in("admin")
        yield found


async def test_enlarging_leaves_the_sub_stream_and_says_why(opened: Opened) -> None:
    page = opened.wall.page
    tile, change = page.get_by_test_id("tile-0"), page.get_by_test_id("tile-change")
    await opened.wall.open_channel(opened.channel)
    await opened.wall.wait_decoding()
    view_id = await tile.get_attribute("data-view-id")
    await tile.dblclick()
    await expect(change).to_contain_text(WORDS, timeout=PATIENCE_S * 1000)
    await opened.plays_on()
    await tile.dblclick()
    await expect(change).to_have_count(0)
    await tile.dblclick()  # by now the service knows the codec, and says so at once
    await expect(change).to_contain_text(WORDS, timeout=PATIENCE_S * 1000)
    await opened.plays_on()
    assert await tile.get_attribute("data-view-id") == view_id
    assert opened.answers == [("sub", 201), ("change", 200), ("change", 422)]


async def test_opened_large_the_sub_stream_comes_at_once(opened: Opened) -> None:
    page = opened.wall.page
    change = page.get_by_test_id("tile-change")
    await page.get_by_test_id("wall-1").click()
    await opened.wall.open_channel(opened.channel)
    await opened.plays_on()
    await expect(change).to_contain_text(WORDS)
    # The codec was learned by dialling the camera. A view that ended before its events were heard
    # is asked for once more.
    first, *once_more, last = opened.answers
    assert (first, last) == (("main", 201), ("sub", 201))
    assert once_more in ([], [("main", 422)])

    known = len(opened.answers)
    await page.get_by_test_id("tile-close").click()
    await page.get_by_test_id(f"channel-{opened.channel['id']}").click()
    await opened.plays_on()
    await expect(change).to_contain_text(WORDS)
    assert opened.answers[known:] == [("main", 422), ("sub", 201)]
