"""A network of a test's own: loopback, and a way out to nowhere that writes down who takes it.

`run_sealed("package.module:function")` runs the function in a new network namespace, as root. What
is sent to any other address goes into a tunnel whose far end is this module.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import ipaddress
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
CONTROL: Final = ("198.51.100.7", 4711)  # documentation addresses, RFC 5737 and RFC 3849
CONTROL6: Final = ("2001:db8::7", 4711)

_TUNSETIFF, _IFF_TUN_NO_PI = 0x400454CA, 0x1001
_SIOCADDRT, _SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x890B, 0x8914, 0x8916, 0x891C
_UP = 1
_TCP_UDP: Final = {6: "tcp", 17: "udp"}
_DEVICE: Final = b"out0"


def run_sealed(target: str, *arguments: str, timeout_s: float = 240) -> list[str]:
    """What was sent outside while `target(*arguments)` ran, each as `udp 198.51.100.7:4711`."""
    command = [sys.executable, "-m", "support.sealed_network", target, *arguments]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        ["unshare", "--net", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    seen: list[str] = json.loads(done.stdout.splitlines()[-1])
    return seen


def _interface(name: bytes, *rest: Any, form: str) -> bytes:
    return struct.pack("16s" + form, name, *rest).ljust(40, b"\0")


def _up(control: socket.socket, name: bytes) -> None:
    fcntl.ioctl(control, _SIOCSIFFLAGS, _interface(name, _UP, form="h"))


def _way_out() -> int:
    """The far end of a tunnel device that every other address is behind."""
    tunnel = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tunnel, _TUNSETIFF, _interface(_DEVICE, _IFF_TUN_NO_PI, form="H"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        _up(control, b"lo")
        for request, address in ((_SIOCSIFADDR, "192.0.2.1"), (_SIOCSIFNETMASK, "255.255.255.0")):
            fcntl.ioctl(
                control,
                request,
                _interface(_DEVICE, socket.AF_INET, 0, socket.inet_aton(address), form="HH4s"),
            )
        _up(control, _DEVICE)
        anywhere = struct.pack("H14x", socket.AF_INET)
        name = ctypes.create_string_buffer(_DEVICE)
        route = struct.pack(  # struct rtentry
            "L16s16s16sHhLLhPLLH",
            *(0, anywhere, anywhere, anywhere),
            *(_UP, 0, 0, 0, 0, ctypes.addressof(name), 0, 0, 0),
        )
        fcntl.ioctl(control, _SIOCADDRT, route)
    index = socket.if_nametoindex(_DEVICE.decode())
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
        address6 = socket.inet_pton(socket.AF_INET6, "2001:db8:1::1")
        fcntl.ioctl(control, _SIOCSIFADDR, struct.pack("16sIi", address6, 64, index))
        metric = 1
        route = struct.pack(  # struct in6_rtmsg
            "16s16s16sIHHILIi",
            *(bytes(16), bytes(16), bytes(16)),
            *(0, 0, 0, metric, 0, _UP, index),
        )
        fcntl.ioctl(control, _SIOCADDRT, route)
    return tunnel


class _Watch(threading.Thread):
    """Reads the tunnel; TCP and UDP alone: the kernel greets its neighbours by ICMPv6 by itself."""

    def __init__(self, tunnel: int) -> None:
        super().__init__(daemon=True)
        self._tunnel = tunnel
        self.seen: list[str] = []
        self.controls = {CONTROL[0]: threading.Event(), CONTROL6[0]: threading.Event()}

    def run(self) -> None:
        while True:
            self._take(os.read(self._tunnel, 65536))

    def _take(self, packet: bytes) -> None:
        if packet[0] >> 4 == 4:
            protocol, far, rest = packet[9], packet[16:20], packet[(packet[0] & 15) * 4 :]
        else:
            protocol, far, rest = packet[6], packet[24:40], packet[40:]
        kind = _TCP_UDP.get(protocol)
        if kind is None:
            return
        address, port = str(ipaddress.ip_address(far)), int.from_bytes(rest[2:4], "big")
        if address in self.controls and port == CONTROL[1]:
            self.controls[address].set()
        else:
            asked = f" ({_asked(rest[8:])})" if (kind, port) == ("udp", 53) else ""
            self.seen.append(f"{kind} {address}:{port}{asked}")


def _asked(query: bytes) -> str:
    """The name that is asked for (RFC 1035 section 4.1.2)."""
    labels, place = [], 12
    while place < len(query) and query[place]:
        labels.append(query[place + 1 : place + 1 + query[place]].decode("ascii", "replace"))
        place += 1 + query[place]
    return ".".join(labels)


def _main(target: str, *arguments: str) -> None:
    watch = _Watch(_way_out())
    watch.start()
    module, _, name = target.partition(":")
    getattr(importlib.import_module(module), name)(*arguments)
    # In the end something is sent outside, by IPv4 and IPv6: a watch that sees nothing would
    # have seen nothing before, either.
    for family, address in ((socket.AF_INET, CONTROL), (socket.AF_INET6, CONTROL6)):
        with socket.socket(family, socket.SOCK_DGRAM) as control:
            control.sendto(b"seen?", address)
        assert watch.controls[address[0]].wait(10), f"what is sent to {address[0]} was not seen"
    print(json.dumps(watch.seen))


if __name__ == "__main__":
    _main(*sys.argv[1:])
