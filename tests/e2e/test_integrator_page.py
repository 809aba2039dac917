"""The integrator's first hour through the page, in Chromium: from a subnet of 300 unknown devices
and a form with ten mistakes to cameras that a second person reviewed and one township sees."""

from __future__ import annotations

from pathlib import Path

import httpx
from openpyxl import load_workbook
from playwright.async_api import Browser, Page, ViewportSize, expect

from streamhub.cli.demo import demo_password
from support.district import Service, free_port
from support.page import Wall
from support.subnet import DEVICES, NETWORK, SETS, TOWNSHIP, errors_of, only, spoil, subnet

PATIENCE_MS = 240_000
SCREEN: ViewportSize = {"width": 1280, "height": 720}
NAMES = "新华大街"


async def state_is(page: Page, testid: str, state: str) -> None:
    shown = page.get_by_test_id(testid)
    await expect(shown).to_have_attribute("data-state", state, timeout=PATIENCE_MS)


async def manager(browser: Browser, service: Service, username: str) -> Page:
    page = await browser.new_page(locale="en-US", viewport=SCREEN)
    await Wall(page, service).sign_in(username)
    await page.get_by_test_id("nav-manage").click()
    return page


async def a_second_person(admin: httpx.AsyncClient) -> str:
    """Who manages the district, too."""
    account = {"username": "chief", "display_name": "第二人", "must_change_password": False}
    account["password"] = demo_password("chief")
    made = await admin.post("/api/v1/subjects", json=account)
    assert made.status_code == 201, made.text
    district = next(
        each for each in (await admin.get("/api/v1/areas")).json()["items"] if not each["parent_id"]
    )
    grant = {"subject_id": made.json()["id"], "area_id": district["id"]}
    granted = await admin.post("/api/v1/grants", json={**grant, "actions": ["list", "manage"]})
    assert granted.status_code == 201, granted.text
    return "chief"


async def found_and_imported(page: Page, port: int) -> None:
    await page.get_by_test_id("tab-find").click()
    await page.get_by_test_id("find-networks").fill(NETWORK)
    await page.get_by_test_id("find-ports").fill(str(port))
    for index, (user, word) in enumerate([["root", "nobody-has-it"], *SETS]):
        if index:
            await page.get_by_test_id("find-more-sets").click()
        await page.get_by_test_id(f"find-username-{index}").fill(user)
        await page.get_by_test_id(f"find-password-{index}").fill(word)
    await page.get_by_test_id("find-send").click()
    await state_is(page, "sweep-state", "done")
    await page.get_by_test_id("sweep-area").fill(TOWNSHIP)
    await page.get_by_test_id("sweep-import").click()
    await state_is(page, "job-state", "checked")
    await expect(page.get_by_test_id("filter-add")).to_have_text(f"{DEVICES} Add")
    await page.get_by_test_id("job-apply").click()
    await state_is(page, "job-state", "applied")


async def exported(page: Page, form: Path) -> None:
    await page.get_by_test_id("tab-export").click()
    await page.get_by_test_id("export-template").select_option("archive-27")
    await page.get_by_test_id("export-language").select_option("zh")
    await page.get_by_test_id("export-area").fill(TOWNSHIP)
    async with page.expect_download() as download:
        await page.get_by_test_id("export-send").click()
    await (await download.value).save_as(form)


async def checked(page: Page, form: Path) -> None:
    await page.get_by_test_id("drop-file").set_input_files(form)
    send = page.get_by_test_id("import-send")
    if await send.count():
        await send.click()
    await expect(page.get_by_test_id("job-file")).to_have_text(form.name, timeout=PATIENCE_MS)
    await state_is(page, "job-state", "checked")


async def drafts_chosen(page: Page) -> None:
    """All that wait in the township."""
    await page.get_by_test_id("tab-accept").click()
    await page.get_by_test_id("accept-area").fill(TOWNSHIP)
    await page.get_by_test_id("accept-filing").select_option("draft")
    await expect(page.get_by_test_id("accept-count")).to_contain_text(f"of {DEVICES}")


async def filed(page: Page, step: str) -> None:
    await page.get_by_test_id(f"filing-{step}").click()
    await page.get_by_test_id("filing-sure").click()
    done = page.get_by_test_id("filing-done")
    await expect(done).to_contain_text(f"Done: {DEVICES}", timeout=PATIENCE_MS)


async def test_from_a_subnet_to_cameras_that_one_township_sees(
    service: Service, browser: Browser, tmp_path: Path
) -> None:
    port = free_port()
    form, spoilt = tmp_path / "form.xlsx", tmp_path / "spoilt.xlsx"
    with subnet(port):
        async with service.client("admin") as admin:
            second = await a_second_person(admin)
            page = await manager(browser, service, "admin")
            broken: list[str] = []
            page.on("pageerror", lambda error: broken.append(str(error)))
            await found_and_imported(page, port)
            listed = await admin.get("/api/v1/channels", params={"filing": "draft", "limit": 500})
            codes = {each["code"] for each in listed.json()["items"]}
            assert len(codes) == DEVICES

            # The form goes out, comes back with ten mistakes, and each is named by row and column.
            await exported(page, form)
            only(form, codes).save(form)
            book = load_workbook(form)
            spoil(book)
            book.save(spoilt)
            await page.get_by_test_id("tab-import").click()
            await page.get_by_test_id("import-template").select_option("archive-27")
            await checked(page, spoilt)
            await page.get_by_test_id("filter-refused").click()
            await expect(page.get_by_test_id("filter-refused")).to_have_text(
                f"{len(errors_of())} Refused"
            )
            for row, column, code in errors_of():
                line = page.get_by_test_id(f"row-{row}")
                await expect(line).to_contain_text(f"Error · {column}")
                await expect(line).to_contain_text(code)

            # Corrected and applied.
            await checked(page, form)
            await page.get_by_test_id("job-apply").click()
            await expect(page.get_by_test_id("job-applied")).to_have_text(
                f"Applied: 0 added, {DEVICES} changed.", timeout=PATIENCE_MS
            )

            # Inspected: every one plays.
            await drafts_chosen(page)
            await page.get_by_test_id("inspect-send").click()
            await state_is(page, "inspect-counts", "done")
            await page.get_by_test_id("accept-verdict").select_option("plays")
            count = page.get_by_test_id("accept-count")
            await expect(count).to_contain_text(f"of {DEVICES}", timeout=PATIENCE_MS)

            # Reviewed by a second person, and filed.
            other = await manager(browser, service, second)
            await drafts_chosen(other)
            await filed(other, "review")
            await other.get_by_test_id("accept-filing").select_option("reviewed")
            await filed(other, "file")
            camera = next(
                each
                for each in (await admin.get("/api/v1/channels", params={"q": NAMES})).json()[
                    "items"
                ]
                if each["code"] in codes
            )

        # Seen by the right township, by no other, and played.
        for username, seen in (("yongshun", True), ("liyuan", False)):
            wall = Wall(await browser.new_page(locale="en-US"), service)
            await wall.sign_in(username)
            await wall.page.get_by_test_id("search").fill(camera["code"])
            if not seen:
                await wall.page.get_by_test_id("channels-empty").wait_for()
                continue
            await wall.open_channel(camera)
            await wall.wait_decoding()
        assert broken == []
