"""Whether rows, as they are stored, are what their hashes, links and segments say. Pure.

Fed with the rows in order of `seq` and the segments in order of number, in parts of any size.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from ..audit import merkle
from ..audit.model import Faults, Segment, day_of
from .chain import ZERO_HASH, derived, row_hash

CUT: Final = "audit_cut"  # the act of the row that says up to where rows were removed


def row_fault(row: Any) -> str | None:
    """What is wrong with one row by itself, as the end of a sentence that begins with its name. The
    row is as it is stored, perhaps damaged.
    """
    fields = row._mapping
    try:
        detail = json.loads(row.detail)
        if row.hash != row_hash(fields, row.detail):
            return "was changed after it was written"
        for name, value in derived(detail).items():
            if fields[name] != value:
                return f"has another {name} than its detail"
    except (ValueError, TypeError, AttributeError, RecursionError):
        return "cannot be read"
    return None


class ChainCheck:
    """Walks once. `first_seq` is the number of the first row that is there; behind the end of the
    chain for none.
    """

    def __init__(
        self, faults: Faults, first_seq: int, *, after: tuple[int, str] = (0, ZERO_HASH)
    ) -> None:
        """`after`: number and hash of the row before, to walk a part."""
        self.faults = faults
        self._first_seq = first_seq
        self.seq, self.prev_hash = after
        self.rows = 0
        self.segments = 0
        self.rows_cut = 0
        self._cut_told: int | None = None
        self._before: Segment | None = None
        self._due: deque[Segment] = deque()
        self._leaves: list[bytes] = []
        self._marred = False  # a fault within the segment that is under way

    @property
    def known_to(self) -> int:
        """The last seq of the segments that it was told of."""
        return self._due[-1].last_seq if self._due else 0

    def expect(self, segments: Iterable[Segment]) -> None:
        """The segments that come next; of those whose rows were cut the links are what is left."""
        for segment in segments:
            self._check_link(segment)
            self._before = segment
            if segment.last_seq < self._first_seq:
                self.seq, self.prev_hash = segment.last_seq, segment.last_hash
                self.rows_cut = segment.last_seq
                self.segments += 1
            else:
                self._due.append(segment)

    def feed(self, rows: Sequence[Any]) -> None:
        for row in rows:
            self._feed(row)

    def end(self, head_seq: int, head_hash: str) -> None:
        """No row comes any more; the table `audit_head` says where the chain ends."""
        while self._due:
            segment = self._due.popleft()
            self.faults.add(
                max(self.seq + 1, segment.first_seq),
                segment.day,
                f"Rows of segment {segment.number} (up to {segment.last_seq}) are missing.",
            )
        if (head_seq, head_hash) != (self.seq, self.prev_hash):
            bad = self.seq if head_seq == self.seq else min(self.seq, head_seq) + 1
            self.faults.add(
                bad, None, f"The chain should end at row {head_seq}, and ends at row {self.seq}."
            )
        if self.rows_cut and self._cut_told != self.rows_cut:
            self.faults.add(
                1,
                None,
                f"Rows 1 to {self.rows_cut} are gone, and no row says that they were cut.",
            )

    def _check_link(self, segment: Segment) -> None:
        before = self._before
        seq, last_hash = (before.last_seq, before.last_hash) if before else (0, ZERO_HASH)
        if (segment.first_seq, segment.prev_hash) != (seq + 1, last_hash):
            self.faults.add(
                segment.first_seq,
                segment.day,
                f"Segment {segment.number} does not continue the one before it.",
            )

    def _feed(self, row: Any) -> None:
        seq, due = row.seq, self._due
        if seq != self.seq + 1:
            self._missing(seq)
        elif row.prev_hash != self.prev_hash:
            self._fault(row, "does not continue the row before it")
        wrong = row_fault(row)
        if wrong is not None:
            self._fault(row, wrong)
        elif row.act == CUT:
            self._cut_told = json.loads(row.detail).get("last_seq")
        self.rows += 1
        self.seq, self.prev_hash = seq, row.hash
        if due and seq >= due[0].first_seq:
            self._add_leaf(row)
            if seq == due[0].last_seq:
                self._close(due.popleft())

    def _missing(self, seq: int) -> None:
        first = self.seq + 1
        day = self._due[0].day if self._due else None
        if first == seq - 1:
            self.faults.add(first, day, f"Row {first} is missing.")
        else:
            self.faults.add(first, day, f"Rows {first} to {seq - 1} are missing.")
        self._marred = True
        while self._due and self._due[0].last_seq < seq:  # it went as a whole
            self._due.popleft()
            self._leaves = []

    def _fault(self, row: Any, what: str) -> None:
        self.faults.add(row.seq, _day_text(row.at), f"Row {row.seq} {what}.")
        self._marred = True

    def _add_leaf(self, row: Any) -> None:
        try:
            self._leaves.append(merkle.leaf(row.hash))
        except (ValueError, TypeError):
            self._marred = True

    def _close(self, segment: Segment) -> None:
        self.segments += 1
        leaves, marred = self._leaves, self._marred
        self._leaves, self._marred = [], False
        if marred:
            return  # what is wrong was told, row by row
        root = merkle.root(leaves).hex() if leaves else ""
        if (root, self.prev_hash) != (segment.root, segment.last_hash):
            self.faults.add(
                segment.first_seq,
                segment.day,
                f"Rows {segment.first_seq} to {segment.last_seq} are not those that the root of "
                f"segment {segment.number} was made of: all of them were written anew.",
            )


def _day_text(at: object) -> str | None:
    """The day of a stored time, in Shanghai; None of a damaged one."""
    try:
        return day_of(datetime.fromisoformat(str(at)))
    except (ValueError, OverflowError):
        return None
