"""The native core's wrapper: tuples become typed events, errors become ours, loss is not hidden."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest

from camera_registry.secret import Secret
from streamhub import _core
from streamhub.media.contract import (
    CoreClosed,
    Event,
    EventsLost,
    GsoRefused,
    KeyframeTaken,
    MalformedOffer,
    NoCommonCodec,
    OverCapacity,
    Reception,
    RtspTicketRefused,
    SourceHasBSlices,
    SourceLive,
    SourceLost,
    SourceSpec,
    StepTaken,
    ViewerClosed,
    ViewerConnected,
    ViewerLagging,
    WorkerFault,
)
from streamhub.media.native import EVENTS_PER_DRAIN, NativeCore, to_event
from support.delivery_kit import a_room

LIVE = {"codec": "h264", "width": 640, "height": 360, "profile": "42e01f"}
TAKEN = {
    "request_id": "r",
    "codec": "H265",
    "annexb": b"k",
    "age_ms": 7,
    "width": 640,
    "height": 360,
}


REPORTED = {
    "lost_permille_remote": 12,
    "packets_lost_remote": 13,
    "jitter_us_remote": 1400,
    "rtt_us": 15000,
    "retransmitted": 16,
    "transport": "tcp",
    "remb_bps": 17,
}


class FakeNative:
    """The methods of `_core.Core` with an eventfd of its own, and a record of the calls."""

    udp_port = 4711

    def __init__(self) -> None:
        self.event_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.queue: list[tuple[str, str, dict[str, Any]]] = []
        self.calls: list[tuple[Any, ...]] = []
        self.drains = 0
        self.refusal: Exception | None = None

    def push(self, *events: tuple[str, str, dict[str, Any]]) -> None:
        self.queue.extend(events)
        os.eventfd_write(self.event_fd, 1)

    def drain_events(self, max: int) -> list[tuple[str, str, dict[str, Any]]]:
        self.drains += 1
        batch, self.queue = self.queue[:max], self.queue[max:]
        return batch

    def open_viewer(self, *arguments: Any) -> str:
        if self.refusal is not None:
            raise self.refusal
        self.calls.append(("open_viewer", *arguments))
        return "answer"

    def stats(self) -> dict[str, Any]:
        return {"sources": 1, "viewers": 2, "counters": {"drops": 3}}

    def source_stats(self, stream_ids: list[str]) -> list[dict[str, Any]]:
        row = {"state": "live", "last_packet_age_ms": 5, "received_bytes": 6, "packets": 7}
        row |= {"transport": "udp"}
        return [{"stream_id": s, **row, "more": 1} for s in stream_ids if s != "absent"]

    def viewer_stats(self, viewer_ids: list[str]) -> list[dict[str, Any]]:
        row = {"stream_id": "s", "connected": True, "last_packet_age_ms": None, "sent_bytes": 8}
        row |= {"packets": 9, "dropped_units": 10, "until": 11.5}
        row |= {"audio_packets": 17, **REPORTED}
        return [{"viewer_id": v, **row} for v in viewer_ids if v != "absent"]

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> None:
            self.calls.append((name, *arguments))

        return call


@pytest.fixture
def native() -> Iterator[FakeNative]:
    native = FakeNative()
    yield native
    os.close(native.event_fd)


@pytest.mark.parametrize(
    ("native_tuple", "event"),
    [
        (("step", "s", {"step": "dial", "at_ms": 5}), StepTaken("s", "dial", 5)),
        (("source_live", "s", LIVE), SourceLive("s", "h264", 640, 360, "42e01f")),
        (("source_has_b_slices", "s", {}), SourceHasBSlices("s")),
        (
            ("source_lost", "s", {"cause": "stalled", "retryable": True, "detail": "d"}),
            SourceLost("s", "stalled", True, "d"),
        ),
        (
            ("viewer_connected", "v", {"srtp_cipher": "AEAD_AES_256_GCM"}),
            ViewerConnected("v", "AEAD_AES_256_GCM"),
        ),
        (
            ("viewer_closed", "v", {"cause": "c", "sent_bytes": 1, "packets": 2, **REPORTED}),
            ViewerClosed("v", "c", 1, 2, Reception(1.2, 13, 1.4, 15.0, 16, "tcp", 17)),
        ),
        (
            ("rtsp_ticket_refused", "", {"remote": "192.0.2.7", "cause": "ticket_forged"}),
            RtspTicketRefused("192.0.2.7", "ticket_forged"),
        ),
        (("viewer_lagging", "v", {}), ViewerLagging("v")),
        (("keyframe_taken", "s", TAKEN), KeyframeTaken("r", "s", b"k", 7, 640, 360, "H265")),
        (("gso_refused", "", {"detail": "EIO"}), GsoRefused("EIO")),
        (("worker_fault", "v", {"detail": "boom"}), WorkerFault("v", "boom")),
        (("events_lost", "", {}), EventsLost()),
        (("of_a_later_version", "x", {}), None),
    ],
)
def test_each_native_event_has_a_type(
    native_tuple: tuple[str, str, dict[str, Any]], event: Event | None
) -> None:
    assert to_event(*native_tuple) == event


async def test_events_come_in_order_when_the_descriptor_wakes_us(native: FakeNative) -> None:
    core = NativeCore(native=native)
    events = core.events()
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    native.push(*(("step", "s", {"step": f"{n}", "at_ms": n}) for n in range(3)))
    first = await waiting
    rest = [await anext(events) for _ in range(2)]
    assert [event.step for event in (first, *rest)] == ["0", "1", "2"]  # type: ignore[union-attr]
    await events.aclose()  # type: ignore[attr-defined]


async def test_it_sleeps_when_there_is_nothing_and_drains_in_portions(native: FakeNative) -> None:
    core = NativeCore(native=native)
    seen: list[Event] = []

    async def read() -> None:
        async for event in core.events():
            seen.append(event)

    reading = asyncio.create_task(read())
    native.push(*[("viewer_lagging", "v", {})] * (EVENTS_PER_DRAIN * 2 + 1))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(seen) == EVENTS_PER_DRAIN * 2 + 1
    drains = native.drains
    for _ in range(20):
        await asyncio.sleep(0)
    assert native.drains == drains
    await core.shutdown(10)
    await reading  # ends by itself after the shutdown
    assert native.calls[-1] == ("shutdown", 10)


async def test_a_loss_is_told_after_the_older_events_that_survived_it(native: FakeNative) -> None:
    core = NativeCore(native=native)
    native.push(("events_lost", "", {}), ("viewer_lagging", "v", {}))
    events = core.events()
    assert [await anext(events) for _ in range(2)] == [ViewerLagging("v"), EventsLost()]
    await events.aclose()  # type: ignore[attr-defined]


async def test_commands_go_down_as_plain_arguments(native: FakeNative) -> None:
    core = NativeCore(native=native)
    secret = Secret("letmein")
    core.open_source("ch_1/sub", SourceSpec("rtsp", "rtsp://c/s", "admin", secret, "sub"))
    core.close_source("ch_1/sub")
    core.renew_viewers([("v", 1.5)])
    core.renew_viewers([])
    core.close_viewers(viewer_ids={"v"}, cause="revoked")
    core.close_viewers(subject_id="su", cause="revoked")
    core.request_keyframe("ch_1/sub")
    core.take_keyframe("r", "ch_1/sub")
    assert native.calls == [
        ("open_source", "ch_1/sub", "rtsp://c/s", "admin", "letmein"),
        ("close_source", "ch_1/sub"),
        ("renew_viewers", [("v", 1.5)]),
        ("close_viewers", ["v"], None, None, "revoked"),
        ("close_viewers", None, None, "su", "revoked"),
        ("request_keyframe", "ch_1/sub"),
        ("take_keyframe", "r", "ch_1/sub"),
    ]
    assert core.udp_port == 4711


async def test_rows_are_typed_and_absent_ones_left_out(native: FakeNative) -> None:
    core = NativeCore(native=native)
    assert core.stats().counters == {"drops": 3}
    sources = core.source_stats(["s", "absent"])
    assert list(sources) == ["s"]
    assert (sources["s"].state, sources["s"].cause) == ("live", None)
    assert sources["s"].transport == "udp"
    viewers = core.viewer_stats(["v", "absent"])
    assert list(viewers) == ["v"]
    assert (viewers["v"].until, viewers["v"].audio_packets) == (11.5, 17)
    reception = viewers["v"].reception
    assert (reception.rtt_ms, reception.estimated_bps) == (15.0, 17)


async def test_a_refusal_for_the_codec_says_which(
    native: FakeNative, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = type("NoCommonCodec", (ValueError,), {})
    monkeypatch.setattr(_core, "NoCommonCodec", refusal)
    native.refusal = refusal("the camera sends H.265", "H265")
    async with a_room() as kit:
        with pytest.raises(NoCommonCodec, match=r"^the camera sends H\.265$") as refused:
            NativeCore(native=native).open_viewer(
                viewer_id="v",
                stream_id="ch_1/sub",
                channel_id="ch_1",
                subject_id="su_op",
                offer_sdp="v=0",
                until=1.0,
                permit=kit.permit(),
            )
    assert refused.value.codec == "H265"


@pytest.mark.parametrize(
    ("native_name", "expected"),
    [
        ("MalformedOffer", MalformedOffer),
        ("NoCommonCodec", NoCommonCodec),
        ("OverCapacity", OverCapacity),
        ("CoreClosed", CoreClosed),
        (None, MalformedOffer),  # a plain ValueError: nothing but the offer can be wrong
    ],
)
async def test_refusals_become_ours(
    native: FakeNative,
    monkeypatch: pytest.MonkeyPatch,
    native_name: str | None,
    expected: type[Exception],
) -> None:
    refusal: type[Exception] = ValueError
    if native_name is not None:
        refusal = type(native_name, (RuntimeError,), {})
        monkeypatch.setattr(_core, native_name, refusal, raising=False)
    core = NativeCore(native=native)
    native.refusal = refusal("line 3")
    async with a_room() as kit:
        with pytest.raises(expected, match="line 3"):
            core.open_viewer(
                viewer_id="v",
                stream_id="ch_1/sub",
                channel_id="ch_1",
                subject_id="su_op",
                offer_sdp="v=0",
                until=1.0,
                permit=kit.permit(),
            )


async def test_a_permit_for_someone_else_opens_nothing(native: FakeNative) -> None:
    core = NativeCore(native=native)
    async with a_room() as kit:
        with pytest.raises(ValueError, match="another"):
            core.open_viewer(
                viewer_id="v",
                stream_id="ch_2/sub",
                channel_id="ch_2",
                subject_id="su_op",
                offer_sdp="v=0",
                until=1.0,
                permit=kit.permit("ch_1"),
            )
    assert native.calls == []
