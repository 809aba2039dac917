"""The RTSP door: a client that showed the core a genuine ticket asks to watch.

The core has checked the ticket's signature and time; here the guard is asked whether its subject
may, now. A view is opened as for a browser (audit row first), and the core told; or it is told what
to answer. RFC 2326; the dialogue itself is the core's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from camera_registry.errors import StoreError
from streamhub.access.audit import BadCredential
from streamhub.access.errors import Forbidden, Known, NotVisible, Unauthenticated
from streamhub.access.principal import Action, channel
from streamhub.access.tickets import shown_by
from streamhub.delivery.errors import (
    DeliveryError,
    QuotaExceeded,
    UnknownProfile,
    UnknownView,
)
from streamhub.delivery.whep import check_permit
from streamhub.media.contract import (
    Event,
    MediaCore,
    MediaError,
    OverCapacity,
    RtspAsked,
    RtspTicketRefused,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from camera_registry.store.contract import Store
    from streamhub.access.departed import Departed
    from streamhub.access.facts import FactsSource
    from streamhub.access.guard import Guard
    from streamhub.access.principal import Principal
    from streamhub.delivery.view_log import ViewLog
    from streamhub.delivery.views import LiveViews

log = structlog.get_logger(__name__)

# RFC 2326 section 11.3.3: what RTSP says where the answer is "not so many at once".
NOT_ENOUGH_BANDWIDTH = 453
# Clients that ask at the same moment: as many as may wait in the core.
MAX_ASKING = 256
RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class Refused:
    """What a client is answered. `retry_after_s` of 0: no such header."""

    status: int
    code: str
    retry_after_s: int = 0


class RtspDoor:
    """Answers each `RtspAsked`, once."""

    def __init__(
        self,
        core: MediaCore,
        views: LiveViews,
        view_log: ViewLog,
        guard: Guard,
        facts: FactsSource,
        store: Store,
        departed: Departed,
        note_bad: Callable[[BadCredential], None] | None = None,
    ) -> None:
        """`note_bad` is told of each ticket that the core found not to be good."""
        # given
        self._core = core
        self._views = views
        self._view_log = view_log
        self._guard = guard
        self._facts = facts
        self._store = store
        self._departed = departed
        self._note_bad = note_bad
        # owned
        self._asking: set[asyncio.Task[None]] = set()
        self.refused_total = 0

    def handle_event(self, event: Event) -> None:
        """Subscriber of the event pump."""
        if isinstance(event, RtspTicketRefused) and self._note_bad is not None:
            self._note_bad(BadCredential("ticket", event.remote, event.cause))
        if not isinstance(event, RtspAsked):
            return
        if len(self._asking) >= MAX_ASKING:
            self._refuse(event, Refused(503, "over_capacity", RETRY_AFTER_S))
            return
        task = asyncio.create_task(self._answer(event), name="rtsp-asked")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def close(self) -> None:
        """Answer nobody any more."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _answer(self, asked: RtspAsked) -> None:
        try:
            await self._open(asked)
        except Exception as error:
            refused = _refused(error)
            if refused.code == "internal_error":
                log.exception("rtsp_not_opened", connection=asked.connection_id)
            if isinstance(error, Unauthenticated):
                self._note_void(asked, error.code)
            self._refuse(asked, refused)

    def _note_void(self, asked: RtspAsked, code: str) -> None:
        """A genuine ticket whose holder's account, password or key is not what it was."""
        if self._note_bad is not None:
            who = self._shown_by(asked)
            known = Known(who.subject_id or None, asked.ticket_id, who.credential_id)
            bad = BadCredential("ticket", asked.remote, code, known, who.username or None)
            self._note_bad(bad)

    def _shown_by(self, asked: RtspAsked) -> Principal:
        facts, version = self._facts.current, asked.subject_version
        return shown_by(asked.subject_id, version, asked.remote, facts, self._departed)

    async def _open(self, asked: RtspAsked) -> None:
        who = self._shown_by(asked)
        # What was said when the ticket was asked for: a player has no words of its own.
        async with self._store.read() as tx:
            stated = await tx.ticket_purposes.get(asked.ticket_id, asked.channel_id)
        permit = self._guard.require(who, Action.LIVE, channel(asked.channel_id), stated=stated)
        check_permit(permit, Action.LIVE, self._facts, asked.profile)
        await self._views.open_rtsp(
            permit,
            asked.profile,
            connection_id=asked.connection_id,
            ticket_id=asked.ticket_id,
            not_after=asked.expires,
            written=self._view_log.started,
        )

    def _refuse(self, asked: RtspAsked, refused: Refused) -> None:
        self.refused_total += 1
        log.debug(
            "rtsp_refused",
            connection=asked.connection_id,
            channel_id=asked.channel_id,
            ticket_id=asked.ticket_id,
            status=refused.status,
            code=refused.code,
        )
        try:
            self._core.refuse_rtsp(
                asked.connection_id, refused.status, retry_after_s=refused.retry_after_s
            )
        except MediaError as error:  # the core gives up by itself in some seconds
            log.warning("rtsp_refusal_not_taken", code=error.code)


def split_place(told: str) -> tuple[str, str]:
    """Host (an IPv6 address in brackets) and port, or "", of `host`, `host:port`, `2001:db8::1`."""
    has_port = "]:" in told or told.count(":") == 1
    host, _, port = told.rpartition(":") if has_port else (told, "", "")
    bare = ":" in host and not host.startswith("[")
    return (f"[{host}]" if bare else host), port


def _refused(error: Exception) -> Refused:
    match error:
        case Unauthenticated():
            return Refused(HTTPStatus.UNAUTHORIZED, error.code)
        case NotVisible() | UnknownProfile() | UnknownView():
            return Refused(HTTPStatus.NOT_FOUND, "not_found")
        case Forbidden():
            return Refused(HTTPStatus.FORBIDDEN, error.code)
        case QuotaExceeded():
            return Refused(NOT_ENOUGH_BANDWIDTH, error.code, error.retry_after_s)
        case OverCapacity():
            return Refused(HTTPStatus.SERVICE_UNAVAILABLE, error.code, error.retry_after_s)
        case MediaError() | DeliveryError() | StoreError():
            return Refused(HTTPStatus.SERVICE_UNAVAILABLE, error.code, RETRY_AFTER_S)
    return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error")
