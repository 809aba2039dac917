"""Cells that are numbers, degrees and dates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Final

from ..errors import ValidationFailed
from .fields import Field, Table
from .texts import fault, narrow, shown

DEGREE_PLACES: Final = 7  # a centimetre
FIRST_YEAR: Final = 1900

_NUMBER = re.compile(r"([+-]?)([0-9]{1,15})(?:\.([0-9]{0,15}))?")
# Primes and quotation marks of many kinds, before NFKC takes a double prime apart.
_MARKS = str.maketrans("º˚′’‘＇″”“＂", "°°''''\"\"\"\"")
_WAY = "[NSEW]|[东西]经|[南北]纬"
_DEGREES = re.compile(
    rf"(?P<before>{_WAY})?:? *(?P<sign>[+-]?)(?P<deg>[0-9]{{1,3}}(?:\.[0-9]{{0,20}})?) *[°度]? *"
    r"(?:(?P<min>[0-9]{1,2}(?:\.[0-9]{0,20})?) *['分] *)?"
    r"(?:(?P<sec>[0-9]{1,2}(?:\.[0-9]{0,20})?) *(?:\"|''|秒) *)?"
    rf"(?P<after>{_WAY})?"
)
_LONGITUDE_WAYS: Final = frozenset({"E", "W", "东经", "西经"})
_NEGATIVE_WAYS: Final = frozenset({"S", "W", "南纬", "西经"})
_DATE = re.compile(
    r"([0-9]{4})[-/.年] ?([0-9]{1,2})[-/.月] ?([0-9]{1,2})日?"
    r"(?:[T ] ?[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_DATE_DIGITS = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_SPREADSHEET_DAY = re.compile(r"[0-9]{5}(?:\.[0-9]{1,15})?")


def integer(field: Field, raw: str, tables: Mapping[str, Table]) -> str:
    """Raises `number_malformed` or `out_of_range`."""
    clean = decimal(field, raw, tables)
    if "." in clean:
        raise fault(field, "number_malformed", f"{shown(clean)} is no whole number; write one.")
    return clean


def decimal(field: Field, raw: str, tables: Mapping[str, Table]) -> str:
    """Without needless zeros; nothing is rounded. Raises `number_malformed` or `out_of_range`."""
    found = _NUMBER.fullmatch(narrow(raw))
    if not found:
        raise fault(
            field,
            "number_malformed",
            f"{shown(raw)} is no number; write digits only, e.g. 30, without a unit.",
        )
    sign, whole, fraction = found.groups()
    clean = _trimmed(whole.lstrip("0") or "0", fraction or "")
    if sign == "-" and clean != "0":
        clean = f"-{clean}"
    if field.low < field.high and not field.low <= float(clean) <= field.high:
        raise fault(field, "out_of_range", f"{clean} is out of range: {field.low} to {field.high}.")
    return clean


def longitude(field: Field, raw: str, tables: Mapping[str, Table]) -> str:
    """Decimal degrees, east positive, seven places.

    Raises `degrees_malformed`, `out_of_range` or `position_swapped`.
    """
    value, way = _degrees(field, raw)
    if way and way not in _LONGITUDE_WAYS:
        raise _swapped(field, "latitude")
    return _in_range(field, value, 180)


def latitude(field: Field, raw: str, tables: Mapping[str, Table]) -> str:
    """Decimal degrees, north positive, seven places.

    Raises `degrees_malformed`, `out_of_range` or `position_swapped`.
    """
    value, way = _degrees(field, raw)
    if way in _LONGITUDE_WAYS or (90 < abs(value) <= 180):
        raise _swapped(field, "longitude")
    return _in_range(field, value, 90)


def day(field: Field, raw: str, tables: Mapping[str, Table]) -> str:
    """A date as 2024-01-02; a time of day is left out.

    Raises `date_malformed` or `date_as_number`. Whether it lies ahead is the row's rule.
    """
    clean = narrow(raw)
    if _SPREADSHEET_DAY.fullmatch(clean):
        raise fault(
            field,
            "date_as_number",
            f"{clean} is how a spreadsheet counts days; give the column the format of a date, or "
            "write 2024-01-02.",
        )
    found = _DATE.fullmatch(clean) or _DATE_DIGITS.fullmatch(clean)
    if not found:
        raise fault(field, "date_malformed", f"{shown(raw)} is no date; write it as 2024-01-02.")
    year, month, of_month = (int(part) for part in found.groups())
    try:
        if year < FIRST_YEAR:
            raise ValueError
        return date(year, month, of_month).isoformat()
    except ValueError:
        raise fault(
            field, "date_malformed", f"There is no such day as {shown(raw)}; correct it."
        ) from None


def degrees_text(value: float) -> str:
    """Degrees as the registry writes them."""
    whole, _, fraction = f"{value:.{DEGREE_PLACES}f}".partition(".")
    text = _trimmed(whole, fraction)
    return "0" if text == "-0" else text


def _degrees(field: Field, raw: str) -> tuple[float, str | None]:
    found = _DEGREES.fullmatch(narrow(raw.translate(_MARKS)).upper())
    malformed = fault(
        field,
        "degrees_malformed",
        f"{shown(raw)} is no position; write decimal degrees, e.g. 116.6573.",
    )
    if not found or (found["before"] and found["after"]):
        raise malformed
    way = found["before"] or found["after"]
    minutes, seconds = float(found["min"] or 0), float(found["sec"] or 0)
    if (way and found["sign"]) or minutes >= 60 or seconds >= 60:
        raise malformed
    value = float(found["deg"]) + minutes / 60 + seconds / 3600
    return (-value if found["sign"] == "-" or way in _NEGATIVE_WAYS else value), way


def _in_range(field: Field, value: float, limit: int) -> str:
    if abs(value) > limit:
        raise fault(
            field, "out_of_range", f"{value:g} is out of range: -{limit} to {limit} degrees."
        )
    return degrees_text(value)


def _swapped(field: Field, looks_like: str) -> ValidationFailed:
    return fault(
        field,
        "position_swapped",
        f"This looks like a {looks_like}: longitude and latitude are swapped; put them right.",
    )


def _trimmed(whole: str, fraction: str) -> str:
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole
