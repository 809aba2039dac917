"""The two HTTP servers of the service, which leave the signals to `serve`."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from streamhub.settings import HttpSettings


class PageServer(uvicorn.Server):
    """For everybody, over TCP; with TLS where there is a context for it."""

    def __init__(
        self,
        app: ASGIApp,
        http: HttpSettings,
        *,
        requests_s: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        config = _config(
            app,
            requests_s,
            proxy_headers=bool(http.trusted_proxies),
            forwarded_allow_ips=http.trusted_proxies,
        )
        super().__init__(config)
        if tls is not None:
            config.load()
            config.ssl = tls

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ControlServer(uvicorn.Server):
    """For this machine's operator, over a Unix socket that `serve` made."""

    def __init__(self, app: ASGIApp, *, requests_s: int) -> None:
        super().__init__(_config(app, requests_s, proxy_headers=False))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
                _loop=loop,
            )
            return made

        # The base class would treat the socket as TCP.
        self.servers = [
            await loop.create_unix_server(protocol, sock=each) for each in sockets or []
        ]
        self.started = True


def _config(app: ASGIApp, requests_s: int, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=requests_s,
        **more,
    )
