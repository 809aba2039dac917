"""Stream addresses as other programs write them, taken apart: credentials never stay in a URL.

RFC 3986 section 3.2.1 wants `/ ? # @ :` of a password percent-encoded; people write them as they
are. What can be read in one way only is read so; the rest is refused, for a wrong guess would leave
a piece of the password in the URL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from ... import validation as check
from ...errors import ValidationFailed
from ...secret import Secret
from ..rows import CameraRow, Finding
from .config import Gathering, label

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?=:)")
_HOST_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
# {FRIGATE_RTSP_PASSWORD} (Frigate), ${NAME} and ${NAME:default} (go2rtc), $MTX_QUERY and $G1
# (MediaMTX). A default may be a password: the name alone is shown.
_PLACEHOLDER = re.compile(
    r"\$\{(?P<shell>\w{1,60})(?::[^}]*)?\}|\{(?P<brace>FRIGATE_\w{1,60})\}|\$(?P<mtx>MTX_\w+|G\d+)"
)
# Those that these programs pull besides; other words before a colon are not repeated.
_KNOWN_SCHEMES: Final = (
    "rtsps rtspx rtsp+http rtsps+http rtsp+ws rtsps+ws rtmp rtmps rtmpx http https httpx tcp udp "
    "srt udp+rtp udp+mpegts unix+rtp unix+mpegts whep wheps webrtc ffmpeg exec echo expr onvif "
    "homekit hass nest ring tapo kasa dvrip bubble isapi gopro ivideon roborock tuya xiaomi wyze"
)
STAND_IN: Final = "PLACEHOLDER"


@dataclass(frozen=True, slots=True)
class Address:
    """An rtsp:// URL without userinfo, and what stood in that."""

    url: str
    host: str
    port: int
    username: str = ""
    password: Secret = field(default_factory=lambda: Secret(""))
    placeholder: str = ""  # the name of what stood for the credentials

    def same_account(self, other: Address) -> bool:
        return (self.username, self.password) == (other.username, other.password)


class Unusable(Exception):
    """An address that can't be taken; `code` is stable, the sentence never repeats it."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def scheme(text: str) -> str:
    """What stands before the first colon, in lower case; "" without one."""
    found = _SCHEME.match(text.strip())
    return found[0].lower() if found else ""


def parse(text: str) -> Address:
    """Takes an address apart. Raises `Unusable`."""
    text = text.strip()
    kind = scheme(text)
    if kind != "rtsp":
        raise Unusable("not_rtsp", not_rtsp(kind))
    if len(text) > check.MAX_URL_CHARS:
        raise Unusable("url_too_long", f"The URL is longer than {check.MAX_URL_CHARS} characters.")
    rest = text[len("rtsp:") :]
    if not rest.startswith("//"):
        raise Unusable("url_malformed", "This is no URL; it looks like rtsp://192.0.2.10/stream1.")
    names: list[str] = []

    def stand_in(match: re.Match[str]) -> str:
        names.append(match["shell"] or match["brace"] or match["mtx"])
        return STAND_IN

    # Replaced first: a default (`${USER:a@b}`) may hold what would cut the URL.
    plain = _PLACEHOLDER.sub(stand_in, rest[2:])
    userinfo, target = _split(plain)
    hidden = STAND_IN in userinfo and bool(names)
    if names and STAND_IN in target:
        raise Unusable(
            "placeholder",
            f"The address stands in the placeholder {names[-1]}, which is not in this file; "
            "write the address itself there, and import again.",
        )
    if check.PASSWORD_WITHIN.search(target):
        raise Unusable(
            "password_in_path",
            "The path or query of the URL holds a password, which has no place there; use an "
            "address of the camera without one (ask it by ONVIF), and give the password apart.",
        )
    try:
        url = check.rtsp_url("url", f"rtsp://{target}")
    except ValidationFailed as error:
        raise Unusable(error.code, error.sentence) from None
    if hidden:
        return Address(url.url, url.host, url.port, placeholder=names[0])
    username, password = _credentials(userinfo)
    return Address(url.url, url.host, url.port, username, Secret(password))


def _credentials(userinfo: str) -> tuple[str, str]:
    name, _, word = userinfo.partition(":")
    try:
        username, password = unquote(name, errors="strict"), unquote(word, errors="strict")
    except UnicodeDecodeError:
        raise Unusable(
            "credentials_unreadable",
            "The %-encoding of its username or password is not UTF-8; write them as they are.",
        ) from None
    if not (username + password).isprintable():
        raise Unusable(
            "credentials_unprintable",
            "Its username or password holds control characters; take them out.",
        )
    if password and not username:
        raise Unusable("url_without_username", "The URL has a password but no username.")
    return username, password


def not_rtsp(kind: str) -> str:
    """Why an address of that scheme is left out; it may be no scheme at all, but a password."""
    what = f"{kind}: addresses are" if kind in _KNOWN_SCHEMES.split() else "this address is"
    return f"{what} not pulled, only rtsp:// is. Give the camera's own RTSP address."


def _split(text: str) -> tuple[str, str]:
    """Userinfo, and host with all that follows."""
    at = text.rfind("@")
    end = next((i for i, char in enumerate(text) if char in "/?#"), len(text))
    if at < end:
        return text[: max(at, 0)], text[at + 1 :]
    # An @ further on: of the path, or of a password with / ? or # in it.
    by_the_book = text[:end].rpartition("@")[2]
    last = re.split(r"[/?#]", text[at + 1 :], maxsplit=1)[0]
    if not _HOST_PORT.fullmatch(by_the_book) and _HOST_PORT.fullmatch(last):
        return text[:at], text[at + 1 :]
    raise Unusable(
        "url_ambiguous",
        "It can't be told where the password ends in this URL; write / ? # and @ of a password as "
        "%2F %3F %23 and %40, and @ of a path as %40.",
    )


def put(
    gathering: Gathering, row: CameraRow, column: str, texts: list[tuple[str, str]], name: str
) -> bool:
    """Main and sub address into a row: of `texts` (heading, address) the first two that serve.

    False when none serves; the row is then skipped with the reasons. Credentials go to `username`
    and `password`.
    """
    taken: list[tuple[str, Address]] = []
    failed: list[tuple[str, Unusable]] = []
    for at, text in texts:
        try:
            taken.append((at, parse(text)))
        except Unusable as error:
            failed.append((at, error))
    if not taken:
        for at, why in failed:
            gathering.skip(row, at, why.code, f"{label(name)} is left out: {why}")
        return False
    for at, why in failed:
        _note(row, at, why.code, f"One of its addresses is left out: {why}")
    at, main = taken[0]
    _set(row, "main_url", main.url, at)
    sub = _put_sub(row, main, [(o, a) for o, a in taken[1:] if a.url != main.url])
    # Of both, those that say: the account is the device's.
    pair = [main] if sub is None else [main, sub]
    given = next((a for a in pair if a.username), None)
    hidden = next((a for a in pair if a.placeholder), None)
    if given is not None:
        _set(row, "username", given.username, at)
        if given.password:
            _set(row, "password", given.password.reveal(), at)
    elif hidden is not None:
        _note(
            row,
            at,
            "placeholder",
            f"The credentials stand in the placeholder {hidden.placeholder}, which is not in this "
            "file; give the device its username and password after the import.",
        )
    return True


def _put_sub(row: CameraRow, main: Address, others: list[tuple[str, Address]]) -> Address | None:
    """The second address, if it may be the main one's sub stream."""
    if not others:
        return None
    if len(others) > 1:
        _note(
            row,
            others[1][0],
            "third_stream",
            "It has more than two addresses; the first is taken as main, the second as sub stream.",
        )
    at, sub = others[0]
    if sub.host != main.host:
        _note(
            row,
            at,
            "sub_elsewhere",
            "The second address is of another host, to which this device's password must not go; "
            "it is left out. Import it as a camera of its own.",
        )
        return None
    if main.username and sub.username and not sub.same_account(main):
        _note(
            row,
            at,
            "sub_credentials",
            "The second address has other credentials than the first, a device has one pair; it is "
            "left out. Give the camera one account for both streams.",
        )
        return None
    _set(row, "sub_url", sub.url, at)
    return sub


def _set(row: CameraRow, key: str, value: str, at: str) -> None:
    row.values[key] = value
    row.columns[key] = at


def _note(row: CameraRow, at: str, code: str, sentence: str) -> None:
    row.faults.append(Finding(row.number, at, code, sentence, "warning"))
