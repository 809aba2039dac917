"""Stream addresses by maker, as data: `vendors.yaml`, and a site's own file of the same form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from .. import validation as check
from ..errors import RegistryError
from .fields import tables, text_of

Form = Literal["camera", "nvr"]
FORMS: Final = ("camera", "nvr")
SITE_FILE: Final = "vendors.yaml"
# The shipped file has some twenty lines; a site with a thousand vendors is no site.
MAX_SITE_BYTES: Final = 1 << 18
MAX_CHANNEL: Final = 1_024  # the biggest recorders have 256
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_CHANNEL = re.compile(r"\{channel(?P<two>:02)?\}")
_KEYS: Final = frozenset(
    {
        "vendor",
        "base",
        "zh",
        "en",
        "form",
        "manufacturer",
        "main",
        "sub",
        "verified",
        "note",
        "needs_credentials_in_url",
    }
)


class VendorRefused(RegistryError):
    """No address can be made; `code` is stable, the sentence says what to do instead."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Vendor:
    """One maker's addresses. `main` and `sub` are paths with `{channel}` in them."""

    name: str
    zh: str
    en: str
    form: Form = "camera"
    base: str | None = None  # the vendor whose other form this is
    manufacturer: str | None = None  # code of tables.yaml
    main: str = ""
    sub: str | None = None
    verified: bool = False
    note: str = ""
    needs_credentials_in_url: bool = False


@dataclass(frozen=True, slots=True)
class StreamUrls:
    """rtsp:// URLs without credentials; `sub` is None where the maker has no fixed one."""

    main: str
    sub: str | None


def urls(
    vendor: str,
    host: str,
    port: int = check.DEFAULT_RTSP_PORT,
    channel: int = 1,
    form: Form | None = None,
    site_dir: Path | None = None,
) -> StreamUrls:
    """Main and sub address of a channel.

    `vendor` is a name of vendors.yaml or a manufacturer's code; `form` chooses the maker's cameras
    or recorders where the name leaves it open. `host` is a name, an IPv4 or an IPv6 address.
    Raises `VendorRefused`; `ValidationFailed` for a host, port or channel that can't be.
    """
    chosen = find(vendor, form, site_dir)
    if chosen.needs_credentials_in_url:
        raise VendorRefused(
            "needs_credentials_in_url",
            f"{chosen.en} cameras want the password inside the URL, where it has no place here; "
            "ask the camera for its address by ONVIF instead.",
        )
    channel = check.integer("channel", channel, 1, MAX_CHANNEL)
    port = check.integer("port", port, 1, 65_535)
    if channel > 1 and not _CHANNEL.search(chosen.main):
        raise VendorRefused(
            "one_channel_only",
            f"The addresses of {chosen.name} know one channel; give channel 1, or choose the "
            "vendor's recorder.",
        )
    host = check.host(host.strip().removeprefix("[").removesuffix("]"))
    root = f"rtsp://{f'[{host}]' if ':' in host else host}:{port}"
    made = [
        None if path is None else check.rtsp_url("host", root + _filled(path, channel)).url
        for path in (chosen.main, chosen.sub)
    ]
    assert made[0] is not None  # noqa: S101  (`main` is a str)
    return StreamUrls(made[0], made[1])


def find(vendor: str, form: Form | None = None, site_dir: Path | None = None) -> Vendor:
    """A vendor by name or manufacturer's code: the site's own before a shipped one.

    Raises `VendorRefused`.
    """
    known = every(site_dir)
    wanted = vendor.strip().casefold()
    chosen = known.get(wanted) or next(
        (v for v in known.values() if v.manufacturer == wanted), None
    )
    if chosen is None:
        raise VendorRefused(
            "unknown_vendor",
            f"There are no addresses of a vendor {vendor[:40]!r}; there are: {', '.join(known)}.",
        )
    if form is None or chosen.form == form:
        return chosen
    family = chosen.base or chosen.name
    for other in known.values():
        if other.form == form and family in (other.base, other.name):
            return other
    raise VendorRefused(
        "unknown_form",
        f"Of {chosen.name} no addresses of the form {form!r} are known; leave the form out, or "
        f"add them to the site's {SITE_FILE}.",
    )


def channel_of(path: str) -> str | None:
    """The channel's number in a path (query included) of a maker that is shipped; None: no maker's.

    Main and sub stream of a channel have the same one.
    """
    for pattern in _channel_patterns():
        if found := pattern.fullmatch(path):
            return str(int(found["channel"]))
    return None


@cache
def _channel_patterns() -> tuple[re.Pattern[str], ...]:
    paths = dict.fromkeys(
        path for vendor in _shipped().values() for path in (vendor.main, vendor.sub) if path
    )
    patterns = []
    for path in paths:
        channel = _CHANNEL.search(path)
        if channel is None:
            continue
        before, after = path[: channel.start()], path[channel.end() :]
        if re.search("[a-z]", before + after):  # of numbers alone, as `/1/2`, anything could be
            more = "(?:&.*)?" if "?" in path else r"(?:\?.*)?"
            patterns.append(
                re.compile(
                    f"{re.escape(before)}(?P<channel>[0-9]{{1,4}}){re.escape(after)}{more}",
                    re.IGNORECASE,
                )
            )
    return tuple(patterns)


def every(site_dir: Path | None = None) -> Mapping[str, Vendor]:
    """All vendors by name, the site's own first. Raises `VendorRefused` for a file in disorder."""
    own = _read(site_dir / SITE_FILE) if site_dir is not None else {}
    return {**own, **{name: v for name, v in _shipped().items() if name not in own}}


@cache
def _shipped() -> Mapping[str, Vendor]:
    return _parsed(text_of("vendors.yaml"), "vendors.yaml")


def _read(path: Path) -> Mapping[str, Vendor]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_SITE_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _bad(path.name, f"it can't be read ({error.strerror}).") from None
    if len(text) > MAX_SITE_BYTES:
        raise _bad(path.name, f"it is longer than {MAX_SITE_BYTES} bytes.")
    return _parsed(text, path.name)


def _parsed(text: str | bytes, name: str) -> Mapping[str, Vendor]:
    try:
        rows = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  (str, list and dict only)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise _bad(name, "it is not YAML.") from None
    if not isinstance(rows, list):
        raise _bad(name, "it has to be a list of vendors.")
    found: dict[str, Vendor] = {}
    for index, row in enumerate(rows, 1):
        vendor = _vendor(row, f"{name}: vendor {index}")
        if vendor.name in found:
            raise _bad(name, f"vendor {index}: the name {vendor.name} is taken.")
        found[vendor.name] = vendor
    return found


def _vendor(row: Any, where: str) -> Vendor:
    if not isinstance(row, dict) or not set(row) <= _KEYS:
        raise _bad(where, f"use the keys {', '.join(sorted(_KEYS))}.")
    if not all(isinstance(value, str) for value in row.values()):
        raise _bad(where, "every value is a text.")
    name = row.get("vendor", "")
    if not _NAME.fullmatch(name):
        raise _bad(where, "vendor has to be a name like hikvision-nvr.")
    form = row.get("form", "camera")
    if form not in FORMS:
        raise _bad(where, f"form is one of {', '.join(FORMS)}.")
    code = row.get("manufacturer")
    if code is not None and code not in tables()["manufacturer"]:
        raise _bad(where, f"there is no manufacturer {code!r} in tables.yaml.")
    in_url = row.get("needs_credentials_in_url") == "true"
    for key in ("main", "sub"):
        path = row.get(key)
        if path is None and (key == "sub" or in_url):
            continue
        if path is None or not path.startswith("/") or _bad_path(path):
            raise _bad(
                where,
                f"{key} has to be a path like /Streaming/Channels/{{channel}}01, without host, "
                "blanks and password; {channel} and {channel:02} are the only braces.",
            )
    return Vendor(
        name=name,
        zh=row.get("zh") or name,
        en=row.get("en") or row.get("zh") or name,
        form=form,
        base=row.get("base"),
        manufacturer=code,
        main=row.get("main", ""),
        sub=row.get("sub"),
        verified=row.get("verified") == "true",
        note=row.get("note", ""),
        needs_credentials_in_url=in_url,
    )


def _bad_path(path: str) -> bool:
    plain = _CHANNEL.sub("1", path)
    return bool(re.search(r"[{}\s@#]|pass(word|wd)?=[^&_]|pwd=[^&_]", plain, re.IGNORECASE))


def _filled(path: str, channel: int) -> str:
    # No str.format: a site's file must not reach an object's attributes.
    return _CHANNEL.sub(lambda m: f"{channel:02}" if m["two"] else str(channel), path)


def _bad(where: str, sentence: str) -> VendorRefused:
    return VendorRefused("vendors_invalid", f"{where}: {sentence}")
