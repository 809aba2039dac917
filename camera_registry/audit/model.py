"""What is said of the audit chain: its segments, and what a verification found. Frozen, no SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

SHANGHAI: Final = timezone(timedelta(hours=8))
MAX_FAULTS: Final = 100  # told one by one; beyond it they are counted


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive rows of one day under one signed root (docs/audit.md)."""

    number: int
    day: str  # in Shanghai, ISO 8601
    first_seq: int
    last_seq: int
    spans_from: datetime  # the earliest time of a row, or of the start of a view that it ends
    spans_to: datetime  # the latest time of a row
    prev_hash: str  # of its first row
    last_hash: str
    root: str
    previous: str  # the hash of the statement before; zeros in the first
    sealed_at: datetime
    key_id: str
    signature: str = ""
    cut_at: datetime | None = None  # its rows were removed; not in what is signed

    @property
    def size(self) -> int:
        return self.last_seq - self.first_seq + 1


@dataclass(frozen=True, slots=True)
class Fault:
    """`seq`: the row, or the first one of the segment; 0 where it is about none."""

    seq: int
    day: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class AuditVerification:
    """The outcome of a walk over the chain. `faults` are in the order of the rows, then of the
    segments' days; `notices` are no faults.
    """

    rows_checked: int
    last_hash: str
    segments_checked: int = 0
    rows_cut: int = 0
    faults: tuple[Fault, ...] = ()
    faults_total: int = 0
    notices: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.faults_total == 0

    @property
    def first_bad_seq(self) -> int | None:
        return self.faults[0].seq if self.faults else None

    @property
    def reason(self) -> str | None:
        return self.faults[0].sentence if self.faults else None


def day_of(moment: datetime) -> str:
    """The day in Shanghai, ISO 8601."""
    return moment.astimezone(SHANGHAI).date().isoformat()


class Faults:
    """Collects them, bounded."""

    def __init__(self) -> None:
        self.told: list[Fault] = []
        self.total = 0

    def add(self, seq: int, day: str | None, sentence: str) -> None:
        self.total += 1
        if len(self.told) < MAX_FAULTS:
            self.told.append(Fault(seq, day, sentence))
