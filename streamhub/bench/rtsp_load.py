"""Viewers by RTSP (RFC 2326, interleaved TCP): connections that play, and when bytes came last.

As little of a client as can be, of its own: a judge does not share the accused's code. Times are
taken after the read, so they are late rather than early.
"""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from .processes import BenchError

# A camera that nobody watches is dialled, and its first keyframe waited for.
TIMEOUT_S: Final = 30.0
JOINING: Final = 16
READ_BYTES: Final = 1 << 16
POLL_S: Final = 0.1
_STATUS: Final = re.compile(rb"RTSP/1\.0 (\d{3}) ")
_LENGTH: Final = re.compile(rb"(?im)^content-length:\s*(\d+)")
_SESSION: Final = re.compile(rb"(?im)^session:\s*([^;\r\n]+)")


@dataclass(frozen=True)
class Stream:
    """One address, and the ticket that opens it."""

    address: str
    ticket: str


@dataclass
class Viewer:
    """One connection. Times in Unix milliseconds; `ended_ms` is when the server closed it."""

    stream: Stream
    received: int = 0  # bytes
    last_ms: float = 0.0
    ended_ms: float | None = None
    _sock: socket.socket = field(init=False, repr=False)
    _cseq: int = 0

    def join(self) -> socket.socket:
        """All the way to the answer of PLAY. Raises BenchError."""
        host, _, port = self.stream.address.split("/")[2].rpartition(":")
        try:
            self._sock = socket.create_connection((host, int(port)), TIMEOUT_S)
            self._ask("DESCRIBE", f"{self.stream.address}?ticket={self.stream.ticket}")
            transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
            head = self._ask("SETUP", f"{self.stream.address}/trackID=0", transport)
            found = _SESSION.search(head)
            self._ask("PLAY", self.stream.address, f"Session: {found[1].decode() if found else ''}")
        except OSError as error:
            raise BenchError(f"A viewer by RTSP did not get to play: {error}.") from None
        self._sock.setblocking(False)
        return self._sock

    def read(self) -> bool:
        """What has come; whether more may."""
        try:
            count = len(self._sock.recv(READ_BYTES))
        except BlockingIOError:
            return True
        except OSError:
            count = 0
        now_ms = time.time() * 1000
        if not count:
            self.ended_ms = now_ms
            return False
        self.received += count
        self.last_ms = now_ms
        return True

    def close(self) -> None:
        self._sock.close()

    def _ask(self, method: str, url: str, *headers: str) -> bytes:
        """The head of the answer; of what follows PLAY's it is only known how much it is."""
        self._cseq += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._cseq}", *headers, "", ""]
        self._sock.sendall("\r\n".join(lines).encode())
        buffer = b""
        while b"\r\n\r\n" not in buffer:
            buffer += self._more()
        head, _, rest = buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        left = (int(length[1]) if length else 0) - len(rest)
        while left > 0:
            left -= len(self._more())
        if left < 0:
            self.received, self.last_ms = -left, time.time() * 1000
        status = _STATUS.match(head)
        if status is None or status[1] != b"200":
            said = head.split(b"\r\n")[0].decode(errors="replace")
            raise BenchError(f"{method} of a viewer by RTSP was answered: {said}")
        return head

    def _more(self) -> bytes:
        part = self._sock.recv(READ_BYTES)
        if not part:
            raise ConnectionError("the service closed the connection")
        return part


@contextmanager
def playing(streams: Sequence[Stream], viewers: int) -> Iterator[list[Viewer]]:
    """So many viewers, in turn of these streams, that all have bytes; read by a thread of its own
    for as long as the block lasts. Raises BenchError."""
    all_ = [Viewer(streams[number % len(streams)]) for number in range(viewers)]
    with _Reader() as reader:
        try:
            with ThreadPoolExecutor(JOINING) as pool:
                for _ in pool.map(reader.add, all_):
                    pass
            deadline = time.monotonic() + TIMEOUT_S
            while silent := sum(not each.received for each in all_):
                if time.monotonic() > deadline:
                    raise BenchError(f"{silent} of {viewers} viewers got no picture.")
                time.sleep(POLL_S)
            yield all_
        finally:
            reader.stop()
            for each in all_:
                if hasattr(each, "_sock"):
                    each.close()


class _Reader:
    """Reads whatever comes."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._viewers: dict[int, Viewer] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="rtsp-load")

    def __enter__(self) -> _Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._poll.close()

    def add(self, viewer: Viewer) -> None:
        number = viewer.join().fileno()
        self._viewers[number] = viewer
        self._poll.register(number, select.EPOLLIN)

    def stop(self) -> None:
        self._stopping = True
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            for number, _ in self._poll.poll(POLL_S):
                if not self._viewers[number].read():
                    self._poll.unregister(number)
