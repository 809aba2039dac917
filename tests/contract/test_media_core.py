"""What every `MediaCore` must do, whichever it is: the promises of `streamhub.media.contract`.

The fake, the native core and the Python core run the same suite; what holds here, the rooms above
may lean on. Live cameras and viewers are in `test_media_core_live`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from streamhub.media.contract import (
    CoreClosed,
    KeyframeTaken,
    MalformedOffer,
    NoCommonCodec,
    OverCapacity,
    SourceLost,
    StepTaken,
    ViewerClosed,
    ViewerSwitched,
)
from support.core_bench import (
    CODEC,
    CORES,
    OFFER,
    PATIENCE_S,
    REAL_CORES,
    STREAM,
    Bench,
    a_bench,
    dead_end,
)

SOUND_OFFER = OFFER.replace("BUNDLE 0", "BUNDLE 0 1") + (
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=recvonly\r\n"
    "a=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n"
)
VP8_OFFER = OFFER.replace(CODEC, "VP8/90000")


@pytest.fixture(params=CORES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with a_bench(request.param) as bench:
        yield bench


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


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a=ice-ufrag:abcd\r\n", ""),
        ("a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=ice-pwd:short"),
        ("a=fingerprint:sha-256", "a=fingerprint:md5"),
        ("a=setup:actpass", "a=setup:passive"),
        ("a=rtcp-mux\r\n", ""),
        ("a=recvonly", "a=sendonly"),
        ("m=video 9 UDP/TLS/RTP/SAVPF 96", "m=video 9"),
        ("a=mid:0", "a=mid:"),
    ],
    ids=lambda text: text[:24].strip(),
)
@pytest.mark.parametrize("kind", REAL_CORES)  # the fake reads no SDP
async def test_an_offer_that_lacks_a_part_is_refused(kind: str, old: str, new: str) -> None:
    assert old in OFFER
    async with a_bench(kind) as bench:
        with pytest.raises(MalformedOffer):
            bench.open_viewer("v1", OFFER.replace(old, new))
        assert bench.core.stats().viewers == 0


@pytest.mark.parametrize("kind", REAL_CORES)  # the fake reads no SDP
async def test_what_is_not_video_is_refused_within_the_answer(kind: str) -> None:
    audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=recvonly\r\n"
    async with a_bench(kind) as bench:
        answer = bench.open_viewer("v1", OFFER.replace("BUNDLE 0", "BUNDLE 0 1") + audio)
        session, video, refused = answer.split("m=")
        assert "a=group:BUNDLE 0\r\n" in session
        assert "a=ice-lite" in session
        for line in ("a=setup:passive", "a=sendonly", "a=rtcp-mux", "a=mid:0", "a=candidate:1 1 "):
            assert line in video
        assert refused.startswith("audio 0 ")
        assert "a=mid:1" in refused


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
    bench.open_viewer("long", lease_s=1.0)
    bench.core.renew_viewers([("long", time.time() + 60), ("absent", time.time() + 60)])
    bench.open_viewer("short", lease_s=1.1)
    await bench.closed("short")  # later than the other would have been
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
    assert bench.closed_ids() == ["v1", "v2"]


async def test_only_viewers_of_the_channel_are_closed(bench: Bench) -> None:
    bench.open_viewer("v1")
    bench.open_viewer("other", channel_id="ch_2")
    bench.core.close_viewers(channel_id="ch_1", cause="revoked")
    bench.core.close_viewers(subject_id="su_nobody", cause="revoked")
    await bench.closed("v1")
    assert list(bench.core.viewer_stats(["v1", "other"])) == ["other"]


async def test_whatever_ends_viewers_each_is_told_once(bench: Bench) -> None:
    """By the lease, by hand, by both at once, by the shutdown; and a renewal brings none back."""
    for viewer_id, lease_s in (("lease", 0.05), ("hand", 60), ("both", 0.05), ("stays", 60)):
        bench.open_viewer(viewer_id, lease_s=lease_s)
    bench.core.close_viewers(viewer_ids=["hand"], cause="revoked")
    await bench.closed("lease")
    bench.core.close_viewers(viewer_ids=["both", "lease", "hand"], cause="late")
    bench.core.renew_viewers([(each, time.time() + 60) for each in ("lease", "hand", "both")])
    await bench.closed("both")
    assert list(bench.core.viewer_stats(["lease", "hand", "both", "stays"])) == ["stays"]
    assert bench.core.stats().viewers == 1
    await bench.core.shutdown(1000)
    await bench.closed("stays")
    assert sorted(bench.closed_ids()) == ["both", "hand", "lease", "stays"]
    causes = {e.viewer_id: e.cause for e in bench.seen if isinstance(e, ViewerClosed)}
    assert (causes["lease"], causes["hand"], causes["stays"]) == (
        "lease_expired",
        "revoked",
        "shutdown",
    )


async def test_a_lease_may_be_cut_short(bench: Bench) -> None:
    bench.open_viewer("v1")
    bench.core.renew_viewers([("v1", time.time() + 0.05)])
    assert (await bench.closed("v1")).cause == "lease_expired"


async def test_a_permit_for_another_channel_opens_nothing(bench: Bench) -> None:
    with pytest.raises(ValueError, match="permit"):
        bench.core.open_viewer(
            viewer_id="v1",
            stream_id=STREAM,
            channel_id="ch_1",
            subject_id="su_op",
            offer_sdp=OFFER,
            until=time.time() + 60,
            permit=bench.kit.permit("ch_2"),
        )
    assert bench.core.stats().viewers == 0


async def test_a_camera_that_is_not_there_is_a_loss_with_its_cause(bench: Bench) -> None:
    bench.refuse_dials()
    bench.open_viewer("v1")
    bench.core.open_source(STREAM, dead_end())
    lost = await bench.heard(SourceLost)
    assert (lost.stream_id, lost.cause, lost.retryable) == (STREAM, "connect_refused", True)
    assert "letmein" not in repr(bench.seen)
    step = await bench.heard(StepTaken)
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


async def test_sound_may_be_asked_for_of_any_viewer_and_of_none(bench: Bench) -> None:
    bench.open_viewer("v1")
    bench.open_viewer("v2", SOUND_OFFER)
    for viewer_id in ("v1", "v2", "nobody"):
        for on in (True, True, False):
            bench.core.set_viewer_audio(viewer_id, on)
    rows = bench.core.viewer_stats(["v1", "v2"])
    assert [row.audio_packets for row in rows.values()] == [0, 0]


async def test_a_switch_to_where_it_is_already_is_answered_and_an_unknown_viewer_is_none(
    bench: Bench,
) -> None:
    bench.open_viewer("v1")
    bench.core.switch_viewer("nobody", STREAM, bench.kit.permit())
    bench.core.switch_viewer("v1", "ch_1/main", bench.kit.permit())
    bench.core.switch_viewer("v1", STREAM, bench.kit.permit())
    event = await bench.until(lambda event: isinstance(event, ViewerSwitched))
    assert event == ViewerSwitched("v1", STREAM)
    assert bench.core.viewer_stats(["v1"])["v1"].stream_id == STREAM


async def test_a_wish_said_again_for_a_stream_that_nobody_pulls_changes_nothing(
    bench: Bench,
) -> None:
    bench.open_viewer("v1")
    for _ in range(3):
        bench.core.switch_viewer("v1", "ch_1/main", bench.kit.permit())
    bench.core.switch_viewer("v1", STREAM, bench.kit.permit())
    await bench.until(lambda event: isinstance(event, ViewerSwitched))
    assert not bench.core.stats().counters.get("shards_ended")
    bench.core.close_viewers(viewer_ids=["v1"], cause="revoked")
    assert (await bench.closed("v1")).cause == "revoked"


async def test_a_switch_to_another_channel_needs_a_permit_for_it(bench: Bench) -> None:
    bench.open_viewer("v1")
    with pytest.raises(ValueError, match="another channel"):
        bench.core.switch_viewer("v1", "ch_2/main", bench.kit.permit())


async def test_after_a_shutdown_events_end_and_commands_do_nothing(bench: Bench) -> None:
    bench.open_viewer("v1")
    await asyncio.gather(bench.core.shutdown(1000), bench.core.shutdown(1000))
    async with asyncio.timeout(PATIENCE_S):
        await bench.read_to_the_end()
    bench.core.close_source(STREAM)
    bench.core.close_viewers(channel_id="ch_1", cause="late")
    bench.core.renew_viewers([("v1", time.time() + 60)])
    bench.core.switch_viewer("v1", "ch_1/main", bench.kit.permit())
    bench.core.set_viewer_audio("v1", True)
    bench.core.take_keyframe("r1", STREAM)
    assert bench.closed_ids() == ["v1"]
    assert bench.core.stats().viewers == 0
