"""Where a process can be reached: the sockets that it listens on, as the kernel lists them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

# include/net/tcp_states.h: a UDP socket that is connected to somebody hears nobody else.
TCP_LISTEN, UDP_UNCONNECTED = "0A", "07"
REACHABLE_IN = {"tcp": TCP_LISTEN, "udp": UDP_UNCONNECTED, "raw": UDP_UNCONNECTED}


class Listening(NamedTuple):
    kind: str  # tcp, udp or raw
    address: IPv4Address | IPv6Address
    port: int


def listening_of(pid: int) -> set[Listening]:
    """Of the process and of those that it has started, by IPv4 and IPv6."""
    of_pids = {inode for each in _with_children(pid) for inode in _sockets_of(each)}
    return {
        Listening(kind, _address(host), int(port, 16))
        for kind, state in REACHABLE_IN.items()
        for family in ("", "6")
        for line in Path(f"/proc/{pid}/net/{kind}{family}").read_text().splitlines()[1:]
        for fields in [line.split()]
        for host, port in [fields[1].split(":")]
        if fields[3] == state and fields[9] in of_pids
    }


def _with_children(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _with_children(int(child))


def _sockets_of(pid: int) -> Iterator[str]:
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(fd)
        except FileNotFoundError:  # it was closed meanwhile
            continue
        if target.startswith("socket:["):
            yield target.removeprefix("socket:[").removesuffix("]")


def _address(text: str) -> IPv4Address | IPv6Address:
    """In hex, each 32 bits of it in the machine's byte order."""
    words = (int(text[at : at + 8], 16) for at in range(0, len(text), 8))
    found = ip_address(b"".join(word.to_bytes(4, "little") for word in words))
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
