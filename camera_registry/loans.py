"""The words of a loan: a camera that is asked for, for a while, and lent or not. Plain data.

What is lent is an ordinary grant with an end; a loan remembers who asked for it, what for, and who
answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

LENDABLE: Final = frozenset({"live", "snapshot", "playback"})
"""Actions that can be borrowed. `list` comes with each of them: what is lent is found."""

MAX_HOURS: Final = 30 * 24  # of a loan, whatever the site allows
MAX_OPEN_HOURS: Final = 7 * 24  # of a question nobody answers
LONGEST: Final = timedelta(hours=MAX_HOURS + MAX_OPEN_HOURS)
"""From the question to the end of the loan, at most."""


class LoanState(StrEnum):
    OPEN = "open"  # nobody has answered yet
    LAPSED = "lapsed"  # nobody answered in time
    WITHDRAWN = "withdrawn"  # by who asked, before an answer
    REFUSED = "refused"
    RUNNING = "running"
    ENDED = "ended"  # by its time, by somebody, or with its camera


@dataclass(frozen=True, slots=True)
class Loan:
    """One question and its answer. What is over by itself is so by the clock: `state_at`."""

    id: str
    subject_id: str
    asked: str  # a 20-digit code or a channel's id as it was given: there may be no such channel
    actions: frozenset[str]  # that were asked for
    reason: str
    minutes: int  # that were asked for; they begin with the answer
    created_at: datetime
    lapses_at: datetime
    withdrawn_at: datetime | None = None
    answered_at: datetime | None = None
    answered_by: str | None = None  # a username, as the audit has it
    refusal: str | None = None  # a sentence
    grant_id: str | None = None
    # Of the grant: what was lent, until when, and when that was revoked.
    channel_id: str | None = None
    lent: frozenset[str] = frozenset()
    until: datetime | None = None
    ended_at: datetime | None = None

    def state_at(self, now: datetime) -> LoanState:
        if self.refusal is not None:
            return LoanState.REFUSED
        if self.answered_at is not None:
            runs = self.until is not None and self.ended_at is None and now < self.until
            return LoanState.RUNNING if runs else LoanState.ENDED
        if self.withdrawn_at is not None:
            return LoanState.WITHDRAWN
        return LoanState.OPEN if now < self.lapses_at else LoanState.LAPSED
