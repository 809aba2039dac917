"""HTTP/1.1 requests out of bytes, and answers into bytes (RFC 9112), all of it bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus

import httptools

# SOAP requests are under 4 KB; these bound what a hostile client can make a device keep.
MAX_HEAD_BYTES = 16 << 10
MAX_BODY_BYTES = 64 << 10
# Clients wait for the answer before they ask again; a few may be sent ahead.
MAX_AHEAD = 16
SOAP_TYPE = "application/soap+xml; charset=utf-8"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. `target` is as it came; header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool = True

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back, `after_s` seconds from now."""

    status: int
    body: bytes = b""
    content_type: str = SOAP_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    after_s: float = 0.0

    def encoded(self, *, keep_alive: bool) -> bytes:
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            *(f"{name}: {value}" for name, value in self.headers),
            f"Connection: {'keep-alive' if keep_alive else 'close'}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + self.body


class BadHttp(Exception):
    """What came is no request that a device takes; `status` is the answer before closing."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


@dataclass(slots=True)
class RequestReader:
    """One connection's bytes to requests; they may be cut anywhere."""

    _parser: httptools.HttpRequestParser = field(init=False)
    _target: bytes = b""
    _headers: dict[str, str] = field(default_factory=dict)
    _body: bytearray = field(default_factory=bytearray)
    _head_bytes: int = 0
    _in_head: bool = True
    _refused: HTTPStatus | None = None
    _ready: list[HttpRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> list[HttpRequest]:
        """The requests that are now whole. Raises BadHttp; the connection is then of no use."""
        if self._in_head:
            # Counts a body that came along too, hence after the parser has had its say.
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            raise BadHttp(self._refused or HTTPStatus.BAD_REQUEST) from None
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            raise BadHttp(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        ready, self._ready = self._ready, []
        return ready

    # --- called by the parser; what they raise ends the reading -----------------------------------

    def on_message_begin(self) -> None:
        self._target, self._headers, self._body = b"", {}, bytearray()
        self._in_head, self._head_bytes = True, 0

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._in_head = False

    def on_body(self, body: bytes) -> None:
        if len(self._body) + len(body) > MAX_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self._body += body

    def on_message_complete(self) -> None:
        if len(self._ready) >= MAX_AHEAD:
            self._refuse(HTTPStatus.TOO_MANY_REQUESTS)
        self._ready.append(
            HttpRequest(
                self._parser.get_method().decode("latin-1"),
                self._target.decode("latin-1"),
                self._headers,
                bytes(self._body),
                self._parser.should_keep_alive(),
            )
        )
        self._in_head, self._head_bytes = True, 0

    def _refuse(self, status: HTTPStatus) -> None:
        self._refused = status
        raise BadHttp(status)
