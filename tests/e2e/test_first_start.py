"""A new service on an empty registry: its setup code, the page that takes it, and the way in."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.async_api import Browser, expect

from support.district import running_service, wait_until

_CODE = re.compile(r"setup code ([0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4})")


async def test_the_printed_code_makes_the_first_administrator(
    browser: Browser, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    with running_service(data_dir) as service:
        wait_until("the code is printed", lambda: "setup code" in service.log_path.read_text())
        printed = _CODE.search(service.log_path.read_text())
        assert printed is not None
        page = await browser.new_page(locale="en-GB")
        await page.goto(service.url)
        fields = {
            "code": "0000-0000-0000",
            "area-code": "110112",
            "area-name": "通州区",
            "display-name": "管理员",
            "username": "chief",
            "password": "long enough it is",
        }
        for name, text in fields.items():
            await page.get_by_test_id(f"setup-{name}").fill(text)
        await page.get_by_test_id("setup-submit").click()
        await page.get_by_test_id("setup-error").wait_for()
        await page.get_by_test_id("setup-code").fill(printed[1])
        await page.get_by_test_id("setup-submit").click()
        await expect(page.get_by_test_id("person")).to_have_text("管理员")

        await page.get_by_test_id("sign-out").click()
        await page.get_by_test_id("sign-in-username").fill("chief")
        await page.get_by_test_id("sign-in-password").fill(fields["password"])
        await page.get_by_test_id("sign-in-submit").click()
        await expect(page.get_by_test_id("person")).to_have_text("管理员")
    with running_service(data_dir) as service:  # a second start needs no code
        assert service.log_path.read_text().count("setup code") == 1
