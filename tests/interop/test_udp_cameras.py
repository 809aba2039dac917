"""Cameras that refuse RTP over TCP are pulled by UDP, by the core as the service uses it."""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Iterator
from typing import Any

import pytest

from streamhub import _core
from support.patience import PATIENCE_S
from support.scripted_camera import scripted_camera

from .farm_process import PASSWORD, running_farm

STREAM = "ch_1/main"


@pytest.fixture
def core() -> Iterator[_core.Core]:
    core = _core.Core()
    try:
        yield core
    finally:
        core.shutdown(1000)


def row(core: _core.Core) -> dict[str, Any]:
    found: dict[str, Any] = core.source_stats([STREAM])[0]
    return found


def drained(core: _core.Core) -> list[tuple[str, dict[str, Any]]]:
    if select.select([core.event_fd], [], [], 0.05)[0]:
        os.eventfd_read(core.event_fd)
    return [(kind, fields) for kind, _, fields in core.drain_events(100)]


@pytest.mark.parametrize("profile", ["sub", "main"])
def test_a_camera_by_udp_only_is_live_loses_nothing_and_gets_reports(
    core: _core.Core, profile: str
) -> None:
    heard = []
    with running_farm("--cameras", "3", password=PASSWORD) as farm:
        url = f"rtsp://127.0.0.1:{farm.port}/fault/udp-only/cam/3/{profile}"
        core.open_source(STREAM, url, "admin", PASSWORD)
        deadline = time.monotonic() + PATIENCE_S
        # Four groups of pictures; a report of reception is due after 5 s.
        while row(core)["keyframes"] < 4 or farm.stats()["receiver_reports"] < 1:
            assert time.monotonic() < deadline, heard
            heard += drained(core)
        found = row(core)
        print({name: found[name] for name in ("packets", "packets_lost", "packets_reordered")})
        assert (found["state"], found["transport"]) == ("live", "udp")
        assert found["packets_lost"] == 0
        assert found["packets"] == pytest.approx(farm.stats()["packets"], rel=0.05)
        steps = [fields["step"] for kind, fields in heard if kind == "step"]
        assert steps == [
            *("dial", "connected", "options", "describe", "setup", "play"),
            *("first_packet", "first_keyframe"),
        ]
        assert not [kind for kind, _ in heard if kind == "source_lost"]
        core.close_source(STREAM)
        while farm.stats()["playing"]:
            assert time.monotonic() < deadline, "TEARDOWN goes over TCP"


def test_a_camera_by_udp_that_falls_silent_is_lost_within_five_seconds(core: _core.Core) -> None:
    with running_farm("--cameras", "1", password=PASSWORD) as farm:
        path = "fault/silent-after/2500/fault/udp-only/cam/1/sub"
        core.open_source(STREAM, f"rtsp://127.0.0.1:{farm.port}/{path}", "admin", PASSWORD)
        deadline = time.monotonic() + PATIENCE_S
        lost: list[dict[str, Any]] = []
        while not lost:
            assert time.monotonic() < deadline
            lost += [fields for kind, fields in drained(core) if kind == "source_lost"]
    assert (lost[0]["cause"], lost[0]["retryable"]) == ("stalled", True)
    assert "5 s" in lost[0]["detail"]


async def test_packets_in_a_bad_order_make_whole_pictures_and_a_redial_asks_for_udp_at_once(
    core: _core.Core,
) -> None:
    async with scripted_camera(udp_only=True) as camera:

        async def reach(keyframes: int) -> None:
            deadline = time.monotonic() + PATIENCE_S
            while not core.source_stats([STREAM]) or row(core)["keyframes"] < keyframes:
                assert time.monotonic() < deadline, drained(core)
                await asyncio.sleep(0.02)

        core.open_source(STREAM, camera.url, None, None)
        await reach(3)
        found = row(core)
        assert found["packets_reordered"] > 10, found
        assert (found["packets_lost"], found["packets_late"]) == (0, 0)
        assert [asked[:11] for asked in camera.transports_asked] == ["rtp/avp/tcp", "rtp/avp;uni"]
        # As the router does after a loss: dialled again, the stream stays.
        core.open_source(STREAM, camera.url, None, None)
        await reach(5)
        assert row(core)["transport"] == "udp"
        assert [asked[:11] for asked in camera.transports_asked[2:]] == ["rtp/avp;uni"]
        assert camera.dials == 2
