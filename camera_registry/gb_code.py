"""The 20-digit code of GB/T 28181 (annex D of 2016, E of 2022): its parts, and the next free one.

    11011201 00 132 1 000001
    division industry type network serial

The division is GB/T 2260's six digits and two of the grass-roots unit, zeros where there is none.
All faults are `ValidationFailed` of the field ``code``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

import yaml

from .errors import ValidationFailed

DIGITS: Final = 20
DIVISION_DIGITS: Final = 6  # GB/T 2260
CAMERA_TYPES: Final = range(111, 200)  # front-end hosts and peripherals
MAX_SERIAL: Final = 999_999

_CODE = re.compile(r"[0-9]{20}")
_DIVISION = re.compile(r"[0-9]{6}(?:[0-9]{2})?")


class Label(NamedTuple):
    """What a part of a code means."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class GbCode:
    """A code taken apart; each part is digits."""

    division: str  # 8: the centre code
    industry: str  # 2
    type: str  # 3
    network: str  # 1
    serial: str  # 6

    @property
    def stem(self) -> str:
        """The 14 digits before the serial."""
        return f"{self.division}{self.industry}{self.type}{self.network}"

    def __str__(self) -> str:
        return f"{self.stem}{self.serial}"


def industries() -> Mapping[str, Label]:
    """Labels by digits 9 and 10."""
    return _tables()["industries"]


def types() -> Mapping[str, Label]:
    """Labels by digits 11 to 13."""
    return _tables()["types"]


def networks() -> Mapping[str, Label]:
    """Labels by digit 14."""
    return _tables()["networks"]


def parse(text: str) -> GbCode:
    """Takes a code apart. Raises `code_not_20_digits`."""
    if not _CODE.fullmatch(text):
        raise _bad(
            "code_not_20_digits",
            f"A channel's code has {DIGITS} digits; this has {len(text)} characters.",
        )
    return GbCode(text[:8], text[8:10], text[10:13], text[13], text[14:])


def check_camera(code: GbCode) -> None:
    """A camera's or its recorder's code, with a serial.

    Raises `code_not_a_camera` or `code_without_serial`. Industries and types that no table names
    are taken: sites extend them.
    """
    if int(code.type) not in CAMERA_TYPES:
        raise _bad(
            "code_not_a_camera",
            f"Digits 11 to 13 of the code are {code.type}; a camera's lie between 111 and 199 "
            "(132 is a network camera).",
        )
    if code.serial == "000000":
        raise _bad("code_without_serial", "The last six digits are the serial; give it one.")


def check_division(code: GbCode, district_code: str) -> None:
    """The code is the district's, its city's or its province's, for a district is also sent cameras
    that it does not own. A district whose own code has not 6 digits says nothing.
    Raises `code_of_another_division`.
    """
    if len(district_code) != DIVISION_DIGITS:
        return
    allowed = (district_code, f"{district_code[:4]}00", f"{district_code[:2]}0000")
    if code.division[:6] not in allowed:
        raise _bad(
            "code_of_another_division",
            f"The code belongs to division {code.division[:6]}; the area lies in {district_code}.",
        )


def stem(division: str, industry: str, type_: str, network: str) -> str:
    """The 14 digits before the serial of a code that is to be made.

    `division` has 6 digits, or 8 with the grass-roots unit. Raises `division_malformed`,
    `industry_unknown`, `network_unknown` or `code_not_a_camera`: what is made keeps to the tables.
    """
    if not _DIVISION.fullmatch(division):
        raise _bad("division_malformed", "A division has 6 digits, or 8 with the grass-roots unit.")
    if industry not in industries():
        known = ", ".join(industries())
        raise _bad("industry_unknown", f"There is no industry {industry[:10]!r}; use {known}.")
    if type_ not in types() or int(type_) not in CAMERA_TYPES:
        raise _bad(
            "code_not_a_camera", f"{type_[:10]!r} is no camera's type; 132 is a network camera."
        )
    if network not in networks():
        known = ", ".join(networks())
        raise _bad("network_unknown", f"There is no network {network[:10]!r}; use {known}.")
    return f"{division:0<8}{industry}{type_}{network}"


def next_code(before: str, used: int | Iterable[int] = 0, *, reuse_gaps: bool = False) -> str:
    """The next free code of a stem (14 digits, of `stem`).

    `used` is the greatest serial in use, 0 for none, or all of them in rising order. The next is
    one more than the greatest: the code of a camera that was taken down stays its own, in archives
    and recordings. With `reuse_gaps`, which takes all serials, it is the lowest that is free.
    Raises `serials_exhausted`.
    """
    if reuse_gaps and isinstance(used, int):
        raise TypeError("reuse_gaps needs every serial, not only the greatest")
    last = used if isinstance(used, int) else 0
    for serial in () if isinstance(used, int) else used:
        if reuse_gaps and serial > last + 1:
            break
        last = max(last, serial)
    if last >= MAX_SERIAL:
        raise _bad(
            "serials_exhausted",
            f"Codes that begin with {before} have used up their serials; choose another network "
            "digit or grass-roots unit, or let the gaps be reused.",
        )
    return f"{before}{last + 1:06d}"


def _bad(code: str, sentence: str) -> ValidationFailed:
    return ValidationFailed("code", code, sentence)


@cache
def _tables() -> Mapping[str, Mapping[str, Label]]:
    text = (files(__package__) / "gb_code.yaml").read_text(encoding="utf-8")
    return {
        name: {code: Label(*labels) for code, labels in rows.items()}
        for name, rows in yaml.safe_load(text).items()
    }
