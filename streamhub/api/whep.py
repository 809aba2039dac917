"""WHEP: a browser's offer in, the answer out at once (draft-ietf-wish-whep).

The view's resource carries its id as a capability and still asks who comes. Beside it runs a
stream of events (text/event-stream) with the steps of the join and the state of the picture.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from streamhub.access.permit import Permit
from streamhub.access.principal import Action
from streamhub.delivery import ViewEvent

from .problems import Problem
from .profiles import Profile
from .rights import channel_in_path, public, requires
from .services import Provided
from .view_rights import ThisView

router = APIRouter(prefix="/whep", tags=["whep"])

SDP = "application/sdp"
# Chromium's offer has 6 kB with every codec; eight times that is no offer.
MAX_OFFER_BYTES = 64 * 1024
EVENTS_REL = "urn:ietf:params:whep:ext:core:server-sent-events"
# A proxy or a dead client is noticed by writing; longer than the 1 s of a live view's states.
KEEP_ALIVE_S = 15.0

MayWatch = Annotated[Permit, requires(Action.LIVE, channel_in_path)]


@router.options(
    "/{channel_id}", status_code=204, dependencies=[public("a preflight carries no sign-in")]
)
async def preflight(channel_id: str) -> Response:
    return Response(status_code=204, headers={"Accept-Post": SDP})


@router.options(
    "/{channel_id}/{rest:path}",
    status_code=204,
    dependencies=[public("a preflight carries no sign-in")],
)
async def preflight_view(channel_id: str, rest: str) -> Response:
    return Response(status_code=204)


@router.api_route(
    "/{channel_id}", methods=["GET", "HEAD"], status_code=204, include_in_schema=False
)
async def endpoint(permit: MayWatch) -> Response:
    """The endpoint is there; there is nothing to read."""
    return Response(status_code=204, headers={"Accept-Post": SDP})


@router.post(
    "/{channel_id}",
    status_code=201,
    response_class=Response,
    responses={201: {"content": {SDP: {}}}},
    openapi_extra={"requestBody": {"content": {SDP: {"schema": {"type": "string"}}}}},
)
async def open_view(
    request: Request, services: Provided, permit: MayWatch, profile: Profile = "sub"
) -> Response:
    """Opens a view. The camera is dialled while ICE and DTLS run."""
    offer = await _offer(request)
    view_id, answer = await services.doors().whep.open(permit, offer, profile)
    location = f"/whep/{permit.channel_id}/{view_id}"
    return Response(
        answer,
        status_code=201,
        media_type=SDP,
        headers={
            "Location": location,
            "ETag": f'"{view_id}"',
            "Link": f'<{location}/events>; rel="{EVENTS_REL}"',
        },
    )


@router.api_route(
    "/{channel_id}/{view_id}", methods=["GET", "HEAD"], status_code=204, include_in_schema=False
)
async def view_is_there(access: ThisView) -> Response:
    return Response(status_code=204, headers={"ETag": f'"{access.view.id}"'})


@router.patch("/{channel_id}/{view_id}", status_code=204)
async def trickle(access: ThisView) -> Response:
    """Taken and ignored: our side is ICE-lite and needs none of the viewer's candidates."""
    return Response(status_code=204)


@router.delete("/{channel_id}/{view_id}", status_code=200, response_class=Response)
async def close_view(services: Provided, access: ThisView) -> Response:
    """Ends the view. A second time it is not there."""
    cause = "closed_by_viewer" if access.is_own else "closed_by_operator"
    await services.doors().views.close(access.view.id, cause)
    return Response(status_code=200)


@router.get(
    "/{channel_id}/{view_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(services: Provided, access: ThisView) -> StreamingResponse:
    """`step` and `state` events; ends after the state `ended`."""
    watch = services.doors().views.watch(access.view.id)
    # Proxies must not gather events into blocks.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        event_stream(watch, KEEP_ALIVE_S), media_type="text/event-stream", headers=headers
    )


async def event_stream(watch: AsyncIterator[ViewEvent], keep_alive_s: float) -> AsyncIterator[str]:
    """Events as text (HTML standard, server-sent events), with a comment when it is quiet."""
    following: asyncio.Task[ViewEvent] | None = None
    try:
        while True:
            if following is None:
                following = asyncio.ensure_future(_next(watch))
            done, _ = await asyncio.wait({following}, timeout=keep_alive_s)
            if not done:
                yield ": quiet\n\n"
                continue
            try:
                event = following.result()
            except StopAsyncIteration:
                return
            following = None
            data = json.dumps(event.data, ensure_ascii=False, separators=(",", ":"))
            yield f"event: {event.name}\ndata: {data}\n\n"
    finally:
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await following


async def _next(watch: AsyncIterator[ViewEvent]) -> ViewEvent:
    return await anext(watch)


async def _offer(request: Request) -> str:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != SDP:
        raise Problem(415, "not_sdp", f"Send the offer as {SDP}.", headers={"Accept-Post": SDP})
    body = await request.body()
    if len(body) > MAX_OFFER_BYTES:
        raise Problem(413, "too_large", f"An offer has at most {MAX_OFFER_BYTES} bytes.")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Problem(400, "malformed_sdp", "The offer is not UTF-8 text.") from None
