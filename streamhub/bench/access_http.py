"""A page of one's own cameras as the API answers it: the whole application in this process, asked
by ASGI. Neither sockets nor the parsing of HTTP are in it, nor a client."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import structlog
from fastapi import FastAPI
from starlette.types import Message, Scope

from camera_registry.secret import Secret
from streamhub.access import token_sign_ins
from streamhub.access.guard import utc_now
from streamhub.access.principal import Principal
from streamhub.access.tokens import Tokens, load_key
from streamhub.api.services import Services
from streamhub.settings import RegistrySettings, Settings

from .processes import BenchError
from .registry import PAGE

PATH = "/api/v1/channels"
# The command line hands it down, which alone knows the composition root.
Build = Callable[[Settings], FastAPI]


@dataclass(frozen=True)
class Page:
    """What is counted of an answer."""

    cameras: int
    next_cursor: str | None

    @classmethod
    def read(cls, body: bytes) -> Page:
        told = json.loads(body)
        return cls(len(told["items"]), told["next_cursor"])


class ThroughHttp:
    """`GET /api/v1/channels` by bearer token."""

    def __init__(self, app: FastAPI, tokens: Tokens) -> None:
        services: Services = app.state.services
        self.facts = services.facts
        self._store = services.store
        self._app = app
        self._tokens = tokens
        self._token_of: dict[str, str] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, build: Build, place: Path | Secret) -> AsyncIterator[ThroughHttp]:
        """The application on a registry, a file or a database."""
        with tempfile.TemporaryDirectory(prefix="streamhub-bench-") as folder:
            data_dir = Path(folder)
            registry = RegistrySettings()
            if isinstance(place, Secret):
                registry = RegistrySettings.model_construct(url=place)
            else:
                (data_dir / "registry.db").symlink_to(place)
            app = build(Settings(data_dir=data_dir, registry=registry))
            with _only_warnings():
                async with app.router.lifespan_context(app):
                    yield cls(app, Tokens(load_key(data_dir), utc_now))

    async def prepare(self, who: Principal) -> None:
        """A token and its sign-in, which is not what is measured."""
        if who.subject_id in self._token_of:
            return
        async with self._store.write() as tx:
            sign_in_id = await token_sign_ins.enter(
                tx, who.subject_id, utc_now(), remote=who.remote, agent="streamhub bench"
            )
        self._token_of[who.subject_id] = self._tokens.issue(
            subject_id=who.subject_id,
            username=who.username,
            version=who.version,
            sign_in_id=sign_in_id,
        )

    async def ask(self, who: Principal, cursor: str | None) -> bytes:
        """The body of the answer. Raises BenchError when it is none of a page."""
        query = {"limit": PAGE, **({} if cursor is None else {"cursor": cursor})}
        status, body = await _get(
            self._app, urlencode(query), f"Bearer {self._token_of[who.subject_id]}"
        )
        if status != HTTPStatus.OK:
            raise BenchError(f"A page was answered {status}: {body.decode()}")
        return body


@contextmanager
def _only_warnings() -> Iterator[None]:
    """Logs as a service has them that is not looked for faults in: without a line a request."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        yield
    finally:
        structlog.configure(**before)


async def _get(app: FastAPI, query: str, authorization: str) -> tuple[int, bytes]:
    """Status and body."""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"bench"), (b"authorization", authorization.encode())],
        "client": ("192.0.2.1", 40_000),
        "server": ("bench", 80),
    }
    answer: dict[str, Any] = {}
    parts: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer["status"] = message["status"]
        parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return answer["status"], b"".join(parts)
