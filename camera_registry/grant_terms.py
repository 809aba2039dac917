"""What a grant may say, checked: its conditions, its weekly windows, its time, its target. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from . import validation as check
from .channel_facts import merged
from .domain import Condition, DeviceClass, Effect, Op, WeeklyWindow
from .drafts import GrantDraft
from .errors import ValidationFailed
from .importers.fields import fields
from .importers.rows import UNKNOWN_PREFIX
from .matching import CHANNEL_FIELDS
from .weekly import DAY_MIN

# Each is held against each camera: 100,000 of them by eight lines are a tenth of a second.
MAX_CONDITIONS: Final = 8
MAX_VALUES: Final = 50
MAX_VALUE_CHARS: Final = 200  # as long as an address may be
# A shift a day, and two more where one is broken.
MAX_WINDOWS: Final = 21
_CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00")
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def conditions(given: Sequence[Condition]) -> tuple[Condition, ...]:
    """Clean, each value as an import would keep it. Raises ValidationFailed: too_many_conditions,
    unknown_field, condition_operator, condition_values, and what the field's values raise."""
    if len(given) > MAX_CONDITIONS:
        raise ValidationFailed(
            "conditions",
            "too_many_conditions",
            f"A grant has at most {MAX_CONDITIONS} conditions; make two grants of it.",
        )
    return tuple(map(_condition, given))


def _condition(given: Condition) -> Condition:
    if not 1 <= len(given.values) <= MAX_VALUES:
        raise ValidationFailed(
            "conditions", "condition_values", f"A condition has 1 to {MAX_VALUES} values."
        )
    kept = dict.fromkeys(_value(given, value) for value in given.values)
    return Condition(given.field, given.op, tuple(kept))


def _value(given: Condition, text: str) -> str:
    text = check.text("conditions", text, MAX_VALUE_CHARS)
    known = fields().get(given.field)
    is_fact = given.field.startswith(UNKNOWN_PREFIX) or (known is not None and known.of == "facts")
    if not is_fact and given.field not in CHANNEL_FIELDS:
        raise ValidationFailed(
            "conditions",
            "unknown_field",
            f"No rule can go by {given.field[:60]!r}; use device_class, name, code or a fact of "
            "the forms, e.g. owner or point_type.",
        )
    if given.field == "device_class":
        if given.op is Op.PREFIX:
            raise ValidationFailed(
                "conditions", "condition_operator", "A device class is one, or is not one: eq, ne."
            )
        return check.one_of("conditions", text, DeviceClass).value
    if is_fact and given.op is not Op.PREFIX:
        return merged({}, {given.field: text}).get(given.field, text)
    return text


def windows(given: Sequence[WeeklyWindow]) -> tuple[WeeklyWindow, ...]:
    """Raises ValidationFailed: too_many_windows, window_malformed."""
    if len(given) > MAX_WINDOWS:
        raise ValidationFailed(
            "windows", "too_many_windows", f"A grant has at most {MAX_WINDOWS} weekly windows."
        )
    for each in given:
        whole = 0 <= each.start_min < DAY_MIN and 0 < each.end_min <= DAY_MIN
        if not whole or each.start_min == each.end_min or not each.days:
            raise ValidationFailed(
                "windows",
                "window_malformed",
                "A window has days, and two different times of day, e.g. 22:00 to 06:00; a whole "
                "day is 00:00 to 24:00.",
            )
        if not all(0 <= day < len(DAYS) for day in each.days):
            raise ValidationFailed(
                "windows", "window_malformed", f"The days of a week are: {', '.join(DAYS)}."
            )
    return tuple(
        WeeklyWindow(tuple(sorted(set(each.days))), each.start_min, each.end_min) for each in given
    )


def minute(text: str) -> int:
    """`HH:MM`, 00:00 to 24:00, as minutes of the day. Raises ValidationFailed."""
    if _CLOCK.fullmatch(text):
        return int(text[:2]) * 60 + int(text[3:])
    raise ValidationFailed(
        "windows", "window_malformed", f"{text[:20]!r} is no time of day; write it as 22:00."
    )


def clock(minutes: int) -> str:
    """The text of `minute`."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def times(draft: GrantDraft, now: datetime) -> datetime:
    """From when it holds. Raises ValidationFailed: time_without_offset, out_of_range,
    window_empty."""
    valid_from = draft.valid_from or now
    for field, moment in (("valid_from", valid_from), ("valid_until", draft.valid_until)):
        if moment is not None and moment.tzinfo is None:
            raise ValidationFailed(
                field, "time_without_offset", "Give the time with its offset, e.g. +08:00."
            )
        # At the ends of the calendar a time has no UTC, and can't be kept.
        if moment is not None and not 1 < moment.year < 9999:
            raise ValidationFailed(field, "out_of_range", "Give a year between 2 and 9998.")
    if draft.valid_until is not None and draft.valid_until <= max(valid_from, now):
        raise ValidationFailed(
            "valid_until", "window_empty", "The grant would end before it begins."
        )
    return valid_from


def target(draft: GrantDraft) -> None:
    """Who it goes to and what it is on. Raises ValidationFailed: grant_holder, grant_target,
    purpose_unwanted."""
    if (draft.subject_id is None) == (draft.role_id is None):
        raise ValidationFailed(
            "subject_id", "grant_holder", "Grant to one subject or to one role, not to both."
        )
    alone = draft.area_id is None and not draft.conditions
    if (draft.channel_id is None) == alone:
        raise ValidationFailed(
            "area_id",
            "grant_target",
            "Grant on one area, on what conditions say, or on both; or on one channel alone.",
        )
    if draft.purpose_required and draft.effect is Effect.DENY:
        raise ValidationFailed(
            "purpose_required", "purpose_unwanted", "Nobody is asked why of what is denied."
        )
