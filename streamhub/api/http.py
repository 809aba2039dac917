"""Puts the routes together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware

from . import (
    account,
    areas,
    assignment,
    audit,
    audit_export,
    audit_views,
    boundaries,
    channel_fields,
    channels,
    devices,
    events,
    explain,
    export_requests,
    exports,
    filing,
    grants,
    health,
    history,
    imports,
    inspections,
    keys,
    loans,
    oidc,
    page,
    problems,
    ptz,
    purposes,
    quotas,
    roles,
    rotation,
    rtsp_tickets,
    setup,
    sign_in,
    sign_ins,
    snapshot,
    subjects,
    sweeps,
    views,
    webhooks,
    whep,
)
from .description import with_problems
from .middleware import OuterLayer

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Api(FastAPI):
    """The framework's application, but for how it describes itself."""

    def openapi(self) -> dict[str, Any]:
        """Made once, at the first request for it."""
        if self.openapi_schema is None:
            self.openapi_schema = with_problems(super().openapi())
        return self.openapi_schema


def make_api(*, lifespan: Lifespan, whep_origins: list[str]) -> FastAPI:
    """The application. `lifespan` sets `app.state.services`."""
    app = Api(
        title="StreamHub",
        version=version("streamhub"),
        lifespan=lifespan,
        # The framework's own documentation pages load scripts from elsewhere.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[Middleware(OuterLayer, whep_origins=whep_origins)],
    )
    # They are asked in this order for each request: first what many viewers ask for at once.
    for noun in (
        whep,
        sign_in,
        setup,
        sign_ins,
        keys,
        account,
        oidc,
        areas,
        boundaries,
        devices,
        rotation,
        snapshot,
        ptz,
        rtsp_tickets,
        inspections,
        channels,
        explain,
        channel_fields,
        history,
        imports,
        exports,
        sweeps,
        filing,
        assignment,
        subjects,
        roles,
        grants,
        loans,
        purposes,
        quotas,
        views,
        events,
        webhooks,
        audit,
        audit_export,
        export_requests,
        audit_views,
        health,
        page,
    ):
        app.include_router(noun.router)
    problems.install(app)
    return app
