"""Rows of one file that describe the same camera."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..validation import RtspUrl
from .rows import Severity


class Duplicate(NamedTuple):
    """What a row repeats; `key` is the field's."""

    key: str
    code: str
    sentence: str
    severity: Severity


class Duplicates:
    """Remembers which row had a code, an address, a MAC address first.

    Holds three short texts a row, of at most `rows.MAX_ROWS` rows. The first row of a set has no
    finding; each later one names the first, once for each row it names.
    """

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._addresses: dict[str, int] = {}
        self._macs: dict[str, tuple[int, str]] = {}  # first row, its host

    def of(
        self, number: int, values: Mapping[str, str], url: RtspUrl | None
    ) -> Iterator[Duplicate]:
        """What row `number`, with these clean values and its main URL, repeats of earlier rows."""
        named: set[int] = set()
        if code := values.get("code"):
            first = self._codes.setdefault(code, number)
            if first != number:
                named.add(first)
                yield Duplicate(
                    "code",
                    "duplicate_code",
                    f"Row {first} has the same code; keep one of them, or give this one its own.",
                    "error",
                )
        ipv4 = values.get("ipv4", "")
        address = _address(values, url)
        if address:
            first = self._addresses.setdefault(address, number)
            if first != number and first not in named:
                named.add(first)
                yield _same_address(first, url)
        if mac := values.get("mac"):
            host = url.host if url else ipv4
            first, first_host = self._macs.setdefault(mac, (number, host))
            if first != number and first not in named:
                yield _same_mac(first, bool(host) and host == first_host)


def _address(values: Mapping[str, str], url: RtspUrl | None) -> str:
    """Host, port and what is behind them; of a form without URLs what it has in their place."""
    if url is not None:
        behind = url.url[len("rtsp://") :].partition("/")[2]
        return f"{url.host}:{url.port}/{behind}"
    if ipv4 := values.get("ipv4"):
        return f"{ipv4}:{values.get('access_port', '')}#{values.get('channel_number', '')}"
    return ""


def _same_address(first: int, url: RtspUrl | None) -> Duplicate:
    if url is not None:
        return Duplicate(
            "main_url",
            "duplicate_address",
            f"Row {first} has the same address, port and path; correct the URL of one of them.",
            "error",
        )
    return Duplicate(
        "ipv4",
        "duplicate_address",
        f"Row {first} has the same address, port and channel number; if both hang on one "
        "recorder, number the channels.",
        "warning",
    )


def _same_mac(first: int, same_host: bool) -> Duplicate:
    if same_host:
        return Duplicate(
            "mac",
            "duplicate_mac",
            f"Row {first} has the same MAC address at the same host: channels of one device.",
            "warning",
        )
    return Duplicate(
        "mac",
        "duplicate_mac",
        f"Row {first} has the same MAC address at another host; correct one of them.",
        "error",
    )
