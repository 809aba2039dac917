"""Weekly times: whether a moment lies within some windows of the week, and when that changes. Pure.

The week begins on Monday 00:00 in Asia/Shanghai, which has had no summer time since 1991.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from .grants import WeeklyWindow

DAY_MIN: Final = 24 * 60
WEEK_MIN: Final = 7 * DAY_MIN
_WEEK: Final = timedelta(minutes=WEEK_MIN)
_MINUTE: Final = timedelta(minutes=1)
# A Monday, 00:00 in Shanghai.
_MONDAY: Final = datetime(2024, 1, 1, tzinfo=UTC) - timedelta(hours=8)
# Shifts are few, and many grants share them; each is some hundred bytes.
_KEPT_WEEKS: Final = 1024


class Week:
    """The union of some windows."""

    __slots__ = ("_edges", "_starts_open")

    def __init__(self, windows: Iterable[WeeklyWindow]) -> None:
        spans = sorted(span for window in windows for span in _spans(window))
        merged: list[list[int]] = []
        for start, end in spans:
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        edges = [edge for span in merged for edge in span]
        # What ends with the week and begins with it is one: Sunday night runs into Monday.
        self._starts_open = bool(edges) and (edges[0], edges[-1]) == (0, WEEK_MIN)
        self._edges = edges[1:-1] if self._starts_open else edges

    def is_open(self, moment: datetime) -> bool:
        """`moment` is timezone-aware. A window holds its first instant and not its last."""
        passed = bisect_right(self._edges, (moment - _MONDAY) % _WEEK // _MINUTE)
        return (passed % 2 == 1) is not self._starts_open

    def next_change(self, moment: datetime) -> datetime | None:
        """The first time after `moment` at which `is_open` turns; None when it never does."""
        if not self._edges:
            return None
        into = (moment - _MONDAY) % _WEEK
        passed = bisect_right(self._edges, into // _MINUTE)
        weeks, at = divmod(passed, len(self._edges))
        return moment - into + weeks * _WEEK + self._edges[at] * _MINUTE


@lru_cache(_KEPT_WEEKS)
def week_of(windows: tuple[WeeklyWindow, ...]) -> Week:
    return Week(windows)


def _spans(window: WeeklyWindow) -> Iterable[tuple[int, int]]:
    """In minutes of the week; one that runs into the next week is two."""
    length = (window.end_min - window.start_min - 1) % DAY_MIN + 1
    for day in window.days:
        start = day * DAY_MIN + window.start_min
        end = start + length
        yield start, min(end, WEEK_MIN)
        if end > WEEK_MIN:
            yield 0, end - WEEK_MIN
