"""A webhook request as it leaves: signed, to an address that was checked, and nowhere else."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from camera_registry.secret import Secret
from streamhub.events import sender as sending
from streamhub.events.sender import MAX_ANSWER_BYTES, Outcome, Sender, resolve, signature
from support.serving import serving

SECRET = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
BODY = '{"type":"channel.online","name":"路口"}'
Handler = Callable[[httpx.Request], httpx.Response]


def a_sender(
    url: str,
    *addresses: str,
    handler: Handler | None = None,
    allow_local: bool = False,
) -> Sender:
    async def resolver(host: str, port: int) -> list[str]:
        return list(addresses)

    return Sender(
        url,
        SECRET,
        allow_local=allow_local,
        tls=ssl.create_default_context(),
        resolver=resolver,
        transport=None if handler is None else httpx.MockTransport(handler),
    )


async def send(sender: Sender) -> Outcome:
    try:
        return await sender.send("ev_7", BODY, 1_700_000_000)
    finally:
        await sender.close()


def answer(status: int, body: bytes = b"", **headers: str) -> httpx.Response:
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))


def never(request: httpx.Request) -> httpx.Response:
    raise AssertionError("a request left")


def test_the_signature_is_the_specifications() -> None:
    # Its own test vector (Standard Webhooks 1.0.0, the reference libraries' tests).
    body = b'{"test": 2432232314}'
    given = signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert given == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_the_receiver_can_check_what_it_gets() -> None:
    seen: list[httpx.Request] = []

    def receiver(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answer(204)

    outcome = await send(
        a_sender("https://hub.example:8443/hook?a=1", "10.0.0.5", handler=receiver)
    )
    assert outcome == Outcome(True, 204, None)
    request = seen[0]
    # To the address that was checked, under the name that was given.
    assert str(request.url) == "https://10.0.0.5:8443/hook?a=1"
    assert request.headers["host"] == "hub.example:8443"
    assert request.extensions["sni_hostname"] == "hub.example"
    assert request.content == BODY.encode()
    key = base64.b64decode(SECRET.reveal().removeprefix("whsec_"))
    signed = b"ev_7.1700000000." + request.content
    wanted = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert request.headers["webhook-id"] == "ev_7"
    assert request.headers["webhook-timestamp"] == "1700000000"
    assert request.headers["webhook-signature"] == f"v1,{wanted}"


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("10.0.0.5", "::1"),
        ("169.254.169.254",),
        ("::ffff:127.0.0.1",),
        ("0.0.0.0",),
    ],
)
async def test_a_name_that_leads_home_is_not_followed(addresses: tuple[str, ...]) -> None:
    outcome = await send(a_sender("http://hub.example/", *addresses, handler=never))
    assert not outcome.ok
    assert "The URL leads to" in str(outcome.error)


async def test_a_name_without_an_address_is_a_failure_to_try_again() -> None:
    outcome = await send(a_sender("http://hub.example/", handler=never))
    assert outcome.error == "The receiver's name has no address."


async def test_a_redirect_is_not_followed() -> None:
    asked: list[str] = []

    def receiver(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return answer(302, location="http://127.0.0.1/")

    outcome = await send(a_sender("http://hub.example/", "10.0.0.5", handler=receiver))
    assert (outcome.ok, outcome.status, asked) == (False, 302, ["10.0.0.5"])


@pytest.mark.parametrize(
    ("header", "seconds"), [("120", 120.0), ("soon", None), ("-1", None), ("9" * 40, None)]
)
async def test_a_receiver_may_ask_for_a_pause(header: str, seconds: float | None) -> None:
    def receiver(request: httpx.Request) -> httpx.Response:
        return answer(503, b"secret words", **{"Retry-After": header})

    outcome = await send(a_sender("http://hub.example/", "10.0.0.5", handler=receiver))
    assert outcome == Outcome(False, 503, "The receiver answered 503.", seconds)


@asynccontextmanager
async def a_server(answer: Callable[[asyncio.StreamWriter], None]) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        answer(writer)
        await writer.drain()
        await reader.read()  # until the sender hangs up

    async with serving(serve) as port:
        yield port


async def test_an_answer_without_end_is_cut() -> None:
    def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        writer.write(b"x" * (MAX_ANSWER_BYTES + 1))

    async with a_server(flood) as port:
        sender = a_sender(f"http://127.0.0.1:{port}/", "127.0.0.1", allow_local=True)
        assert await send(sender) == Outcome(True, 200, None)


async def test_a_proxy_of_the_surroundings_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def ok(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    def never_asked(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

    async with a_server(ok) as port, a_server(never_asked) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        sender = a_sender(f"http://127.0.0.1:{port}/", "127.0.0.1", allow_local=True)
        assert await send(sender) == Outcome(True, 204, None)


async def test_a_receiver_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "TIMEOUT_S", 0.3)
    async with a_server(lambda _: None) as port:
        sender = a_sender(f"http://127.0.0.1:{port}/", "127.0.0.1", allow_local=True)
        outcome = await send(sender)
    assert outcome.error == "The receiver did not answer within 0.3 s."


async def test_a_receiver_that_is_not_there_or_speaks_something_else() -> None:
    async with a_server(lambda writer: writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")) as port:
        sender = a_sender(f"http://127.0.0.1:{port}/tok3n", "127.0.0.1", allow_local=True)
        outcome = await send(sender)
    assert outcome.error == "The receiver can't be reached (RemoteProtocolError)."
    sender = a_sender(f"http://127.0.0.1:{port}/tok3n", "127.0.0.1", allow_local=True)
    assert (await send(sender)).error == "The receiver can't be reached (ConnectError)."


async def test_the_systems_resolver_gives_each_address_once() -> None:
    assert await resolve("127.0.0.1", 80) == ["127.0.0.1"]
