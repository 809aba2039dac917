"""Tells systemd how the service stands: sd_notify(3), one datagram to the socket it names."""

from __future__ import annotations

import os
import socket

SOCKET_ENV = "NOTIFY_SOCKET"
READY = "READY=1"
STOPPING = "STOPPING=1"


def sd_notify(state: str) -> bool:
    """Sends `state`; False where nobody asked, or the socket is not there. Never raises: a
    service must not end because nobody listens to how it is."""
    path = os.environ.get(SOCKET_ENV, "")
    if not path.startswith(("/", "@")):
        return False
    # "@" stands for the abstract namespace (unix(7)).
    address = f"\0{path[1:]}" if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto(state.encode(), address)
    except OSError:
        return False
    return True
