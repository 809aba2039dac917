"""Rows that the core's threads write and the control plane reads, without asking the threads.

The lock is for the tables; within a row each field has one writer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from streamhub.media.contract import Reception, SourceStats, ViewerStats


@dataclass(slots=True, eq=False)
class SourceRow:
    """`last_packet_at` is monotonic seconds."""

    stream_id: str
    state: str = "opening"
    cause: str | None = None
    last_packet_at: float | None = None
    received_bytes: int = 0
    units: int = 0


@dataclass(slots=True, eq=False)
class ViewerRow:
    """`last_sent_at` is monotonic seconds, `until` unix seconds."""

    viewer_id: str
    stream_id: str
    until: float
    connected: bool = False
    last_sent_at: float | None = None
    sent_bytes: int = 0
    packets: int = 0
    retransmitted: int = 0
    dropped_units: int = 0
    reception: Reception = field(default_factory=Reception)


@dataclass(slots=True)
class Totals:
    """Since the core started; one datagram is one message here."""

    datagrams_sent: int = 0
    messages_sent: int = 0
    send_blocked: int = 0
    datagrams_refused: int = 0
    units_dropped: int = 0


class Figures:
    """The tables of sources and viewers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sources: dict[str, SourceRow] = {}
        self._viewers: dict[str, ViewerRow] = {}
        self.totals = Totals()

    def add_source(self, stream_id: str) -> SourceRow:
        row = SourceRow(stream_id)
        with self._lock:
            self._sources[stream_id] = row
        return row

    def remove_source(self, stream_id: str) -> None:
        with self._lock:
            self._sources.pop(stream_id, None)

    def is_current(self, row: SourceRow) -> bool:
        """Whether the control plane still wants this dial."""
        with self._lock:
            return self._sources.get(row.stream_id) is row

    def add_viewer(self, row: ViewerRow, max_viewers: int) -> bool:
        """False when there are as many as may be."""
        with self._lock:
            if len(self._viewers) >= max_viewers:
                return False
            self._viewers[row.viewer_id] = row
            return True

    def remove_viewer(self, viewer_id: str) -> None:
        with self._lock:
            self._viewers.pop(viewer_id, None)

    def counts(self) -> tuple[int, int]:
        """Sources and viewers."""
        with self._lock:
            return len(self._sources), len(self._viewers)

    def source_stats(self, stream_ids: Collection[str]) -> dict[str, SourceStats]:
        with self._lock:
            rows = [self._sources[each] for each in stream_ids if each in self._sources]
        return {
            row.stream_id: SourceStats(
                row.stream_id,
                row.state,
                _age_ms(row.last_packet_at),
                row.received_bytes,
                row.units,
                row.cause,
            )
            for row in rows
        }

    def viewer_stats(self, viewer_ids: Collection[str]) -> dict[str, ViewerStats]:
        with self._lock:
            rows = [self._viewers[each] for each in viewer_ids if each in self._viewers]
        return {
            row.viewer_id: ViewerStats(
                row.viewer_id,
                row.stream_id,
                row.connected,
                _age_ms(row.last_sent_at),
                row.sent_bytes,
                row.packets,
                row.dropped_units,
                row.until,
                row.reception,
            )
            for row in rows
        }


def _age_ms(at: float | None) -> int | None:
    return None if at is None else max(0, round((time.monotonic() - at) * 1000))
