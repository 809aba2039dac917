"""People and rights in the page, opened: an account, and a township with a camera."""

from __future__ import annotations

from typing import Any

import httpx
from playwright.async_api import Browser, Page, ViewportSize, expect

from streamhub.cli.demo import demo_password
from support.district import Service
from support.page import Wall

SCREEN: ViewportSize = {"width": 1366, "height": 768}
HERE = "永顺镇"


async def a_person(admin: httpx.AsyncClient, username: str) -> str:
    subject = {"username": username, "display_name": username, "must_change_password": False}
    made = await admin.post(
        "/api/v1/subjects", json={**subject, "password": demo_password(username)}
    )
    made.raise_for_status()
    return str(made.json()["id"])


async def here(admin: httpx.AsyncClient) -> tuple[dict[str, Any], dict[str, Any]]:
    """The township, and a camera of it."""
    areas = (await admin.get("/api/v1/areas")).json()["items"]
    area: dict[str, Any] = next(each for each in areas if each["name"] == HERE)
    query = {"area_id": area["id"], "limit": 1}
    camera: dict[str, Any] = (await admin.get("/api/v1/channels", params=query)).json()["items"][0]
    return area, camera


async def people_of(browser: Browser, service: Service, username: str, locale: str) -> Page:
    page = await browser.new_page(locale=locale, viewport=SCREEN)
    await Wall(page, service).sign_in(username)
    await page.get_by_test_id("nav-manage").click()
    await page.get_by_test_id("tab-people").click()
    return page


async def opened(page: Page, username: str) -> None:
    await page.get_by_test_id("people-search").fill(username)
    await page.get_by_test_id(f"account-{username}").click()
    card = page.get_by_test_id("person-card")
    await expect(card).to_have_attribute("data-username", username)
