"""Viewers of one channel over several shards, on one UDP and one TCP port."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from streamhub import _core
from streamhub.cli.demo import FARM_USERNAME
from support.aiortc_viewer import unwrap
from support.core_viewer import STREAM, CoreViewer
from support.district import Farm, Service, copy_of, eventually, farm_secret, running_service
from support.watching import PATIENCE_S, assert_unharmed, channels_of, watched

SHARDS = 3
VIEWERS = 7


def shards_of(core: _core.Core) -> Counter[int]:
    return Counter(row["shard"] for row in core.viewer_stats())


async def test_viewers_of_one_channel_play_from_all_shards(farm: Farm, template: Path) -> None:
    core = _core.Core(shards=SHARDS)
    url = f"rtsp://127.0.0.1:{farm.port}/cam/7"
    secret = farm_secret(template)
    core.open_source(STREAM, f"{url}/sub", FARM_USERNAME, secret)
    other = STREAM.replace("sub", "main")
    viewers = [CoreViewer(core, f"v{n}", time.time() + 600) for n in range(VIEWERS)]
    async with AsyncExitStack() as stack:
        stack.callback(core.shutdown, 1000)
        for viewer in viewers:
            stack.push_async_callback(viewer.viewer.close)
        await asyncio.gather(*(viewer.open() for viewer in viewers))
        for viewer in viewers:
            await viewer.viewer.wait_packets(300, PATIENCE_S)
        placed = shards_of(core)
        assert set(placed) == set(range(SHARDS)), placed
        for viewer in viewers:
            assert_unharmed(viewer.viewer)
        # The other stream of the camera, at every shard; then the camera is lost and comes back.
        core.open_source(other, f"{url}/main", FARM_USERNAME, secret)
        for n in range(VIEWERS):
            core.switch_viewer(f"v{n}", other)
        await eventually(
            "all are on main",
            lambda: all(row["stream_id"] == other for row in core.viewer_stats()),
            PATIENCE_S,
        )
        core.close_source(STREAM)
        core.close_source(other)
        core.open_source(other, f"{url}/main", FARM_USERNAME, secret)
        before = [len(viewer.viewer.packets) for viewer in viewers]
        for viewer, seen in zip(viewers, before, strict=True):
            # This process does not read seven main streams without a gap, so none is asked for.
            await viewer.viewer.wait_packets(seen + 1000, PATIENCE_S)
            times = unwrap([packet.rtp_ts for packet in viewer.viewer.packets], 32)
            assert times == sorted(times)
        core.close_viewers([f"v{n}" for n in range(VIEWERS)], None, None, "revoked")
        await eventually("all are closed", lambda: core.viewer_stats() == [], PATIENCE_S)
        for viewer in viewers:
            await viewer.viewer.wait_goodbye()


@pytest.fixture
def on_shards(farm: Farm, template: Path, tmp_path: Path) -> Iterator[Service]:
    environment = {"STREAMHUB_MEDIA__SHARDS": str(SHARDS)}
    with running_service(copy_of(template, tmp_path / "data"), environment) as service:
        yield service


async def test_a_service_on_several_shards_shows_and_ends_views(on_shards: Service) -> None:
    service = on_shards
    async with service.client("yongshun") as client, service.client("admin") as admin:
        channels = await channels_of(client, 6)
        ids = [channel["id"] for channel in channels] * 2
        async with watched(client, ids, decode=False) as viewers:
            for viewer in viewers:
                await viewer.wait_packets(100, PATIENCE_S)
                assert_unharmed(viewer)
            for view in (await client.get("/api/v1/views")).json()["items"]:
                assert view["state"] == "live"
            stopped = await admin.patch(f"/api/v1/channels/{ids[0]}", json={"enabled": False})
            assert stopped.is_success, stopped.text
            for viewer in (viewers[0], viewers[6]):
                await viewer.wait_goodbye()
            assert viewers[1].byes == 0
