"""Whether segments are signed by a known key, and their roots written down apart: for the walk of
`Store.verify_audit`. Blocking; for a thread.
"""

from __future__ import annotations

from collections.abc import Sequence

from .keys import PublicKeys, is_signed
from .model import Faults, Segment
from .roots import RootFiles
from .segment import from_line, line_of, statement, statement_hash


class Judge:
    """Implements `store.contract_audit.SegmentJudge`. `today`: days before it should be signed."""

    def __init__(self, keys: PublicKeys, roots: RootFiles | None) -> None:
        self._keys = keys
        self._roots = roots
        self._before: Segment | None = None
        self._day: list[Segment] = []  # of the day that is under way
        self._days: set[str] = set()
        self._missing: list[Segment] = []  # only behind the newest root that is written
        self._written_to = 0
        if roots is not None:
            self._written_to = roots.last_number()

    def look(self, segments: Sequence[Segment], faults: Faults) -> None:
        for segment in segments:
            if not is_signed(self._keys, segment.key_id, segment.signature, statement(segment)):
                faults.add(
                    segment.first_seq,
                    segment.day,
                    f"The root of segment {segment.number} is not signed by the key"
                    f"{'' if segment.key_id in self._keys else ' (it names another one)'}.",
                )
            if segment.previous != statement_hash(self._before):
                faults.add(
                    segment.first_seq,
                    segment.day,
                    f"Segment {segment.number} names another one before it than there is.",
                )
            self._before = segment
            if self._day and segment.day != self._day[0].day:
                self._compare(faults)
            self._day.append(segment)

    def end(self, faults: Faults) -> Sequence[str]:
        if self._day:
            self._compare(faults)
        if self._roots is None:
            return []
        for day in self._roots.days():
            if day not in self._days:
                self._not_ours(day, set(), faults)
        late = len(self._missing)
        if not late:
            return []
        return [
            f"Roots in {self._roots.directory} end at segment {self._written_to}; "
            f"{late} after it are not written there."
        ]

    def _compare(self, faults: Faults) -> None:
        """One day with its file."""
        segments, self._day = self._day, []
        if self._roots is None:
            return
        day = segments[0].day
        self._days.add(day)
        lines = set(self._roots.lines(day))
        for segment in segments:
            if line_of(segment) in lines:
                continue
            if segment.number > self._written_to:
                self._missing.append(segment)
            else:
                faults.add(
                    segment.first_seq,
                    day,
                    f"The root of segment {segment.number} is not in {self._roots.directory} as "
                    "the registry has it.",
                )
        self._not_ours(day, {line_of(segment) for segment in segments}, faults)

    def _not_ours(self, day: str, ours: set[str], faults: Faults) -> None:
        """Roots that were written down and are not in the registry."""
        roots = self._roots
        if roots is None:
            return
        for number, text in enumerate(roots.lines(day), 1):
            if text in ours:
                continue
            where = f"Line {number} of {day}.jsonl in {roots.directory}"
            try:
                written = from_line(text)
            except ValueError:
                faults.add(0, day, f"{where} is not a signed root: altered, or torn.")
                continue
            if not is_signed(self._keys, written.key_id, written.signature, statement(written)):
                faults.add(0, day, f"{where} is not signed by the key.")
                continue
            faults.add(
                written.first_seq,
                day,
                f"{where}: rows {written.first_seq} to {written.last_seq} were signed as segment "
                f"{written.number}, and the registry has not that one: it was rewritten, or put "
                "back from a backup.",
            )
