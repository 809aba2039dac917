"""One cell: its text as the registry holds it, or what is wrong with it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Final

from .. import gb_code, validation
from . import choices, measures, texts
from .fields import Field, Kind, Table
from .texts import fault, narrow, shown

_AS_NUMBER = re.compile(r"[0-9](?:\.[0-9]+)?[Ee]\+?[0-9]+|[0-9]{20}\.0+")
_MAC_MARKS = re.compile(r"[:. -]")
_MAC = re.compile(r"[0-9a-f]{12}")
_NO_DEVICE: Final = frozenset({"0" * 12, "f" * 12})


def clean(field: Field, text: str, tables: Mapping[str, Table]) -> str:
    """The canonical text of a cell; "" for one of spaces alone.

    Code tables give the code, booleans `true` and `false`, dates 2024-01-02, degrees decimals,
    MAC addresses lower case with colons. Cleaning twice changes nothing more. An area's cell is
    cleaned as text: which area it names is the row's rule. Credentials in a URL are taken out.

    Raises `ValidationFailed`: its `code` is in docs/import-rules.md, its sentence never repeats
    a URL or a secret.
    """
    if not text.strip():
        return ""
    return _BY_KIND[field.kind](field, text, tables)


def _gb_code(field: Field, raw: str, tables: Mapping[str, Table]) -> str:
    text = "".join(narrow(raw).split()).strip("'`’")
    if _AS_NUMBER.fullmatch(text):
        raise fault(
            field,
            "code_as_number",
            "The spreadsheet has made a number of the code and lost digits; give the column the "
            "format of text and enter the code anew.",
        )
    gb_code.check_camera(gb_code.parse(text))
    return text


def _rtsp_url(field: Field, raw: str, tables: Mapping[str, Table]) -> str:
    return validation.rtsp_url(field.key, texts.visible(raw)).url


def _ipv4(field: Field, raw: str, tables: Mapping[str, Table]) -> str:
    try:
        return str(ipaddress.IPv4Address(narrow(raw)))
    except ValueError:
        raise fault(
            field,
            "ipv4_malformed",
            f"{shown(raw)} is no IPv4 address; write it as 192.0.2.10, without a port.",
        ) from None


def _ipv6(field: Field, raw: str, tables: Mapping[str, Table]) -> str:
    text = narrow(raw).removeprefix("[").removesuffix("]")
    try:
        if "%" in text:
            raise ValueError
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise fault(
            field,
            "ipv6_malformed",
            f"{shown(raw)} is no IPv6 address; write it as 2001:db8::10, without port and zone.",
        ) from None


def _mac(field: Field, raw: str, tables: Mapping[str, Table]) -> str:
    digits = _MAC_MARKS.sub("", narrow(raw)).lower()
    if not _MAC.fullmatch(digits) or digits in _NO_DEVICE:
        raise fault(
            field,
            "mac_malformed",
            f"{shown(raw)} is no MAC address of a device; write it as 00:00:5e:00:53:01.",
        )
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


_BY_KIND: Final[Mapping[Kind, Callable[[Field, str, Mapping[str, Table]], str]]] = {
    "text": texts.text,
    "area": texts.text,
    "secret": texts.secret,
    "gb_code": _gb_code,
    "choice": choices.choice,
    "choices": choices.choices,
    "boolean": choices.boolean,
    "rtsp_url": _rtsp_url,
    "longitude": measures.longitude,
    "latitude": measures.latitude,
    "integer": measures.integer,
    "decimal": measures.decimal,
    "date": measures.day,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "mac": _mac,
}
