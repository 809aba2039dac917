"""The RTSP door end to end: camera farm, service, and the players that sub-platforms have."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest

from streamhub import farm_scenes
from streamhub.bench.stall import stopped_interpreter
from support.district import Farm, Service, copy_of, eventually, running_service
from support.patience import PATIENCE_S, HeldUp
from support.rtsp_viewer import RtspViewer
from support.watching import audit_rows, channels_of, ended_views

# Required: from commit to the last packet.
LIMIT_S = 1.0
QUIET_S = 0.5
# For a player to be there, also if it is told to come again; less than a lease.
VALID_S = 30
# Of the farm's clips, both of two seconds.
MAIN_GOP, SUB_GOP = 50, 30
# Of at most 40 pictures: the clip's end, and one of a machine that stood still.
MAX_JUMPS = 2


@pytest.fixture(params=[1, 2], ids=["one_shard", "two_shards"])
def open_door(
    request: pytest.FixtureRequest, farm: Farm, template: Path, tmp_path: Path
) -> Iterator[Service]:
    environment = {
        "STREAMHUB_RTSP__LISTEN": "127.0.0.1:0",
        "STREAMHUB_MEDIA__SHARDS": str(request.param),
    }
    with running_service(copy_of(template, tmp_path / "data"), environment) as service:
        yield service


async def ticket(client: httpx.AsyncClient, channel_id: str, **wanted: Any) -> dict[str, Any]:
    answer = await client.post(f"/api/v1/channels/{channel_id}/rtsp-tickets", json=wanted)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    out: dict[str, Any] = answer.json()
    return out


def stream_of(out: dict[str, Any], profile: str = "sub") -> dict[str, str]:
    found: dict[str, str] = next(s for s in out["streams"] if s["profile"] == profile)
    return found


@asynccontextmanager
async def playing(out: dict[str, Any], profile: str = "sub") -> AsyncIterator[RtspViewer]:
    viewer = RtspViewer(stream_of(out, profile)["address"], out["password"])
    await viewer.play()
    try:
        yield viewer
    finally:
        await viewer.close()


async def settled(viewer: RtspViewer, pictures: int = 80) -> None:
    """Until so many pictures have come: a camera of the farm jumps to its place in time at the
    first keyframe after it was asked to play."""
    await eventually(
        "the camera has settled",
        lambda: len({packet[4:8] for _, packet in viewer.packets}) >= pictures,
    )


def numbers_in(pictures: list[np.ndarray[Any, Any]]) -> list[int]:
    bars = [farm_scenes.read_bar(picture) for picture in pictures]
    assert all(bars), "every picture is whole"
    return [bar[1] for bar in bars if bar is not None]


def assert_running(numbers: list[int], gop_pictures: int) -> None:
    """One after the other. A player that had no core for so long that the ring's tail overtook it
    goes on at a keyframe, and nowhere else (so does the farm's clip, which begins with one)."""
    jumps = [after for before, after in pairwise(numbers) if after != before + 1]
    assert all(after % gop_pictures == 0 for after in jumps), f"{numbers}"
    assert len(jumps) <= MAX_JUMPS, f"{numbers}"


def by_ffmpeg(url: str, pictures: int, width: int, height: int) -> list[int]:
    command = ["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", url]
    # As they come: otherwise some are left out, or shown twice, to make an even rate.
    command += [
        "-frames:v",
        str(pictures),
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "gray",
        "-",
    ]
    result = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False)
    assert result.returncode == 0, result.stderr.decode()
    frames = np.frombuffer(result.stdout, np.uint8).reshape(-1, height, width)
    return numbers_in(list(frames))


def by_pyav(url: str, pictures: int, height: int) -> list[int]:
    with av.open(url, options={"rtsp_transport": "tcp"}, timeout=PATIENCE_S) as container:
        decoded = container.decode(video=0)
        found = [next(decoded).to_ndarray(format="gray")[:height] for _ in range(pictures)]
    return numbers_in(found)


async def test_players_decode_each_picture_and_the_view_is_seen_and_audited(
    open_door: Service,
) -> None:
    async with open_door.client("yongshun") as client, open_door.client("admin") as admin:
        [channel] = await channels_of(client, 1)
        out = await ticket(client, channel["id"])
        sub, main = stream_of(out), stream_of(out, "main")
        async with playing(out, "main") as viewer:
            again = viewer.asked_again
            await settled(viewer)
            assert_running(await asyncio.to_thread(by_pyav, main["url"], 30, 1080), MAIN_GOP)
        async with playing(out) as viewer:
            again += viewer.asked_again
            await settled(viewer)
            assert_running(await asyncio.to_thread(by_ffmpeg, sub["url"], 40, 640, 360), SUB_GOP)
            # As recorders store it: user name and password apart.
            secret = f"rtsp://{out['username']}:{out['password']}@"
            by_password = sub["address"].replace("rtsp://", secret)
            assert_running(await asyncio.to_thread(by_ffmpeg, by_password, 20, 640, 360), SUB_GOP)
            views = (await client.get("/api/v1/views")).json()["items"]
            view = views[0]
            assert view["profile"] == "sub"
            assert view["reception"]["transport"] == "rtsp"
            assert view["srtp_cipher"] is None
            await eventually("a sender report", lambda: bool(viewer.reports))
            torn_down = await viewer.ask("TEARDOWN", Session=viewer.rtsp_session_id)
            assert torn_down.status == 200
            await viewer.wait_end()
        # One for each player, and for each try that was answered too late.
        starts = await audit_rows(admin, "view_start")
        assert 5 <= len(starts) <= 5 + again
        ends = await ended_views(admin, len(starts))
        started, ended = ([row["detail"]["view_id"] for row in rows] for rows in (starts, ends))
        assert sorted(started) == sorted(ended)
        assert {row["detail"]["ticket_id"] for row in ends} == {out["id"]}
        assert {row["detail"]["transport"] for row in ends} == {"rtsp"}
        assert ends[0]["detail"]["cause"] == "closed_by_viewer"
        [issued] = await audit_rows(admin, "rtsp_ticket")
        assert issued["detail"]["ticket_id"] == out["id"]
    log = open_door.log_path.read_text()
    assert out["password"] not in log
    assert out["password"].rpartition(".")[2] not in log


async def test_many_clients_are_one_pull(open_door: Service, farm: Farm) -> None:
    async with open_door.client("yongshun") as client:
        [channel] = await channels_of(client, 1)
        out = await ticket(client, channel["id"])
        before = farm.stats()["accepted"]
        viewers = [RtspViewer(stream_of(out)["address"], out["password"]) for _ in range(12)]
        await asyncio.gather(*(viewer.play() for viewer in viewers))
        assert farm.stats()["accepted"] == before + 1
        views = (await client.get("/api/v1/views")).json()["items"]
        assert len(views) == len(viewers)
        for viewer in viewers:
            await viewer.close()


async def test_who_may_not_is_refused(open_door: Service) -> None:
    async with open_door.client("yongshun") as client, open_door.client("admin") as admin:
        [mine] = await channels_of(client, 1)
        listed = {row["id"] for row in await channels_of(client, 50)}
        foreign = next(row for row in await channels_of(admin, 200) if row["id"] not in listed)
        refused = await client.post(f"/api/v1/channels/{foreign['id']}/rtsp-tickets", json={})
        assert refused.status_code == httpx.codes.NOT_FOUND
        out = await ticket(client, mine["id"], profiles=["sub"])
        address = stream_of(out)["address"]
        answers = {}
        for name, where, secret in (
            ("none", address, None),
            ("forged", address, out["password"][:-4] + "AAAA"),
            ("other_profile", address.replace("/sub", "/main"), out["password"]),
            ("other_township", address.replace(mine["id"], foreign["id"]), out["password"]),
        ):
            viewer = RtspViewer(where, secret)
            await viewer.connect()
            answers[name] = (await viewer.describe()).status
            await viewer.close()
        assert answers == {"none": 401, "forged": 401, "other_profile": 404, "other_township": 404}
        short = await ticket(client, mine["id"], valid_s=1)
        expires = datetime.fromisoformat(short["expires_at"]).timestamp()
        await eventually("the ticket has expired", lambda: time.time() > expires + 0.05)
        viewer = RtspViewer(stream_of(short)["address"], short["password"])
        await viewer.connect()
        assert (await viewer.describe()).status == 401
        by_udp = RtspViewer(address, out["password"])
        await by_udp.connect()
        assert (await by_udp.describe()).status == 200
        answer = await by_udp.ask(
            "SETUP", f"{address}/trackID=0", Transport="RTP/AVP;unicast;client_port=5000-5001"
        )
        assert answer.status == 461
        await viewer.close()
        await by_udp.close()


async def watching(client: httpx.AsyncClient, channels: list[dict[str, Any]]) -> list[RtspViewer]:
    """One client for each, with packets coming."""
    outs = [await ticket(client, channel["id"]) for channel in channels]
    viewers = [RtspViewer(stream_of(out)["address"], out["password"]) for out in outs]
    for viewer in viewers:
        await viewer.play()
    return viewers


@asynccontextmanager
async def ending_in_time(
    service: Service, viewers: list[RtspViewer], admin: httpx.AsyncClient, act: str
) -> AsyncIterator[None]:
    """What is done inside ends them, counted from the newest row of the act, which was committed
    with the change."""
    held_up = HeldUp(*service.pids)
    yield
    to_wall = time.time() - time.monotonic()
    for viewer in viewers:
        await viewer.wait_end()
    limit_s = LIMIT_S + held_up.seconds()
    committed = datetime.fromisoformat((await audit_rows(admin, act))[0]["at"]).timestamp()
    for viewer in viewers:
        assert viewer.packets[-1][0] + to_wall - committed < limit_s
        assert viewer.ended_at is not None
        assert viewer.ended_at + to_wall - committed < limit_s
        await viewer.close()


async def answer_to(viewer: RtspViewer) -> int:
    """What another one with the same ticket is answered."""
    again = RtspViewer(viewer.address, viewer.ticket)
    await again.connect()
    status = (await again.describe()).status
    await again.close()
    return status


async def test_what_ends_the_right_ends_it_within_a_second(open_door: Service) -> None:
    async with (
        open_door.client("yongshun") as client,
        open_door.client("liyuan") as other,
        open_door.client("admin") as admin,
    ):
        channels = await channels_of(client, 3)
        denied, *viewers = await watching(client, channels)
        [of_disabled] = await watching(other, await channels_of(other, 1))
        listed = (await admin.get("/api/v1/subjects", params={"limit": 200})).json()["items"]
        ids = {row["username"]: row["id"] for row in listed}
        subject_id = ids["yongshun"]
        deny = {"subject_id": subject_id, "channel_id": channels[0]["id"], "effect": "deny"}
        async with ending_in_time(open_door, [denied], admin, "grant_create"):
            answer = await admin.post("/api/v1/grants", json={**deny, "actions": ["live"]})
            assert answer.status_code == httpx.codes.CREATED, answer.text
        assert await answer_to(denied) == 403  # they may list it
        async with ending_in_time(open_door, [of_disabled], admin, "subject_update"):
            off = await admin.patch(f"/api/v1/subjects/{ids['liyuan']}", json={"enabled": False})
            assert off.status_code == httpx.codes.OK, off.text
        assert await answer_to(of_disabled) == 401
        assert all(viewer.ended_at is None for viewer in viewers), "theirs goes on"
        grants = await admin.get("/api/v1/grants", params={"subject_id": subject_id})
        [grant] = [row for row in grants.json()["items"] if row["effect"] == "allow"]
        async with ending_in_time(open_door, viewers, admin, "grant_revoke"):
            assert (await admin.delete(f"/api/v1/grants/{grant['id']}")).status_code == 204
        assert await answer_to(viewers[0]) == 404
        ends = await ended_views(admin, 4)
        assert {row["detail"]["cause"] for row in ends} == {"revoked"}


async def test_the_core_closes_a_view_by_itself_while_the_interpreter_stands_still(
    open_door: Service,
) -> None:
    async with open_door.client("yongshun") as client, open_door.client("admin") as admin:
        [channel] = await channels_of(client, 1)
        out = await ticket(client, channel["id"], valid_s=VALID_S)
        expires = datetime.fromisoformat(out["expires_at"]).timestamp()
        async with playing(out) as viewer:
            assert time.time() < expires, "this machine is too slow for such a short ticket"
            assert open_door.process is not None
            with stopped_interpreter(open_door.process.pid):
                at_stop = len(viewer.packets)
                await eventually("it is nearly time", lambda: time.time() > expires - QUIET_S)
                held_up = HeldUp(*open_door.pids)
                ended = await viewer.wait_end()
                to_wall = time.time() - time.monotonic()
                assert -QUIET_S < ended + to_wall - expires < LIMIT_S + held_up.seconds()
                assert len(viewer.packets) > at_stop, "packets need no interpreter"
        [end] = await ended_views(admin, 1)
        assert end["detail"]["cause"] == "ticket_expired"
