"""The demo district is all there, and whichever camera is opened answers."""

from __future__ import annotations

import asyncio
import random
import secrets
from typing import Any

import httpx

from support.district import Farm, Service
from support.patience import HeldUp
from support.watching import ended_views, watched

CLASSES = {"police_hd": 2_600, "high_altitude": 163}
CIVIL_DEFENCE_AND_ALLEY = 237
STREETS = {
    *("中仓街道", "新华街道", "北苑街道", "玉桥街道", "文景街道"),
    *("永顺镇", "梨园镇", "宋庄镇", "漷县镇", "张家湾镇", "西集镇", "永乐店镇"),
    # The last by its full name.
    *("潞城镇", "台湖镇", "马驹桥镇", "于家务回族乡"),
}
OPENED = 50
AT_A_TIME = 10
# Required, from the viewer's request to the camera's first packet.
FIRST_PACKET_MS = 2_000


async def total(client: httpx.AsyncClient, **query: str) -> int:
    answer = await client.get("/api/v1/channels", params={"limit": 1, **query})
    found: int = answer.json()["total"]
    return found


async def all_channels(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    channels: list[dict[str, Any]] = []
    cursor = None
    while True:
        query = {"limit": "200", **({} if cursor is None else {"cursor": cursor})}
        page = (await client.get("/api/v1/channels", params=query)).json()
        channels += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return channels


async def test_the_district_has_the_cameras_and_places_it_should(one_service: Service) -> None:
    async with one_service.client("admin") as client:
        assert await total(client) == 3_000
        for device_class, count in CLASSES.items():
            assert await total(client, device_class=device_class) == count
        rest = [await total(client, device_class=each) for each in ("civil_defence", "alley")]
        assert sum(rest) == CIVIL_DEFENCE_AND_ALLEY
        assert min(rest) > 0
        areas = (await client.get("/api/v1/areas")).json()["items"]
        streets = [area for area in areas if area["kind"] == "street"]
        assert {area["name"] for area in streets} == STREETS
        assert {area["kind"] for area in areas} == {"district", "street", "community", "grid"}
        channels = await all_channels(client)
        assert len({channel["code"] for channel in channels}) == 3_000
        assert all(len(channel["code"]) == 20 for channel in channels)
        assert all(set(channel["profiles"]) == {"main", "sub"} for channel in channels)


async def test_a_random_fifty_are_answered_in_time(one_service: Service, farm: Farm) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    async with one_service.client("admin") as client:
        waited_ms: dict[str, float] = {}
        chosen = random.Random(seed).sample(await all_channels(client), OPENED)
        for at in range(0, OPENED, AT_A_TIME):
            ids = [channel["id"] for channel in chosen[at : at + AT_A_TIME]]
            held_up = HeldUp(*one_service.pids, farm.process.pid)
            async with watched(client, ids, decode=False) as viewers:
                waited_ms |= dict.fromkeys(ids, held_up.seconds() * 1000)
                await asyncio.gather(*(viewer.delete() for viewer in viewers))
        rows = await ended_views(client, OPENED)
        by_channel = {row["channel_id"]: dict(row["detail"]["steps"]) for row in rows}
        assert set(by_channel) == {channel["id"] for channel in chosen}
        for step in ("first_packet", "first_keyframe", "dtls", "first_sent"):
            taken = sorted(steps[step] for steps in by_channel.values())
            print(f"{step}: median {taken[len(taken) // 2]} ms, slowest {taken[-1]} ms")
        late = {
            channel_id: steps
            for channel_id, steps in by_channel.items()
            if steps["first_packet"] > FIRST_PACKET_MS + waited_ms[channel_id]
        }
        assert not late, f"seed {seed}"
    assert "Traceback" not in one_service.log_path.read_text()
