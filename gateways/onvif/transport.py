"""The one HTTP client of this package: a POST in, a bounded answer out.

No redirects, no proxies, no packed bodies, nothing read past the cap, and a deadline for the whole
exchange, not per byte.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from gateways.onvif.errors import BadAnswer, Unreachable

# Profiles of a 64-channel recorder are about 300 KB; see docs/decisions/0014.
MAX_ANSWER_BYTES = 2 << 20
# Sockets at once: a sweep's concurrency and the daily work beside it, far below the file limit.
MAX_CONNECTIONS = 512
# Cameras have few places for clients: those that are idle are given back soon.
MAX_IDLE_CONNECTIONS = 64
IDLE_S = 5.0
USER_AGENT = "StreamHub"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `total_s` bounds the whole exchange, connecting included."""

    connect_s: float = 3.0
    total_s: float = 10.0


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What came back. `challenges`: the values of WWW-Authenticate."""

    status: int
    content_type: str
    challenges: list[str]
    body: bytes


class HttpTransport:
    """POSTs to devices. One per process; `async with`, or `close()` at the end.

    `verify_tls`: cameras' certificates are mostly their own. False encrypts without knowing whom.
    """

    def __init__(self, *, verify_tls: bool = True) -> None:
        context: ssl.SSLContext | bool = verify_tls
        if not verify_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,
            verify=context,
            limits=httpx.Limits(
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_IDLE_CONNECTIONS,
                keepalive_expiry=IDLE_S,
            ),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._client.aclose()

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        *,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> HttpReply:
        """Send and read the answer, up to `max_bytes` of it. Raises `Unreachable`, `BadAnswer`."""
        raw_headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        limits = httpx.Timeout(timeouts.total_s, connect=timeouts.connect_s)
        try:
            async with (
                asyncio.timeout(timeouts.total_s),
                self._client.stream(
                    "POST", url, content=body, headers=raw_headers, timeout=limits
                ) as answer,
            ):
                return await _bounded(answer, max_bytes)
        except TimeoutError:
            raise Unreachable("no_answer") from None
        except httpx.HTTPError as error:
            raise _unreachable(error) from None
        except (httpx.InvalidURL, UnicodeError):
            raise BadAnswer("bad_answer", "The device names an address that is none") from None


async def _bounded(answer: httpx.Response, max_bytes: int) -> HttpReply:
    if answer.is_redirect:
        raise BadAnswer("redirect_refused", status=answer.status_code)
    if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise BadAnswer("encoding_refused", status=answer.status_code)
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise BadAnswer("answer_too_large", status=answer.status_code)
    return HttpReply(
        answer.status_code,
        answer.headers.get("content-type", ""),
        answer.headers.get_list("www-authenticate"),
        bytes(body),
    )


def _unreachable(error: httpx.HTTPError) -> Unreachable | BadAnswer:
    """Which of the known ways to fail this is; the cause lies deep in the chain."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 10:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.RemoteProtocolError):
        if "disconnected" in str(error) or "closed connection" in str(error):
            return Unreachable("closed_by_peer")
        return BadAnswer("bad_answer", "Not HTTP")
    if any(isinstance(one, ssl.SSLError) for one in chain):
        return Unreachable("tls_failed")
    if isinstance(error, httpx.ConnectTimeout):
        return Unreachable("connect_timeout")
    if isinstance(error, httpx.TimeoutException):
        return Unreachable("no_answer")
    if not isinstance(error, httpx.ConnectError):
        return Unreachable("closed_by_peer")
    if any(isinstance(one, ConnectionRefusedError) for one in chain):
        return Unreachable("connect_refused")
    if any(isinstance(one, socket.gaierror) for one in chain):
        return Unreachable("unknown_host")
    return Unreachable("unreachable")
