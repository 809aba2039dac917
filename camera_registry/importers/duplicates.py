"""Rows of one file that describe the same camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    """Remembers which row had a code, a main URL, a MAC address first.

    Holds three short texts a row, of at most `rows.MAX_ROWS` rows. The first row of a set has no
    finding; each later one names the first, once for each row it names.
    """

    def __init__(self, named: Callable[[int], str]) -> None:
        """`named`: how a sentence begins that tells of the row with this number."""
        self._named = named
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
                    f"{self._named(first)} has the same code; keep one of them, or give this one "
                    "its own.",
                    "error",
                )
        if url is not None:
            behind = url.url[len("rtsp://") :].partition("/")[2]
            first = self._addresses.setdefault(f"{url.host}:{url.port}/{behind}", number)
            if first != number and first not in named:
                named.add(first)
                yield Duplicate(
                    "main_url",
                    "duplicate_address",
                    f"{self._named(first)} has the same address, port and path; correct the URL "
                    "of one of them.",
                    "error",
                )
        if mac := values.get("mac"):
            host = url.host if url else values.get("ipv4", "")
            first, first_host = self._macs.setdefault(mac, (number, host))
            if first != number and first not in named:
                yield _same_mac(self._named(first), bool(host) and host == first_host)


def _same_mac(first: str, same_host: bool) -> Duplicate:
    if same_host:
        return Duplicate(
            "mac",
            "duplicate_mac",
            f"{first} has the same MAC address at the same host: channels of one device.",
            "warning",
        )
    return Duplicate(
        "mac",
        "duplicate_mac",
        f"{first} has the same MAC address at another host; correct one of them.",
        "error",
    )
