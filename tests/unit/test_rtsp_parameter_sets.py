"""Parameter sets: written bit by bit, made by foreign encoders, and any bytes at all."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest
from av.video.codeccontext import VideoCodecContext
from hypothesis import given
from hypothesis import strategies as st

from gateways.rtsp.bits import BitReader, BitstreamInvalid, unescaped
from gateways.rtsp.parameter_sets import PictureFormat, h264_format, h265_format
from support.nal_writer import BitWriter


@given(st.lists(st.integers(0, 2**32 - 2), max_size=20), st.binary(max_size=60))
def test_codes_read_back_as_written(values: list[int], tail: bytes) -> None:
    writer = BitWriter().ue(*values)
    for byte in tail:
        writer.u(8, byte)
    bits = BitReader(unescaped(writer.payload()))
    assert [bits.ue() for _ in values] == values
    assert bytes(bits.u(8) for _ in tail) == tail


@given(st.lists(st.integers(-(2**30), 2**30), max_size=20))
def test_signed_codes_read_back_as_written(values: list[int]) -> None:
    bits = BitReader(unescaped(BitWriter().se(*values).payload()))
    assert [bits.se() for _ in values] == values


@given(st.binary(max_size=200))
def test_any_bytes_are_a_format_or_a_typed_error(body: bytes) -> None:
    for head, parse in ((b"\x67", h264_format), (b"\x42\x01", h265_format)):
        try:
            found = parse(head + body)
        except BitstreamInvalid:
            continue
        assert 0 < found.width <= 16_384
        assert found.fps is None or found.fps <= 300


@pytest.mark.parametrize("cut", range(4, 24))
def test_a_set_that_was_cut_short_is_refused(cut: int) -> None:
    nal = _h264(high=True, crop_bottom=4, fps=25)
    with pytest.raises(BitstreamInvalid):
        h264_format(nal[: min(cut, len(nal) - 6)])


def _h264(
    *,
    high: bool = False,
    interlaced: bool = False,
    crop_bottom: int = 0,
    fps: int | None = None,
    lists: bool = False,
    profile: int = 77,
    constraints: int = 0,
) -> bytes:
    """1920x1088 before cropping."""
    bits = BitWriter().u(8, 100 if high else profile).u(8, constraints).u(8, 40).ue(0)
    if high:
        bits.ue(1, 0, 0).u(1, 0).u(1, int(lists))
        if lists:
            bits.u(1, 1).se(*[1] * 16).u(7, 0)  # one list of sixteen, the others by default
    bits.ue(0, 0, 0, 1).u(1, 0).ue(119, 33 if interlaced else 67).u(1, int(not interlaced))
    if interlaced:
        bits.u(1, 0)
    bits.u(1, 1)
    bits.u(1, int(crop_bottom > 0))
    if crop_bottom:
        bits.ue(0, 0, 0, crop_bottom)
    bits.u(1, int(fps is not None))
    if fps is not None:
        # aspect ratio written out, no overscan, a video signal with colours, chroma places
        bits.u(1, 1).u(8, 255).u(32, 0x00010001).u(1, 0).u(1, 1).u(4, 10).u(1, 1).u(24, 0x010101)
        bits.u(1, 1).ue(0, 0).u(1, 1).u(32, 1).u(32, 2 * fps).u(1, 1)
    return b"\x67" + bits.payload()


@pytest.mark.parametrize(
    ("nal", "expected"),
    [
        (_h264(), PictureFormat("Main", "4.0", 1920, 1088, None)),
        (_h264(crop_bottom=4, fps=25), PictureFormat("Main", "4.0", 1920, 1080, 25.0)),
        (_h264(high=True, lists=True, crop_bottom=4, fps=30),
         PictureFormat("High", "4.0", 1920, 1080, 30.0)),
        (_h264(interlaced=True, crop_bottom=2),
         PictureFormat("Main", "4.0", 1920, 1080, None, interlaced=True)),
        (_h264(profile=66, constraints=0x40),
         PictureFormat("Constrained Baseline", "4.0", 1920, 1088, None)),
        (_h264(profile=66), PictureFormat("Baseline", "4.0", 1920, 1088, None)),
    ],
)  # fmt: skip
def test_h264_sets_as_written(nal: bytes, expected: PictureFormat) -> None:
    assert h264_format(nal) == expected


def encoded(codec: str, width: int, height: int, fps: int, options: dict[str, str]) -> bytes:
    """The parameter set that a foreign encoder makes (libx264, libx265)."""
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(fps), Fraction(1, fps)
    encoder.options = options
    picture = av.VideoFrame(width, height, "yuv420p")
    picture.pts = 0
    stream = b"".join(bytes(p) for p in encoder.encode(picture) + encoder.encode(None))
    kind = 33 if codec == "libx265" else 7
    for nal in stream.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1"):
        if nal and (nal[0] >> 1 & 0x3F if codec == "libx265" else nal[0] & 0x1F) == kind:
            return nal
    raise AssertionError("the encoder made no parameter set")


@pytest.mark.parametrize(
    ("profile", "size", "fps", "name"),
    [
        ("baseline", (640, 360), 15, "Constrained Baseline"),
        ("main", (1280, 720), 25, "Main"),
        ("high", (1918, 1078), 30, "High"),
    ],
)
def test_sets_of_libx264(profile: str, size: tuple[int, int], fps: int, name: str) -> None:
    found = h264_format(encoded("libx264", *size, fps, {"profile": profile}))
    assert (found.profile, found.width, found.height, found.fps) == (name, *size, fps)


@pytest.mark.parametrize(
    ("options", "reorders"),
    [("bframes=0", False), ("bframes=3:scaling-list=default", True), ("amp=1:rect=1", True)],
)
def test_sets_of_libx265(options: str, reorders: bool) -> None:
    quiet = {"x265-params": f"log-level=none:{options}", "preset": "ultrafast"}
    found = h265_format(encoded("libx265", 1278, 718, 25, quiet))
    assert (found.profile, found.width, found.height, found.fps) == ("Main", 1278, 718, 25.0)
    assert (found.bit_depth, found.chroma, found.reorders) == (8, "4:2:0", reorders)
