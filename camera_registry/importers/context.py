"""What the rules check a row against: the district, its areas, the day, the file's datum."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from .. import geo
from ..domain import Area
from ..errors import ValidationFailed
from .texts import fold, shown

SUGGESTED: Final = 5  # areas named in a sentence about a name that several have

# Statistical codes of 12 digits (GB/T 10114) end in zeros where the registry's are shorter.
_PADDING = re.compile(r"0{2,6}")


class Areas:
    """Finds areas by what a cell writes."""

    def __init__(self, areas: Iterable[Area]) -> None:
        self._codes: set[str] = set()
        self._by_name: dict[str, list[str]] = {}  # folded name -> codes
        for area in areas:
            self._codes.add(area.code)
            self._by_name.setdefault(fold(area.name), []).append(area.code)

    def code_of(self, text: str) -> str:
        """The code of the area that a cell means: by its code (the district's has 6 digits),
        also with the zeros of a statistical code, or by a name that no other area has.

        Raises `ValidationFailed`: `area_unknown` or `area_ambiguous`, which names the candidates.
        """
        word = fold(text)
        if word in self._codes:
            return word
        for digits in (9, 6):
            if _PADDING.fullmatch(word[digits:]) and word[:digits] in self._codes:
                return word[:digits]
        codes = self._by_name.get(word, [])
        if len(codes) == 1:
            return codes[0]
        if codes:
            more = " …" if len(codes) > SUGGESTED else "."
            listed = ", ".join(sorted(codes)[:SUGGESTED]) + more
            raise ValidationFailed(
                "area",
                "area_ambiguous",
                f"{len(codes)} areas are named {shown(text)}; write the code: {listed}",
            )
        raise ValidationFailed(
            "area",
            "area_unknown",
            f"{shown(text)} is no area of this district; write an area's code or its name.",
        )


@dataclass(frozen=True, slots=True)
class Context:
    """`context` makes one."""

    district: Area
    areas: Areas
    polygon: geo.Polygon | None  # of the district; None: no boundary is known
    today: date  # where the cameras are
    datum: geo.Datum = "wgs84"  # of the file's positions; they become WGS-84


def context(
    district: Area, areas: Iterable[Area], today: date, datum: geo.Datum = "wgs84"
) -> Context:
    """`areas` are all that a channel may lie in, the district itself among them; only `district`
    need have its boundary read."""
    boundary = geo.polygon(district.boundary) if district.boundary else None
    return Context(district, Areas(areas), boundary, today, datum)
