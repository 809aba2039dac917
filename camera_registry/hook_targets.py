"""Where a webhook may point: pure checks of its URL and of the addresses it resolves to.

The service stands in an inner network and so do those it tells: private addresses are the rule,
not the exception. Refused are the addresses by which a URL turns the service against its own
machine or its host's metadata (loopback, link-local), unless a setting allows them, and those that
nobody can be at (unspecified, multicast, reserved).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from .errors import ValidationFailed

MAX_URL_CHARS: Final = 1024
_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]{1,253}")
# What a URL is written in (RFC 3986); a space or a control character is a mistake or a trick.
_CHARS: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class HookTarget:
    """A checked URL taken apart."""

    url: str
    scheme: str
    host: str  # a name, or an address without brackets
    port: int


def hook_target(url: str, *, allow_local: bool) -> HookTarget:
    """Checks a webhook's URL. Raises ValidationFailed; its sentences never repeat the URL.

    A name is resolved, and its addresses checked, each time something is sent.
    """
    text = url.strip()
    if len(text) > MAX_URL_CHARS:
        raise _bad("url_too_long", f"The URL is longer than {MAX_URL_CHARS} characters.")
    malformed = _bad("url_malformed", "This is not a URL; it looks like https://192.0.2.10/hook.")
    if not _CHARS.fullmatch(text):
        raise malformed
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise malformed from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS:
        raise _bad("url_not_http", "A webhook's URL begins with https:// or http://.")
    if parts.username is not None or parts.password is not None:
        raise _bad(
            "url_with_credentials",
            "Take the credentials out of the URL; deliveries are signed with the webhook's secret.",
        )
    host = parts.hostname
    if not host or not _HOST.fullmatch(host) or port == 0 or parts.fragment:
        raise malformed
    refused = _refused_literal(host, allow_local=allow_local)
    if refused is not None:
        raise _bad("url_address_refused", refused)
    return HookTarget(text, scheme, host, port or _PORTS[scheme])


def refused_address(address: str, *, allow_local: bool) -> str | None:
    """Why nothing is sent to this IP address, as a sentence; None when it may be.

    An IPv4 address in IPv6 clothes (RFC 4291 section 2.5.5.2) counts as what it is.
    """
    ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_loopback or ip.is_link_local:
        if allow_local:
            return None
        kind = "this machine itself" if ip.is_loopback else "a link-local address"
        return (
            f"The URL leads to {kind}; that is refused unless webhooks.allow_local is set "
            "(STREAMHUB_WEBHOOKS__ALLOW_LOCAL=true)."
        )
    if ip.is_unspecified or ip.is_multicast or ip.is_reserved:
        return "The URL leads to an address that nobody can be at; give the receiver's own."
    return None


def _refused_literal(host: str, *, allow_local: bool) -> str | None:
    if host.rstrip(".").lower() == "localhost":
        return refused_address("127.0.0.1", allow_local=allow_local)
    try:
        return refused_address(host, allow_local=allow_local)
    except ValueError:
        return None  # a name


def _bad(code: str, sentence: str) -> ValidationFailed:
    return ValidationFailed("url", code, sentence)
