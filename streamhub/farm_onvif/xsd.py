"""Durations and times as XML Schema writes them (xsd:duration, xsd:dateTime), and back."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_DURATION = re.compile(
    r"P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?"
)


def duration_s(text: str) -> float | None:
    """Seconds of an `xsd:duration` of days and smaller; None when it is none of these."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def unix_time(text: str) -> float | None:
    """Unix seconds of an `xsd:dateTime`; without an offset it is taken for UTC. None: no time."""
    try:
        read = datetime.fromisoformat(text.strip())
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def date_time(now: float) -> str:
    """`2026-11-26T20:50:00.000Z`."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
