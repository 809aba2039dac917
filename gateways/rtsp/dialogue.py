"""One RTSP connection for a check: requests, responses, interleaved packets, all written down.

Small and tolerant rather than fast; the live pull is the core's. RFC 2326.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from camera_registry.secret import Secret
from gateways.challenge import authorization, best_challenge

USER_AGENT = "StreamHub"
# Answers of cameras are under 4 KB; these keep a hostile peer from filling the memory.
MAX_HEAD_BYTES = 16 << 10
MAX_BODY_BYTES = 256 << 10
INTERLEAVED_MARK = 0x24
# What is read at a time while it plays: what the reader below holds at most.
CHUNK_BYTES = 2 * MAX_HEAD_BYTES

_SECRET_HEADER = re.compile(r"^(Authorization:\s*\w+).*$", re.IGNORECASE | re.MULTILINE)
_SECRET_QUERY = re.compile(r"((?:password|passwd|pwd|pass)=)[^&\s;]*", re.IGNORECASE)
_SECRET_USERINFO = re.compile(r"(rtsps?://)[^/\s]*@", re.IGNORECASE)


def redacted(text: str) -> str:
    """Without passwords: header values, userinfo and query fields that may hold one."""
    text = _SECRET_HEADER.sub(r"\1 ***", text)
    text = _SECRET_USERINFO.sub(r"\1***@", text)
    return _SECRET_QUERY.sub(r"\1***", text)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One message as it went over the wire, redacted."""

    direction: Literal[">", "<"]
    at_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Response:
    """A status line with headers (names in lower case) and a body."""

    status: int
    reason: str
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = self.headers.get(name)
        return values[0] if values else None

    @property
    def text(self) -> str:
        """The body."""
        return self.body.decode("utf-8", "replace")


class BadResponse(Exception):
    """What came is not RTSP; the message says what it looked like."""


@dataclass(slots=True)
class RtspDialogue:
    """A connection to one camera. `started` is monotonic seconds at the first step."""

    host: str
    port: int
    username: str | None
    password: Secret | None
    started: float = field(default_factory=time.monotonic)
    exchanges: list[Exchange] = field(default_factory=list)
    rtsp_session_id: str | None = None
    sent_credentials: bool = False
    _cseq: int = 0
    _challenge: dict[str, str] | None = None
    _nonce_uses: int = 0
    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = None
    _early: list[tuple[int, bytes]] = field(default_factory=list)

    async def connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            self.host, self.port, limit=MAX_HEAD_BYTES
        )

    def addresses(self) -> tuple[str, str]:
        """Ours and the camera's IP address on this connection."""
        assert self._writer is not None  # noqa: S101  (connect() comes first)
        ours, theirs = (self._writer.get_extra_info(name) for name in ("sockname", "peername"))
        return ours[0], theirs[0]

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError):  # it was gone before us
                await self._writer.wait_closed()
            self._writer = None

    async def request(self, method: str, uri: str, **headers: str) -> Response:
        """Send and wait for the answer; a 401 is answered once, with credentials if there are."""
        response = await self._once(method, uri, headers)
        if response.status != 401 or self.username is None:
            return response
        challenge = best_challenge(response.headers.get("www-authenticate", []))
        if challenge is None:
            raise BadResponse("401 without a challenge that is understood")
        stale = challenge.get("stale", "").lower() == "true"
        if self.sent_credentials and not stale and self._refused(challenge):
            return response
        self._challenge, self._nonce_uses = challenge, 0
        self.sent_credentials = True
        return await self._once(method, uri, headers)

    async def packet(self) -> tuple[int, bytes]:
        """The next interleaved packet as (channel, bytes); answers in between are written down."""
        if self._early:
            return self._early.pop(0)
        while True:
            found = await self._next()
            if not isinstance(found, Response):
                return found

    def early(self) -> list[tuple[int, bytes]]:
        """Packets that came before the answer to PLAY; given once."""
        early, self._early = self._early, []
        return early

    async def chunk(self) -> bytes:
        """What has come, as it came: after this only `chunk` reads on. Raises EOFError."""
        assert self._reader is not None  # noqa: S101  (connect() comes first)
        data = await self._reader.read(CHUNK_BYTES)
        if not data:
            raise EOFError
        return data

    async def send(self, method: str, uri: str) -> None:
        """A request whose answer comes among the chunks."""
        await self._write(method, uri, {})

    # --- inside -----------------------------------------------------------------------------------

    def _refused(self, challenge: dict[str, str]) -> bool:
        """Whether the camera has just refused our answer to this very challenge."""
        return self._challenge == challenge

    async def _write(self, method: str, uri: str, headers: dict[str, str]) -> None:
        assert self._writer is not None  # noqa: S101  (connect() comes first)
        self._cseq += 1
        lines = [f"{method} {uri} RTSP/1.0", f"CSeq: {self._cseq}", f"User-Agent: {USER_AGENT}"]
        if self.rtsp_session_id is not None:
            lines.append(f"Session: {self.rtsp_session_id}")
        if self._challenge is not None:
            lines.append(f"Authorization: {self._authorization(method, uri)}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        text = "\r\n".join(lines) + "\r\n\r\n"
        self._note(">", text)
        self._writer.write(text.encode())
        await self._writer.drain()

    async def _once(self, method: str, uri: str, headers: dict[str, str]) -> Response:
        await self._write(method, uri, headers)
        while True:
            found = await self._next()
            if isinstance(found, Response):
                return found
            if len(self._early) < 64:  # packets may come before the answer to PLAY
                self._early.append(found)

    async def _next(self) -> Response | tuple[int, bytes]:
        assert self._reader is not None  # noqa: S101  (connect() comes first)
        first = await self._reader.readexactly(1)
        while first in (b"\r", b"\n"):
            first = await self._reader.readexactly(1)
        if first[0] == INTERLEAVED_MARK:
            head = await self._reader.readexactly(3)
            return head[0], await self._reader.readexactly(int.from_bytes(head[1:]))
        head_lines = [(first + await self._line()).decode("latin-1").rstrip("\r\n")]
        size = len(head_lines[0])
        while line := (await self._line()).decode("latin-1").rstrip("\r\n"):
            head_lines.append(line)
            size += len(line)
            if size > MAX_HEAD_BYTES:
                raise BadResponse("a header without an end")
        return await self._response(head_lines)

    async def _line(self) -> bytes:
        assert self._reader is not None  # noqa: S101
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            raise BadResponse("a line without an end") from error

    async def _response(self, head_lines: list[str]) -> Response:
        assert self._reader is not None  # noqa: S101
        version, _, rest = head_lines[0].partition(" ")
        status, _, reason = rest.partition(" ")
        if not version.startswith("RTSP/") or not (status.isascii() and status.isdigit()):
            raise BadResponse(f"not an RTSP answer: {head_lines[0][:60]!r}")
        headers: dict[str, list[str]] = {}
        for line in head_lines[1:]:
            name, _, value = line.partition(":")
            headers.setdefault(name.strip().lower(), []).append(value.strip())
        announced = headers.get("content-length", ["0"])[0]
        length = int(announced) if announced.isascii() and announced.isdigit() else 0
        if length > MAX_BODY_BYTES:
            raise BadResponse(f"a body of {length} bytes")
        body = await self._reader.readexactly(length)
        text = "\r\n".join(head_lines) + "\r\n\r\n" + body.decode("utf-8", "replace")
        self._note("<", text)
        return Response(int(status), reason, headers, body)

    def _note(self, direction: Literal[">", "<"], text: str) -> None:
        at_ms = round((time.monotonic() - self.started) * 1000)
        self.exchanges.append(Exchange(direction, at_ms, redacted(text).rstrip()))

    def _authorization(self, method: str, uri: str) -> str:
        assert self._challenge is not None  # noqa: S101
        password = "" if self.password is None else self.password.reveal()
        self._nonce_uses += 1
        return authorization(
            self._challenge, method, uri, self.username or "", password, self._nonce_uses
        )


def host_and_port(url: str) -> tuple[str, int]:
    """Of an RTSP URL; 554 when it names no port."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 554
