"""The audit log in the page, in Chromium: one's own rows, and what an auditor finds."""

from __future__ import annotations

import asyncio
import json
import re
import zipfile

from playwright.async_api import Browser, Locator, Page, Route, ViewportSize, expect

from support.district import Service
from support.page import Wall
from support.watching import PATIENCE_S, channels_of

PATIENCE_MS = PATIENCE_S * 1000
SCREEN: ViewportSize = {"width": 1280, "height": 720}
ENDED_AT = re.compile(r"\d\d:\d\d:\d\d$")


async def the_log(browser: Browser, service: Service, who: str) -> Page:
    page = await browser.new_page(locale="en-US", viewport=SCREEN)
    await Wall(page, service).sign_in(who)
    await page.get_by_test_id("nav-log").click()
    return page


async def test_everybody_reads_their_own_rows_and_an_auditor_all(
    service: Service, browser: Browser
) -> None:
    page = await the_log(browser, service, "yongshun")
    await page.get_by_test_id("log-acts").click()
    signed_in = page.get_by_test_id("log-row-sign_in")
    await expect(signed_in.first).to_contain_text("yongshun", timeout=PATIENCE_MS)
    await expect(page.get_by_test_id("log-all")).to_have_count(0)
    await expect(page.get_by_test_id("log-export")).to_have_count(0)

    page = await the_log(browser, service, "admin")
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    await page.get_by_test_id("log-acts").click()
    search, purpose, since = [
        await page.get_by_test_id(f"log-{each}").bounding_box()
        for each in ("search", "purpose", "since")
    ]
    assert search is not None
    assert purpose is not None
    assert since is not None
    assert abs(search["y"] - purpose["y"]) < purpose["height"], "no button stands alone"
    assert since["width"] >= 240, "a time is seen to its end"
    told = page.get_by_test_id("log-row-demo_seeded").get_by_test_id("log-detail")
    await expect(told.locator("summary")).to_contain_text("cameras 3000", timeout=PATIENCE_MS)
    await told.locator("summary").click()
    await expect(told.locator("dl")).to_contain_text("farm")
    theirs = signed_in_of(page, "yongshun")
    await expect(theirs.first).to_be_visible(timeout=PATIENCE_MS)
    await theirs.first.get_by_role("button", name="yongshun").click()
    await expect(signed_in_of(page, "admin")).to_have_count(0, timeout=PATIENCE_MS)
    await expect(theirs.first).to_be_visible(timeout=PATIENCE_MS)
    # Both of one act and of one outcome; an area that is none is no question.
    await page.get_by_test_id("log-act").select_option("sign_in")
    await page.get_by_test_id("log-outcome").select_option("refused")
    await expect(theirs).to_have_count(0, timeout=PATIENCE_MS)
    await page.get_by_test_id("log-outcome").select_option("ok")
    await expect(theirs.first).to_be_visible(timeout=PATIENCE_MS)
    await page.get_by_test_id("log-area").fill("none")
    await expect(page.get_by_test_id("log-area")).to_have_attribute("aria-invalid", "true")
    await page.get_by_test_id("log-export-ask").click()
    await page.get_by_test_id("purpose-code").select_option("inquiry")
    await expect(page.get_by_test_id("log-export-send")).to_be_disabled()
    await page.get_by_test_id("log-area").fill("")
    # An export is made by two people: one asks, another approves, the first fetches.
    await page.get_by_test_id("log-format").select_option("jsonl")
    await page.get_by_test_id("purpose-note").fill("案件 2026-17")
    await page.get_by_test_id("log-export-send").click()
    asked = page.get_by_test_id("log-export-pending")
    await expect(asked).to_contain_text("案件 2026-17", timeout=PATIENCE_MS)
    await expect(page.get_by_test_id("log-export-approve")).to_have_count(0)
    second = await browser.new_page(locale="en-US", viewport=SCREEN)
    await Wall(second, service).sign_in("auditor")
    # Who may watch nothing begins with the log, and not before a wall of cameras.
    await expect(second.get_by_test_id("log")).to_be_visible()
    await second.get_by_test_id("log-export-look").click()
    await expect(signed_in_of(second, "yongshun").first).to_be_visible(timeout=PATIENCE_MS)
    await expect(signed_in_of(second, "admin")).to_have_count(0, timeout=PATIENCE_MS)
    await expect(second.get_by_test_id("log-act")).to_have_value("sign_in")
    await second.get_by_test_id("log-export-approve").click()
    await expect(second.get_by_test_id("log-export-approved")).to_be_visible(timeout=PATIENCE_MS)
    await page.get_by_test_id("log-mine").click()
    await page.get_by_test_id("log-all").click()
    async with page.expect_download() as download:
        await page.get_by_test_id("log-export-fetch").click()
    saved = await (await download.value).path()
    with zipfile.ZipFile(saved) as archive:
        assert archive.namelist() == ["rows.jsonl", "manifest.jsonl"]
        rows = [json.loads(line) for line in archive.read("rows.jsonl").splitlines()]
    said = {(row["subject_name"], row["act"], row["outcome"]) for row in rows}
    assert said == {("yongshun", "sign_in", "ok")}
    # By a camera, found by its code: nobody signs in to one.
    async with service.client("admin") as client:
        [channel] = await channels_of(client, 1)
    await page.get_by_test_id("log-clear").click()
    await expect(signed_in_of(page, "admin").first).to_be_visible(timeout=PATIENCE_MS)
    await page.get_by_test_id("log-camera").fill(channel["code"])
    await expect(page.get_by_test_id("log-row-sign_in")).to_have_count(0, timeout=PATIENCE_MS)
    await page.get_by_test_id("log-mine").click()
    await expect(signed_in_of(page, "yongshun")).to_have_count(0, timeout=PATIENCE_MS)
    assert broken == []


async def test_the_log_right_after_the_wall_has_the_end_of_its_views(
    service: Service, browser: Browser
) -> None:
    page = await browser.new_page(locale="en-US", viewport=SCREEN)
    read = asyncio.Event()
    page.on("response", lambda answer: read.set() if "/audit/mine/views" in answer.url else None)

    async def behind_the_log(route: Route) -> None:
        if route.request.method == "DELETE":
            await read.wait()
        await route.continue_()

    await page.route("**/whep/**", behind_the_log)
    wall = Wall(page, service)
    await wall.sign_in("yongshun")
    async with service.client("yongshun") as client:
        [channel] = await channels_of(client, 1)
    await wall.open_channel(channel)
    await wall.wait_decoding()
    await page.get_by_test_id("tile-enlarge").first.click()
    await expect(page.get_by_test_id("tile-0")).to_have_attribute(
        "data-profile", "main", timeout=PATIENCE_MS
    )
    await page.get_by_test_id("nav-log").click()
    look = page.get_by_test_id("log-look")
    # Written behind the end, and shown without a click.
    await expect(look.locator("td").nth(1)).to_have_text(ENDED_AT, timeout=PATIENCE_MS)
    await expect(look).to_have_count(1)
    await expect(look).to_contain_text("Live view (Sub, Main)")


def signed_in_of(page: Page, who: str) -> Locator:
    return page.get_by_test_id("log-row-sign_in").filter(has_text=who)
