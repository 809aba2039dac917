"""RTP payloads of H.264 (RFC 6184) and H.265 (RFC 7798) as pieces of NAL units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateways.rtsp.bits import BitReader, BitstreamInvalid, unescaped

START_CODE = b"\0\0\0\1"
# As much of a slice as its header's first numbers take, emulation bytes included.
SLICE_HEAD_BYTES = 16


@dataclass(frozen=True, slots=True)
class Piece:
    """A NAL unit, or a fragment of one. `starts`: its first byte is here, header and all; what
    follows of a fragment has no header."""

    data: bytes
    kind: int
    starts: bool


def pieces(codec: str, payload: bytes) -> Iterator[Piece]:
    """What one payload holds. What is too short, or of a kind that is not used, is left out."""
    return _h265_pieces(payload) if codec == "H265" else _h264_pieces(payload)


def _h264_pieces(payload: bytes) -> Iterator[Piece]:
    if len(payload) < 2:
        return
    kind = payload[0] & 0x1F
    if kind == 28:  # FU-A
        header = payload[1]
        if header & 0x80:
            first = bytes((payload[0] & 0xE0 | header & 0x1F,))
            yield Piece(first + payload[2:], header & 0x1F, True)
        else:
            yield Piece(payload[2:], header & 0x1F, False)
    elif kind == 24:  # STAP-A
        for nal in _aggregated(payload, 1):
            yield Piece(nal, nal[0] & 0x1F, True)
    elif 1 <= kind <= 23:
        yield Piece(payload, kind, True)


def _h265_pieces(payload: bytes) -> Iterator[Piece]:
    if len(payload) < 3:
        return
    kind = payload[0] >> 1 & 0x3F
    if kind == 49:  # FU
        fragment = payload[2] & 0x3F
        if payload[2] & 0x80:
            first = bytes((payload[0] & 0x81 | fragment << 1, payload[1]))
            yield Piece(first + payload[3:], fragment, True)
        else:
            yield Piece(payload[3:], fragment, False)
    elif kind == 48:  # AP
        for nal in _aggregated(payload, 2):
            yield Piece(nal, nal[0] >> 1 & 0x3F, True)
    elif kind < 48:
        yield Piece(payload, kind, True)


def _aggregated(payload: bytes, at: int) -> Iterator[bytes]:
    """NAL units behind 16-bit sizes, each of two bytes at least."""
    while at + 4 <= len(payload):
        size = int.from_bytes(payload[at : at + 2])
        nal = payload[at + 2 : at + 2 + size]
        if len(nal) >= 2:
            yield nal
        at += 2 + size


def is_keyframe(codec: str, kind: int) -> bool:
    """Slices of a picture that decoding may begin at: IDR, or any IRAP of H.265."""
    return 16 <= kind <= 21 if codec == "H265" else kind == 5


def is_slice(codec: str, kind: int) -> bool:
    return kind <= 31 if codec == "H265" else kind in (1, 5)


def is_parameter_set(codec: str, kind: int) -> bool:
    return kind in (32, 33, 34) if codec == "H265" else kind in (7, 8)


def is_sps(codec: str, kind: int) -> bool:
    return kind == (33 if codec == "H265" else 7)


def h264_is_b_slice(nal: bytes) -> bool:
    """Whether a NAL unit of type 1 is a B slice (section 7.4.3, table 7-6). A header that does not
    read is none."""
    try:
        bits = BitReader(unescaped(nal[1:SLICE_HEAD_BYTES]))
        bits.ue()  # first_mb_in_slice
        return bits.ue() % 5 == 1
    except BitstreamInvalid:
        return False
