"""A playing RTSP connection as packets: sans-IO, whatever pieces TCP hands over.

RFC 2326 section 10.12: `$`, channel, 16-bit length, packet; messages may stand between them.
"""

from __future__ import annotations

import re
from typing import Final

MARK: Final = 0x24
# Answers of cameras while they play have no body; these keep a hostile peer from filling memory.
MAX_MESSAGE_BYTES: Final = 16 << 10
_LENGTH = re.compile(rb"^content-length:\s*(\d{1,5})\s*$", re.IGNORECASE | re.MULTILINE)
_END = b"\r\n\r\n"


class Desynchronised(Exception):
    """What comes is neither a packet nor a message; the connection is of no more use."""


class InterleavedReader:
    """`messages` counts the RTSP messages that came between the packets."""

    def __init__(self) -> None:
        self.messages = 0
        self._tail = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """All packets that are whole by now, as (channel, packet). Raises `Desynchronised`."""
        buffer = self._tail + data if self._tail else data
        found: list[tuple[int, bytes]] = []
        at, end = 0, len(buffer)
        while at < end:
            if buffer[at] == MARK:
                if at + 4 > end:
                    break
                after = at + 4 + (buffer[at + 2] << 8 | buffer[at + 3])
                if after > end:
                    break
                found.append((buffer[at + 1], buffer[at + 4 : after]))
            elif buffer[at] in b"\r\n":
                after = at + 1
            else:
                length = _message_bytes(buffer[at : at + MAX_MESSAGE_BYTES + 1])
                if length is None:
                    break
                after = at + length
                if after > end:
                    break
                self.messages += 1
            at = after
        self._tail = buffer[at:]
        return found


def _message_bytes(data: bytes) -> int | None:
    """The length of the message that `data` begins with, body and all; None: its head goes on."""
    if not data[:1].isalpha():
        raise Desynchronised(f"a byte {data[0]:#04x} where a packet or a message begins")
    head, end, _ = data.partition(_END)
    if not end:
        if len(data) > MAX_MESSAGE_BYTES:
            raise Desynchronised("a message without an end")
        return None
    announced = _LENGTH.search(head.replace(b"\r", b""))
    length = len(head) + len(end) + (int(announced[1]) if announced else 0)
    if length > MAX_MESSAGE_BYTES:
        raise Desynchronised("a message of more than 16 KiB")
    return length
