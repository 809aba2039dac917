"""Small walks that the fault tests share: which camera is whose, opening views, reading rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any

import httpx

from support.aiortc_viewer import AiortcViewer, gaps, unwrap
from support.patience import PATIENCE_S

_serials = count(900_001)  # the demo's end at 3,000


async def channels_of(client: httpx.AsyncClient, count: int, **query: str) -> list[dict[str, Any]]:
    """The first `count` channels that the client's subject may list."""
    answer = await client.get("/api/v1/channels", params={"limit": count, **query})
    answer.raise_for_status()
    items: list[dict[str, Any]] = answer.json()["items"]
    assert len(items) == count
    return items


def camera_of(channel: dict[str, Any]) -> int:
    """The farm's number of a demo channel's camera: the code's serial number."""
    return int(channel["code"][-6:])


@asynccontextmanager
async def watched(
    client: httpx.AsyncClient, channel_ids: list[str], *, decode: bool = True, profile: str = "sub"
) -> AsyncIterator[list[AiortcViewer]]:
    """One viewer per channel, each with packets coming; closed at the end."""
    async with AsyncExitStack() as stack:
        viewers = []
        for channel_id in channel_ids:
            viewer = AiortcViewer(client, channel_id, profile=profile, decode=decode)
            stack.push_async_callback(viewer.close)
            answer = await viewer.open()
            assert answer.status_code == httpx.codes.CREATED, answer.text
            viewers.append(viewer)
        for viewer in viewers:
            await viewer.wait_packets(timeout_s=PATIENCE_S)
        yield viewers


def assert_unharmed(viewer: AiortcViewer) -> None:
    """One SSRC, no sequence number missing, RTP time never backwards."""
    assert len({packet.ssrc for packet in viewer.packets}) == 1
    assert gaps(viewer.packets) == []
    times = unwrap([packet.rtp_ts for packet in viewer.packets], 32)
    assert times == sorted(times)


async def view_of(client: httpx.AsyncClient, viewer: AiortcViewer) -> dict[str, Any] | None:
    """The viewer's row of GET /api/v1/views, or None when it has ended."""
    view_id = viewer.location.rpartition("/")[2]
    answer = await client.get("/api/v1/views", params={"limit": 200})
    answer.raise_for_status()
    rows = (row for row in answer.json()["items"] if row["id"] == view_id)
    return next(rows, None)


async def audit_rows(admin: httpx.AsyncClient, act: str) -> list[dict[str, Any]]:
    """The newest 200 audit rows of an act."""
    answer = await admin.get("/api/v1/audit", params={"act": act, "limit": 200})
    answer.raise_for_status()
    rows: list[dict[str, Any]] = answer.json()["items"]
    return rows


async def ended_views(admin: httpx.AsyncClient, count: int) -> list[dict[str, Any]]:
    """The rows of views that ended, once there are `count`: they are written after the end."""
    async with asyncio.timeout(PATIENCE_S):
        while len(rows := await audit_rows(admin, "view_end")) < count:
            await asyncio.sleep(0.05)
    return rows


async def metric(client: httpx.AsyncClient, name: str) -> float:
    """One figure of /metrics without labels; a figure that is not there fails."""
    text = (await client.get("/metrics")).raise_for_status().text
    for line in text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    raise AssertionError(f"{name} is not in /metrics")


async def add_camera(
    admin: httpx.AsyncClient, url: str, area_id: str, *, main_url: str | None = None
) -> dict[str, Any]:
    """Register a camera of the test's own as a channel in an area; both streams at `url`, or the
    main one elsewhere."""
    serial = next(_serials)
    body = {
        "code": f"11011206001321{serial:06d}",
        "name": f"test camera {serial}",
        "area_id": area_id,
        "device_class": "police_hd",
        "main_url": main_url or url,
        "sub_url": url,
    }
    answer = await admin.post("/api/v1/channels", json=body)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    channel: dict[str, Any] = answer.json()
    return channel
