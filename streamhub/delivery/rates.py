"""What each stream takes, in bits per second: as measured at its source, assumed before that.

A view sends every packet of its stream, so this is what it takes too; and it is known before the
view is opened, does not fall because one viewer is slow, and costs a row of each stream, not of
each view.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from streamhub.media.contract import MediaCore, profile_of

# Of streams that were never measured: 1080p and D1 as cameras are usually set up (H.264, 25 fps).
ASSUMED_BPS: Final = {"main": 4_000_000, "sub": 600_000}
# Twice a long GOP: a shorter window would see keyframes come and go.
WINDOW_S: Final = 8.0
# What was once measured is the best guess at the next pull; as many as a district has streams.
MAX_KNOWN: Final = 20_000


class StreamRates:
    """For the event loop's thread."""

    def __init__(self, core: MediaCore) -> None:
        self._core = core
        self._known: dict[str, int] = {}
        self._read: dict[str, int] = {}  # bytes, at the reading before
        self._read_at_s: float | None = None

    def of(self, stream_id: str) -> int:
        """Bits per second; never 0."""
        known = self._known.get(stream_id)
        return ASSUMED_BPS[profile_of(stream_id)] if known is None else known

    def measure(self, clock_s: float, stream_ids: Collection[str]) -> bool:
        """Call it as often as you like: a window is closed when it is over. True then."""
        span_s = WINDOW_S if self._read_at_s is None else clock_s - self._read_at_s
        if span_s < WINDOW_S:
            return False
        read = {
            row.stream_id: row.received_bytes
            for row in self._core.source_stats(stream_ids).values()
            if row.state == "live"
        }
        for stream_id, received in read.items():
            before = self._read.get(stream_id)
            # A source that was dialled anew counts anew, and one that stalls will go on.
            if self._read_at_s is not None and before is not None and received > before:
                self._learn(stream_id, round((received - before) * 8 / span_s))
        self._read, self._read_at_s = read, clock_s
        return True

    def _learn(self, stream_id: str, bps: int) -> None:
        """Half of it from the windows before: one busy scene is not the stream."""
        known = self._known.pop(stream_id, bps)
        if len(self._known) >= MAX_KNOWN:
            self._known.pop(next(iter(self._known)))
        self._known[stream_id] = max(1, (known + bps) // 2)
