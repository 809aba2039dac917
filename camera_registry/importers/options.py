"""What whoever imports a file chooses besides the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

from ..domain import DeviceClass, Filing
from ..errors import ValidationFailed
from ..gb_code import stem
from ..validation import one_of

Datum = Literal["wgs84", "gcj02", "bd09"]
FOREIGN: Final = "foreign"  # instead of a template's name: another program's configuration


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """`template` is a template's name, or `foreign`."""

    template: str
    area: str | None = None  # code of the area of new cameras that name none
    device_class: str = DeviceClass.POLICE_HD.value  # of new cameras that name none
    vendor: str | None = None  # whose addresses new cameras without a URL get
    datum: Datum = "wgs84"  # of the positions in the file
    mint: str | None = None  # industry, type and network (6 digits): codes are made of these
    clear_empty: bool = False  # an empty cell takes the value away
    filing: str = Filing.DRAFT.value  # of new cameras; filed: changed ones stay filed, too
    into: Sequence[str] | None = None  # ids of the areas it is limited to; None: the district
    without: Sequence[str] = ()  # ids of cameras there that are denied to whoever imports
    keeps_denials: bool = False  # nothing is taken from under one

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> ImportOptions:
        """Checked. Raises ValidationFailed."""
        try:
            options = cls(**given)
        except TypeError:
            known = ", ".join(cls.__dataclass_fields__)
            raise ValidationFailed(
                "options", "unknown_option", f"An import has these options: {known}."
            ) from None
        one_of("device_class", options.device_class, DeviceClass)
        if options.datum not in get_args(Datum):
            raise ValidationFailed(
                "datum", "unknown_value", f"A datum is one of {', '.join(get_args(Datum))}."
            )
        if options.mint is not None:
            if len(options.mint) != 6 or not options.mint.isdecimal():
                raise ValidationFailed(
                    "mint",
                    "mint_malformed",
                    "Codes are made of six digits: industry (2), type (3), network (1), "
                    "e.g. 001321.",
                )
            stem("110112", options.mint[:2], options.mint[2:5], options.mint[5])
        if options.filing not in (Filing.DRAFT, Filing.FILED):
            raise ValidationFailed(
                "filing", "unknown_value", "What an import brings begins as draft or filed."
            )
        return options

    def values(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)
