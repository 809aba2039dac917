"""What packets tell: groups of pictures, B slices, rates, losses, the clock; on a virtual clock."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from gateways.rtsp.interleaved import Desynchronised, InterleavedReader
from gateways.rtsp.measure import StreamMeasure
from support.nal_writer import BitWriter, h264_slice, rtp, sender_report

SPS = b"\x67" + BitWriter().u(24, 77 << 16 | 40).ue(0, 0, 0, 0, 1).u(1, 0).ue(39, 22).u(
    1, 1
).u(1, 1).u(2, 0).payload()  # fmt: skip
PPS = b"\x68\xce\x3c\x80"
FPS = 25


def pictures(gops: list[int], *, b_every: int = 0) -> Iterator[bytes]:
    """The packets of so many GOPs of so many pictures; rtp_ts wraps on the way."""
    seq = itertools.count(65_500)
    number = itertools.count()
    for length in gops:
        for place in range(length):
            rtp_ts = 0xFFFF_0000 + next(number) * 90_000 // FPS
            if place == 0:
                yield rtp(SPS, next(seq), rtp_ts)
                yield rtp(PPS, next(seq), rtp_ts)
            b = b_every > 0 and place % b_every == 1
            yield rtp(h264_slice(key=place == 0, b=b), next(seq), rtp_ts, marker=True)


def measure(gops: list[int], **kinds: int) -> StreamMeasure:
    found = StreamMeasure("H264", 96)
    for packet in pictures(gops, **kinds):
        at = (int.from_bytes(packet[4:8]) - 0xFFFF_0000) % (1 << 32) / 90_000
        found.packet(100 + at, packet)
    return found


def test_a_steady_stream_is_told_as_it_is() -> None:
    stream = measure([20, 50, 50, 1])
    assert stream.enough()
    found = stream.measured()
    assert (found.gop_ms, found.gop_pictures, found.gop_varies) == (2000, 50, False)
    assert (found.fps, found.b_frames, found.lost) == (25.0, False, 0)
    assert found.format is not None
    assert (found.format.width, found.format.height) == (640, 368)
    assert found.first_keyframe_at == 100.0
    assert stream.keyframe is not None
    assert stream.keyframe.startswith(b"\0\0\0\1" + SPS + b"\0\0\0\1" + PPS)


def test_the_group_begun_for_play_is_not_taken_for_the_cameras_own() -> None:
    assert measure([3, 50, 50, 1]).measured().gop_varies is False
    assert measure([50, 3]).measured().gop_ms is None
    assert measure([50, 3]).measured().gop_at_least_ms == 2000


def test_groups_that_stretch_are_seen_also_while_one_is_still_open() -> None:
    assert measure([5, 50, 120, 1]).measured().gop_varies
    assert measure([5, 50, 120]).measured().gop_varies
    assert not measure([5, 50, 30]).measured().gop_varies


def test_b_slices_are_seen_in_their_headers() -> None:
    assert measure([25, 25], b_every=3).measured().b_frames


def test_pictures_that_go_back_in_time_are_b_pictures_and_a_set_clock_is_none() -> None:
    stream = StreamMeasure("H264", 96)
    for seq, rtp_ts in enumerate((0, 10_800, 3_600, 7_200)):
        stream.packet(1.0, rtp(h264_slice(), seq, rtp_ts, marker=True))
    assert stream.measured().b_frames
    stream = StreamMeasure("H264", 96)
    for seq, rtp_ts in enumerate((900_000, 903_600, 0, 3_600)):
        stream.packet(1.0, rtp(h264_slice(), seq, rtp_ts, marker=True))
    assert not stream.measured().b_frames


def test_what_is_lost_is_counted_and_what_was_overtaken_is_not() -> None:
    stream = StreamMeasure("H264", 96)
    for seq in (1, 2, 5, 4, 7):
        stream.packet(1.0, rtp(h264_slice(), seq, seq * 3600, marker=True))
    found = stream.measured()
    assert (found.packets, found.lost, found.b_frames) == (5, 2, False)


def test_a_keyframe_with_a_hole_is_not_shown_and_the_next_one_is() -> None:
    def fragments(first_seq: int, rtp_ts: int, *, hole: bool) -> Iterator[bytes]:
        for part, flags in enumerate((0x80, 0, 0x40)):
            if not (hole and part == 1):
                payload = bytes((0x7C, flags | 5)) + BitWriter().ue(0, 7, 0).payload()
                yield rtp(payload + bytes((part,)) * 50, first_seq + part, rtp_ts, marker=part == 2)

    stream = StreamMeasure("H264", 96, [SPS, PPS])
    for packet in fragments(1, 0, hole=True):
        stream.packet(1.0, packet)
    assert stream.keyframe is None
    for packet in fragments(4, 3600, hole=False):
        stream.packet(1.1, packet)
    assert stream.keyframe is not None
    assert stream.keyframe.count(b"\1" * 50) == 1


def test_the_clock_is_read_from_a_sender_report() -> None:
    stream = StreamMeasure("H264", 96)
    stream.report(1_790_000_000.0, sender_report(1_790_003_600.25))
    assert stream.measured().clock_skew_ms == 3_600_250
    for no_clock in (-2_208_988_800, -2_208_988_800 + 86_400):  # zero; a day since its start
        without = StreamMeasure("H264", 96)
        without.report(1_790_000_000.0, sender_report(no_clock))
        assert without.measured().clock_skew_ms is None


def test_the_next_keyframe_is_expected_when_the_gop_says() -> None:
    stream = measure([10, 50, 25])
    due = stream.expects_by()
    assert due is not None
    assert abs(due - (100 + (10 + 50 + 50) / FPS)) < 0.1
    assert measure([10, 5]).expects_by() is None


@given(st.lists(st.binary(max_size=80), max_size=40), st.sampled_from(["H264", "H265"]))
def test_any_packets_are_measured_without_an_error(bodies: list[bytes], codec: str) -> None:
    stream = StreamMeasure(codec, 96)
    for number, body in enumerate(bodies):
        stream.packet(number / 10, rtp(body, number, number * 3600))
        stream.packet(number / 10, body)
        stream.report(0.0, body)
    assert stream.measured().packets >= len(bodies)


@given(st.data(), st.lists(st.binary(max_size=50), max_size=8))
def test_the_cuts_of_a_connection_do_not_matter(data: st.DataObject, packets: list[bytes]) -> None:
    answer = b"RTSP/1.0 200 OK\r\nCSeq: 9\r\nContent-Length: 3\r\n\r\nabc"
    stream = answer
    for number, packet in enumerate(packets):
        stream += b"$" + bytes((number,)) + len(packet).to_bytes(2) + packet + answer
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6).map(sorted))
    reader = InterleavedReader()
    found = []
    for begin, end in itertools.pairwise([0, *cuts, len(stream)]):
        found += reader.feed(stream[begin:end])
    assert found == list(enumerate(packets))
    assert reader.messages == len(packets) + 1


@given(st.lists(st.binary(max_size=300), max_size=12))
def test_any_bytes_are_packets_or_a_typed_error(chunks: list[bytes]) -> None:
    reader = InterleavedReader()
    try:
        for chunk in chunks:
            reader.feed(chunk)
    except Desynchronised:
        pass
