"""The words of a quota: whose, how much at once, how much is kept for them. Plain data, no SQL.

What a quota does is `streamhub.delivery.admission`'s.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quota:
    """How much the people of an area (all whose home lies in it), or one subject, may watch at
    once; a limit of None is none.

    `kept_views` and `kept_bps` (bits per second): so much of what the service carries is kept for
    them and for all others of whom something is kept, the command centre; zeros keep nothing.
    """

    area_id: str | None  # exactly one of area_id and subject_id is set
    subject_id: str | None
    max_views: int | None = None
    max_bps: int | None = None
    kept_views: int = 0
    kept_bps: int = 0

    @property
    def holder_id(self) -> str:
        """Of the area or the subject: each has at most one quota."""
        return self.area_id or self.subject_id or ""

    @property
    def keeps(self) -> bool:
        return self.kept_views > 0 or self.kept_bps > 0

    @property
    def says_nothing(self) -> bool:
        return self.max_views is None and self.max_bps is None and not self.keeps


@dataclass(frozen=True, slots=True)
class QuotaDraft:
    """A quota as it is asked for; what is kept stays as it was where it is None."""

    area_id: str | None
    subject_id: str | None
    max_views: int | None = None
    max_bps: int | None = None
    kept_views: int | None = None
    kept_bps: int | None = None

    def over(self, before: Quota | None) -> Quota:
        """In place of the one that there was."""
        kept = (0, 0) if before is None else (before.kept_views, before.kept_bps)
        return Quota(
            self.area_id,
            self.subject_id,
            self.max_views,
            self.max_bps,
            kept[0] if self.kept_views is None else self.kept_views,
            kept[1] if self.kept_bps is None else self.kept_bps,
        )
