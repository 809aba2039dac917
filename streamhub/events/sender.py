"""One webhook request: signed, sent to an address that was checked, its answer's status taken.

The signature is that of the Standard Webhooks specification (1.0.0): `webhook-id`,
`webhook-timestamp` (unix seconds) and `webhook-signature`, which is `v1,` and the base64 of
HMAC-SHA256 over `id.timestamp.body` under the secret's bytes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import httpx

from camera_registry.errors import ValidationFailed
from camera_registry.hook_targets import HookTarget, hook_target, refused_address
from camera_registry.secret import Secret
from camera_registry.webhooks import secret_bytes

# Name, connection and answer together: a receiver that needs longer should queue and answer.
TIMEOUT_S: Final = 10.0
# An answer is not looked at; so much is read that its connection can be used again.
MAX_ANSWER_BYTES: Final = 16 * 1024
USER_AGENT: Final = "StreamHub-Webhook/1"

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Gives the IP addresses of a host; raises OSError."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `error` is a sentence without anything the receiver said."""

    ok: bool
    status: int | None
    error: str | None
    retry_after_s: float | None = None


async def resolve(host: str, port: int) -> list[str]:
    """By the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def signature(secret: Secret, event_id: str, unix_s: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    signed = f"{event_id}.{unix_s}.".encode() + body
    digest = hmac.digest(secret_bytes(secret), signed, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode("ascii")


class Sender:
    """Sends to one webhook; `close()` at the end. Its connections are no other webhook's, so that
    one opened for another name at the same address is never taken."""

    def __init__(
        self,
        url: str,
        secret: Secret,
        *,
        allow_local: bool,
        tls: ssl.SSLContext,
        resolver: Resolver = resolve,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._secret = secret
        self._allow_local = allow_local
        self._resolver = resolver
        self._client = httpx.AsyncClient(
            verify=tls,
            transport=transport,
            follow_redirects=False,  # a receiver must not choose where we go next
            trust_env=False,  # a proxy would resolve the name again, unchecked
            timeout=TIMEOUT_S,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def send(self, event_id: str, body: str, unix_s: int) -> Outcome:
        """One attempt; never raises but when cancelled."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._send(event_id, body.encode(), unix_s)
        except TimeoutError:
            return Outcome(False, None, f"The receiver did not answer within {TIMEOUT_S:g} s.")
        except ValidationFailed as error:
            return Outcome(False, None, error.sentence)
        except httpx.TimeoutException:
            return Outcome(False, None, f"The receiver did not answer within {TIMEOUT_S:g} s.")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # Its words may repeat the URL.
            return Outcome(False, None, f"The receiver can't be reached ({type(error).__name__}).")

    async def _send(self, event_id: str, body: bytes, unix_s: int) -> Outcome:
        target = hook_target(self._url, allow_local=self._allow_local)
        address = await self._address(target)
        url = httpx.URL(target.url)
        headers = {
            "Host": url.netloc.decode("ascii"),
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "webhook-id": event_id,
            "webhook-timestamp": str(unix_s),
            "webhook-signature": signature(self._secret, event_id, unix_s, body),
        }
        async with self._client.stream(
            "POST",
            # The very address that was checked: another look-up could give another one.
            url.copy_with(host=address),
            content=body,
            headers=headers,
            extensions={"sni_hostname": target.host},
        ) as answer:
            read = 0
            async for part in answer.aiter_raw():
                read += len(part)
                if read > MAX_ANSWER_BYTES:
                    break
        if answer.is_success:
            return Outcome(True, answer.status_code, None)
        return Outcome(
            False,
            answer.status_code,
            f"The receiver answered {answer.status_code}.",
            _retry_after_s(answer),
        )

    async def _address(self, target: HookTarget) -> str:
        try:
            found = await self._resolver(target.host, target.port)
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise ValidationFailed("url", "url_unresolved", "The receiver's name has no address.")
        # All of them: which one is taken must not decide.
        for address in found:
            refused = refused_address(address, allow_local=self._allow_local)
            if refused is not None:
                raise ValidationFailed("url", "url_address_refused", refused)
        return found[0]


def _retry_after_s(answer: httpx.Response) -> float | None:
    """Retry-After in seconds (RFC 9110 section 10.2.3); its date form is not looked at."""
    text = answer.headers.get("retry-after", "").strip()
    return float(text) if text.isdecimal() and len(text) <= 9 else None
