"""Fixtures: one farm and one seeded registry for all, a service for each test or each file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from support.district import (
    Farm,
    Service,
    copy_of,
    farm_secret,
    running_farm,
    running_service,
    seed_template,
)
from support.patience import PATIENCE_S
from support.postgres import Cluster, running_cluster

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

expect.set_options(timeout=PATIENCE_S * 1000)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("district") / "seeded"


@pytest.fixture(scope="session")
def farm(template: Path) -> Iterator[Farm]:
    template.mkdir()
    with running_farm(farm_secret(template)) as farm:
        seed_template(template, farm.port)
        yield farm


@pytest.fixture
def service(farm: Farm, template: Path, tmp_path: Path) -> Iterator[Service]:
    with running_service(copy_of(template, tmp_path / "data")) as service:
        yield service


@pytest.fixture(scope="module")
def one_service(
    farm: Farm, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One for all tests of a file that leave it as they found it: to start one takes seconds."""
    with running_service(copy_of(template, tmp_path_factory.mktemp("one") / "data")) as service:
        yield service


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        try:
            yield browser
        finally:
            await browser.close()
