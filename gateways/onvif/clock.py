"""What time a device thinks it is. No I/O.

A UsernameToken is refused when its time is not the device's, so the clock is read first, without
a password (ONVIF Core section 8.1, GetSystemDateAndTime).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lxml import etree

from gateways.onvif.soap import find, flag, integer, operation, text_of

GET_CLOCK = operation("tds", "GetSystemDateAndTime")
# A clock that is further off than this may be right, if its UTC is only local time by mistake.
WRONG_UTC_S = 300.0
# So close to our clock, a time is the device's own: one second of resolution and a slow answer.
SAME_TIME_S = 30.0

_TZ_OFFSET = re.compile(
    r"^(?:<[^>]{1,12}>|[A-Za-z]{1,12})?([+-]?)(\d{1,2})(?::?(\d{2}))?(?::\d{2})?"
)


@dataclass(frozen=True, slots=True)
class ClockReading:
    """`offset_s`: the device's clock minus ours. `from_local`: its UTC was missing or wrong."""

    offset_s: float
    from_local: bool


def read_clock(answer: etree._Element, now: datetime) -> ClockReading | None:
    """Of a GetSystemDateAndTimeResponse. `now`: our UTC at the middle of the exchange.

    None if the answer names no time.
    """
    clock = find(answer, "SystemDateAndTime")
    utc = _date_and_time(find(clock, "UTCDateTime"))
    local = _date_and_time(find(clock, "LocalDateTime"))
    offsets: list[float] = []
    if local is not None:
        daylight = flag(text_of(clock, "DaylightSavings"))
        offsets = [
            (local - shift - now).total_seconds()
            for shift in _shifts(text_of(clock, "TimeZone/TZ"), daylight)
        ]
    nearest = min(offsets, key=abs, default=None)
    if utc is None:
        return None if nearest is None else ClockReading(nearest, True)
    offset_s = (utc - now).total_seconds()
    if nearest is not None and abs(offset_s) > WRONG_UTC_S and abs(nearest) <= SAME_TIME_S:
        return ClockReading(nearest, True)
    return ClockReading(offset_s, False)


def _shifts(zone: str, daylight: bool) -> list[timedelta]:
    """How far local time may be ahead of UTC.

    POSIX 1003.1 counts to the west ("CST-8" is UTC+8); many firmwares count to the east.
    """
    found = _TZ_OFFSET.match(zone.strip())
    west = timedelta()
    if found is not None:
        west = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
        west = -west if found[1] == "-" else west
    summer = timedelta(hours=1 if daylight else 0)
    return [-west + summer, west + summer]


def _date_and_time(element: etree._Element | None) -> datetime | None:
    parts = [
        integer(text_of(element, path))
        for path in (
            "Date/Year",
            "Date/Month",
            "Date/Day",
            "Time/Hour",
            "Time/Minute",
            "Time/Second",
        )
    ]
    if any(part is None for part in parts):
        return None
    year, month, day, hour, minute, second = (part or 0 for part in parts)
    try:
        # Firmwares count a second 60, as leap seconds are.
        whole = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    # Away from the ends of the calendar, so that time zones can be added.
    return whole if 1 < year < 9999 else None
