"""Where a device is, and the addresses that it names put right."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from gateways.onvif.errors import AddressInvalid

DEVICE_SERVICE_PATH = "/onvif/device_service"
MAX_URI_CHARS = 2048

_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
# Scheme, authority, the rest. Cameras write "host:8106:8106", which urlsplit refuses.
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[\w.]+)?\]|[^:]*)(?::(\d{1,5}))?(?::.*)?")
_SECRET_VALUE = re.compile(
    r"((?:^|[?&_;/])(?:password|passwd|pwd|pass)=)([^&_;/?#]+)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """Host (IPv4, IPv6 without brackets, or a name), port and path of a device service.

    Raises `AddressInvalid` for what can't be dialled.
    """

    host: str
    port: int = 80
    path: str = DEVICE_SERVICE_PATH
    tls: bool = False

    def __post_init__(self) -> None:
        if not _is_host(self.host):
            raise AddressInvalid("The host is neither an IP address nor a name")
        if not 0 < self.port < 65536:
            raise AddressInvalid("The port is not between 1 and 65535")
        if not self.path.startswith("/") or not self.path.isprintable() or " " in self.path:
            raise AddressInvalid("The path does not begin with / or holds spaces")

    @property
    def url(self) -> str:
        return self.at(self.path)

    def at(self, path: str) -> str:
        """The URL of another path on the same server."""
        return f"{'https' if self.tls else 'http'}://{bracketed(self.host)}:{self.port}{path}"


@dataclass(frozen=True, slots=True)
class NamedUri:
    """A URI as a device wrote it, taken apart and without userinfo. `port`: None if not named."""

    scheme: str
    host: str
    port: int | None
    rest: str


def read_uri(uri: str) -> NamedUri | None:
    """Take a device's URI apart; None if it is none, or if a password might stay in it."""
    uri = uri.strip()
    if len(uri) > MAX_URI_CHARS or any(c.isspace() or not c.isprintable() for c in uri):
        return None
    found = _URI.fullmatch(uri)
    if found is None:
        return None
    scheme, authority, rest = found.groups()
    if "@" in rest:  # a password with a slash, or a path with an @: nobody can tell
        return None
    parts = _AUTHORITY.fullmatch(authority.rpartition("@")[2])
    if parts is None:
        return None
    port = int(parts[2]) if parts[2] and 0 < int(parts[2]) < 65536 else None
    return NamedUri(scheme.lower(), parts[1].strip("[]"), port, rest)


def service_url(address: DeviceAddress, xaddr: str) -> str | None:
    """Of a service: the path that the device names, at the server that answered us.

    Behind NAT, and by mistake, devices name hosts and ports that are not theirs as seen from here.
    """
    named = read_uri(xaddr)
    if named is None or named.scheme not in ("http", "https"):
        return None
    return address.at(named.rest if named.rest.startswith("/") else f"/{named.rest}")


@dataclass(frozen=True, slots=True)
class ReachableUri:
    """A URI to dial. `secret_left_out`: it held a password, whose value was taken out."""

    uri: str
    secret_left_out: bool


def media_uri(address: DeviceAddress, uri: str, web_port: int | None = None) -> ReachableUri | None:
    """A stream's or a still's URI at the host that answered us; without userinfo.

    The port stays, since RTSP has its own, and a still may; but the port that the device believes
    its ONVIF server to have (`web_port`, of its XAddrs) becomes the one that answered. None if
    `uri` is not rtsp, rtsps, http or https.
    """
    named = read_uri(uri)
    if named is None or named.scheme not in ("rtsp", "rtsps", "http", "https"):
        return None
    port = named.port
    if named.scheme in ("http", "https") and web_port is not None:
        default = 443 if named.scheme == "https" else 80
        port = address.port if (port or default) == web_port else port
    where = bracketed(address.host) + (f":{port}" if port is not None else "")
    rest, count = _SECRET_VALUE.subn(r"\1", named.rest)
    return ReachableUri(f"{named.scheme}://{where}{rest}", count > 0)


def bracketed(host: str) -> str:
    """An IPv6 address in brackets, as URLs want it."""
    return f"[{host}]" if ":" in host else host


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return bool(_HOST_NAME.fullmatch(text))
    return True
