"""The views that the core has or still owes us the end of: by id, by stream, and their one way out.

Who opens, switches, renews and hears events is `views`; here is what is the same for all of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, KeysView, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from streamhub.delivery.admission import Admission
from streamhub.delivery.settings import DeliverySettings
from streamhub.delivery.view import LiveView, View, ViewEvent, ViewState, snapshot_of, state_of
from streamhub.media.contract import PROFILES, MediaCore, MediaError, stream_id_of

if TYPE_CHECKING:
    from streamhub.access.permit import Permit
    from streamhub.router.supervisor import Router

log = structlog.get_logger(__name__)


class ViewTable:
    """For the event loop's thread."""

    def __init__(
        self,
        *,
        core: MediaCore,
        router: Router,
        settings: DeliverySettings,
        admission: Admission,
        on_finished: Callable[[LiveView], None],
        now: Callable[[], datetime],
    ) -> None:
        # given
        self._core = core
        self._router = router
        self._settings = settings
        self._admission = admission
        self._on_finished = on_finished
        self._now = now
        # owned
        self._views: dict[str, LiveView] = {}
        self._by_stream: dict[str, set[str]] = {}
        self._drained = asyncio.Event()
        self._drained.set()
        self.ended_total: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._views)

    def add(self, view: LiveView) -> None:
        """From here on events and revocations find it, and it counts."""
        self._views[view.id] = view
        self._by_stream.setdefault(view.stream_id, set()).add(view.id)
        self._admission.add(view)
        self._drained.clear()

    def get(self, view_id: str) -> LiveView | None:
        """Also one that has ended, until its books are closed."""
        return self._views.get(view_id)

    def live(self, view_id: str) -> LiveView | None:
        view = self._views.get(view_id)
        return view if view is not None and view.ended_cause is None else None

    def all(self) -> list[LiveView]:
        return list(self._views.values())

    def all_live(self) -> list[LiveView]:
        """Oldest first."""
        return [view for view in self._views.values() if view.ended_cause is None]

    def on(self, stream_id: str) -> list[LiveView]:
        """Those that show a stream or are on their way to it."""
        return [self._views[view_id] for view_id in self._by_stream.get(stream_id, ())]

    # --- streams ----------------------------------------------------------------------------------

    def streams(self) -> KeysView[str]:
        """Those that live views show or are on their way to."""
        return self._by_stream.keys()

    def hold(self, view: LiveView, profile: str, permit: Permit) -> None:
        """The view needs this stream of its channel from now on."""
        stream_id = stream_id_of(view.channel_id, profile)
        self._by_stream.setdefault(stream_id, set()).add(view.id)
        self._router.ensure_live(permit, view.channel_id, profile, view.stream_lease(profile))

    def let_go(self, view: LiveView, profile: str) -> None:
        """The view needs this stream no more; no error when it did not."""
        self._router.release(view.stream_lease(profile))
        stream_id = stream_id_of(view.channel_id, profile)
        siblings = self._by_stream.get(stream_id, set())
        siblings.discard(view.id)
        if not siblings:
            self._by_stream.pop(stream_id, None)

    # --- look -------------------------------------------------------------------------------------

    def refresh(self, views: Sequence[LiveView]) -> None:
        """Fresh figures of these, in one call of the core."""
        if not views:
            return
        rows = self._core.viewer_stats([view.id for view in views])
        for view in views:
            row = rows.get(view.id)
            if row is not None:
                view.connected = row.connected
                view.last_packet_age_ms = row.last_packet_age_ms
                view.sent_bytes, view.packets = row.sent_bytes, row.packets
                view.reception = row.reception

    def tell_state(self, view: LiveView) -> None:
        """To its watchers, if there are any."""
        if view.watches:
            view.tell(self.state_event(view))

    def state_event(self, view: LiveView) -> ViewEvent:
        return ViewEvent("state", self._state(view).data())

    def snapshots(self, views: Sequence[LiveView]) -> list[View]:
        """As they stand now."""
        self.refresh(views)
        return [snapshot_of(view, self._state(view)) for view in views]

    def _state(self, view: LiveView) -> ViewState:
        route = self._router.route(view.stream_id)
        wanted = None
        if view.wanted_profile != view.profile:
            wanted = self._router.route(stream_id_of(view.channel_id, view.wanted_profile))
        return state_of(view, route, self._settings.stale_after_ms, wanted)

    # --- the way out ------------------------------------------------------------------------------

    def end(self, views: Sequence[LiveView], cause: str) -> None:
        """By our wish: nobody hears of them as live any more, and the core closes them."""
        for view in views:
            self._mark_ended(view, cause)
        if views:
            self._close(views, cause)

    def closed(self, view: LiveView, cause: str) -> None:
        """The core closed it: by our wish (`ended_cause` is set), or for a cause of its own."""
        if cause == "lease_expired":
            cause = self._why_expired(view)
        self._mark_ended(view, cause)
        self._finish(view)

    def chase(self, clock_s: float) -> None:
        """Closes the books where the core owes us an event, and closes again what it still has."""
        ended = [view for view in self._views.values() if view.ended_cause is not None]
        rows = self._core.viewer_stats([view.id for view in ended]) if ended else {}
        for view in ended:
            if view.close_by == 0.0:
                view.close_by = clock_s + self._settings.close_grace_s
            elif view.id in rows and clock_s < view.close_by + self._settings.lease_s:
                self._close([view], view.ended_cause or "unknown")
            elif clock_s >= view.close_by:
                self._finish(view)

    async def drained(self) -> None:
        """Wait until the core has let go of every view."""
        await self._drained.wait()

    def abandon(self) -> None:
        """Close the books on what the core still owes us an event for."""
        for view in self.all():
            self._finish(view)

    def _why_expired(self, view: LiveView) -> str:
        """It was not renewed in time, or could not be any more."""
        now, until = self._now(), view.permit.until
        if until is not None and until <= now:
            return view.permit.ends_as
        if view.not_after is not None and view.not_after <= now.timestamp():
            return "ticket_expired"
        return "lease_expired"

    def _close(self, views: Sequence[LiveView], cause: str) -> None:
        try:
            self._core.close_viewers(viewer_ids=[view.id for view in views], cause=cause)
        except MediaError as error:  # `chase` asks again
            log.warning("close_not_taken", views=len(views), code=error.code)

    def _mark_ended(self, view: LiveView, cause: str) -> None:
        if view.ended_cause is not None:
            return
        view.ended_cause = cause
        self._admission.remove(view)
        self.ended_total[cause] += 1
        for profile in PROFILES:
            self.let_go(view, profile)
        self.tell_state(view)
        log.info("view_ended", view_id=view.id, channel_id=view.channel_id, cause=cause)

    def _finish(self, view: LiveView) -> None:
        if self._views.pop(view.id, None) is None:
            return
        self._on_finished(view)
        if not self._views:
            self._drained.set()
