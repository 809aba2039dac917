"""From what the registry knows of a stream to what the core dials."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from camera_registry.secret import Secret
from streamhub.media.contract import SourceSpec


class AddressInvalid(Exception):
    """The URL can't be dialled; the message says why, without the URL's secrets."""

    code = "bad_address"


class Address(Protocol):
    """Where a stream is and how to get in."""

    @property
    def url(self) -> str: ...
    @property
    def username(self) -> str | None: ...
    @property
    def password(self) -> Secret | None: ...


def split_userinfo(url: str) -> tuple[str, str | None, Secret | None]:
    """(url without userinfo, username, password). Passwords hold `@`, `:` and `/` in the wild.

    The userinfo ends at the last `@` before the path begins, or, when what follows that is no
    host, at the last `@` of all. Raises `AddressInvalid`.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() != "rtsp":
        raise AddressInvalid("The address does not begin with rtsp://")
    authority, slash, path = rest.partition("/")
    if "@" not in authority and "@" in path:
        head, _, tail = rest.rpartition("@")
        if ":" in authority and not _is_port(authority.rpartition(":")[2]):
            authority_tail, slash, path = tail.partition("/")
            return _joined(authority_tail, slash + path, head)
    userinfo, at, host = authority.rpartition("@")
    return _joined(host, slash + path, userinfo if at else None)


def prepare(address: Address, profile: str) -> SourceSpec:
    """What the core needs to dial. Credentials in the URL serve only when there are no others.

    Raises `AddressInvalid`.
    """
    url, username, password = split_userinfo(address.url)
    if address.username is not None:
        username, password = address.username, address.password
    return SourceSpec("rtsp", url, username, password, profile)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) < 65536


def _joined(host: str, path: str, userinfo: str | None) -> tuple[str, str | None, Secret | None]:
    url = f"rtsp://{host}{path}"
    try:
        parts = urlsplit(url)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        raise AddressInvalid("The address has no valid host and port") from None
    if not parts.hostname or not port_ok or any(c.isspace() or c < " " for c in url):
        raise AddressInvalid("The address has no valid host and port")
    if userinfo is None:
        return urlunsplit(parts._replace(fragment="")), None, None
    username, colon, password = userinfo.partition(":")
    return (
        urlunsplit(parts._replace(fragment="")),
        unquote(username),
        Secret(unquote(password)) if colon else None,
    )
