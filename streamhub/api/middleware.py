"""The outer layers around every route, as plain ASGI: limits, headers, access log, last resort."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from typing import Any, Final

import structlog
from fastapi.exceptions import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from camera_registry.boundaries import MAX_GEOJSON_BYTES
from camera_registry.importers.readers import MAX_FILE_BYTES

from .cookies import cookie_header
from .metrics import Metrics
from .problems import internal_error
from .rights import RENEW_SCOPE

# An SDP offer has 5 to 10 kB, an area's boundary a few.
MAX_BODY_BYTES: Final = 256 * 1024
IMPORTS_PATH: Final = "/api/v1/imports"
ROTATION_PATH: Final = "/api/v1/devices/rotate-passwords"
# 20,000 devices with their credentials.
MAX_ROTATION_BYTES: Final = 4 << 20
GRANT_BATCH_PATH: Final = "/api/v1/grants/batch"
# 1,000 grants with conditions and hours.
MAX_GRANT_BATCH_BYTES: Final = 2 << 20
BOUNDARIES_PATH: Final = "/api/v1/area-boundaries"
_BODY_BYTES: Final = {
    BOUNDARIES_PATH: MAX_GEOJSON_BYTES,
    IMPORTS_PATH: MAX_FILE_BYTES,
    ROTATION_PATH: MAX_ROTATION_BYTES,
    GRANT_BATCH_PATH: MAX_GRANT_BATCH_BYTES,
}

WHEP_PREFIX: Final = "/whep/"
# WHEP draft, "CORS": without Expose-Headers a page of another origin can't read Location.
_CORS: Final = {
    "access-control-allow-methods": "OPTIONS, GET, HEAD, POST, PATCH, DELETE",
    "access-control-allow-headers": "Authorization, Content-Type, If-Match, Streamhub-Purpose, "
    "Streamhub-Purpose-Note",
    "access-control-expose-headers": "Location, ETag, Link, Retry-After",
    "access-control-max-age": "600",
}
_CSP: Final = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_SECURITY: Final = {
    "content-security-policy": _CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
# A year: who came by TLS once comes by TLS again (RFC 6797).
_HSTS: Final = "max-age=31536000"

_log = structlog.get_logger("streamhub.http")


class _TooLarge(HTTPException):
    """The body passed its limit. A framework error, so that parsers of bodies let it through."""

    def __init__(self) -> None:
        super().__init__(413)


class OuterLayer:
    """One middleware for all of it, so that the order is plain to read."""

    def __init__(self, app: ASGIApp, *, whep_origins: list[str]) -> None:
        self._app = app
        self._origins = frozenset(whep_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                self._add_headers(scope, message)
                _count(scope, status, time.monotonic() - started)
            await send(message)

        try:
            await self._app(scope, _limited(scope, receive), send_with_headers)
        except Exception:
            _log.exception("request_failed", method=scope["method"], route=_route(scope))
            if status == 0:
                await internal_error().response()(scope, receive, send_with_headers)
            else:
                raise

    def _add_headers(self, scope: Scope, message: MutableMapping[str, Any]) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in _SECURITY.items():
            headers.setdefault(name, value)
        # Pictures, names and grants must not stay in any cache; the page's assets set their own.
        headers.setdefault("cache-control", "no-store")
        if scope["path"].startswith(WHEP_PREFIX):
            self._add_cors(Headers(scope=scope).get("origin"), headers)
        https = scope["scheme"] == "https"
        if https:
            headers.setdefault("strict-transport-security", _HSTS)
        renew = scope.get(RENEW_SCOPE)
        if isinstance(renew, str):
            headers.append("set-cookie", cookie_header(renew, secure=https))

    def _add_cors(self, origin: str | None, headers: MutableHeaders) -> None:
        # Never with credentials: another origin needs a Bearer token, our cookie stays home.
        if "*" in self._origins:
            headers["access-control-allow-origin"] = "*"
        elif origin in self._origins:
            headers["access-control-allow-origin"] = str(origin)
            headers.add_vary_header("Origin")
        for name, value in _CORS.items():
            headers[name] = value


def _limited(scope: Scope, receive: Receive) -> Receive:
    declared = Headers(scope=scope).get("content-length", "")
    # A file to import is asked for when the right to is known.
    most = _BODY_BYTES.get(scope["path"], MAX_BODY_BYTES)
    too_large = declared.isdigit() and int(declared) > most
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            if too_large or received > most:
                raise _TooLarge
        return message

    return limited


def _route(scope: Scope) -> str:
    """The route's template: bounded, and without ids."""
    return str(getattr(scope.get("route"), "path", "none"))


def _count(scope: Scope, status: int, elapsed_s: float) -> None:
    services = getattr(scope["app"].state, "services", None)
    metrics: Metrics | None = getattr(services, "metrics", None)
    route, method = _route(scope), scope["method"]
    if metrics is not None:
        known = method if route != "none" else "other"
        metrics.requests.labels(known, route, f"{status // 100}xx").inc()
        metrics.durations.labels(route).observe(elapsed_s)
    _log.debug(
        "request", method=method, route=route, status=status, elapsed_ms=round(elapsed_s * 1e3, 1)
    )
