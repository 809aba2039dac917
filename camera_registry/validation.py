"""Pure checks of input: each gives the clean value or raises `ValidationFailed` with a sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from . import gb_code
from .domain import ACTIONS
from .errors import ValidationFailed
from .secret import Secret

MAX_NAME_CHARS: Final = 80
MAX_URL_CHARS: Final = 1024
MAX_PAGE: Final = 500  # a page of channels is about 300 kB of JSON then
MAX_QUERY_CHARS: Final = 80
DEFAULT_RTSP_PORT: Final = 554
MAX_BOUNDARY_POINTS: Final = 2_000
# Beside a purpose's code it fits the column that the search looks at.
MAX_PURPOSE_NOTE_CHARS: Final = 160

_AREA_CODE = re.compile(r"[0-9]{2,18}")
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,31}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,253}")

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class RtspUrl:
    """An rtsp:// URL taken apart: `url` has no userinfo."""

    url: str
    host: str
    port: int
    username: str | None
    password: Secret | None


def name(field: str, value: str) -> str:
    clean = value.strip()
    if not clean:
        raise ValidationFailed(field, "name_empty", "Give a name; it may not be empty.")
    if len(clean) > MAX_NAME_CHARS:
        raise ValidationFailed(
            field,
            "name_too_long",
            f"The name has {len(clean)} characters; at most {MAX_NAME_CHARS} are kept.",
        )
    if _CONTROL.search(clean):
        raise ValidationFailed(
            field, "name_unprintable", "The name holds control characters; take them out."
        )
    return clean


def text(field: str, value: str, max_chars: int) -> str:
    """A line of words, such as a reason."""
    clean = value.strip()
    if not clean:
        raise ValidationFailed(field, "text_empty", "Give a text; it may not be empty.")
    if len(clean) > max_chars:
        raise ValidationFailed(
            field,
            "text_too_long",
            f"The text has {len(clean)} characters; at most {max_chars} are kept.",
        )
    if _CONTROL.search(clean):
        raise ValidationFailed(
            field, "text_unprintable", "The text holds control characters; take them out."
        )
    return clean


def one_of(field: str, value: str, choices: type[E]) -> E:
    try:
        return choices(value)
    except ValueError:
        known = ", ".join(choice.value for choice in choices)
        raise ValidationFailed(
            field, "unknown_value", f"{str(value)[:40]!r} is not known here; use one of: {known}."
        ) from None


def channel_code(value: str, district_code: str | None) -> str:
    """Checks a GB/T 28181 code: 20 digits, a front-end type, a serial, the district's division
    (or its city's or province's). The parts are `gb_code`'s.
    """
    code = gb_code.parse(value)
    gb_code.check_camera(code)
    if district_code:
        gb_code.check_division(code, district_code)
    return value


def area_code(value: str) -> str:
    if not _AREA_CODE.fullmatch(value):
        raise ValidationFailed(
            "code", "area_code_malformed", "An area's code has 2 to 18 digits, e.g. 110112001."
        )
    return value


def rtsp_url(field: str, value: str) -> RtspUrl:
    """Takes an rtsp:// URL apart; credentials in it are returned beside it, never within it.

    Messages never repeat the URL: it may hold a password.
    """
    value = value.strip()

    def bad(code: str, sentence: str) -> ValidationFailed:
        return ValidationFailed(field, code, sentence)

    if len(value) > MAX_URL_CHARS:
        raise bad("url_too_long", f"The URL is longer than {MAX_URL_CHARS} characters.")
    if _CONTROL.search(value) or " " in value:
        raise bad("url_malformed", "The URL holds spaces or control characters.")
    malformed = bad(
        "url_malformed", "This is not a URL; it looks like rtsp://192.0.2.10:554/stream1."
    )
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise malformed from None
    if parts.scheme.lower() != "rtsp":
        raise bad("url_not_rtsp", "Only rtsp:// URLs are pulled; this one begins otherwise.")
    host = parts.hostname
    if not host or not _HOST.fullmatch(host):
        raise malformed
    if port == 0:
        raise bad("url_malformed", "Port 0 cannot be dialled.")
    username = unquote(parts.username) if parts.username else None
    password = Secret(unquote(parts.password)) if parts.password is not None else None
    if username is None and password:
        raise bad("url_without_username", "The URL has a password but no username.")
    if _CONTROL.search(username or "") or _CONTROL.search(password.reveal() if password else ""):
        raise bad("url_malformed", "The URL's user name or password holds control characters.")
    netloc = parts.netloc.rpartition("@")[2]
    url = urlunsplit(("rtsp", netloc, parts.path, parts.query, ""))
    try:
        urlsplit(url)
    except ValueError:  # brackets that were closed within the user name
        raise malformed from None
    return RtspUrl(url, host, port or DEFAULT_RTSP_PORT, username, password)


# What such a parameter names is a password; `token=` and the like may be the end of a word.
PASSWORD_WITHIN: Final = re.compile(
    r"(?:password|passwd|pwd|(?<![a-z])(?:pass|token|secret))=[^&_/]", re.IGNORECASE
)


def without_password(field: str, url: RtspUrl) -> RtspUrl:
    """The URL, when its path and query hold no password: there it would be told and exported.

    Raises `password_in_path`.
    """
    if PASSWORD_WITHIN.search(url.url):
        raise ValidationFailed(
            field,
            "password_in_path",
            "The URL has a password in its path; give it as rtsp://user:password@host/…, or ask "
            "the camera for another address by ONVIF.",
        )
    return url


def host(value: str) -> str:
    clean = value.strip()
    if not _HOST.fullmatch(clean):
        raise ValidationFailed(
            "host", "host_malformed", "Give a host name or an IP address, without port."
        )
    return clean


def integer(field: str, value: int, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValidationFailed(
            field, "out_of_range", f"Give a whole number between {low} and {high}."
        )
    return value


def position(lon: float | None, lat: float | None) -> tuple[float | None, float | None]:
    if (lon is None) != (lat is None):
        raise ValidationFailed(
            "lon" if lon is None else "lat",
            "position_half_given",
            "Give both longitude and latitude, or neither.",
        )
    for field, value, bound in (("lon", lon, 180.0), ("lat", lat, 90.0)):
        if value is not None and not (math.isfinite(value) and -bound <= value <= bound):
            raise ValidationFailed(
                field, "out_of_range", f"Give degrees between -{bound:g} and {bound:g} (WGS-84)."
            )
    return lon, lat


def boundary(
    value: tuple[tuple[float, float], ...] | None,
) -> tuple[tuple[float, float], ...] | None:
    if value is None:
        return None
    if not 3 <= len(value) <= MAX_BOUNDARY_POINTS:
        raise ValidationFailed(
            "boundary",
            "boundary_malformed",
            f"A boundary has between 3 and {MAX_BOUNDARY_POINTS} points.",
        )
    for lon, lat in value:
        position(lon, lat)
    return tuple((float(lon), float(lat)) for lon, lat in value)


def username(value: str) -> str:
    return short_name("username", "A username", value)


def short_name(field: str, what: str, value: str) -> str:
    """As people type it at a prompt. Raises ValidationFailed, its code `<field>_malformed`."""
    clean = value.strip().lower()
    if not _USERNAME.fullmatch(clean):
        raise ValidationFailed(
            field,
            f"{field}_malformed",
            f"{what} has 2 to 32 characters: a to z, 0 to 9, dot, hyphen, underscore.",
        )
    return clean


def actions(value: Collection[str]) -> frozenset[str]:
    chosen = frozenset(value)
    if not chosen:
        raise ValidationFailed("actions", "actions_empty", "Name at least one action.")
    if not chosen <= ACTIONS:
        raise ValidationFailed(
            "actions", "unknown_value", f"Actions are: {', '.join(sorted(ACTIONS))}."
        )
    return chosen


def search_text(value: str | None) -> str | None:
    """The search text without surrounding space; None when nothing is left."""
    clean = (value or "").strip()
    if len(clean) > MAX_QUERY_CHARS:
        raise ValidationFailed(
            "q", "query_too_long", f"Search with at most {MAX_QUERY_CHARS} characters."
        )
    return clean or None


def only_known(changes: Mapping[str, object], allowed: Collection[str]) -> None:
    for field in changes:
        if field not in allowed:
            raise ValidationFailed(
                field, "field_not_changeable", f"The field {field!r} cannot be changed here."
            )
