"""The process that looks: real cameras, many at a time; and what happens when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from camera_registry.domain import StreamAddress
from camera_registry.secret import Secret
from gateways.decode import DecodePool
from gateways.rtsp.inspect_pool import LookBroken, LookPool
from support.district import Farm, eventually, running_farm
from support.patience import PATIENCE_S

PASSWORD = "p@ss:w/rd#1"


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    with running_farm(PASSWORD, cameras=8) as farm:
        yield farm
    for pipe in (farm.process.stdin, farm.process.stdout):
        if pipe is not None:
            pipe.close()


@pytest.fixture
async def pool() -> AsyncIterator[LookPool]:
    pool = LookPool()
    yield pool
    await pool.close()


def told_by_kernel(pid: int | None, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def runs(pid: int | None) -> bool:
    return Path(f"/proc/{pid}").exists()


def address(farm: Farm, path: str) -> StreamAddress:
    url = f"rtsp://127.0.0.1:{farm.port}/{path}"
    return StreamAddress("ch", "de", "main", url, "admin", Secret(PASSWORD), 4)


async def test_cameras_are_looked_at_side_by_side_and_their_keyframes_are_pictures(
    farm: Farm, pool: LookPool
) -> None:
    paths = ["cam/1/main", "cam/2/sub", "cam/3/main_h265", "fault/mjpeg/cam/4/main"]
    seen = await asyncio.gather(*(pool.look(address(farm, path)) for path in paths))
    assert [each.facts.failure for each in seen] == [None, None, None, "codec_unsupported"]
    assert [each.facts.codec for each in seen] == ["H264", "H264", "H265", "JPEG"]
    decoder = DecodePool()
    try:
        for each in seen[:3]:
            assert each.keyframe is not None
            assert each.facts.codec is not None
            picture = await decoder.decode(
                each.keyframe, codec=each.facts.codec, timeout_s=PATIENCE_S, most_width=480
            )
            assert (picture.width, picture.height) == (480, 270)
            assert len(picture.jpeg) < 64 << 10
    finally:
        await decoder.close()


async def test_the_password_is_in_no_command_line(farm: Farm, pool: LookPool) -> None:
    await pool.look(address(farm, "cam/1/sub"), look_s=1.0)
    for name in ("cmdline", "environ"):
        assert PASSWORD.encode() not in told_by_kernel(pool.pid, name)


async def test_when_it_dies_who_waits_is_told_and_the_next_look_has_a_fresh_one(
    farm: Farm, pool: LookPool
) -> None:
    looking = asyncio.create_task(pool.look(address(farm, "cam/1/sub")))
    await eventually("it plays", lambda: farm.stats()["playing"] >= 1)
    before = pool.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    with pytest.raises(LookBroken):
        await looking
    seen = await pool.look(address(farm, "cam/1/sub"), look_s=1.0)
    assert seen.facts.codec == "H264"
    assert pool.pid != before


async def test_after_the_end_nothing_is_looked_at_and_nothing_runs(farm: Farm) -> None:
    pool = LookPool()
    looking = asyncio.create_task(pool.look(address(farm, "cam/1/sub")))
    await eventually("it runs", lambda: pool.pid is not None)
    pid = pool.pid
    await pool.close()
    with pytest.raises(LookBroken):
        await looking
    with pytest.raises(LookBroken):
        await pool.look(address(farm, "cam/1/sub"))
    assert not runs(pid)
