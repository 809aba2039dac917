"""The little of H.264 that has to be known of access units in Annex B (ITU-T H.264, 7.3.1, B)."""

from __future__ import annotations

from collections.abc import Iterator

import av

IDR, SPS, PPS = 5, 7, 8
_START = b"\0\0\1"


def nal_units(annexb: bytes) -> Iterator[bytes]:
    """The NAL units between start codes, without these."""
    at = annexb.find(_START)
    while at >= 0:
        begin = at + len(_START)
        at = annexb.find(_START, begin)
        nal = annexb[begin:] if at < 0 else annexb[begin:at]
        # The fourth byte of the next start code, and trailing zeros.
        nal = nal.rstrip(b"\0")
        if nal:
            yield nal


def nal_type(nal: bytes) -> int:
    return nal[0] & 0x1F


def keyframe_with_sets(annexb: bytes, parameter_sets: bytes) -> bytes | None:
    """An access unit that a decoder can begin with: an IDR picture, parameter sets in front (those
    of `parameter_sets`, in Annex B, where it brings none). None when it is no such unit."""
    types = {nal_type(nal) for nal in nal_units(annexb)}
    if IDR not in types:
        return None
    if {SPS, PPS} <= types:
        return annexb
    known = {nal_type(nal) for nal in nal_units(parameter_sets)}
    return parameter_sets + annexb if {SPS, PPS} <= known else None


def sps_of(annexb: bytes) -> bytes | None:
    """Its first sequence parameter set."""
    return next((nal for nal in nal_units(annexb) if nal_type(nal) == SPS), None)


def profile_of(sps: bytes) -> str:
    """profile_idc as a number, e.g. "66" for Baseline."""
    return str(sps[1]) if len(sps) > 1 else "0"


def picture_size(keyframe: bytes) -> tuple[int, int]:
    """Width and height in pixels, by decoding it; zeros when that fails. Some milliseconds: once
    for each new sequence parameter set."""
    decoder = av.CodecContext.create("h264", "r")
    try:
        frames = [*decoder.decode(av.Packet(keyframe)), *decoder.decode(None)]
    except av.FFmpegError:
        return 0, 0
    first = frames[0] if frames else None
    return (first.width, first.height) if isinstance(first, av.VideoFrame) else (0, 0)
