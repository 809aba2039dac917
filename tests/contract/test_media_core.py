"""What every `MediaCore` must do, whichever it is: the promises of `streamhub.media.contract`.

The fake and the native core run the same suite; what holds here, the rooms above may lean on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from camera_registry.secret import Secret
from streamhub import _core
from streamhub.access.permit import Permit
from streamhub.media.contract import (
    CoreClosed,
    Event,
    KeyframeTaken,
    MalformedOffer,
    MediaCore,
    NoCommonCodec,
    OverCapacity,
    SourceLost,
    SourceSpec,
    StepTaken,
    ViewerClosed,
)
from streamhub.media.fake import FakeCore, Script
from streamhub.media.native import NativeCore
from support.delivery_kit import a_room

FINGERPRINT = ":".join(["AB"] * 32)
CODEC = "H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=42e01f"
OFFER = (
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
    f"a=fingerprint:sha-256 {FINGERPRINT}\r\na=setup:actpass\r\na=mid:0\r\na=recvonly\r\n"
    f"a=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:96 {CODEC}\r\n"
)
VP8_OFFER = OFFER.replace(CODEC, "VP8/90000")
STREAM = "ch_1/sub"
# Generous: a shard wakes within milliseconds, a busy test machine does not.
PATIENCE_S = 10.0
CORES = ["fake", *(["native"] if hasattr(_core, "Core") else [])]


class Bench:
    """A core with a reader of its events."""

    def __init__(self, core: MediaCore, permit: Permit, refused: Callable[[], None]) -> None:
        self.core = core
        self.permit = permit
        self.refuse_dials = refused
        self.seen: list[Event] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for event in self.core.events():
            self.seen.append(event)

    async def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The first event that is wanted; the deadline is a failure."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for event in self.seen:
                    if wanted(event):
                        return event
                if isinstance(self.core, FakeCore):
                    self.core.tick()
                await asyncio.sleep(0.005)

    def open_viewer(self, viewer_id: str, offer: str = OFFER, lease_s: float = 60.0) -> str:
        return self.core.open_viewer(
            viewer_id=viewer_id,
            stream_id=STREAM,
            channel_id="ch_1",
            subject_id="su_op",
            offer_sdp=offer,
            until=time.time() + lease_s,
            permit=self.permit,
        )

    async def closed(self, viewer_id: str) -> ViewerClosed:
        event = await self.until(
            lambda event: isinstance(event, ViewerClosed) and event.viewer_id == viewer_id
        )
        assert isinstance(event, ViewerClosed)
        return event

    async def close(self) -> None:
        await self.core.shutdown(1000)
        async with asyncio.timeout(PATIENCE_S):
            await self._reading  # `events()` ends by itself after a shutdown


@pytest.fixture(params=CORES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with a_bench(request.param) as bench:
        yield bench


@asynccontextmanager
async def a_bench(kind: str, max_viewers: int = 100) -> AsyncIterator[Bench]:
    core: MediaCore
    if kind == "fake":
        fake = FakeCore(max_viewers=max_viewers)
        core, refuse = fake, lambda: fake.script(STREAM, Script(fail=("connect_refused", True)))
    else:
        core, refuse = NativeCore(max_viewers=max_viewers), lambda: None
    async with a_room() as kit:
        bench = Bench(core, kit.permit(), refuse)
        try:
            yield bench
        finally:
            await bench.close()


def dead_end() -> SourceSpec:
    """An address on which nobody listens: port 1 of this host."""
    return SourceSpec("rtsp", "rtsp://127.0.0.1:1/cam", "admin", Secret("letmein"), "sub")


async def test_an_answer_comes_at_once_for_a_stream_that_is_not_open(bench: Bench) -> None:
    assert bench.open_viewer("v1").startswith("v=0")
    rows = bench.core.viewer_stats(["v1", "absent"])
    assert list(rows) == ["v1"]
    assert (rows["v1"].stream_id, rows["v1"].connected) == (STREAM, False)
    assert rows["v1"].last_packet_age_ms is None
    assert bench.core.stats().viewers == 1


@pytest.mark.parametrize(
    ("offer", "error"),
    [("", MalformedOffer), ("hello", MalformedOffer), (VP8_OFFER, NoCommonCodec)],
    ids=["empty", "not SDP", "no H.264"],
)
async def test_a_bad_offer_is_refused_and_leaves_nothing(
    bench: Bench, offer: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        bench.open_viewer("v1", offer)
    assert bench.core.viewer_stats(["v1"]) == {}
    assert bench.core.stats().viewers == 0


@pytest.mark.parametrize("kind", CORES)
async def test_the_number_of_viewers_is_bounded(kind: str) -> None:
    async with a_bench(kind, max_viewers=1) as bench:
        bench.open_viewer("v1")
        with pytest.raises(OverCapacity):
            bench.open_viewer("v2")


async def test_a_viewer_ends_at_its_until_by_itself(bench: Bench) -> None:
    bench.open_viewer("v1", lease_s=0.05)
    assert (await bench.closed("v1")).cause == "lease_expired"
    assert bench.core.viewer_stats(["v1"]) == {}


async def test_a_renewed_viewer_stays_and_unknown_ids_are_ignored(bench: Bench) -> None:
    bench.open_viewer("short", lease_s=0.1)
    bench.open_viewer("long", lease_s=0.1)
    bench.core.renew_viewers([("long", time.time() + 60), ("absent", time.time() + 60)])
    await bench.closed("short")
    assert list(bench.core.viewer_stats(["short", "long"])) == ["long"]


@pytest.mark.parametrize("by", ["viewer_ids", "channel_id", "subject_id"])
async def test_viewers_are_closed_with_the_cause_that_was_given(bench: Bench, by: str) -> None:
    bench.open_viewer("v1")
    bench.core.close_viewers(viewer_ids=["absent"], cause="nobody")
    if by == "viewer_ids":
        bench.core.close_viewers(viewer_ids=["v1"], cause="revoked")
    elif by == "channel_id":
        bench.core.close_viewers(channel_id="ch_1", cause="revoked")
    else:
        bench.core.close_viewers(subject_id="su_op", cause="revoked")
    closed = await bench.closed("v1")
    assert (closed.cause, closed.sent_bytes, closed.packets) == ("revoked", 0, 0)


async def test_a_viewer_is_closed_exactly_once(bench: Bench) -> None:
    bench.open_viewer("v1")
    bench.open_viewer("v2")
    for _ in range(3):
        bench.core.close_viewers(viewer_ids=["v1"], cause="revoked")
    bench.core.close_viewers(channel_id="ch_1", cause="again")
    await bench.closed("v2")
    assert [event.viewer_id for event in bench.seen if isinstance(event, ViewerClosed)] == [
        "v1",
        "v2",
    ]


async def test_a_camera_that_is_not_there_is_a_loss_with_its_cause(bench: Bench) -> None:
    bench.refuse_dials()
    bench.open_viewer("v1")
    bench.core.open_source(STREAM, dead_end())
    lost = await bench.until(lambda event: isinstance(event, SourceLost))
    assert isinstance(lost, SourceLost)
    assert (lost.stream_id, lost.cause, lost.retryable) == (STREAM, "connect_refused", True)
    assert "letmein" not in repr(bench.seen)
    step = await bench.until(lambda event: isinstance(event, StepTaken))
    assert isinstance(step, StepTaken)
    assert (step.owner, step.step) == (STREAM, "dial")
    assert abs(step.at_ms - time.time() * 1000) < PATIENCE_S * 1000
    # The stream outlives its source: the viewer is still there for the next dial.
    assert list(bench.core.viewer_stats(["v1"])) == ["v1"]
    assert bench.core.source_stats([STREAM])[STREAM].state == "lost"


async def test_closing_what_is_not_open_is_no_error(bench: Bench) -> None:
    bench.core.close_source("ch_9/main")
    bench.core.close_viewers(viewer_ids=[], cause="nothing")
    bench.core.renew_viewers([])
    bench.core.request_keyframe("ch_9/main")
    assert bench.core.source_stats(["ch_9/main"]) == {}


async def test_a_keyframe_that_never_comes_is_the_callers_to_give_up_on(bench: Bench) -> None:
    bench.core.take_keyframe("r1", "ch_9/main")
    bench.open_viewer("v1", lease_s=0.05)
    await bench.closed("v1")  # later than any answer at once would have been
    assert not any(isinstance(event, KeyframeTaken) for event in bench.seen)


async def test_shutdown_closes_every_viewer_and_refuses_new_ones(bench: Bench) -> None:
    bench.open_viewer("v1")
    await bench.core.shutdown(1000)
    assert (await bench.closed("v1")).cause == "shutdown"
    with pytest.raises(CoreClosed):
        bench.open_viewer("v2")
    await bench.core.shutdown(1000)  # twice is no error
