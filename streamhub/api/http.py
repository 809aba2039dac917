"""Puts the routes together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware import Middleware

from . import (
    areas,
    audit,
    channels,
    devices,
    grants,
    health,
    page,
    problems,
    sign_in,
    snapshot,
    subjects,
    views,
    whep,
)
from .middleware import OuterLayer

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def make_api(*, lifespan: Lifespan, whep_origins: list[str]) -> FastAPI:
    """The application. `lifespan` sets `app.state.services`."""
    app = FastAPI(
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
    for noun in (
        sign_in,
        areas,
        devices,
        snapshot,
        channels,
        subjects,
        grants,
        views,
        audit,
        whep,
        health,
        page,
    ):
        app.include_router(noun.router)
    problems.install(app)
    return app
