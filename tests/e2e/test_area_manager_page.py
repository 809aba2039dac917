"""The page of somebody who manages one township: sees its cameras alone, imports into it alone,
moves nothing out of it, and is told in sentences what is refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from streamhub.cli.demo import demo_password
from support.district import Service
from support.page import Wall
from support.watching import PATIENCE_S

PATIENCE_MS = PATIENCE_S * 1000
SCREEN: ViewportSize = {"width": 1280, "height": 720}
WHO = "integrator"
HERE, ELSEWHERE = "永顺镇", "梨园镇"
HEADINGS = "设备编码,设备名称,所属区域编码,主码流地址"
NEW = "11011200001321990001"

_DROP = """(text) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([text], 'mine.csv', {type: 'text/csv'}));
  const zone = document.querySelector('[data-testid="drop"]');
  const how = {dataTransfer: transfer, bubbles: true, cancelable: true};
  for (const kind of ['dragenter', 'dragover', 'drop'])
    zone.dispatchEvent(new DragEvent(kind, how));
}"""


async def areas_of(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    return {area["name"]: area for area in (await client.get("/api/v1/areas")).json()["items"]}


async def one_of(client: httpx.AsyncClient, area: dict[str, Any]) -> dict[str, Any]:
    query = {"area_id": area["id"], "limit": 1}
    found: dict[str, Any] = (await client.get("/api/v1/channels", params=query)).json()["items"][0]
    return found


async def manager_of(admin: httpx.AsyncClient, area: dict[str, Any]) -> None:
    """Makes the integrator, who manages that area."""
    subject = {"username": WHO, "display_name": "永顺镇集成商", "must_change_password": False}
    made = await admin.post("/api/v1/subjects", json={**subject, "password": demo_password(WHO)})
    made.raise_for_status()
    actions = ["list", "live", "snapshot", "manage"]
    grant = {"subject_id": made.json()["id"], "actions": actions, "area_id": area["id"]}
    (await admin.post("/api/v1/grants", json=grant)).raise_for_status()


async def managing(browser: Browser, service: Service, to: str = "") -> Page:
    page = await browser.new_page(locale="zh-CN", viewport=SCREEN)
    await Wall(page, service).sign_in(WHO)
    await page.get_by_test_id("nav-manage").click()
    if to:
        await page.get_by_test_id(f"tab-{to}").click()
    return page


async def test_only_ones_own_is_there(service: Service, browser: Browser) -> None:
    async with service.client("admin") as admin:
        areas = await areas_of(admin)
        await manager_of(admin, areas[HERE])
        other = await one_of(admin, areas[ELSEWHERE])
    page = await managing(browser, service)
    for tab in ("cameras", "accept", "rules", "import", "export"):
        await page.get_by_test_id(f"tab-{tab}").wait_for()
    await expect(page.get_by_test_id("tab-find")).to_have_count(0)
    count = areas[HERE]["channel_count"]
    await expect(page.get_by_test_id("channel-count")).to_contain_text(f"/ {count}")
    assert ELSEWHERE not in await page.get_by_test_id("tree").inner_text()
    # A camera of elsewhere, and a view of the district's manager, by their addresses.
    await page.goto(f"{service.url}/#cameras/{other['id']}")
    await expect(page.get_by_test_id("manage")).to_contain_text("没有找到，或没有授权给您")
    await page.goto(f"{service.url}/#find")
    await expect(page.get_by_test_id("find-error")).to_contain_text("没有进行此操作的授权")
    # Rules are read, not written.
    await page.get_by_test_id("tab-rules").click()
    await page.get_by_test_id("rules-none").wait_for()
    await expect(page.get_by_test_id("rule-add")).to_have_count(0)


async def test_files_are_imported_into_ones_own_area_alone(
    service: Service, browser: Browser
) -> None:
    async with service.client("admin") as admin:
        areas = await areas_of(admin)
        await manager_of(admin, areas[HERE])
        mine, other = await one_of(admin, areas[HERE]), await one_of(admin, areas[ELSEWHERE])
    rows = (
        f"{NEW},东口,{areas[HERE]['code']},rtsp://192.0.2.9/main",
        f"11011200001321990002,西口,{areas[ELSEWHERE]['code']},rtsp://192.0.2.10/main",
        f"{other['code']},南口,{areas[HERE]['code']},rtsp://192.0.2.11/main",
        f"{mine['code']},北口,,",
    )
    page = await managing(browser, service, "import")
    await page.get_by_test_id("import-template").select_option("full")
    await page.evaluate(_DROP, "\n".join((HEADINGS, *rows)))
    await page.get_by_test_id("import-send").click()
    state = page.get_by_test_id("job-state")
    await expect(state).to_have_attribute("data-state", "checked", timeout=PATIENCE_MS)
    await expect(page.get_by_test_id("row-2")).to_have_attribute("data-verdict", "add")
    await expect(page.get_by_test_id("row-3")).to_contain_text("您不管理这个区域")
    await expect(page.get_by_test_id("row-4")).to_contain_text("这个编码属于您不管理的摄像机")
    await expect(page.get_by_test_id("row-5")).to_have_attribute("data-verdict", "change")
    assert other["name"] not in await page.get_by_test_id("import-rows").inner_text()
    await page.get_by_test_id("leave-out").check()
    await page.get_by_test_id("job-apply").click()
    await expect(state).to_have_attribute("data-state", "applied", timeout=PATIENCE_MS)
    await expect(page.get_by_test_id("filing-review")).to_have_count(0)
    await page.get_by_test_id("job-accept").click()
    await expect(page.get_by_test_id("accept-filing")).to_have_value("draft")
    await expect(page.get_by_test_id("accept-rows")).to_contain_text("东口")
    async with service.client("admin") as admin:
        kept = (await admin.get(f"/api/v1/channels/{other['id']}")).json()
        assert (kept["name"], kept["area_id"]) == (other["name"], other["area_id"])


@pytest.mark.parametrize("to", ["the card", "a rule"])
async def test_nothing_is_assigned_elsewhere(service: Service, browser: Browser, to: str) -> None:
    async with service.client("admin") as admin:
        areas = await areas_of(admin)
        await manager_of(admin, areas[HERE])
        camera = await one_of(admin, areas[HERE])
        rule = {"kind": "name_prefix", "text": camera["name"], "area_id": areas[ELSEWHERE]["id"]}
        (await admin.post("/api/v1/assignment-rules", json=rule)).raise_for_status()
    page = await managing(browser, service, "accept")
    if to == "the card":
        await page.goto(f"{service.url}/#cameras/{camera['id']}")
        url = page.get_by_test_id("field-main_url").locator("input")
        await expect(url).to_be_disabled()  # it goes with a password that others' cameras share
        await page.get_by_test_id("field-area").locator("input").fill(areas[ELSEWHERE]["code"])
        await page.get_by_test_id("card-save").click()
        error = page.get_by_test_id("card-error")
        await expect(error).to_contain_text("请选择一个已有的区域")  # it is not there for them
    else:
        # Nothing is chosen, and all is not theirs.
        for act in ("inspect-send", "filing-review", "assign-preview"):
            await expect(page.get_by_test_id(act)).to_be_disabled()
        await page.get_by_test_id("accept-q").fill(camera["code"])
        await page.get_by_test_id(f"camera-{camera['id']}").get_by_role("checkbox").check()
        await page.get_by_test_id("assign-preview").click()
        await expect(page.get_by_test_id("assign-plan")).to_contain_text("1 台属于您不管理的区域")
        await expect(page.get_by_test_id("assign-apply")).to_be_disabled()
        assert ELSEWHERE not in await page.get_by_test_id("assign-plan").inner_text()
    async with service.client("admin") as admin:
        kept = (await admin.get(f"/api/v1/channels/{camera['id']}")).json()
        assert kept["area_id"] == camera["area_id"]
