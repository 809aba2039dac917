"""One's own account in Chromium: where one is signed in, a second factor, keys, another
password."""

from __future__ import annotations

import base64
import time

import httpx
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from playwright.async_api import Browser, Page, expect

from streamhub.access.second_factor import DIGITS, STEP_S
from streamhub.cli.demo import demo_password
from support.district import Service
from support.page import Wall
from support.patience import PATIENCE_S
from support.watching import channels_of

PATIENCE_MS = 60_000
A_MINUTE_MS = 60_000
USERNAME = "yongshun"
NEW_PASSWORD = "quiet-harbour-maple-5"


async def a_page(browser: Browser, service: Service) -> Page:
    context = await browser.new_context(locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    await page.goto(service.url)
    return page


async def fill_in(page: Page, password: str) -> None:
    await page.get_by_test_id("sign-in-username").fill(USERNAME)
    await page.get_by_test_id("sign-in-password").fill(password)
    await page.get_by_test_id("sign-in-submit").click()


async def test_a_sign_in_is_ended_and_a_second_factor_asked_for(
    service: Service, browser: Browser
) -> None:
    wall, desk = await a_page(browser, service), await a_page(browser, service)
    password = demo_password(USERNAME)
    for page in (wall, desk):
        await fill_in(page, password)
        await page.get_by_test_id("person").wait_for()
    await desk.get_by_test_id("person").click()
    await expect(desk.locator("#account-title")).to_be_focused()
    await desk.get_by_test_id("account-close-top").click()
    await expect(desk.get_by_test_id("account")).to_have_count(0)
    await desk.get_by_test_id("person").click()
    await expect(desk.get_by_test_id("sign-in-row")).to_have_count(2)
    await desk.get_by_test_id("sign-in-end").click()
    await expect(desk.get_by_test_id("sign-in-row")).to_have_count(1)
    await wall.reload()
    await wall.get_by_test_id("sign-in-submit").wait_for()

    await desk.get_by_test_id("totp-password").fill(password)
    await desk.get_by_test_id("totp-begin").click()
    secret = (await desk.get_by_test_id("totp-secret").inner_text()).replace(" ", "")
    totp = TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP_S)
    await desk.get_by_test_id("totp-code").fill(totp.generate(int(time.time())).decode())
    await desk.get_by_test_id("totp-confirm").click()
    codes = (await desk.get_by_test_id("recovery-codes").inner_text()).split()
    assert len(codes) == 10
    await desk.get_by_test_id("recovery-kept").click()

    # A key for a program: shown once, good until it is revoked.
    await desk.get_by_test_id("key-name").fill("wall in the hall")
    await desk.get_by_test_id("key-make").click()
    key = await desk.get_by_test_id("key-text").inner_text()
    await desk.get_by_test_id("key-kept").click()
    await expect(desk.get_by_test_id("key-row")).to_contain_text("wall in the hall")
    await expect(desk.get_by_test_id("keys")).not_to_contain_text(key)
    async with httpx.AsyncClient(base_url=service.url, timeout=PATIENCE_S) as program:
        program.headers["authorization"] = f"Bearer {key}"
        assert (await program.get("/api/v1/channels")).status_code == 200
        await desk.get_by_test_id("key-revoke").click()
        await desk.get_by_test_id("key-revoke-sure").click()
        await expect(desk.get_by_test_id("key-row")).to_have_count(0)
        assert (await program.get("/api/v1/channels")).status_code == 401

    await desk.get_by_test_id("password-current").fill(password)
    for field in ("password-new", "password-again"):
        await desk.get_by_test_id(field).fill(NEW_PASSWORD)
    await desk.get_by_test_id("password-submit").click()
    await expect(desk.get_by_test_id("password-change").get_by_role("status")).to_be_visible()

    await fill_in(wall, password)
    await wall.get_by_test_id("sign-in-error").wait_for()
    await fill_in(wall, NEW_PASSWORD)
    await wall.get_by_test_id("sign-in-code").fill(codes[0])
    await wall.get_by_test_id("sign-in-submit").click()
    await wall.get_by_test_id("person").wait_for()


async def test_a_sign_in_that_is_ended_takes_the_page_with_it(
    service: Service, browser: Browser
) -> None:
    """At once where something is watched, else within a minute; what was chosen comes back."""
    watching, idle = [Wall(await browser.new_page(), service) for _ in range(2)]
    await idle.page.clock.install()
    for wall in (watching, idle):
        await wall.sign_in(USERNAME)
    async with service.client(USERNAME) as client:
        [channel] = await channels_of(client, 1)
    await watching.open_channel(channel)
    await watching.wait_decoding()
    async with service.client("admin") as admin:
        [person] = (await admin.get("/api/v1/subjects", params={"q": USERNAME})).json()["items"]
        ended = await admin.delete(f"/api/v1/subjects/{person['id']}/sign-ins")
        assert ended.is_success, ended.text
    await watching.page.get_by_test_id("sign-in-submit").wait_for()
    await expect(watching.page.get_by_test_id("tree")).to_have_count(0)
    await fill_in(watching.page, demo_password(USERNAME))
    await watching.wait_decoding()

    await expect(idle.page.get_by_test_id("tree")).to_be_visible()
    await idle.page.clock.fast_forward(A_MINUTE_MS)
    await idle.page.get_by_test_id("sign-in-submit").wait_for()
