"""The words of a grant: who gets it, what for, where, when. Plain data, no SQL, no decision.

What a grant means is decided in `streamhub.access.policy`; how its conditions are held against a
channel is `matching.py`'s, and its weekly times are `weekly.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

ACTIONS: Final = frozenset(
    {"list", "live", "snapshot", "playback", "ptz", "talk", "export", "manage", "audit"}
)
"""The actions a grant may name; what they mean is decided in `streamhub.access`."""


class Effect(StrEnum):
    ALLOW = "allow"
    DENY = "deny"  # wins over every allow


class Op(StrEnum):
    """How a condition's field is held against its values. A fact that a channel does not have
    fits none of them: a rule goes by what is known."""

    EQ = "eq"  # is one of the values
    NE = "ne"  # is there, and is none of them
    PREFIX = "prefix"  # begins with one of them


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of a rule over a channel: field, operator, values."""

    field: str  # a key of importers/fields.yaml
    op: Op
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WeeklyWindow:
    """From a time of day to another, on some days, in Asia/Shanghai. An end that is not after the
    start is on the next day: 22:00 to 06:00 is a night shift, named by the day it begins on."""

    days: tuple[int, ...]  # 0 is Monday, sorted
    start_min: int  # of the day, 0 to 1439
    end_min: int  # 1 to 1440


@dataclass(frozen=True, slots=True)
class Grant:
    """A subject or a role may do actions (or, by a deny, may not), for a time.

    On one channel; or on an area with all beneath it, on what its conditions say (all of them
    hold), or on what they say within the area.
    """

    id: str
    subject_id: str | None  # exactly one of subject_id and role_id is set
    actions: frozenset[str]
    area_id: str | None
    channel_id: str | None  # without area and conditions
    valid_from: datetime
    valid_until: datetime | None
    created_at: datetime
    revoked_at: datetime | None = None
    role_id: str | None = None
    effect: Effect = Effect.ALLOW
    conditions: tuple[Condition, ...] = ()
    windows: tuple[WeeklyWindow, ...] = ()  # none: at all times; else within any of them
    purpose_required: bool = False  # of an allow: whoever uses it says what for
    lent_by: str | None = None  # of a loan: the username of who allowed it
    loan_id: str | None = None  # of a loan, while that is kept

    @property
    def denies(self) -> bool:
        return self.effect is Effect.DENY

    def active_at(self, now: datetime) -> bool:
        """True when not revoked and `now` lies in [valid_from, valid_until), whatever the hour."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return False
        return self.valid_from <= now and (self.valid_until is None or now < self.valid_until)


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of subjects that can be granted things together."""

    id: str
    name: str  # unique, lower case, as a username
    display_name: str


@dataclass(frozen=True, slots=True)
class Purpose:
    """A reason for looking that this district accepts."""

    code: str  # stable, as it is sent and audited
    zh: str
    en: str
    needs_note: bool = False  # whoever names it says more in words of their own


@dataclass(frozen=True, slots=True)
class Stated:
    """What somebody said that they want something for: a purpose's code, and their own words."""

    purpose: str
    note: str | None = None

    def text(self) -> str:
        """As the search looks at it."""
        return self.purpose if self.note is None else f"{self.purpose}: {self.note}"

    def detail(self) -> dict[str, str]:
        """As an audit row keeps it."""
        note = {} if self.note is None else {"purpose_note": self.note}
        return {"purpose": self.purpose, **note}
