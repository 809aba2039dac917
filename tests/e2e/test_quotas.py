"""A quota from its form to the tile: full, lowered, and counted by what the real core measures."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from playwright.async_api import Browser, Page, ViewportSize, expect

from support.district import Service
from support.page import Wall
from support.watching import PATIENCE_S

PATIENCE_MS = PATIENCE_S * 1000
SCREEN: ViewportSize = {"width": 1280, "height": 720}
TOWN = "永顺镇"


async def set_views(page: Page, code: str, views: int) -> None:
    await page.get_by_test_id("quota-area").fill(code)
    await page.get_by_test_id("quota-views").fill(str(views))
    await page.get_by_test_id("quota-save").click()
    await expect(page.get_by_test_id("quota-saved")).to_be_visible(timeout=PATIENCE_MS)


async def test_a_quota_is_full_then_lowered_and_the_tile_says_so(
    service: Service, browser: Browser
) -> None:
    bearer = {"Authorization": f"Bearer {service.token('admin')}"}
    async with httpx.AsyncClient(
        base_url=service.url, headers=bearer, verify=service.trust, timeout=PATIENCE_S
    ) as admin:
        areas = (await admin.get("/api/v1/areas")).json()["items"]
        [town] = [each for each in areas if each["name"] == TOWN]
        found = await admin.get("/api/v1/channels", params={"area_id": town["id"], "limit": 3})
        channels: list[dict[str, Any]] = found.json()["items"]

        desk = await browser.new_page(locale="en-US", viewport=SCREEN)
        await Wall(desk, service).sign_in("admin")
        await desk.goto(f"{service.url}/#quotas")
        await set_views(desk, town["code"], 2)

        page = await browser.new_page(locale="zh-CN", viewport=SCREEN)
        wall = Wall(page, service)
        await wall.sign_in("yongshun")
        for channel in channels:
            await wall.open_channel(channel)
        for tile in (0, 1):
            await wall.wait_decoding(tile)
        full = page.get_by_test_id("tile-2")
        await expect(full).to_contain_text("永顺镇最多同时查看 2 路，已用 2 路：yongshun 2。")

        row = desk.get_by_test_id(f"quota-{town['id']}")
        await expect(row).to_contain_text("2 / 2", timeout=PATIENCE_MS)
        await set_views(desk, town["code"], 1)
        # The newest goes; it is not asked for again, and neither is the third let in.
        await expect(page.get_by_test_id("tile-1")).to_contain_text("配额被调低")
        await expect(row).to_contain_text("1 / 1", timeout=PATIENCE_MS)
        await wall.wait_decoding(0, pictures=10)
        ends = await admin.get("/api/v1/audit", params={"act": "view_end", "limit": 9})
        causes = [each["detail"]["cause"] for each in ends.json()["items"]]
        assert causes == ["quota_lowered"]

        # One account is held to its own, besides; and it is changed from its row.
        await desk.get_by_test_id("quota-of-account").click()
        await desk.get_by_test_id("quota-account").fill("yongshu")
        await expect(desk.get_by_test_id("quota-save")).to_be_disabled()
        await desk.get_by_test_id("quota-account").fill("yongshun")
        await desk.get_by_test_id("quota-views").fill("9")
        await desk.get_by_test_id("quota-save").click()
        own = desk.locator("tr", has=desk.get_by_role("rowheader", name="yongshun"))
        await expect(own).to_contain_text("1 / 9", timeout=PATIENCE_MS)
        await desk.get_by_test_id("quota-of-area").click()
        await own.get_by_role("button", name="Change").click()
        await expect(desk.get_by_test_id("quota-account")).to_have_value("yongshun")
        await expect(desk.get_by_test_id("quota-views")).to_have_value("9")
        await own.get_by_role("button", name="Remove").click()
        await own.get_by_role("button", name="Remove").click()
        await expect(own).to_have_count(0, timeout=PATIENCE_MS)

        # What one view takes: by its own bytes, and by the rate of its stream.
        async with asyncio.timeout(PATIENCE_S):
            while (counted := (await _quota(admin))["bps"]) == ASSUMED_SUB_BPS:
                await asyncio.sleep(0.5)
        [view] = (await admin.get("/api/v1/views")).json()["items"]
        assert view["bytes"] > 0
        assert 50_000 < counted < 2_000_000


ASSUMED_SUB_BPS = 600_000


async def _quota(admin: httpx.AsyncClient) -> dict[str, Any]:
    [row] = (await admin.get("/api/v1/quotas")).json()["items"]
    found: dict[str, Any] = row
    return found
