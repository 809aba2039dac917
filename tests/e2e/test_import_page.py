"""Managing cameras through the page, in Chromium: a list with errors is dropped, corrected, applied
and undone; a camera's card is changed and put back; a form comes out as a file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from playwright.async_api import Browser, Dialog, Page, ViewportSize, expect

from support.district import Service
from support.page import Wall
from support.watching import PATIENCE_S, channels_of

PATIENCE_MS = PATIENCE_S * 1000
SCREEN: ViewportSize = {"width": 1280, "height": 720}
HEADINGS = ["设备编码", "设备名称", "所属区域编码", "主码流地址", "经度", "纬度"]
NEW_CODE = "11011200001321990001"
NEW_NAME = "新华大街东口"
AREA = "110112001"
GOOD = [NEW_CODE, NEW_NAME, AREA, "rtsp://192.0.2.9/main", "116.66", "39.9"]
OTHER = ["11011200001321990002", "西口", AREA, "rtsp://192.0.2.10/main", "116.66", "39.9"]
WRONG_CODE = ["1234", *OTHER[1:]]
WRONG_POSITION = ["11011200001321990003", "北口", AREA, "rtsp://192.0.2.11/main", "416.66", "39.9"]

# Dropped as from a folder: the events and their DataTransfer are the browser's own.
_DROP = """([testid, name, text]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([text], name, {type: 'text/csv'}));
  const zone = document.querySelector(`[data-testid="${testid}"]`);
  const how = {dataTransfer: transfer, bubbles: true, cancelable: true};
  for (const kind of ['dragenter', 'dragover', 'drop'])
    zone.dispatchEvent(new DragEvent(kind, how));
}"""
_TOO_WIDE = """() => {
  const page = document.documentElement;
  return page.scrollWidth > page.clientWidth || page.scrollHeight > page.clientHeight;
}"""


def as_csv(*rows: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([HEADINGS, *rows])
    return out.getvalue()


async def drop(page: Page, name: str, text: str) -> None:
    await page.get_by_test_id("drop").wait_for()
    await page.evaluate(_DROP, ["drop", name, text])


async def state_is(page: Page, state: str) -> None:
    shown = page.get_by_test_id("job-state")
    await expect(shown).to_have_attribute("data-state", state, timeout=PATIENCE_MS)


async def fits(page: Page) -> None:
    assert not await page.evaluate(_TOO_WIDE), page.url


async def managing(browser: Browser, service: Service) -> Page:
    page = await browser.new_page(locale="en-US", viewport=SCREEN)
    await Wall(page, service).sign_in("admin")
    await page.get_by_test_id("nav-manage").click()
    return page


async def test_a_list_with_errors_is_corrected_applied_and_undone(
    service: Service, browser: Browser
) -> None:
    page = await managing(browser, service)
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    await page.get_by_test_id("tab-import").click()
    await page.get_by_test_id("import-template").select_option("full")
    await drop(page, "spring.csv", as_csv(GOOD, WRONG_CODE, WRONG_POSITION))
    await fits(page)
    await page.get_by_test_id("import-send").click()
    await state_is(page, "checked")

    await expect(page.get_by_test_id("filter-refused")).to_have_text("2 Refused")
    await page.get_by_test_id("filter-refused").click()
    await expect(page.get_by_test_id("row-2")).to_have_count(0)
    for row, column, code in (
        (3, "设备编码", "code_not_20_digits"),
        (4, "经度", "out_of_range"),
    ):
        line = page.get_by_test_id(f"row-{row}")
        await expect(line).to_contain_text(f"Error · {column}")
        await expect(line).to_contain_text(code)
    await expect(page.get_by_test_id("job-apply")).to_be_disabled()
    await fits(page)

    # Nothing is lost on a reload: the import and what was looked at stand in the address.
    await page.reload()
    await expect(page.get_by_test_id("filter-refused")).to_have_attribute("aria-pressed", "true")
    await expect(page.get_by_test_id("row-4")).to_be_visible()
    async with page.expect_download() as download:
        await page.get_by_test_id("job-workbook").click()
    assert (await download.value).suggested_filename == "spring.errors.xlsx"

    await drop(page, "corrected.csv", as_csv(GOOD, OTHER))
    await expect(page.get_by_test_id("job-file")).to_have_text("corrected.csv")
    await state_is(page, "checked")
    await expect(page.get_by_test_id("filter-add")).to_have_text("2 Add")
    await page.get_by_test_id("job-apply").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("job-applied")).to_have_text("Applied: 2 added, 0 changed.")
    await fits(page)

    await page.get_by_test_id("tab-cameras").click()
    await page.get_by_test_id("search").fill(NEW_CODE)
    await expect(page.get_by_test_id("channel-count")).to_have_text("1 of 1")
    await page.get_by_role("listbox").get_by_role("option").click()
    await expect(page.get_by_test_id("card-name")).to_have_text(NEW_NAME)
    await fits(page)
    await page.get_by_test_id("version-0").get_by_role("link", name="Import").click()
    await state_is(page, "applied")
    await page.get_by_test_id("job-undo").click()
    await page.get_by_test_id("job-undo-sure").click()
    await state_is(page, "undone")

    await page.get_by_test_id("tab-cameras").click()
    await page.get_by_test_id("search").fill(NEW_CODE)
    await page.get_by_test_id("channels-empty").wait_for()
    await page.get_by_test_id("tab-import").click()
    jobs = page.get_by_role("row")
    await expect(jobs.nth(1)).to_contain_text("corrected.csvUndone")
    await expect(jobs.nth(2)).to_contain_text("spring.csvTo be applied")
    assert broken == []


async def test_rows_with_errors_are_left_out_and_a_changed_registry_is_checked_again(
    service: Service, browser: Browser
) -> None:
    page = await managing(browser, service)
    await page.get_by_test_id("tab-import").click()
    await page.get_by_test_id("import-template").select_option("full")
    await drop(page, "list.csv", as_csv(GOOD, WRONG_CODE))
    await page.get_by_test_id("import-send").click()
    await state_is(page, "checked")
    async with service.client("admin") as admin:
        [channel] = await channels_of(admin, 1)
        renamed = await admin.patch(f"/api/v1/channels/{channel['id']}", json={"name": "改名"})
        renamed.raise_for_status()
        await page.get_by_test_id("leave-out").check()
        await page.get_by_test_id("job-apply").click()
        await expect(page.get_by_test_id("job-error")).to_contain_text("registry has changed")
        await page.get_by_test_id("job-check-now").click()
        await expect(page.get_by_test_id("job-error")).to_have_count(0)
        await state_is(page, "checked")
        await page.get_by_test_id("job-apply").click()
        await state_is(page, "applied")
        found = (await admin.get("/api/v1/channels", params={"q": NEW_CODE})).json()
        assert found["total"] == 1
    # What was left out is corrected in the same place, with the same options.
    await expect(page.get_by_test_id("job-hint")).to_contain_text("left out: 1")
    applied = page.url
    await drop(page, "list.csv", as_csv(GOOD, OTHER))
    await expect(page).not_to_have_url(applied)
    await state_is(page, "checked")
    await expect(page.get_by_test_id("filter-add")).to_have_text("1 Add")


async def test_a_card_is_changed_refused_saved_and_put_back(
    service: Service, browser: Browser
) -> None:
    page = await managing(browser, service)
    async with service.client("admin") as admin:
        [channel] = await channels_of(admin, 1)
    await page.get_by_test_id(f"channel-{channel['id']}").click()
    name, url = (
        page.get_by_test_id(f"field-{key}").locator("input") for key in ("name", "main_url")
    )
    address = await url.input_value()
    await name.fill("东门")
    await page.get_by_test_id("field-direction").locator("select").select_option("2")
    await url.fill("http://192.0.2.9/")
    await page.get_by_test_id("card-save").click()
    await expect(page.get_by_test_id("field-main_url")).to_contain_text("Only rtsp://")
    await expect(url).to_be_focused()
    await expect(url).to_have_attribute("aria-invalid", "true")

    await url.fill(address)
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("card-saved")).to_be_visible()
    await expect(page.get_by_test_id(f"channel-{channel['id']}")).to_contain_text("东门")
    newest = page.get_by_test_id("version-0")
    await expect(newest).to_contain_text("admin")
    await expect(newest).to_contain_text("Direction")
    await expect(newest).to_contain_text("West")
    await page.get_by_test_id("version-undo").click()
    await page.get_by_test_id("version-undo-sure").click()
    await expect(name).to_have_value(channel["name"])
    await expect(page.get_by_test_id("version-1")).to_contain_text("West")

    # What is not saved is not lost without a question.
    await name.fill("西门")
    questions: list[str] = []

    async def stay(dialog: Dialog) -> None:
        questions.append(dialog.message)
        await dialog.dismiss()

    page.once("dialog", stay)
    await page.get_by_test_id("tab-export").click()
    await expect(name).to_have_value("西门")
    assert len(questions) == 1


async def test_a_form_comes_out_as_a_file(
    service: Service, browser: Browser, tmp_path: Path
) -> None:
    page = await managing(browser, service)
    await page.get_by_test_id("tab-export").click()
    await page.get_by_test_id("export-template").select_option("archive-27")
    await page.get_by_test_id("export-kind").select_option("csv")
    await page.get_by_test_id("export-area").fill("no-area")
    await page.get_by_test_id("export-send").click()
    await expect(page.get_by_test_id("export-error")).to_contain_text("no-area")
    await page.get_by_test_id("export-area").fill(AREA)
    async with page.expect_download() as download:
        await page.get_by_test_id("export-send").click()
    file = await download.value
    assert file.suggested_filename == "cameras-archive-27.csv"
    await file.save_as(tmp_path / "out.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_text("utf-8-sig"))))
    async with service.client("admin") as admin:
        areas = (await admin.get("/api/v1/areas")).json()["items"]
        [street] = [area for area in areas if area["code"] == AREA]
    assert len(rows) - 1 == street["channel_count"] > 0


@pytest.mark.parametrize("fragment", ["", "#import"])
async def test_who_does_not_manage_has_the_wall_alone(
    service: Service, browser: Browser, fragment: str
) -> None:
    page = await browser.new_page()
    await Wall(page, service).sign_in("yongshun")
    await page.goto(f"{service.url}/{fragment}")
    await page.get_by_test_id("tile-0").wait_for()
    await expect(page.get_by_test_id("nav-manage")).to_have_count(0)
    await expect(page.get_by_test_id("manage")).to_have_count(0)
