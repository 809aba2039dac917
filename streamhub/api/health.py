"""For those who run it: /healthz, /metrics and the API's description."""

import asyncio
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from .problems import Problem
from .rights import public
from .services import Provided

router = APIRouter(tags=["health"])

STORE_TIMEOUT_S = 1.0


class Health(BaseModel):
    status: str
    version: str
    channels: int
    views: int


@router.get("/healthz", dependencies=[public("load balancers and `make demo` ask it")])
async def healthz(services: Provided) -> Health:
    """200 while the service can serve; 503 when the store does not answer, or a part of the packet
    core has ended."""
    try:
        async with asyncio.timeout(STORE_TIMEOUT_S):
            await services.store.latest_change_seq()
    except Exception:
        raise Problem(503, "store_unavailable", "The registry's store does not answer.") from None
    if services.delivery is not None and not services.delivery.core_is_whole:
        raise Problem(
            503, "core_fault", "A part of the packet core has ended; restart the service."
        )
    views = 0 if services.delivery is None else len(services.delivery.views)
    return Health(
        status="ok",
        version=version("streamhub"),
        channels=len(services.facts.current.channels),
        views=views,
    )


@router.get(
    "/metrics",
    dependencies=[public("figures without names; a firewall or the listen address guards it")],
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(services: Provided) -> Response:
    """Prometheus text."""
    text = services.metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get(
    "/api/v1/openapi.json",
    dependencies=[public("the description holds no data")],
    include_in_schema=False,
)
async def openapi(request: Request) -> dict[str, Any]:
    description: dict[str, Any] = request.app.openapi()
    return description
