"""Stills: the newest keyframe as a JPEG, without a second connection to the camera."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest

from streamhub import farm_scenes
from streamhub.delivery.settings import DeliverySettings
from support.district import Farm, Service, copy_of, eventually, running_service
from support.patience import HeldUp
from support.watching import PATIENCE_S, audit_rows, camera_of, channels_of, watched

JPEG_START, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
SCENES = 4
# Of answering, beside the deadline itself, on a loaded machine.
SLACK_S = 3.0


@pytest.fixture(scope="module")
def service(
    farm: Farm, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One for all of them; each test has a channel of its own."""
    with running_service(copy_of(template, tmp_path_factory.mktemp("stills") / "data")) as service:
        yield service


def still(channel_id: str) -> str:
    return f"/api/v1/channels/{channel_id}/snapshot.jpg"


def look(answer: httpx.Response) -> tuple[int, int, tuple[int, int] | None]:
    """Width, height and the bar of a JPEG answer."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.content.startswith(JPEG_START)
    assert answer.content.endswith(JPEG_END)
    [picture] = av.CodecContext.create("mjpeg", "r").decode(av.Packet(answer.content))
    assert isinstance(picture, av.VideoFrame)
    luma = picture.to_ndarray(format="gray").astype(np.uint8)
    return picture.width, picture.height, farm_scenes.read_bar(luma)


async def stills_of(admin: httpx.AsyncClient, channel_id: str) -> list[dict[str, Any]]:
    rows = await audit_rows(admin, "snapshot")
    return [row for row in rows if row["channel_id"] == channel_id]


async def farm_idle(farm: Farm) -> None:
    await eventually("the farm is idle", lambda: farm.stats()["connections"] == 0, PATIENCE_S)


async def test_a_watched_camera_gives_a_still_from_the_pull_that_is_there(
    service: Service, farm: Farm
) -> None:
    await farm_idle(farm)
    async with service.client("yongshun") as client:
        [channel] = await channels_of(client, 1)
        async with watched(client, [channel["id"]]) as [viewer]:
            await viewer.wait_pictures(5, PATIENCE_S)
            accepted = farm.stats()["accepted"]
            width, height, bar = look(await client.get(still(channel["id"])))
            assert (width, height) == (640, 360)
            assert bar is not None, "the picture's number can be read"
            scene, number = bar
            assert scene == camera_of(channel) % SCENES
            assert number % 30 == 0, "keyframes are every 30 pictures"
            assert farm.stats()["accepted"] == accepted
            assert farm.stats()["connections"] == 1
            views = (await client.get("/api/v1/views")).json()["items"]
            assert len(views) == 1, "a still is no view"
        async with service.client("admin") as admin:
            [row] = await stills_of(admin, channel["id"])
        assert row["subject_name"] == "yongshun"
        assert row["outcome"] == "ok"
        assert row["detail"]["profile"] == "sub"


async def test_a_camera_nobody_watches_is_dialled_for_a_still_and_let_go(
    service: Service, farm: Farm
) -> None:
    await farm_idle(farm)
    async with service.client("yongshun") as client:
        _, channel = await channels_of(client, 2)
        accepted = farm.stats()["accepted"]
        answer = await client.get(still(channel["id"]), params={"profile": "main"})
        width, height, bar = look(answer)
        assert (width, height) == (1920, 1080)
        assert bar is not None
        assert bar[0] == camera_of(channel) % SCENES
        # Again within a second: the same picture, the same pull.
        again = await client.get(still(channel["id"]), params={"profile": "main"})
        look(again)
        assert farm.stats()["accepted"] == accepted + 1
        await farm_idle(farm)


@pytest.mark.parametrize(("fault", "nth"), [("silent", 2), ("mute-accept", 3)])
async def test_a_camera_without_pictures_is_a_504_at_the_deadline(
    service: Service, farm: Farm, fault: str, nth: int
) -> None:
    async with service.client("yongshun") as client:
        channel = (await channels_of(client, nth + 1))[nth]
        farm.fault(camera_of(channel), fault)
        try:
            held_up, started = HeldUp(*service.pids), time.monotonic()
            answer = await client.get(still(channel["id"]), timeout=PATIENCE_S)
            took_s = time.monotonic() - started - held_up.seconds()
        finally:
            farm.fault(camera_of(channel), "none")
        assert answer.status_code == 504
        assert answer.json()["code"] == "no_keyframe"
        assert answer.json()["reason"]
        assert took_s < DeliverySettings().still_deadline_s + SLACK_S
        async with service.client("admin") as admin:
            [row] = await stills_of(admin, channel["id"])
        assert row["outcome"] == "failed"
        assert row["detail"]["code"] == "no_keyframe"
        look(await client.get(still(channel["id"]), timeout=PATIENCE_S))


async def test_a_refusing_camera_is_said_at_once(service: Service, farm: Farm) -> None:
    async with service.client("yongshun") as client:
        channel = (await channels_of(client, 5))[4]
        farm.fault(camera_of(channel), "unauthorized")
        try:
            answer = await client.get(still(channel["id"]), timeout=PATIENCE_S)
        finally:
            farm.fault(camera_of(channel), "none")
        assert answer.status_code == 504
        assert answer.json()["reason"] == "auth_failed"


async def test_who_may_not_gets_no_still(service: Service) -> None:
    async with service.client("admin") as admin, service.client("yongshun") as client:
        [foreign] = await channels_of(admin, 1, q="11011207")
        answer = await client.get(still(foreign["id"]))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        nobody = httpx.get(f"{service.url}{still(foreign['id'])}", timeout=PATIENCE_S)
        assert nobody.status_code == 401
        # Live alone is not the right to stills.
        me = (await client.get("/api/v1/me")).json()
        body = {
            "subject_id": me["id"],
            "actions": ["list", "live"],
            "channel_id": foreign["id"],
        }
        assert (await admin.post("/api/v1/grants", json=body)).status_code == 201
        answer = await client.get(still(foreign["id"]))
        assert answer.status_code == 403
        assert await stills_of(admin, foreign["id"]) == []
        refusals = await audit_rows(admin, "refused")
        assert any(row["channel_id"] == foreign["id"] for row in refusals)
