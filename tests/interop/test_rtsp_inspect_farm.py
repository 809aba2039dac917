"""A look at each kind of camera that the farm has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from gateways.rtsp.inspect import Looked, inspect
from support.district import Farm, running_farm
from support.patience import PATIENCE_S, HeldUp

PASSWORD = "farm-secret"


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    with running_farm(PASSWORD, cameras=8) as farm:
        yield farm
    for pipe in (farm.process.stdin, farm.process.stdout):
        if pipe is not None:
            pipe.close()


async def looked(
    farm: Farm, *paths: str, password: str = PASSWORD, timeout_s: float = PATIENCE_S
) -> list[Looked]:
    """At all of them at once."""
    base = f"rtsp://admin:{password}@127.0.0.1:{farm.port}"
    return await asyncio.gather(*(inspect(f"{base}/{path}", timeout_s=timeout_s) for path in paths))


async def test_good_cameras_are_told_as_they_are(farm: Farm) -> None:
    held_up = HeldUp(farm.process.pid)
    main, sub, h265, udp, sound = await looked(
        farm,
        "cam/1/main",
        "cam/2/sub",
        "cam/3/main_h265",
        "fault/udp-only/cam/1/sub",
        "sound/pcma/cam/4/sub",
    )
    for each, codec, size, fps in (
        (main, "H264", (1920, 1080), 25.0),
        (sub, "H264", (640, 360), 15.0),
        (h265, "H265", (1920, 1080), 25.0),
        (udp, "H264", (640, 360), 15.0),
        (sound, "H264", (640, 360), 15.0),
    ):
        facts = each.facts
        assert facts.failure is None, facts
        assert (facts.codec, (facts.width, facts.height)) == (codec, size)
        assert facts.fps_declared == fps
        assert facts.fps_measured is not None
        assert abs(facts.fps_measured - fps) < 0.5
        assert (facts.gop_ms, facts.gop_varies, facts.b_frames) == (2000, False, False)
        assert facts.clock_source in (None, "rtcp_sender_report")
        if facts.clock_source is not None:
            assert facts.clock_skew_ms is not None
            assert abs(facts.clock_skew_ms) < 1000 + held_up.seconds() * 1000
        assert facts.packets_lost == 0
        assert each.keyframe is not None
    # The farm reports each 5 s, behind the picture: a look that ends at its fourth keyframe may
    # have had none.
    assert any(each.facts.clock_source for each in (main, sub, h265, udp, sound))
    assert main.facts.profile == sub.facts.profile == "Constrained Baseline"
    assert h265.facts.profile == "Main"
    assert main.facts.bit_rate_bps is not None
    assert 3_000_000 < main.facts.bit_rate_bps < 5_000_000
    assert (main.facts.transport, udp.facts.transport) == ("tcp", "udp")
    assert (main.facts.audio, sound.facts.audio) == (None, "PCMA")


async def test_hazards_are_seen(farm: Farm) -> None:
    b_frames, gop10 = await looked(farm, "hazard/bframes", "hazard/gop10")
    assert b_frames.facts.b_frames is True
    assert gop10.facts.gop_at_least_ms is not None
    assert gop10.facts.gop_at_least_ms >= 6_000
    assert gop10.keyframe is not None


async def test_a_camera_that_does_not_play_says_where_it_stops(farm: Farm) -> None:
    locked, *faulty = await asyncio.gather(
        looked(farm, "cam/1/sub", password="wrong"),
        # For each step: those before the one that is waited out have to be done within it, too.
        looked(farm, "fault/silent/cam/1/sub", timeout_s=6.0),
        looked(farm, "fault/mjpeg/cam/1/sub"),
        looked(farm, "fault/reset-after/500/cam/1/sub"),
        looked(farm, "cam/99/main"),
    )
    assert (locked[0].facts.failure, locked[0].facts.authenticated) == ("auth_failed", False)
    found = [(each.facts.failed_step, each.facts.failure) for [each] in faulty]
    assert found == [
        ("first_packet", "no_packets"),
        ("describe", "codec_unsupported"),
        ("look", "closed_by_peer"),
        ("describe", "not_found"),
    ]
    assert faulty[2][0].facts.packets > 0  # what it had sent before is kept
