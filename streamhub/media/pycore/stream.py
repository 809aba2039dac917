"""What one stream keeps: its times over all dials, the GOP since the newest keyframe, and who waits
for a still. Touches no clock, socket or thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from .source import RTP_CLOCK_RATE, Picture, PulledUnit

if TYPE_CHECKING:
    from .source import Pull
    from .viewer import Viewer

TIME_BASE = Fraction(1, RTP_CLOCK_RATE)
# As the native core's: joiners wait for the next keyframe where a GOP is longer.
MAX_GOP_BYTES = 8 * 1024 * 1024
MAX_GOP_UNITS = 600
# Stills that wait for one stream's next keyframe; more end at their caller's deadline.
MAX_KEYFRAME_WAITERS = 64
# A keyframe older than this is no answer for a still.
KEYFRAME_FRESH_S = 10.0
# A camera's time that jumps by more begins anew; B-frames go back by less.
MAX_BACK_TICKS = RTP_CLOCK_RATE
MAX_AHEAD_TICKS = 10 * RTP_CLOCK_RATE


class Timeline:
    """Camera times, of one dial after another, as one time that goes on (90 kHz ticks)."""

    def __init__(self) -> None:
        self._offset: int | None = None
        self._last: int | None = None
        self._last_at = 0.0

    def restart(self) -> None:
        """A new dial: its times have nothing to do with those before."""
        self._offset = None

    def next(self, pts: int | None, now: float) -> int:
        """The time of the next unit, which came at `now` (seconds)."""
        out = None if pts is None or self._offset is None else pts + self._offset
        if self._last is None:
            out = 0
        elif out is None or not -MAX_BACK_TICKS <= out - self._last <= MAX_AHEAD_TICKS:
            out = self._last + max(1, int((now - self._last_at) * RTP_CLOCK_RATE))
        if pts is not None:
            self._offset = out - pts
        self._last, self._last_at = out, now
        return out


@dataclass(frozen=True, slots=True)
class Unit:
    """An access unit as all viewers get it. `pts` is the stream's; `recv_at` monotonic seconds."""

    packet: av.Packet[Any]
    size_bytes: int
    pts: int
    recv_at: float
    picture: Picture | None

    def at(self, pts: int) -> av.Packet[Any]:
        """The packet at another time."""
        packet = av.Packet(bytes(self.packet))
        packet.pts, packet.time_base = pts, TIME_BASE
        return packet

    @property
    def is_keyframe(self) -> bool:
        return self.picture is not None


@dataclass(slots=True, eq=False)
class Stream:
    """One stream; it outlives its sources."""

    stream_id: str
    pull: Pull | None = None
    viewers: set[Viewer] = field(default_factory=set)
    # They watch another stream, and come over with the next keyframe.
    coming: set[Viewer] = field(default_factory=set)
    waiting_stills: list[str] = field(default_factory=list)
    gop: list[Unit] = field(default_factory=list)
    keyframe: Unit | None = None
    is_live: bool = False
    has_b_slices: bool = False
    _gop_bytes: int = 0
    _timeline: Timeline = field(default_factory=Timeline)
    _last_pts: int | None = None

    def begin(self, pull: Pull) -> None:
        """A new dial; viewers go on in the same time."""
        self.pull = pull
        self.is_live = self.has_b_slices = False
        self._last_pts = None
        self._timeline.restart()

    def end(self) -> None:
        """The source is gone. What it left is not shown to those who come now."""
        self.pull = None
        self._clear_gop()

    def take(self, pulled: PulledUnit) -> Unit:
        """Keep a unit, and give it as it goes to viewers."""
        if pulled.pts is not None and self._last_pts is not None:
            # Shown before the one that came before it.
            self.has_b_slices |= 0 < self._last_pts - pulled.pts < MAX_BACK_TICKS
        self._last_pts = pulled.pts
        pts = self._timeline.next(pulled.pts, pulled.recv_at)
        packet = av.Packet(pulled.annexb)
        packet.pts, packet.time_base = pts, TIME_BASE
        unit = Unit(packet, len(pulled.annexb), pts, pulled.recv_at, pulled.picture)
        self._keep(unit)
        return unit

    def fresh_keyframe(self, now: float) -> Unit | None:
        """The newest keyframe, when it is one that answers for a still."""
        if self.pull is None or self.keyframe is None:
            return None
        return self.keyframe if now - self.keyframe.recv_at <= KEYFRAME_FRESH_S else None

    def wait_for_still(self, request_id: str) -> None:
        if len(self.waiting_stills) < MAX_KEYFRAME_WAITERS:
            self.waiting_stills.append(request_id)

    @property
    def is_idle(self) -> bool:
        wanted = self.pull or self.viewers or self.coming or self.waiting_stills
        return not wanted

    def _keep(self, unit: Unit) -> None:
        if unit.is_keyframe:
            self._clear_gop()
            self.keyframe = unit
        elif not self.gop:
            return
        self.gop.append(unit)
        self._gop_bytes += unit.size_bytes
        if len(self.gop) > MAX_GOP_UNITS or self._gop_bytes > MAX_GOP_BYTES:
            self._clear_gop()

    def _clear_gop(self) -> None:
        self.gop.clear()
        self._gop_bytes = 0
