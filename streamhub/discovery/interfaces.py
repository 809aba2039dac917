"""This machine's network interfaces, from which cameras are probed by multicast."""

from __future__ import annotations

import fcntl
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Interface

from camera_registry.errors import ValidationFailed

# netdevice(7), linux/sockios.h; the answer's address stands behind the name and a sockaddr's head.
_SIOCGIFFLAGS, _SIOCGIFADDR, _SIOCGIFNETMASK = 0x8913, 0x8915, 0x891B
_NAME_BYTES, _IFREQ_BYTES, _ADDRESS_AT = 16, 40, 20
_IFF_UP = 0x1


@dataclass(frozen=True, slots=True)
class Interface:
    """One that is up and has an IPv4 address. `network`: as a CIDR."""

    name: str
    address: str
    network: str


def interfaces() -> list[Interface]:
    """Those of this machine, each by its first IPv4 address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        found = [_asked(asking.fileno(), name) for _, name in socket.if_nameindex()]
    return [each for each in found if each is not None]


def require_ours(addresses: tuple[str, ...]) -> None:
    """Raises ValidationFailed("interfaces", "not_an_interface")."""
    for address in addresses:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            try:
                one.bind((address, 0))
            except OSError:
                raise ValidationFailed(
                    "interfaces",
                    "not_an_interface",
                    f"{address} is no address of this machine; choose one of its interfaces.",
                ) from None


def _asked(socket_fd: int, name: str) -> Interface | None:
    """None for one that is down or has no IPv4 address."""

    def answer(request: int) -> bytes:
        return fcntl.ioctl(socket_fd, request, name.encode().ljust(_IFREQ_BYTES, b"\0"))

    try:
        (flags,) = struct.unpack_from("H", answer(_SIOCGIFFLAGS), _NAME_BYTES)
        address, mask = (
            socket.inet_ntoa(answer(request)[_ADDRESS_AT : _ADDRESS_AT + 4])
            for request in (_SIOCGIFADDR, _SIOCGIFNETMASK)
        )
    except OSError:
        return None
    if not flags & _IFF_UP:
        return None
    return Interface(name, address, str(IPv4Interface(f"{address}/{mask}").network))
