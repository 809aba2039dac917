"""A request for an export that two people make: one asks, another decides, the first fetches.

Pure: what may be decided and fetched, by whom and until when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from .domain import Actor, Stated
from .errors import Conflict

# A question that nobody answered in a week is none any more; who was allowed to have a file has it
# within a day, or asks again.
PENDING_FOR: Final = timedelta(days=7)
APPROVED_FOR: Final = timedelta(hours=24)


class RequestState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """`asked` is the filter, as JSON; `up_to_seq` the log's last row then; `ends_at`: of a pending
    one, until when it can be decided, of an approved one, until when it can be fetched;
    `covers`: a digest of the areas and cameras that the filter's area stood for when it was
    approved."""

    id: str
    created_at: datetime
    subject_id: str | None  # None: the local operator
    subject_name: str
    asked: Mapping[str, Any]
    up_to_seq: int
    format: str
    stated: Stated
    state: RequestState
    ends_at: datetime
    decided_at: datetime | None = None
    decided_by_id: str | None = None
    decided_by: str | None = None
    reason: str | None = None
    fetched_at: datetime | None = None
    covers: str | None = None
    # Who may know what the asker comes with, a program or a key in a person's name: ids, and names
    # of local operators.
    kept_by: frozenset[str] = frozenset()

    def is_of(self, by: Actor) -> bool:
        return by.is_same_person(self.subject_id, self.subject_name)

    def waits(self, now: datetime) -> bool:
        return self.state is RequestState.PENDING and now < self.ends_at

    def may_be_fetched(self, now: datetime) -> bool:
        return self.state is RequestState.APPROVED and now < self.ends_at

    def require_decidable(self, by: Actor, now: datetime, *, approve: bool) -> None:
        """An approval is taken back by a refusal, while it holds. Raises Conflict("export_own",
        "export_kept", "export_decided", "export_lapsed")."""
        if self.is_of(by):
            raise Conflict(
                "export",
                "export_own",
                "You asked for this export yourself; somebody else has to decide on it.",
            )
        if by.person in self.kept_by:
            raise Conflict(
                "export",
                "export_kept",
                f"You made the account {self.subject_name}, or a password or key of it; somebody "
                "else has to decide on this export.",
            )
        taken_back = not approve and self.may_be_fetched(now)
        if self.state is not RequestState.PENDING and not taken_back:
            raise Conflict(
                "export", "export_decided", f"{self.decided_by} has decided on this export already."
            )
        if now >= self.ends_at:
            raise Conflict(
                "export", "export_lapsed", "Nobody decided on this export in time; ask for it anew."
            )

    def require_fetchable(self, by: Actor, now: datetime) -> None:
        """Raises Conflict("export_not_approved", "export_lapsed", "export_not_yours",
        "export_kept")."""
        if not self.is_of(by):
            raise Conflict("export", "export_not_yours", "Only who asked for an export fetches it.")
        if self.state is not RequestState.APPROVED:
            raise Conflict(
                "export",
                "export_not_approved",
                "Nobody has approved this export; ask a second person to.",
            )
        if now >= self.ends_at:
            raise Conflict(
                "export", "export_lapsed", "The time to fetch this export is over; ask for it anew."
            )
        if (self.decided_by_id or self.decided_by) in self.kept_by:
            raise Conflict(
                "export",
                "export_kept",
                f"{self.decided_by}, who approved it, has made a password or key of this account "
                "since; ask for it anew, and have somebody else decide.",
            )

    def require_unchanged(self, covers: str | None) -> None:
        """Raises Conflict("export_changed")."""
        if covers != self.covers:
            raise Conflict(
                "export",
                "export_changed",
                "What was approved covers other cameras by now; ask again.",
            )
