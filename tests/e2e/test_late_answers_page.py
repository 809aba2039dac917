"""Answers that come late, or not at all, to a page that shows something else by then; and where the
focus goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Page, Route, expect

from support.district import Service
from support.people_page import a_person, here, opened, people_of


@asynccontextmanager
async def held(page: Page, method: str, url: str) -> AsyncIterator[asyncio.Event]:
    """Requests of the method are answered when the block is left; the event: there is one."""
    come, go_on = asyncio.Event(), asyncio.Event()
    done: list[asyncio.Task[None]] = []

    async def later(route: Route) -> None:
        await go_on.wait()
        await route.continue_()

    async def hold(route: Route) -> None:
        if route.request.method != method:
            await route.continue_()
            return
        come.set()
        done.append(asyncio.create_task(later(route)))

    await page.route(url, hold)
    async with page.expect_response(lambda answer: answer.request.method == method):
        yield come
        go_on.set()
    await asyncio.gather(*done)
    await page.unroute(url)


async def test_an_answer_about_one_account_is_not_shown_as_another(
    one_service: Service, browser: Browser
) -> None:
    async with one_service.client("admin") as admin:
        await a_person(admin, "late-first")
        await a_person(admin, "late-second")
    page = await people_of(browser, one_service, "admin", "en-US")
    await opened(page, "late-first")
    await page.get_by_test_id("people-search").fill("late-")
    await page.get_by_test_id("account-late-second").wait_for()
    async with held(page, "PATCH", "**/api/v1/subjects/*") as come:
        await page.get_by_test_id("person-disable").click()
        await page.get_by_test_id("person-disable-sure").click()
        await come.wait()
        await page.get_by_test_id("account-late-second").click()
        card = page.get_by_test_id("person-card")
        await expect(card).to_have_attribute("data-username", "late-second")
    await expect(page.get_by_test_id("account-late-first")).to_contain_text("Disabled")
    await expect(card).to_have_attribute("data-username", "late-second")
    await expect(page.get_by_test_id("person-disabled")).to_have_count(0)


async def test_what_is_typed_during_a_save_stays_and_stays_with_its_camera(
    one_service: Service, browser: Browser
) -> None:
    async with one_service.client("admin") as admin:
        area, camera = await here(admin)
        query = {"area_id": area["id"], "limit": 2}
        found = (await admin.get("/api/v1/channels", params=query)).json()["items"]
    other = next(each for each in found if each["id"] != camera["id"])
    page = await people_of(browser, one_service, "admin", "en-US")
    await page.goto(f"{one_service.url}/#cameras/{camera['id']}")
    owner, address = (page.get_by_test_id(f"field-{key}").locator("input") for key in _TEXTS)
    patched = "**/api/v1/channels/*"
    async with held(page, "PATCH", patched) as come:
        await owner.fill("saved")
        await page.get_by_test_id("card-save").click()
        await come.wait()
        await address.fill("typed meanwhile")
    await expect(page.get_by_test_id("card-saved")).to_have_count(0)
    await expect(page.get_by_test_id("card")).to_contain_text("Not saved: 1")
    await expect(address).to_have_value("typed meanwhile")
    await expect(owner).to_have_value("saved")
    # To take back what was saved takes nothing of what is not saved yet.
    await page.get_by_test_id("version-undo").click()
    await page.get_by_test_id("version-undo-sure").click()
    await expect(owner).to_have_value("")
    await expect(address).to_have_value("typed meanwhile")

    page.on("dialog", lambda dialog: asyncio.create_task(dialog.accept()))
    name = page.get_by_test_id("card-name")
    async with held(page, "PATCH", patched) as come:
        await page.get_by_test_id("card-save").click()
        await come.wait()
        await page.evaluate("(id) => { location.hash = `#cameras/${id}` }", other["id"])
        await expect(name).to_have_text(other["name"])
    await expect(address).to_have_value("")
    await expect(name).to_have_text(other["name"])


_TEXTS = ("owner", "address")


async def test_a_grant_whose_answer_was_lost_is_made_once(
    one_service: Service, browser: Browser
) -> None:
    async with one_service.client("admin") as admin:
        await a_person(admin, "gao-once")
        area, _ = await here(admin)
    page = await people_of(browser, one_service, "admin", "en-US")
    await opened(page, "gao-once")
    await page.get_by_test_id("grant-new").click()
    # The focus goes into the form, and out of it again.
    await expect(page.get_by_test_id("grant-action-list")).to_be_focused()
    await page.get_by_test_id("grant-close").click()
    await expect(page.get_by_test_id("grant-new")).to_be_focused()
    await page.get_by_test_id("grant-new").click()
    await page.get_by_test_id("grant-area").fill(area["code"])

    async def lose(route: Route) -> None:
        if route.request.method != "POST":
            await route.continue_()
            return
        await route.fetch()
        await route.abort()

    await page.route("**/api/v1/grants", lose)
    await page.get_by_test_id("grant-send").click()
    await page.get_by_test_id("grant-error").wait_for()
    await page.unroute("**/api/v1/grants")
    await page.get_by_test_id("grant-send").click()
    await page.get_by_test_id("grant-sent").wait_for()
    row = page.locator('tr[data-testid^="grant-gr_"]')
    await expect(row).to_have_count(1)
    # Its button goes with its row; the focus stays near.
    await row.get_by_role("button", name="Revoke").click()
    await row.get_by_role("button", name="Revoke").click()
    await page.get_by_test_id("grants-none").wait_for()
    await expect(page.locator("section:focus")).to_contain_text("Grants")


async def test_the_grants_that_are_listed_are_those_of_the_place_in_the_field(
    one_service: Service, browser: Browser
) -> None:
    async with one_service.client("admin") as admin:
        area, camera = await here(admin)
    page = await people_of(browser, one_service, "admin", "en-US")
    await page.get_by_test_id("people-by_place").click()
    add = page.get_by_test_id("grant-new")
    await page.get_by_test_id("place-area").fill(area["code"])
    await add.wait_for()
    await page.get_by_test_id("place-camera-kind").click()
    await expect(add).to_have_count(0)
    field = page.get_by_test_id("place-camera")
    await field.fill(camera["code"])
    await add.wait_for()
    await page.get_by_test_id("place-area-kind").click()
    await expect(page.get_by_test_id("place-area")).to_have_value(area["code"])
    await add.wait_for()
    assert page.url.endswith(f"#rights?area={area['code']}")
    await page.get_by_test_id("place-camera-kind").click()
    await add.wait_for()
    assert page.url.endswith(f"#rights?camera={camera['id']}")
    await field.fill(camera["code"][:-1])
    await expect(add).to_have_count(0)
