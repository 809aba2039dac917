"""Signing in by a real provider in a real browser, from the page and back to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from support.district import Farm, Service, copy_of, free_port
from support.oidc import CLIENT_SECRET, OidcProvider, running_provider

LABEL = "the district's own"
PATIENCE_MS = 60_000


@pytest.fixture
def site(farm: Farm, template: Path, tmp_path: Path) -> Iterator[tuple[Service, OidcProvider]]:
    port = free_port()
    public_url = f"http://127.0.0.1:{port}"
    with running_provider(public_url) as provider:
        provider.people({"ada": {"preferred_username": "ada", "name": "Ada L", "groups": ["w"]}})
        rule = {"claim": "groups", "value": "w", "actions": ["list", "live"], "area": "110112"}
        settings = provider.settings(public_url, label=LABEL, create_subjects=True, grants=[rule])
        environment = {
            f"STREAMHUB_OIDC__{name.upper()}": value
            if isinstance(value, str)
            else json.dumps(value)
            for name, value in settings.items()
        }
        environment["STREAMHUB_LOG__LEVEL"] = "debug"
        service = Service(copy_of(template, tmp_path / "data"), port, environment=environment)
        service.start()
        try:
            yield service, provider
        finally:
            service.stop()


async def test_from_the_page_to_the_provider_and_back(
    site: tuple[Service, OidcProvider], browser: Browser
) -> None:
    service, provider = site
    context = await browser.new_context(locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    await page.goto(service.url)
    await page.get_by_test_id("oidc-sign-in").click()
    await page.wait_for_url(f"{provider.issuer}/**")
    await page.locator("input[name=login]").fill("ada")
    await page.locator("input[name=password]").fill("any")
    await page.locator("button[type=submit]").click()
    await page.locator("form:has(input[value=consent]) button[type=submit]").click()
    await page.wait_for_url(f"{service.url}/")
    await expect(page.get_by_test_id("person")).to_have_text("Ada L", timeout=PATIENCE_MS)
    await page.get_by_test_id("person").click()
    await expect(page.get_by_test_id("sign-in-row")).to_have_count(1)
    await page.get_by_test_id("account-close").click()
    # Out here is out there, too.
    await page.get_by_test_id("sign-out").click()
    await page.wait_for_url(f"{provider.issuer}/**")
    # The provider still knows the browser, and asks for nothing. A wrong answer is a sentence.
    provider.forge("nonce")
    await page.goto(f"{service.url}/api/v1/oidc/sign-in")
    await expect(page.get_by_test_id("sign-in-error")).to_contain_text(
        "can't be trusted", timeout=PATIENCE_MS
    )
    assert "sign_in_error" not in page.url
    log = service.log_path.read_text()
    assert "oidc_refused" in log
    assert CLIENT_SECRET not in log
