"""A township's operator in a real Chromium: sees what was granted, nothing else, and no longer."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect

from support.district import Service
from support.page import Wall
from support.patience import PATIENCE_S
from support.watching import ended_views


async def channels_of(client: httpx.AsyncClient, count: int = 1) -> list[dict[str, Any]]:
    answer = await client.get("/api/v1/channels", params={"limit": count})
    answer.raise_for_status()
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def grant_of(admin: httpx.AsyncClient, username: str) -> str:
    subjects = (await admin.get("/api/v1/subjects", params={"q": username})).json()["items"]
    subject = next(s for s in subjects if s["username"] == username)
    grants = (await admin.get("/api/v1/grants", params={"subject_id": subject["id"]})).json()
    grant_id: str = grants["items"][0]["id"]
    return grant_id


@pytest.mark.parametrize("layout", ["wall-4", "wall-1"])
async def test_an_operator_opens_a_camera_and_sees_moving_pictures(
    one_service: Service, browser: Browser, layout: str
) -> None:
    page = await browser.new_page()
    wall = Wall(page, one_service)
    await wall.sign_in("yongshun")
    await page.get_by_test_id(layout).click()
    async with one_service.client("yongshun") as client:
        [channel] = await channels_of(client)
    await wall.open_channel(channel)
    await wall.wait_decoding()

    before = (await wall.stats())["framesDecoded"]
    numbers: set[int] = set()
    picture = None
    deadline = time.monotonic() + PATIENCE_S
    while len(numbers) < 3:
        picture = await wall.picture()
        if picture is not None and picture["number"] is not None:
            numbers.add(picture["number"])
        assert time.monotonic() < deadline, numbers
    assert picture is not None
    assert picture["luma"] > 16
    stats = await wall.stats()
    assert stats["framesDecoded"] > before
    assert "AEAD_AES_" in stats["srtpCipher"]
    assert stats["width"] == (1920 if layout == "wall-1" else 640)


async def test_another_townships_camera_is_not_there(
    one_service: Service, browser: Browser
) -> None:
    async with one_service.client("liyuan") as client:
        [foreign] = await channels_of(client)
    page = await browser.new_page()
    wall = Wall(page, one_service)
    await wall.sign_in("yongshun")
    await page.get_by_test_id("search").fill(foreign["code"])
    await page.get_by_test_id("channels-empty").wait_for()
    for path, method in (
        (f"/whep/{foreign['id']}", "POST"),
        (f"/api/v1/channels/{foreign['id']}", "GET"),
        (f"/api/v1/channels/{foreign['id']}/snapshot.jpg", "GET"),
    ):
        status = await page.evaluate(
            """async ([path, method]) => (await fetch(path, {method,
                 headers: method === 'POST' ? {'Content-Type': 'application/sdp'} : {},
                 body: method === 'POST' ? 'v=0' : undefined})).status""",
            [path, method],
        )
        assert status == 404, path


@pytest.mark.parametrize("by", ["api", "cli"])
async def test_after_revocation_the_video_stops_within_a_second(
    service: Service, browser: Browser, by: str
) -> None:
    wall = Wall(await browser.new_page(), service)
    await wall.sign_in("yongshun")
    async with service.client("yongshun") as client:
        [channel] = await channels_of(client)
    await wall.open_channel(channel)
    await wall.wait_decoding()
    async with service.client("admin") as admin:
        grant_id = await grant_of(admin, "yongshun")
        if by == "api":
            assert (await admin.delete(f"/api/v1/grants/{grant_id}")).status_code == 204
        else:
            await asyncio.to_thread(service.cli, "grant", "revoke", grant_id)
        # Counted from the answer; the commit was before it.
        assert await wall.wait_standstill() < 1.0
        audit = await ended_views(admin, 1)
    assert [row["channel_id"] for row in audit] == [channel["id"]]
    assert audit[0]["detail"]["cause"] == "revoked"


async def test_sensitive_cameras_ask_once_what_for_and_then_show(
    service: Service, browser: Browser
) -> None:
    async with service.client("yongshun") as client, service.client("admin") as admin:
        channels = await channels_of(client, 2)
        for channel in channels:
            body = {"sensitive": True}
            answer = await admin.patch(f"/api/v1/channels/{channel['id']}", json=body)
            assert answer.status_code == 200
        words = {"zh": "其他", "en": "Other", "needs_note": True}
        assert (await admin.put("/api/v1/purposes/other", json=words)).status_code == 200
    page = await browser.new_page(locale="en-US")
    wall = Wall(page, service)
    await wall.sign_in("yongshun")
    for channel in channels:
        await wall.open_channel(channel)
    question = page.get_by_test_id("purpose")
    for channel in channels:
        await question.get_by_test_id(f"purpose-for-{channel['id']}").wait_for()
    assert await question.count() == 1
    await page.get_by_test_id("purpose-elsewhere").wait_for()
    await page.get_by_test_id("purpose-code").select_option("other")
    await expect(page.get_by_test_id("purpose-say")).to_be_disabled()
    await page.get_by_test_id("purpose-note").fill("案件 2026-17")
    await page.get_by_test_id("purpose-say").click()
    for tile in range(2):
        await wall.wait_decoding(tile)
    await page.get_by_test_id("tile-0").hover()
    async with page.expect_popup() as opened:
        await page.get_by_test_id("tile-0").get_by_test_id("tile-snapshot").click()
    picture = await opened.value
    await picture.wait_for_url("blob:**")
    assert await picture.evaluate("document.images[0].naturalWidth") == 640
    async with service.client("admin") as admin:
        for act, count in (("view_start", 2), ("snapshot", 1), ("refused", 0)):
            rows = (await admin.get("/api/v1/audit", params={"act": act})).json()["items"]
            assert len(rows) == count, act
            for row in rows:
                assert row["detail"]["purpose"] == "other"
                assert row["detail"]["purpose_note"] == "案件 2026-17"
    # Not beyond the sign-in.
    await page.reload()
    await question.wait_for()


async def test_a_page_in_either_language_fits_the_screen(
    one_service: Service, browser: Browser
) -> None:
    page = await browser.new_page(viewport={"width": 1280, "height": 800})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    wall = Wall(page, one_service)
    await wall.sign_in("yongshun")
    for _ in range(2):
        await page.get_by_test_id("lang").click()
        overflow = await page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        assert not overflow
    assert errors == []


async def test_after_a_kill_viewers_come_back_by_themselves(
    service: Service, browser: Browser
) -> None:
    wall = Wall(await browser.new_page(), service)
    await wall.sign_in("yongshun")
    async with service.client("yongshun") as client:
        [channel] = await channels_of(client)
    await wall.open_channel(channel)
    await wall.wait_decoding()
    async with service.client("admin") as admin:
        grants_before = (await admin.get("/api/v1/grants")).json()["total"]
    service.kill()
    service.start()
    await wall.wait_decoding()
    async with service.client("admin") as admin:
        assert (await admin.get("/api/v1/grants")).json()["total"] == grants_before
        ends = (await admin.get("/api/v1/audit", params={"act": "view_end"})).json()["items"]
    assert "service_restarted" in [row["detail"].get("cause") for row in ends]
    verified = service.cli("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.parametrize("width", [1024, 960])
@pytest.mark.parametrize("locale", ["zh-CN", "en-US"])
async def test_the_header_of_a_narrow_window_is_one_line(
    service: Service, browser: Browser, locale: str, width: int
) -> None:
    """Two windows beside each other on a screen of 1920."""
    page = await browser.new_page(locale=locale, viewport={"width": width, "height": 720})
    await Wall(page, service).sign_in("admin")
    boxes = await page.locator(".topbar").evaluate(
        "(bar) => [bar, ...bar.querySelectorAll('button, .brand, .clock')]"
        ".map((each) => each.getBoundingClientRect().toJSON())"
    )
    bar, *parts = boxes
    assert bar["width"] == width
    for part in parts:
        assert bar["top"] <= part["top"], part
        assert part["bottom"] <= bar["bottom"], part
        assert part["height"] < 36, f"more than one line: {part}"
    for left, right in itertools.pairwise(parts):
        assert left["right"] <= right["left"] + 1, (left, right)
    assert parts[-1]["right"] <= width
