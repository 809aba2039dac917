"""An integrator's way through the page, in Chromium: cameras of a network are found, imported,
inspected, reviewed, filed, seen by the right operator, and moved to where they belong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, FilePayload, Page, ViewportSize, expect

from streamhub.cli.demo import FARM_USERNAME
from support.district import Farm, Service, free_port, running_farm
from support.page import Wall
from support.watching import PATIENCE_S

PATIENCE_MS = PATIENCE_S * 1000
SCREEN: ViewportSize = {"width": 1280, "height": 720}
NETWORK, DEVICES = "127.81.0.0/29", 3
PASSWORD = "found-s3cret"
ONVIF_PORT = free_port()
FROM, TO = "永顺镇", "梨园镇"

_TOO_WIDE = """() => {
  const page = document.documentElement;
  return page.scrollWidth > page.clientWidth || page.scrollHeight > page.clientHeight;
}"""


@pytest.fixture
def street() -> Iterator[Farm]:
    """Three ONVIF devices and the cameras behind them."""
    onvif = {"": NETWORK, "-devices": DEVICES, "-port": ONVIF_PORT}
    options = [word for key, value in onvif.items() for word in (f"--onvif{key}", str(value))]
    with running_farm(PASSWORD, cameras=DEVICES, options=options) as farm:
        yield farm
    for pipe in (farm.process.stdin, farm.process.stdout):
        if pipe is not None:
            pipe.close()


async def areas_of(admin: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    return {area["name"]: area for area in (await admin.get("/api/v1/areas")).json()["items"]}


async def state_is(page: Page, testid: str, state: str) -> None:
    shown = page.get_by_test_id(testid)
    await expect(shown).to_have_attribute("data-state", state, timeout=PATIENCE_MS)
    assert not await page.evaluate(_TOO_WIDE), page.url


async def found_and_imported(page: Page, area_code: str) -> None:
    await page.get_by_test_id("tab-find").click()
    await page.get_by_test_id("find-networks").fill(NETWORK)
    await page.get_by_test_id("find-ports").fill(str(ONVIF_PORT))
    await page.get_by_test_id("find-more-sets").click()
    for index, (user, word) in enumerate((("root", "wrong-word"), (FARM_USERNAME, PASSWORD))):
        await page.get_by_test_id(f"find-username-{index}").fill(user)
        await page.get_by_test_id(f"find-password-{index}").fill(word)
    await page.get_by_test_id("find-send").click()
    await state_is(page, "sweep-state", "done")
    await expect(page.locator('[data-testid^="found-"][data-state="described"]')).to_have_count(
        DEVICES
    )
    await expect(page.get_by_test_id("found-127.81.0.1")).to_contain_text(f"2: {FARM_USERNAME}")
    assert PASSWORD not in await page.content()
    await page.get_by_test_id("sweep-area").fill(area_code)
    await page.get_by_test_id("sweep-import").click()
    await state_is(page, "job-state", "checked")
    await expect(page.get_by_test_id("filter-add")).to_have_text(f"{DEVICES} Add")
    await page.get_by_test_id("job-apply").click()
    await state_is(page, "job-state", "applied")


async def inspected(page: Page, area_code: str) -> None:
    await page.get_by_test_id("tab-accept").click()
    # What is no area must not be taken for all of them.
    bulk = [page.get_by_test_id(each) for each in ("inspect-send", "assign-preview")]
    for button in bulk:
        await expect(button).to_be_enabled()
    await page.get_by_test_id("accept-area").fill(f"{FROM}?")
    for button in (*bulk, page.get_by_test_id("filing-review")):
        await expect(button).to_be_disabled()
    # By its name, which no other area has.
    await page.get_by_test_id("accept-area").fill(FROM)
    await expect(page.get_by_test_id("accept-scope")).to_have_text(f"All in “{FROM}”")
    assert area_code in page.url
    await page.get_by_test_id("accept-filing").select_option("draft")
    await expect(page.get_by_test_id("accept-count")).to_have_text(f"{DEVICES} of {DEVICES}")
    await page.get_by_test_id("accept-all").check()
    await page.get_by_test_id("inspect-send").click()
    await state_is(page, "inspect-counts", "done")
    await page.get_by_test_id("accept-verdict").select_option("plays")
    await expect(page.get_by_test_id("accept-count")).to_have_text(f"{DEVICES} of {DEVICES}")
    # A few of an area that are listed are not the area: they have to be ticked.
    for act in ("inspect-send", "filing-review", "assign-preview"):
        await expect(page.get_by_test_id(act)).to_be_disabled()
    await page.get_by_test_id("accept-rows").get_by_role("link").first.click()
    await expect(page.get_by_test_id("verdict")).to_have_attribute("data-verdict", "plays")
    await expect(page.get_by_test_id("verdict-card")).to_contain_text("H264")
    still = page.get_by_test_id("verdict-still")
    await expect(still).to_have_js_property("complete", True)
    assert await still.evaluate("(image) => image.naturalWidth") > 0


async def device_changed(page: Page) -> None:
    """From the card: how many of the device's streams at once, and what it notices is asked for."""
    dials = page.get_by_test_id("device-dials")
    await dials.fill("16")
    async with page.expect_response(lambda answer: answer.request.method == "PATCH" and answer.ok):
        await dials.blur()
    await page.reload()
    await expect(dials).to_have_value("16")
    listen = page.get_by_test_id("device-listen")
    await listen.check()
    await state_is(page, "device-events", "listening")
    await listen.uncheck()
    await expect(page.get_by_test_id("device-events")).to_have_count(0)


async def marked_sensitive(page: Page) -> None:
    """And back: its versions have both, and what is being typed stays."""
    name = page.locator('[data-testid="field-name"] input')
    before = await name.input_value()
    await name.fill(f"{before}x")
    mark, newest = page.get_by_test_id("sensitive"), page.get_by_test_id("version-0")
    await mark.check()
    await expect(newest.locator("ins")).to_have_text("Yes")
    await expect(newest).to_contain_text("Asks everybody for a purpose")
    await mark.uncheck()
    await expect(newest.locator("del")).to_have_text("Yes")
    await expect(name).to_have_value(f"{before}x")
    await page.get_by_test_id("card-revert").click()


async def reviewed_and_filed(page: Page, area_code: str) -> None:
    # One is sent back with a reason, from its card.
    await page.get_by_test_id("filing-refuse").click()
    await page.get_by_test_id("filing-reason").fill("看不清")
    await page.get_by_test_id("filing-sure").click()
    await expect(page.get_by_test_id("card-filing-note")).to_contain_text("看不清")
    await expect(page.get_by_test_id("version-0")).to_contain_text("Refused")

    await page.get_by_test_id("tab-accept").click()
    await page.get_by_test_id("accept-area").fill(area_code)
    await page.get_by_test_id("accept-filing").select_option("draft")
    await expect(page.get_by_test_id("accept-count")).to_have_text(f"{DEVICES} of {DEVICES}")
    await page.get_by_test_id("accept-all").check()
    await page.get_by_test_id("filing-review").click()
    await page.get_by_test_id("filing-sure").click()
    # Whoever imported them is not the one to review them, unless the site says so.
    await expect(page.get_by_test_id("filing-error")).to_contain_text("last to change")
    await page.get_by_test_id("filing-rules-open").click()
    await page.get_by_test_id("filing-second-person").uncheck()
    await page.get_by_test_id("filing-rules-saved").wait_for()
    await page.get_by_test_id("filing-sure").click()
    await expect(page.get_by_test_id("filing-done")).to_have_text(f"Done: {DEVICES}.")
    await page.get_by_test_id("accept-none").wait_for()
    await page.get_by_test_id("accept-filing").select_option("reviewed")
    await expect(page.get_by_test_id("accept-scope")).to_have_text(f"All in “{FROM}”")
    await page.get_by_test_id("filing-file").click()
    await page.get_by_test_id("filing-sure").click()
    await expect(page.get_by_test_id("filing-done")).to_contain_text(f"Done: {DEVICES};")


async def ruled(page: Page, names: list[str], area_code: str) -> None:
    """Cameras of these names belong in the area; a rule that was a mistake goes again."""
    await page.get_by_test_id("tab-rules").click()
    await page.get_by_test_id("rules-none").wait_for()
    await page.get_by_test_id("rule-kind").select_option("name_prefix")
    await page.get_by_test_id("rule-area").fill(area_code)
    for name in [*names, "a mistake"]:
        await page.get_by_test_id("rule-text").fill(name)
        await page.get_by_test_id("rule-add").click()
        await expect(page.get_by_role("row").filter(has_text=name)).to_have_count(1)
    await page.get_by_test_id("rule-kind").select_option("fact")
    await expect(page.get_by_test_id("rule-add")).to_be_disabled()
    mistake = page.get_by_role("row").filter(has_text="a mistake")
    await mistake.get_by_role("button", name="Remove").click()
    await mistake.get_by_role("button", name="Remove").click()
    await expect(mistake).to_have_count(0)
    assert not await page.evaluate(_TOO_WIDE), page.url


async def purposes_listed(page: Page) -> None:
    """The district's own list: one is added, changed, and removed."""
    await page.get_by_test_id("rules-purposes").click()
    await page.get_by_test_id("purpose-duty").wait_for()
    save, own = page.get_by_test_id("purpose-save"), page.get_by_test_id("purpose-campaign")
    await page.get_by_test_id("purpose-new-code").fill("campaign")
    await expect(save).to_be_disabled()
    await page.get_by_test_id("purpose-zh").fill("专项行动")
    await save.click()
    await expect(own).to_contain_text("专项行动")
    await page.get_by_test_id("purpose-edit-campaign").click()
    await expect(save).to_have_text("Change the purpose")
    await page.get_by_test_id("purpose-en").fill("Campaign")
    await page.get_by_test_id("purpose-needs-note").check()
    await save.click()
    await expect(own).to_contain_text("With words")
    await page.get_by_test_id("purpose-remove-campaign").click()
    await page.get_by_test_id("purpose-remove-campaign-sure").click()
    await expect(own).to_have_count(0)
    assert not await page.evaluate(_TOO_WIDE), page.url


async def bounded(page: Page) -> None:
    """A boundary out of a file: looked at, with what can't be taken, and given to its area."""
    await page.get_by_test_id("rules-boundaries").click()
    ring = [[116.6, 39.8], [116.7, 39.8], [116.7, 39.9], [116.6, 39.8]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    features = [
        {"type": "Feature", "properties": {"name": name}, "geometry": shape}
        for name in ("永顺镇", "nowhere")
    ]
    content = json.dumps({"type": "FeatureCollection", "features": features}).encode()
    await page.get_by_test_id("drop-file").set_input_files(
        {"name": "areas.geojson", "mimeType": "application/geo+json", "buffer": content}
    )
    await expect(page.get_by_test_id("boundary-2")).to_contain_text("no area called nowhere")
    await page.get_by_test_id("boundary-apply").click()
    await page.get_by_test_id("boundary-done").wait_for()
    assert not await page.evaluate(_TOO_WIDE), page.url


async def is_seen(page: Page, channel: dict[str, Any], *, seen: bool) -> None:
    await page.get_by_test_id("search").fill("")
    await page.get_by_test_id("search").fill(channel["code"])
    there = page.get_by_test_id(f"channel-{channel['id']}")
    if seen:
        await there.wait_for()
    else:
        await page.get_by_test_id("channels-empty").wait_for()


async def test_cameras_of_a_network_reach_the_operators_they_are_for(
    street: Farm, service: Service, browser: Browser
) -> None:
    page = await browser.new_page(locale="en-US", viewport=SCREEN)
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    await Wall(page, service).sign_in("admin")
    await page.get_by_test_id("nav-manage").click()
    async with service.client("admin") as admin:
        areas = await areas_of(admin)
        here = areas[FROM]["code"]
        await found_and_imported(page, here)
        drafts = (await admin.get("/api/v1/channels", params={"filing": "draft"})).json()["items"]
        assert len(drafts) == DEVICES
        yongshun = await browser.new_page(locale="en-US")
        liyuan = await browser.new_page(locale="en-US")
        walls = [Wall(yongshun, service), Wall(liyuan, service)]
        for wall, username in zip(walls, ("yongshun", "liyuan"), strict=True):
            await wall.sign_in(username)
        await is_seen(yongshun, drafts[0], seen=False)
        await inspected(page, here)
        await device_changed(page)
        await marked_sensitive(page)
        await reviewed_and_filed(page, here)
        await is_seen(yongshun, drafts[0], seen=True)
        await is_seen(liyuan, drafts[0], seen=False)
        await walls[0].open_channel(drafts[0])
        await walls[0].wait_decoding()

        # They belong elsewhere: who would see what is said before anything moves.
        await ruled(page, [each["name"] for each in drafts], areas[TO]["code"])
        await bounded(page)
        await purposes_listed(page)
        await page.get_by_test_id("tab-accept").click()
        await page.get_by_test_id("accept-filing").select_option("filed")
        await page.get_by_test_id("accept-area").fill(here)
        for each in drafts:
            await page.get_by_test_id("accept-q").fill(each["code"])
            await expect(page.get_by_test_id("accept-count")).to_have_text("1 of 1")
            await page.get_by_test_id(f"camera-{each['id']}").get_by_role("checkbox").check()
            await page.get_by_test_id("assign-preview").click()
            effects = page.get_by_test_id("assign-effects")
            await expect(effects).to_contain_text("become visible to")
            await expect(page.get_by_test_id(f"move-{each['id']}")).to_contain_text(TO)
            await page.get_by_test_id("assign-apply").click()
            await expect(page.get_by_test_id("assign-done")).to_have_text("Moved: 1.")
        moved = (await admin.get(f"/api/v1/channels/{drafts[0]['id']}")).json()
        assert (moved["area_id"], moved["filing"]) == (areas[TO]["id"], "filed")
        await is_seen(liyuan, drafts[0], seen=True)
        await is_seen(yongshun, drafts[0], seen=False)
    assert broken == []


async def test_cameras_beside_the_machine_are_found_from_its_interface(
    street: Farm, service: Service, browser: Browser
) -> None:
    page = await browser.new_page(locale="zh-CN", viewport=SCREEN)
    await Wall(page, service).sign_in("admin")
    await page.goto(f"{service.url}/#find")
    await expect(page.get_by_test_id("find-send")).to_be_disabled()
    await page.get_by_test_id("find-interface-127.0.0.1").check()
    await page.get_by_test_id("find-username-0").fill("root")
    await page.get_by_test_id("find-password-0").fill("wrong-word")
    await page.get_by_test_id("find-send").click()
    await state_is(page, "sweep-state", "done")
    # Other simulated devices of this machine may answer, too. What each says is in Chinese.
    for n in range(1, DEVICES + 1):
        found = page.get_by_test_id(f"found-127.81.0.{n}")
        await expect(found).to_contain_text("用户名或密码不正确")
        await expect(found).to_contain_text("auth_failed")


async def test_what_the_service_refuses_is_said_in_the_language_of_the_page(
    service: Service, browser: Browser
) -> None:
    page = await browser.new_page(locale="zh-CN", viewport=SCREEN)
    await Wall(page, service).sign_in("admin")
    await page.goto(f"{service.url}/#find")
    await page.get_by_test_id("find-networks").fill("10.0.0.0/2")
    await page.get_by_test_id("find-send").click()
    error = page.get_by_test_id("find-error")
    await expect(error).to_contain_text("网段太大")
    await page.get_by_test_id("lang").click()
    await page.get_by_test_id("find-send").click()
    await expect(error).to_contain_text("Split the networks")
    await page.get_by_test_id("lang").click()
    await page.get_by_test_id("tab-import").click()
    file = FilePayload(name="list.csv", mimeType="text/csv", buffer=b"a,b\n1,2\n")
    await page.get_by_test_id("drop-file").set_input_files(file)
    await page.get_by_test_id("import-send").click()
    await state_is(page, "job-state", "refused")
    sentence = page.get_by_test_id("job-sentence")
    missing = re.compile("整个文件无法导入：(文件缺少模板要求的列|前几行里没有找到表头)")
    await expect(sentence).to_contain_text(missing)
