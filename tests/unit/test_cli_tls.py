"""Certificate and key from files: taken anew when they change, kept when they don't fit."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from streamhub.api.middleware import OuterLayer
from streamhub.cli import tls as module
from streamhub.cli.serve import _listen
from streamhub.cli.servers import PageServer
from streamhub.cli.tls import ReloadingTls, TlsFilesUnusable, context_of, expires_at
from streamhub.settings import HttpSettings, SettingsError, load_settings
from support.certificates import make_certificate
from support.district import eventually
from support.patience import PATIENCE_S


def _files(folder: Path) -> tuple[Path, Path]:
    return folder / "hub.crt", folder / "hub.key"


async def _serial(port: int) -> int:
    """The serial number of the certificate that a new connection is shown."""
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=anyone)
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(shown).serial_number
    finally:
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def _listening(tls: ReloadingTls) -> AsyncIterator[int]:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0, ssl=tls.context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_new_pair_is_shown_to_the_next_connection(tmp_path: Path) -> None:
    files = _files(tmp_path)
    first, second = make_certificate(), make_certificate()
    first.write(*files)
    tls = ReloadingTls(*files)
    async with _listening(tls) as port:
        assert await _serial(port) == first.serial
        assert not tls.take_changes()
        second.write(*files)
        assert tls.take_changes()
        assert await _serial(port) == second.serial


async def test_a_pair_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    files = _files(tmp_path)
    first, second = make_certificate(), make_certificate()
    first.write(*files)
    tls = ReloadingTls(*files)
    async with _listening(tls) as port:
        files[0].write_bytes(second.certificate)  # the key is written a moment later
        assert not tls.take_changes()
        assert await _serial(port) == first.serial
        files[1].unlink()
        assert not tls.take_changes()
        assert await _serial(port) == first.serial
        files[1].write_bytes(second.key)
        assert tls.take_changes()
        assert await _serial(port) == second.serial


def test_what_can_not_be_used_is_said(tmp_path: Path) -> None:
    certificate, key = _files(tmp_path)
    with pytest.raises(TlsFilesUnusable, match=r"hub\.crt can't be read"):
        context_of(certificate, key)
    make_certificate(passphrase=b"closed").write(certificate, key)
    with pytest.raises(TlsFilesUnusable, match="without a passphrase"):
        context_of(certificate, key)
    certificate.write_text("no certificate")
    with pytest.raises(TlsFilesUnusable, match="are no certificate with its key"):
        context_of(certificate, key)


def test_the_end_of_a_certificate_is_read(tmp_path: Path) -> None:
    certificate, key = _files(tmp_path)
    made = make_certificate(days=3)
    made.write(certificate, key)
    assert (
        expires_at(certificate)
        == x509.load_pem_x509_certificate(made.certificate).not_valid_after_utc
    )


def test_a_certificate_without_its_key_is_no_setting() -> None:
    with pytest.raises(SettingsError, match="given together"):
        load_settings(http={"tls_certificate": "hub.crt"})


async def test_who_else_listens_is_told_of_a_pair_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_EACH_S", 0.01)
    files = _files(tmp_path)
    first, second = make_certificate(), make_certificate()
    first.write(*files)
    tls = ReloadingTls(*files)
    told: list[tuple[bytes, bytes]] = []
    tls.on_change(lambda certificate, key: told.append((certificate, key)))
    following = asyncio.create_task(tls.follow())
    try:
        files[0].write_bytes(second.certificate)
        files[1].write_bytes(second.key)
        await eventually("it is told", lambda: bool(told))
        assert told == [(second.certificate, second.key)]
    finally:
        following.cancel()


async def test_files_that_vanish_while_they_are_looked_at_end_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_EACH_S", 0.01)
    files = _files(tmp_path)
    first, second, third = make_certificate(), make_certificate(), make_certificate()
    first.write(*files)
    tls = ReloadingTls(*files)
    load = ssl.SSLContext.load_cert_chain
    told: list[bytes] = []

    def vanishing(context: ssl.SSLContext, certificate: Path, *more: Any, **named: Any) -> None:
        if certificate.read_bytes() == second.certificate:
            certificate.unlink()
        load(context, certificate, *more, **named)

    def follower(certificate: bytes, _: bytes) -> None:
        told.append(certificate)
        if certificate == first.certificate:
            raise RuntimeError("not thought of")

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", vanishing)
    tls.on_change(follower)
    following = asyncio.create_task(tls.follow())
    try:
        second.write(*files)
        await eventually("it has vanished", lambda: not files[0].exists())
        first.write(*files)
        await eventually("the follower fails", lambda: told == [first.certificate])
        third.write(*files)
        await eventually("it is told", lambda: told[-1] == third.certificate)
    finally:
        following.cancel()


def test_rtsp_by_tls_needs_the_certificate() -> None:
    with pytest.raises(SettingsError, match=r"rtsp\.tls_listen needs http\.tls_certificate"):
        load_settings(rtsp={"tls_listen": "127.0.0.1:8322"})


async def test_the_web_server_speaks_tls_and_says_so(tmp_path: Path) -> None:
    async def hello(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("hello")(scope, receive, send)

    class State:
        state = None

    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = State()
        await OuterLayer(hello, whep_origins=[])(scope, receive, send)

    files = _files(tmp_path)
    make_certificate().write(*files)
    tls = ReloadingTls(*files)
    listener = _listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = PageServer(with_state, HttpSettings(), requests_s=1, tls=tls.context)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        await eventually("the server listens", lambda: server.started)
        trusting = ssl.create_default_context(cafile=str(files[0]))
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"strict-transport-security: max-age=31536000" in answer
        assert answer.endswith(b"hello")
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, PATIENCE_S)
