"""What a stream's packets tell about it: sans-IO, fed with packets and the time of each.

Size and profile come from the parameter sets, the rest is counted. The first group of pictures is
not measured when there are others: many cameras begin it with a keyframe made for PLAY.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from gateways.rtsp.bits import BitstreamInvalid
from gateways.rtsp.parameter_sets import PictureFormat, h264_format, h265_format
from gateways.rtsp.payloads import (
    START_CODE,
    Piece,
    h264_is_b_slice,
    is_keyframe,
    is_parameter_set,
    is_slice,
    is_sps,
    pieces,
)

RTP_HEADER_BYTES: Final = 12
VIDEO_CLOCK_HZ: Final = 90_000  # RFC 6184 section 8.2.1, RFC 7798 section 7.1
# Keyframes of 4K cameras are under 2 MB; a larger one is not kept for the still.
MAX_KEYFRAME_BYTES: Final = 4 << 20
# So many pictures in 12 s would be over 300 a second.
MAX_PICTURES: Final = 4_096
# Two whole GOPs tell whether they vary; they begin with the second keyframe.
KEYFRAMES_WANTED: Final = 4
# A GOP is of another length when it differs by more than this share, and by more than a picture.
VARYING_RATIO: Final = 1.5
# A rate over less is the burst at the beginning.
SHORTEST_S: Final = 0.5
NTP_TO_UNIX_S: Final = 2_208_988_800  # RFC 5905 section 6
_SENDER_REPORT: Final = 200
_WRAP: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Measured:
    """What `StreamMeasure` found out; units in the names, None for what was not learnt."""

    format: PictureFormat | None
    fps: float | None
    bit_rate_bps: int | None
    gop_ms: int | None
    gop_pictures: int | None
    gop_at_least_ms: int | None
    gop_varies: bool
    b_frames: bool
    first_keyframe_at: float | None
    clock_skew_ms: int | None
    packets: int
    lost: int


@dataclass(slots=True)
class _Keyframe:
    """One on its way: the parameter sets before it and its slices, as Annex B."""

    data: bytearray = field(default_factory=bytearray)
    broken: bool = False

    def add(self, piece: Piece) -> None:
        if len(self.data) + len(piece.data) > MAX_KEYFRAME_BYTES:
            self.broken = True
        elif piece.starts:
            self.data += START_CODE + piece.data
        else:
            self.data += piece.data


class StreamMeasure:
    """Counts one stream. `sets`: parameter sets from the SDP. Times are monotonic seconds."""

    def __init__(self, codec: str, payload_type: int, sets: Iterable[bytes] = ()) -> None:
        # given
        self._codec = codec
        self._payload_type = payload_type
        # owned
        self._sets: dict[int, bytes] = {}
        self._format: PictureFormat | None = None
        self._seq: int | None = None
        self._rtp_ts: int | None = None
        self._unwrapped = 0
        self._times: list[int] = []  # of each picture, rtp_ts unwrapped
        self._keyframes: list[int] = []  # places in `_times`
        self._bytes_before: list[int] = []  # each keyframe
        self._current: _Keyframe | None = None
        self._began: float | None = None
        self._last = 0.0
        self._bytes = 0
        self._before = 0  # the packet at hand
        self._first_keyframe_at: float | None = None
        self._b_frames = False
        self._skew_ms: int | None = None
        # derived
        self.packets = 0
        self.lost = 0
        self.keyframe: bytes | None = None
        for nal in sets:
            self._parameter_set(nal)

    @property
    def keyframes(self) -> int:
        return len(self._keyframes)

    def packet(self, now: float, packet: bytes) -> bool:
        """One RTP packet (RFC 3550 section 5.1); whether it is of this stream."""
        if len(packet) < RTP_HEADER_BYTES or packet[0] >> 6 != 2:
            return False
        if packet[1] & 0x7F != self._payload_type:
            return False
        payload = _payload(packet)
        if self._began is None:
            self._began = now
        self.packets += 1
        self._last = now
        self._before, self._bytes = self._bytes, self._bytes + len(packet)
        if not self._in_order(int.from_bytes(packet[2:4])):
            return True
        rtp_ts = int.from_bytes(packet[4:8])
        if rtp_ts != self._rtp_ts:
            self._new_picture(rtp_ts)
        for piece in pieces(self._codec, payload):
            self._piece(now, piece)
        if packet[1] & 0x80:  # marker: the picture's last packet
            self._picture_ended()
        return True

    def report(self, wall: float, packet: bytes) -> None:
        """An RTCP packet; `wall` is Unix seconds when it came. The first sender report's clock is
        compared (RFC 3550 section 6.4.1)."""
        if self._skew_ms is not None or len(packet) < 20 or packet[1] != _SENDER_REPORT:
            return
        seconds, fraction = int.from_bytes(packet[8:12]), int.from_bytes(packet[12:16])
        # Before 1970: no clock, or one that counts from the camera's start, as the section allows.
        if seconds >= NTP_TO_UNIX_S:
            camera = seconds - NTP_TO_UNIX_S + fraction / _WRAP
            self._skew_ms = round((camera - wall) * 1000)

    def enough(self) -> bool:
        """Whether more would tell nothing new: two whole GOPs and a keyframe to show."""
        return self.keyframes >= KEYFRAMES_WANTED and self.keyframe is not None

    def expects_by(self) -> float | None:
        """The time at which the next keyframe is due if the GOP is steady; None: not known."""
        if len(self._keyframes) < 3 or self._began is None:
            return None
        return self._last + max(0, self._gops()[-1] - self._tail()) / VIDEO_CLOCK_HZ

    def measured(self) -> Measured:
        """What is known now."""
        gops = self._gops()
        whole = gops[1:] if len(gops) > 1 else []
        gop_ms = max(map(_ms, whole), default=None)
        counts = [b - a for a, b in pairwise(self._keyframes)][1:]
        return Measured(
            format=self._format,
            fps=self._fps(),
            bit_rate_bps=self._bit_rate(),
            gop_ms=gop_ms,
            gop_pictures=max(counts, default=None),
            gop_at_least_ms=_ms(max([*gops, self._tail()])) if self._keyframes else None,
            gop_varies=_varies([*whole, *self._unended(whole)]),
            b_frames=self._b_frames or (self._format is not None and self._format.reorders),
            first_keyframe_at=self._first_keyframe_at,
            clock_skew_ms=self._skew_ms,
            packets=self.packets,
            lost=self.lost,
        )

    # --- inside -----------------------------------------------------------------------------------

    def _in_order(self, seq: int) -> bool:
        """False for one that was overtaken: not lost, but its picture has gone on without it."""
        if self._seq is not None:
            missing = (seq - self._seq - 1) & 0xFFFF
            if missing >= 0x8000:
                self.lost = max(0, self.lost - 1)
                return False
            if missing:
                self.lost += missing
                if self._current is not None:
                    self._current.broken = True
        self._seq = seq
        return True

    def _new_picture(self, rtp_ts: int) -> None:
        self._picture_ended()
        if self._rtp_ts is not None:
            step = (rtp_ts - self._rtp_ts) & (_WRAP - 1)
            if step >= _WRAP // 2:
                step -= _WRAP
                # Back by less than a second: shown in another order than sent.
                self._b_frames = self._b_frames or -step < VIDEO_CLOCK_HZ
            self._unwrapped += step
        self._rtp_ts = rtp_ts
        if len(self._times) < MAX_PICTURES:
            self._times.append(self._unwrapped)

    def _piece(self, now: float, piece: Piece) -> None:
        if piece.starts:
            if is_parameter_set(self._codec, piece.kind):
                self._parameter_set(piece.data)
                return
            if is_keyframe(self._codec, piece.kind):
                self._keyframe_slice(now)
            elif self._codec == "H264" and piece.kind == 1 and not self._b_frames:
                self._b_frames = h264_is_b_slice(piece.data)
        if self._current is not None and is_slice(self._codec, piece.kind):
            self._current.add(piece)

    def _keyframe_slice(self, now: float) -> None:
        place = len(self._times) - 1
        if self._keyframes and self._keyframes[-1] == place:
            return  # another slice of it
        if len(self._times) < MAX_PICTURES:
            self._keyframes.append(place)
            self._bytes_before.append(self._before)
        if self._first_keyframe_at is None:
            self._first_keyframe_at = now
        if self.keyframe is None:
            self._current = _Keyframe()

    def _picture_ended(self) -> None:
        current, self._current = self._current, None
        if current is not None and not current.broken and self._sets:
            head = b"".join(START_CODE + self._sets[kind] for kind in sorted(self._sets))
            self.keyframe = head + bytes(current.data)

    def _parameter_set(self, nal: bytes) -> None:
        if len(nal) < 2:
            return
        kind = nal[0] >> 1 & 0x3F if self._codec == "H265" else nal[0] & 0x1F
        if not is_parameter_set(self._codec, kind) or self._sets.get(kind) == nal:
            return
        self._sets[kind] = nal
        if is_sps(self._codec, kind):
            try:
                self._format = h265_format(nal) if self._codec == "H265" else h264_format(nal)
            except BitstreamInvalid:
                self._format = None

    def _gops(self) -> list[int]:
        """Lengths in rtp_ts of all that have ended, the first one too."""
        return [self._times[b] - self._times[a] for a, b in pairwise(self._keyframes)]

    def _tail(self) -> int:
        """How long the GOP that has not ended is by now."""
        return self._times[-1] - self._times[self._keyframes[-1]] if self._keyframes else 0

    def _unended(self, whole: list[int]) -> list[int]:
        """The last GOP when it is longer than all whole ones already."""
        return [self._tail()] if whole and self._tail() > max(whole) else []

    def _bit_rate(self) -> int | None:
        """Of whole GOPs where there are any: keyframes are many times as large as the rest."""
        if len(self._keyframes) > 2:
            ticks = self._times[self._keyframes[-1]] - self._times[self._keyframes[1]]
            sent = self._bytes_before[-1] - self._bytes_before[1]
            return round(sent * 8 * VIDEO_CLOCK_HZ / ticks) if ticks > 0 else None
        seconds = 0.0 if self._began is None else self._last - self._began
        return round(self._bytes * 8 / seconds) if seconds > SHORTEST_S else None

    def _fps(self) -> float | None:
        if len(self._times) < 3:
            return None
        span = max(self._times) - min(self._times)
        return round((len(self._times) - 1) * VIDEO_CLOCK_HZ / span, 2) if span > 0 else None


def _payload(packet: bytes) -> bytes:
    at = RTP_HEADER_BYTES + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10 and at + 4 <= len(packet):
        at += 4 + 4 * int.from_bytes(packet[at + 2 : at + 4])
    end = len(packet)
    if packet[0] & 0x20:
        end = max(at, end - packet[-1])
    return packet[at:end]


def _ms(ticks: int) -> int:
    return round(ticks * 1000 / VIDEO_CLOCK_HZ)


def _varies(gops: list[int]) -> bool:
    return len(gops) > 1 and max(gops) > VARYING_RATIO * max(1, min(gops))
