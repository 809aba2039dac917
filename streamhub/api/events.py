"""The stream of events: what happens to the channels one may list, as server-sent events."""

import json
import time
from collections.abc import AsyncGenerator
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from camera_registry.domain import Channel, EventKind
from streamhub.access.policy import Scope
from streamhub.access.principal import Action, Principal
from streamhub.events.hub import Place, Told

from .problems import Problem
from .rights import Who, requires_somewhere
from .services import Provided, Services

router = APIRouter(prefix="/api/v1/events", tags=["events"])

KEEP_ALIVE_S: Final = 15.0  # proxies give up on what is quiet for 30 to 60 s
# Then the client comes again by itself, and its sign-in is asked anew: as long as a token lasts.
MAX_STREAM_S: Final = 900.0
RETRY_MS: Final = 3_000


@router.get(
    "",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(
    services: Provided,
    who: Who,
    scope: Annotated[Scope, requires_somewhere(Action.LIST)],
    last_event_id: Annotated[str | None, Header(max_length=64)] = None,
    for_s: Annotated[
        float,
        Query(ge=0, le=MAX_STREAM_S, description="The stream ends after so long; 0: what is there"),
    ] = MAX_STREAM_S,
) -> StreamingResponse:
    """`channel.added`, `channel.changed`, `channel.removed`, `channel.online`, `channel.offline`
    of the channels one may list; `device_event`, what its device says of a channel, of those that
    are switched on and that one may watch without saying what for; and `resync`: something was
    missed, read the lists anew.

    `Last-Event-ID` goes on where a stream ended, without `device_event`s: they are told to who
    listens when they come. A listener that is too slow is told `resync` and
    the stream ends.
    """
    if not services.events.has_room_for(who.subject_id):
        raise Problem(
            503,
            "over_capacity",
            "Too many listen already; close other streams.",
            headers={"Retry-After": "5"},
        )
    # Proxies must not gather events into blocks.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        _stream(services, who, last_event_id, for_s),
        media_type="text/event-stream",
        headers=headers,
    )


async def _stream(
    services: Services, who: Principal, since: str | None, for_s: float
) -> AsyncGenerator[str, None]:
    """As text (HTML standard, section 9.2)."""
    hub, ends_at = services.events, time.monotonic() + for_s
    await hub.catch_up()
    # Here, not before: a stream that never begins would never end either.
    listener = hub.listen(who.subject_id)
    try:
        yield f"retry: {RETRY_MS}\n: listening\n\n"
        missed = [] if since is None else await hub.missed(since, listener.place)
        if missed is None:
            yield _text("resync", '{"reason":"missed"}', listener.place)
        else:
            yield _seen(services, who, missed, listener.place)
        while not (hub.closed or listener.fell_behind):
            left_s = ends_at - time.monotonic()
            told = await listener.take(max(0.0, min(left_s, KEEP_ALIVE_S)))
            # Asked for each batch: a right that has ended since shows nothing any more.
            if services.guard.scope(who, Action.LIST).is_empty:
                return
            if told:
                yield _seen(services, who, told, told[-1].place)
            elif left_s <= 0:
                return
            elif not hub.closed:
                yield ": quiet\n\n"
        if listener.fell_behind:
            # Without a place: the client comes again from where it was.
            yield _text("resync", '{"reason":"slow"}')
    finally:
        listener.close()


def _seen(services: Services, who: Principal, told: list[Told], place: Place) -> str:
    """What the listener may know of these events now; whatever they were, it is at `place` then."""
    may_list = services.guard.scope(who, Action.LIST).shows

    def may_watch(told_of: Channel) -> bool:
        # What a device sees, or hears at its inputs, is as the picture itself: of the channel as
        # it is now. Nobody can say here what for, so where that is asked it is not told.
        row = services.facts.current.channel(told_of.id)
        if row is None or not row.enabled:
            return False
        return services.guard.actions_on(who, row).get(Action.LIVE) is False

    lines = []
    for each in told:
        is_of_picture = each.event.kind is EventKind.DEVICE_EVENT
        event = each.event.seen_by(may_watch if is_of_picture else may_list)
        if event is not None:
            data = json.dumps(event.body(), ensure_ascii=False, separators=(",", ":"))
            lines.append(_text(event.kind.value, data, each.place))
    return "".join((*lines, f"id: {place}\n\n"))


def _text(name: str, data: str, place: Place | None = None) -> str:
    head = "" if place is None else f"id: {place}\n"
    return f"{head}event: {name}\ndata: {data}\n\n"
