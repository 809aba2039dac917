"""What every `MediaCore` does with a camera that plays and viewers that watch. The camera is the
test's own, the viewers are aiortc; the fake is told what they would make happen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from interop.farm_process import PASSWORD, Farm, running_farm
from streamhub.media.contract import (
    KeyframeTaken,
    SourceLive,
    SourceLost,
    SourceStats,
    StepTaken,
    ViewerClosed,
    ViewerConnected,
    ViewerStats,
    ViewerSwitched,
)
from support.aiortc_viewer import AiortcViewer, gaps, unwrap
from support.core_bench import CORES, PATIENCE_S, REAL_CORES, STREAM, Bench, a_bench, spec
from support.district import eventually
from support.patience import HeldUp

# In this order; a core may not be able to know them all.
STREAM_ORDER = [
    *("dial", "connected", "options", "describe", "setup", "play"),
    *("first_packet", "first_keyframe"),
]
SPS, PPS, IDR = 7, 8, 5


@pytest.fixture(params=CORES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with a_bench(request.param) as bench:
        yield bench


@pytest.fixture(params=REAL_CORES)
async def real(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """For what the fake has no part in: packets and handshakes."""
    async with a_bench(request.param) as bench:
        yield bench


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    with running_farm("--cameras", "3", password=PASSWORD) as farm:
        yield farm


def row_of(bench: Bench) -> SourceStats:
    return bench.core.source_stats([STREAM])[STREAM]


def viewer_row(bench: Bench, viewer_id: str) -> ViewerStats:
    return bench.core.viewer_stats([viewer_id])[viewer_id]


def nal_types(annexb: bytes) -> list[int]:
    return [part[0] & 0x1F for part in annexb.split(b"\0\0\1")[1:]]


def assert_uninterrupted(viewer: AiortcViewer) -> None:
    assert len({packet.ssrc for packet in viewer.packets}) == 1
    assert gaps(viewer.packets) == []
    times = unwrap([packet.rtp_ts for packet in viewer.packets], 32)
    assert times == sorted(times)


async def test_a_camera_goes_live_by_its_steps_in_order(bench: Bench) -> None:
    bench.dial()
    live = await bench.heard(SourceLive)
    steps = bench.steps(STREAM)
    assert steps == sorted(steps, key=STREAM_ORDER.index)
    assert (steps[0], steps[-1]) == ("dial", "first_keyframe")
    assert bench.seen.index(live) > bench.seen.index(
        next(e for e in bench.seen if isinstance(e, StepTaken) and e.step == "first_keyframe")
    )
    times = [event.at_ms for event in bench.seen if isinstance(event, StepTaken)]
    assert times == sorted(times)
    assert (live.stream_id, live.codec.lower()) == (STREAM, "h264")
    assert (live.width, live.height) == (640, 360)
    row = row_of(bench)
    assert (row.state, row.cause) == ("live", None)
    assert row.last_packet_age_ms is not None
    assert row.last_packet_age_ms < PATIENCE_S * 1000
    assert bench.core.stats().sources == 1


async def test_what_came_is_counted(real: Bench) -> None:
    real.dial()
    live = await real.heard(SourceLive)
    assert live.profile == "66"  # Constrained Baseline, as the clip's SPS has it
    await eventually("packets are counted", lambda: row_of(real).packets > 20)
    assert row_of(real).received_bytes > 20_000


async def test_hanging_up_is_no_loss(bench: Bench) -> None:
    bench.dial()
    await bench.heard(SourceLive)
    bench.core.close_source(STREAM)
    assert bench.core.source_stats([STREAM]) == {}
    if bench.fake is None:
        await eventually("the camera is let go", lambda: bench.camera.playing == 0)
    assert not any(isinstance(event, SourceLost) for event in bench.seen)


async def test_a_camera_that_leaves_is_lost_and_may_be_dialled_again(bench: Bench) -> None:
    bench.open_viewer("v1")
    bench.dial()
    await bench.heard(SourceLive)
    await bench.lose_camera()
    lost = await bench.heard(SourceLost)
    assert (lost.stream_id, lost.cause, lost.retryable) == (STREAM, "closed_by_peer", True)
    assert lost.detail
    row = row_of(bench)
    assert (row.state, row.cause) == ("lost", "closed_by_peer")
    bench.dial()
    await bench.heard(SourceLive, times=2)
    assert row_of(bench).state == "live"
    assert list(bench.core.viewer_stats(["v1"])) == ["v1"]
    assert sum(isinstance(event, SourceLost) for event in bench.seen) == 1


async def test_a_new_dial_takes_the_place_of_the_last(bench: Bench) -> None:
    bench.dial()
    await bench.heard(SourceLive)
    bench.dial()
    await bench.heard(SourceLive, times=2)
    assert bench.core.stats().sources == 1
    if bench.fake is None:
        await eventually("the first is let go", lambda: bench.camera.playing == 1)
    assert not any(isinstance(event, SourceLost) for event in bench.seen)


async def test_a_cached_keyframe_is_given_at_once(bench: Bench) -> None:
    bench.dial()
    await bench.heard(SourceLive)
    bench.core.take_keyframe("r1", STREAM)
    bench.core.take_keyframe("r2", STREAM)
    taken = [await bench.heard(KeyframeTaken, times=n) for n in (1, 2)]
    assert [(each.request_id, each.stream_id) for each in taken] == [("r1", STREAM), ("r2", STREAM)]
    assert all(0 <= each.age_ms <= PATIENCE_S * 1000 for each in taken)
    assert (taken[0].width, taken[0].height) == (640, 360)
    if bench.fake is None:
        types = nal_types(taken[0].annexb)
        assert types[:2] == [SPS, PPS]
        assert IDR in types


async def test_a_still_that_waits_gets_the_first_keyframe(bench: Bench) -> None:
    bench.core.take_keyframe("r1", STREAM)
    bench.dial()
    taken = await bench.heard(KeyframeTaken)
    assert (taken.request_id, taken.stream_id) == ("r1", STREAM)


async def test_a_viewer_connects_is_sent_to_and_closed_with_its_figures(bench: Bench) -> None:
    bench.dial()
    await bench.heard(SourceLive)
    viewer = await bench.connect("v1")
    await bench.step("v1", "first_sent")
    assert bench.steps("v1") == ["ice", "dtls", "first_sent"]
    connected = await bench.heard(ViewerConnected)
    assert connected.viewer_id == "v1"
    assert "AES" in connected.srtp_cipher
    if viewer is not None:
        await viewer.wait_packets(60, PATIENCE_S)
    row = viewer_row(bench, "v1")
    assert row.connected
    assert row.last_packet_age_ms is not None
    bench.core.close_viewers(subject_id="su_op", cause="revoked")
    closed = await bench.closed("v1")
    assert closed.cause == "revoked"
    assert closed.packets >= row.packets > 0
    assert closed.sent_bytes >= row.sent_bytes > 0
    if viewer is not None:
        await viewer.wait_goodbye(PATIENCE_S)
        assert len(viewer.packets) == closed.packets
        assert_uninterrupted(viewer)
    assert [e for e in bench.seen if getattr(e, "viewer_id", "") == "v1"][-1] == closed
    assert bench.closed_ids() == ["v1"]


async def test_a_viewer_that_leaves_is_closed(bench: Bench) -> None:
    bench.dial()
    viewer = await bench.connect("v1")
    await bench.step("v1", "first_sent")
    if viewer is not None:
        await viewer.wait_packets()  # its own handshake may end after the core's
    await bench.leave("v1")
    assert (await bench.closed("v1")).cause == "closed_by_peer"
    assert bench.core.stats().viewers == 0


async def test_a_viewer_may_be_there_before_the_camera(real: Bench) -> None:
    viewer = await real.connect("v1")
    assert viewer is not None
    await real.heard(ViewerConnected)
    assert viewer_row(real, "v1").packets == 0
    real.dial()
    await viewer.wait_packets(40, PATIENCE_S)
    assert_uninterrupted(viewer)


async def test_a_viewer_goes_on_in_the_same_time_when_the_camera_is_dialled_again(
    real: Bench,
) -> None:
    real.dial()
    viewer = await real.connect("v1")
    assert viewer is not None
    await viewer.wait_packets(60, PATIENCE_S)
    await real.lose_camera()
    await real.heard(SourceLost)
    real.dial()
    await real.heard(SourceLive, times=2)
    await viewer.wait_packets(len(viewer.packets) + 60, PATIENCE_S)
    assert_uninterrupted(viewer)
    assert bench_has_one_view(real)


def bench_has_one_view(bench: Bench) -> bool:
    return bench.core.stats().viewers == 1 and bench.closed_ids() == []


async def test_the_last_packet_leaves_with_the_lease(real: Bench) -> None:
    real.dial()
    viewer = await real.connect("v1")
    kept = await real.connect("v2")
    assert viewer is not None
    assert kept is not None
    await viewer.wait_packets(1, PATIENCE_S)
    until, held_up = time.time() + 1.0, HeldUp()
    real.core.renew_viewers([("v1", until)])
    closed = await real.closed("v1")
    assert time.time() > until - 0.1
    await viewer.wait_goodbye(PATIENCE_S)
    last = viewer.packets[-1].at + (time.time() - time.monotonic())
    assert closed.cause == "lease_expired"
    assert last - until < 0.5 + held_up.seconds()
    await kept.wait_packets(len(kept.packets) + 20, PATIENCE_S)
    assert_uninterrupted(kept)


async def test_a_certificate_that_was_not_offered_is_refused(real: Bench) -> None:
    def forged(offer: str) -> str:
        lines = (
            "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)
            if line.startswith("a=fingerprint:sha-256")
            else line
            for line in offer.splitlines()
            if not line.startswith(("a=fingerprint:sha-384", "a=fingerprint:sha-512"))
        )
        return "\r\n".join(lines) + "\r\n"

    real.dial()
    await real.connect("v1", offered=forged)
    closed = await real.closed("v1")
    assert (closed.cause, closed.packets) == ("fingerprint_mismatch", 0)
    assert not any(isinstance(event, ViewerConnected) for event in real.seen)


@pytest.mark.parametrize(
    ("path", "password", "cause"),
    [
        ("/cam/1/sub", "Kx9-wrong-lantern", "auth_failed"),
        ("/cam/99/sub", PASSWORD, "not_found"),
    ],
)
async def test_what_a_camera_refuses_is_a_cause_that_lasts_and_no_secret_is_told(
    real: Bench,
    farm: Farm,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    path: str,
    password: str,
    cause: str,
) -> None:
    caplog.set_level("DEBUG")
    real.core.open_source(STREAM, spec(f"rtsp://127.0.0.1:{farm.port}{path}", password))
    lost = await real.heard(SourceLost)
    assert (lost.cause, lost.retryable) == (cause, False)
    assert row_of(real).cause == cause
    printed = "".join(capfd.readouterr())
    for secret in (password, "p%40ss%3Aw%2Frd%231"):
        for text in (repr(real.seen), caplog.text, printed, str(row_of(real))):
            assert secret not in text


async def test_a_camera_with_a_hard_password_is_pulled(real: Bench, farm: Farm) -> None:
    real.core.open_source(STREAM, spec(f"rtsp://127.0.0.1:{farm.port}/cam/1/sub", PASSWORD))
    await real.heard(SourceLive)
    assert PASSWORD not in repr(real.seen)


async def test_a_shutdown_says_goodbye(real: Bench) -> None:
    real.dial()
    viewer = await real.connect("v1")
    assert viewer is not None
    await viewer.wait_packets(20, PATIENCE_S)
    async with asyncio.timeout(PATIENCE_S):
        await real.core.shutdown(2000)
    assert (await real.closed("v1")).cause == "shutdown"
    await viewer.wait_goodbye(PATIENCE_S)
    async with asyncio.timeout(PATIENCE_S):
        await real.read_to_the_end()
    await eventually("the camera is let go", lambda: real.camera.playing == 0)
    assert [type(event) for event in real.seen].count(ViewerClosed) == 1


async def test_a_viewer_goes_over_to_the_other_stream_and_back(real: Bench, farm: Farm) -> None:
    url = f"rtsp://127.0.0.1:{farm.port}/cam/1"
    main = "ch_1/main"
    real.core.open_source(STREAM, spec(f"{url}/sub", PASSWORD))
    viewer = await real.connect("v1")
    assert viewer is not None
    await viewer.wait_packets(60, PATIENCE_S)
    real.core.switch_viewer("v1", main, real.kit.permit())
    real.core.open_source(main, spec(f"{url}/main", PASSWORD))
    await real.heard(ViewerSwitched)
    assert viewer_row(real, "v1").stream_id == main
    real.core.switch_viewer("v1", STREAM, real.kit.permit())
    back = await real.heard(ViewerSwitched, times=2)
    assert back == ViewerSwitched("v1", STREAM)
    await viewer.wait_packets(len(viewer.packets) + 60, PATIENCE_S)
    assert_uninterrupted(viewer)
    assert real.closed_ids() == []
