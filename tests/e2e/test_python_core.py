"""The service without its native core: `[media] core = "python"` keeps its promises at the same
doors, for a few viewers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser

from support.district import Farm, Service, copy_of, farm_secret, running_service
from support.page import Wall
from support.patience import HeldUp, KernelDrops
from support.view_events import events_of
from support.watching import (
    PATIENCE_S,
    assert_unharmed,
    audit_rows,
    camera_of,
    channels_of,
    ended_views,
    metric,
    watched,
)

# Required of either core: from commit to the viewer's last packet.
LIMIT_S = 1.0
QUIET_S = 0.5
LEAVE_S = 3.0
JPEG_START = b"\xff\xd8\xff"


@pytest.fixture
def service(farm: Farm, template: Path, tmp_path: Path) -> Iterator[Service]:
    environment = {
        "STREAMHUB_MEDIA__CORE": "python",
        "STREAMHUB_LOG__LEVEL": "debug",
        "STREAMHUB_DIAL__RETRY_FIRST_S": "0.5",
        "STREAMHUB_DIAL__AUTH_RETRY_FIRST_S": "0.5",
        "STREAMHUB_DIAL__REFUSED_RETRY_S": "0.5",
    }
    with running_service(copy_of(template, tmp_path / "data"), environment) as service:
        yield service


async def grant_id_of(admin: httpx.AsyncClient, username: str) -> str:
    subjects = (await admin.get("/api/v1/subjects", params={"q": username})).json()["items"]
    [subject] = [each for each in subjects if each["username"] == username]
    answer = await admin.get("/api/v1/grants", params={"subject_id": subject["id"]})
    grant_id: str = answer.json()["items"][0]["id"]
    return grant_id


async def test_viewers_watch_until_the_revocation(service: Service) -> None:
    async with service.client("yongshun") as client, service.client("admin") as admin:
        channels = await channels_of(client, 3)
        ids = [channel["id"] for channel in channels]
        async with watched(client, [*ids, ids[0]]) as viewers:
            for viewer in viewers:
                await viewer.wait_pictures(20, PATIENCE_S)
            assert await metric(client, "streamhub_core_sources") == 3  # one dial for two viewers
            still = await client.get(f"/api/v1/channels/{ids[0]}/snapshot.jpg")
            assert still.content.startswith(JPEG_START)
            held_up, grant_id = HeldUp(*service.pids), await grant_id_of(admin, "yongshun")
            answer = await admin.delete(f"/api/v1/grants/{grant_id}")
            assert answer.status_code == 204
            for viewer in viewers:
                await viewer.wait_goodbye(PATIENCE_S)
                assert_unharmed(viewer)
            [revoked, *_] = await audit_rows(admin, "grant_revoke")
            committed = datetime.fromisoformat(revoked["at"]).timestamp()
            wall = time.time() - time.monotonic()
            after = [viewer.packets[-1].at + wall - committed for viewer in viewers]
        print(f"last packets after the commit: {[round(each * 1000) for each in after]} ms")
        waited_s = held_up.seconds()
        assert min(after) > -QUIET_S - waited_s, "all of them were running until then"
        assert max(after) < LIMIT_S + waited_s
        ends = await ended_views(admin, len(viewers))
        for row in ends:
            assert row["detail"]["cause"] == "revoked"
            assert row["detail"]["packets"] > 0


async def test_a_view_tells_its_steps(service: Service) -> None:
    async with service.client("yongshun") as client:
        [channel] = await channels_of(client, 1)
        async with (
            watched(client, [channel["id"]], decode=False) as [viewer],
            events_of(client, viewer.location) as events,
        ):
            await events.until("live", lambda state: state["state"] == "live", PATIENCE_S)
            steps = {each["step"] for each in events.steps}
    known = {"permit", "dial", "play", "first_packet", "first_keyframe", "ice", "dtls"}
    assert known <= steps, steps


async def test_a_browser_shows_it(service: Service, browser: Browser) -> None:
    drops, wall = KernelDrops(), Wall(await browser.new_page(), service)
    await wall.sign_in("yongshun")
    async with service.client("yongshun") as client, service.client("admin") as admin:
        [channel] = await channels_of(client, 1)
        await wall.open_channel(channel)
        await wall.wait_decoding(pictures=30)
        stats = await wall.stats()
        assert "AEAD_AES_" in stats["srtpCipher"]
        assert stats["lost"] <= drops.count()
        picture = await wall.picture()
        assert picture is not None
        assert picture["luma"] > 16
        await admin.delete(f"/api/v1/grants/{await grant_id_of(admin, 'yongshun')}")
        assert await wall.wait_standstill() < LIMIT_S


async def test_a_camera_that_fails_is_named_and_watched_again_in_the_same_view(
    service: Service, farm: Farm
) -> None:
    faults = {"reset": "closed_by_peer", "unauthorized": "auth_failed", "not-found": "not_found"}
    async with service.client("yongshun") as client:
        channels = await channels_of(client, len(faults) + 1)
        async with watched(client, [each["id"] for each in channels], decode=False) as viewers:
            for (fault, cause), channel, viewer in zip(
                faults.items(), channels, viewers, strict=False
            ):
                camera = camera_of(channel)
                async with events_of(client, viewer.location) as events:
                    farm.fault(camera, fault)
                    try:
                        await events.until(cause, lambda s, c=cause: s["reason"] == c, PATIENCE_S)
                    finally:
                        farm.fault(camera, "none")
                    told, packets = len(events.states), len(viewer.packets)
                    await events.until(
                        "live", lambda s: s["state"] == "live", PATIENCE_S, since=told
                    )
                    await viewer.wait_packets(packets + 40, PATIENCE_S)
                    assert_unharmed(viewer)
            assert_unharmed(viewers[-1])  # whose camera had nothing


async def test_it_leaves_in_time_and_says_no_secret(service: Service) -> None:
    async with service.client("yongshun") as client:
        channels = await channels_of(client, 2)
        async with watched(client, [each["id"] for each in channels], decode=False) as viewers:
            took = service.stop()
            for viewer in viewers:
                await viewer.wait_goodbye(PATIENCE_S)
    print(f"left in {took:.2f} s")
    assert took < LEAVE_S
    log = service.log_path.read_text()
    assert farm_secret(service.data_dir) not in log
    assert "Traceback" not in log
