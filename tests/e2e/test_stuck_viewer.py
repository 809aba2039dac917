"""One viewer among a hundred stops reading: it alone misses pictures, until its consent ends."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from playwright.async_api import Browser, Route, async_playwright

from streamhub.bench.load import Load, watch
from streamhub.bench.machine import Cores
from support.district import Service
from support.fixtures import CHROMIUM, CHROMIUM_ARGS
from support.page import Wall
from support.patience import HeldUp, KernelDrops
from support.watching import channels_of, ended_views

OTHERS = 99
# No consent for 15 s, and some time to notice on a busy machine.
CONSENT_S = 15.0
WATCHED_MS = 20_000
# What is sealed for a stuck viewer before nothing more is: ours, and the kernels' between.
BACKLOG_BYTES = 4 << 20
# Of the whole service, with the 99.
GROWTH_BYTES = 32 << 20


@pytest_asyncio.fixture
async def stoppable(tmp_path: Path) -> AsyncIterator[Browser]:
    """A Chromium whose processes can be told from others."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[*CHROMIUM_ARGS, f"--stuck-viewer={tmp_path.name}"],
        )
        try:
            yield browser
        finally:
            await browser.close()


async def only_tcp(route: Route) -> None:
    """Leaves no candidate by UDP in an answer."""
    answer = await route.fetch()
    lines = (await answer.text()).split("\r\n")
    kept = [line for line in lines if not (line.startswith("a=candidate:") and " udp " in line)]
    await route.fulfill(response=answer, body="\r\n".join(kept))


async def views_of(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get("/api/v1/views", params={"limit": 200})).json()[
        "items"
    ]
    return items


async def is_live(client: httpx.AsyncClient, view_id: str) -> bool:
    return any(view["id"] == view_id for view in await views_of(client))


def processes_of(mark: str) -> list[int]:
    """The browser that was started with `mark`, and all that it has started."""
    parents: dict[int, int] = {}
    marked = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        pid = int(entry.name)
        parents[pid] = int(stat.rpartition(")")[2].split()[1])
        if mark.encode() in command:
            marked.add(pid)
    grown = True
    while grown:
        children = {pid for pid, parent in parents.items() if parent in marked}
        grown = not children <= marked
        marked |= children
    return sorted(marked)


def rss_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_a_stuck_viewer_is_nobody_elses_trouble(
    service: Service, stoppable: Browser, tmp_path: Path
) -> None:
    assert service.process is not None
    page = await stoppable.new_page()
    await page.route("**/whep/*?*", only_tcp)
    wall = Wall(page, service)
    await wall.sign_in("yongshun")
    await wall.page.get_by_test_id("wall-1").click()
    stuck: list[int] = []
    async with service.client("yongshun") as client, service.client("admin") as admin:
        [channel] = await channels_of(client, 1)
        await wall.open_channel(channel)
        await wall.wait_decoding(pictures=50)
        [view] = (await client.get("/api/v1/views")).json()["items"]
        assert view["reception"]["transport"] == "tcp"
        before = rss_bytes(service.process.pid)
        url = f"{service.url}/whep/{channel['id']}?profile=sub"
        load = Load([url], OTHERS, settle_ms=2_000, measure_ms=WATCHED_MS)
        watching = asyncio.create_task(
            asyncio.to_thread(
                watch,
                load,
                Cores.choose(pin=False),
                token=service.token("yongshun"),
                pid=None,
                urls_file=tmp_path / "urls",
                abandon=False,
            )
        )
        try:
            stuck = processes_of(f"--stuck-viewer={tmp_path.name}")
            [view] = [each for each in await views_of(client) if each["id"] == view["id"]]
            held_up, drops = HeldUp(service.process.pid), KernelDrops()
            for pid in stuck:
                os.kill(pid, signal.SIGSTOP)
            stopped = time.monotonic()
            while await is_live(client, view["id"]):
                assert time.monotonic() - stopped - held_up.seconds() < 2 * CONSENT_S, "it goes on"
                await asyncio.sleep(0.2)
            ended_after_s = time.monotonic() - stopped
            grown = rss_bytes(service.process.pid) - before
            seen = await watching
        finally:
            for pid in stuck:
                os.kill(pid, signal.SIGCONT)
        rows = await ended_views(admin, 1)
    [row] = [row for row in rows if row["detail"]["view_id"] == view["id"]]
    backlog_bytes = row["detail"]["sent_bytes"] - view["bytes"]
    print(f"ended after {ended_after_s:.1f} s, {grown >> 20} MB more, {backlog_bytes} B in backlog")
    assert row["detail"]["cause"] == "consent_lost"
    # Of the 500,000 bytes a second of its stream.
    assert backlog_bytes < BACKLOG_BYTES
    assert ended_after_s > CONSENT_S - 6
    assert (seen["playing"], seen["failures"]) == (OTHERS, {})
    assert seen["lost"] <= drops.count()
    assert grown < GROWTH_BYTES
