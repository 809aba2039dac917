"""As little of a client of the RTSP door as can be: requests by hand, packets with their times."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field

from support.district import eventually
from support.patience import PATIENCE_S

MAGIC = 0x24
# The door answers within 10 s, be it that there is nothing yet: a machine may stand still so long.
MAX_TRIES = 3


def trusting_anyone() -> ssl.SSLContext:
    """As players are mostly set: sealed, whoever it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass
class Answer:
    """A response; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass
class RtspViewer:
    """Plays one address by interleaved TCP. `packets`: (monotonic arrival, RTP packet);
    `asked_again`: how often it was told to come again before it played."""

    address: str
    ticket: str | None = None
    # What the kernel holds for a client that does not read; None: what it likes, some megabytes.
    receive_buffer_bytes: int | None = None
    packets: list[tuple[float, bytes]] = field(default_factory=list)
    reports: list[bytes] = field(default_factory=list)
    ended_at: float | None = None
    asked_again: int = 0
    transport: asyncio.ReadTransport | None = None
    _cseq: int = 0
    _reading: asyncio.Task[None] | None = None
    _answers: asyncio.Queue[Answer] = field(default_factory=asyncio.Queue)

    async def connect(self) -> None:
        scheme, _, place = self.address.partition("://")
        host, _, port = place.partition("/")[0].rpartition(":")
        sock = socket.socket()
        sock.setblocking(False)
        if self.receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer_bytes)
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        tls = trusting_anyone() if scheme == "rtsps" else None
        name = None if tls is None else host
        opening = asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name)
        self._reader, self._writer = await opening
        transport = self._writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        self.transport = transport
        self._reading = asyncio.create_task(self._read())

    async def ask(self, method: str, url: str = "", **headers: str) -> Answer:
        self._cseq += 1
        lines = [f"{method} {url or self.address} RTSP/1.0", f"CSeq: {self._cseq}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        assert self._reading is not None
        answer = asyncio.ensure_future(self._answers.get())
        try:
            both = {answer, self._reading}
            await asyncio.wait(both, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() and not self._answers.empty():
                await answer  # it came together with the end
            assert answer.done(), f"no answer to {method}; {self._end()}"
            return answer.result()
        finally:
            answer.cancel()

    async def describe(self) -> Answer:
        query = "" if self.ticket is None else f"?ticket={self.ticket}"
        return await self.ask("DESCRIBE", f"{self.address}{query}")

    async def play(self) -> None:
        """All the way to the first packet. Told to come again, it does, as players do."""
        for _ in range(MAX_TRIES):
            await self.connect()
            described = await self.describe()
            if described.status not in (503, 504) or "retry-after" not in described.headers:
                break
            self.asked_again += 1
            await self.close()
        assert described.status == 200, f"{described}; {self._end()}"
        track = f"{self.address}/trackID=0"
        set_up = await self.ask("SETUP", track, Transport="RTP/AVP/TCP;unicast;interleaved=0-1")
        assert set_up.status == 200, set_up
        self.rtsp_session_id = set_up.headers["session"].partition(";")[0]
        played = await self.ask("PLAY", Session=self.rtsp_session_id)
        assert played.status == 200, played
        await eventually("a packet", lambda: bool(self.packets))

    async def close(self) -> None:
        self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def wait_end(self, timeout_s: float = PATIENCE_S) -> float:
        """Monotonic time at which the service closed the connection."""
        assert self._reading is not None
        await asyncio.wait_for(asyncio.shield(self._reading), timeout_s)
        assert self.ended_at is not None
        return self.ended_at

    def _end(self) -> str:
        reading = self._reading
        if reading is None or not reading.done():
            return "the connection is open"
        return f"the connection has ended: {reading.exception()!r}"

    async def _read(self) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                first = await self._reader.readexactly(1)
                if first[0] == MAGIC:
                    await self._read_packet()
                else:
                    await self._read_answer(first)
        self.ended_at = time.monotonic()

    async def _read_packet(self) -> None:
        head = await self._reader.readexactly(3)
        packet = await self._reader.readexactly(int.from_bytes(head[1:], "big"))
        if head[0] == 0:
            self.packets.append((time.monotonic(), packet))
        else:
            self.reports.append(packet)

    async def _read_answer(self, first: bytes) -> None:
        head = first + await self._reader.readuntil(b"\r\n\r\n")
        start, *lines = head.decode().strip().split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        self._answers.put_nowait(Answer(int(start.split()[1]), headers, body.decode()))
