"""The live views: leases that are renewed while their facts hold, and end at once when not.

The core closes a viewer at its `until` by itself; nothing here is needed for a view to end, only
for it to go on.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from streamhub.delivery.errors import ShuttingDown, UnknownView
from streamhub.delivery.settings import DeliverySettings
from streamhub.delivery.view import (
    MAX_WATCHERS,
    LiveView,
    Opened,
    View,
    ViewEvent,
    Watch,
    snapshot_of,
    state_of,
)
from streamhub.media.contract import (
    Event,
    EventsLost,
    MediaCore,
    OverCapacity,
    StepTaken,
    ViewerClosed,
    ViewerConnected,
    ViewerLagging,
    stream_id_of,
)

if TYPE_CHECKING:
    from streamhub.access.facts import FactsSource
    from streamhub.access.guard import Guard
    from streamhub.access.permit import Permit
    from streamhub.router.supervisor import Router

log = structlog.get_logger(__name__)

# Rechecks between two breaths of the loop: about 2 ms.
RECHECKS_PER_BREATH = 200


def utc_now() -> datetime:
    """The wall clock: leases are compared with it by the core too."""
    return datetime.now(UTC)


class LiveViews:
    """All views that are open, by id. For the event loop's thread."""

    def __init__(
        self,
        *,
        core: MediaCore,
        router: Router,
        guard: Guard,
        facts: FactsSource,
        settings: DeliverySettings,
        on_finished: Callable[[LiveView], None],
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`on_finished` is called once per view, when the core has let go of it."""
        # given
        self._core = core
        self._router = router
        self._guard = guard
        self._facts = facts
        self._settings = settings
        self._on_finished = on_finished
        self._now = now
        # owned
        self._views: dict[str, LiveView] = {}
        self._by_stream: dict[str, set[str]] = {}
        self._closing = False
        self._drained = asyncio.Event()
        self._drained.set()
        self.opened_total = 0
        self.ended_total: Counter[str] = Counter()
        self.lagging_total = 0

    def __len__(self) -> int:
        return len(self._views)

    # --- open -------------------------------------------------------------------------------------

    async def open(
        self,
        permit: Permit,
        offer_sdp: str,
        profile: str,
        *,
        written: Callable[[LiveView], Awaitable[None]],
    ) -> Opened:
        """Open a view in the core while `written` puts its start into the audit.

        The answer leaves only when the row is down: without it no viewer can connect. Raises what
        the core and `written` raise, with nothing left open; `UnknownView` when the right to it
        ended meanwhile.
        """
        if self._closing:
            raise ShuttingDown
        if len(self._views) >= self._settings.max_views:
            raise OverCapacity("as many views are open as this service carries")
        channel = self._facts.current.channel(permit.channel_id)
        view = LiveView(
            id=secrets.token_hex(16),
            channel_id=permit.channel_id,
            area_id=channel.area_id if channel else None,
            profile=profile,
            stream_id=stream_id_of(permit.channel_id, profile),
            started_at=self._now(),
            permit=permit,
            until=self._lease_end(permit),
        )
        answer = self._core.open_viewer(
            viewer_id=view.id,
            stream_id=view.stream_id,
            channel_id=view.channel_id,
            subject_id=permit.subject_id,
            offer_sdp=offer_sdp,
            until=view.until,
            permit=permit,
        )
        # From here on a revocation finds it, even while its audit row is being written.
        self._views[view.id] = view
        self._by_stream.setdefault(view.stream_id, set()).add(view.id)
        self._drained.clear()
        view.add_step("permit", view.started_at_ms)
        for taken in self._router.route(view.stream_id).steps:
            view.add_step(taken.step, taken.at_ms)
        self._router.ensure_live(permit, view.channel_id, profile, view.id)
        try:
            await written(view)
        except BaseException:
            self._end([view], "not_audited")
            raise
        self.opened_total += 1
        if view.ended_cause is None and self._guard.recheck(permit) is None:
            self._end([view], self._fall_cause(view))
        if view.ended_cause is not None:
            raise UnknownView
        return Opened(view.id, answer)

    # --- look -------------------------------------------------------------------------------------

    def get(self, view_id: str) -> View | None:
        """A live view, or None."""
        view = self._live(view_id)
        if view is None:
            return None
        self._refresh([view])
        return self._snapshot(view)

    def list(self) -> list[View]:
        """All live views, oldest first."""
        views = [view for view in self._views.values() if view.ended_cause is None]
        self._refresh(views)
        return [self._snapshot(view) for view in views]

    def watch(self, view_id: str) -> Watch:
        """Follow a view: its trace so far, its state, then what happens. Ends with the view.

        Raises `UnknownView`; `OverCapacity` when the view has too many watchers.
        """
        view = self._live(view_id)
        if view is None:
            raise UnknownView
        if len(view.watches) >= MAX_WATCHERS:
            raise OverCapacity("this view is watched too often", retry_after_s=5)
        watch = Watch()
        for taken in view.trace:
            watch.tell(ViewEvent("step", taken.data()))
        view.watches.add(watch)
        self._refresh([view])
        watch.tell(self._state_event(view))
        return watch

    # --- end --------------------------------------------------------------------------------------

    async def close(self, view_id: str, cause: str) -> bool:
        """End a view now. False when there is no such live view."""
        view = self._live(view_id)
        if view is None:
            return False
        self._end([view], cause)
        return True

    async def recheck(self) -> int:
        """The facts changed: end every view whose right is gone. Returns how many fell."""
        fallen = 0
        views = list(self._views.values())
        for start in range(0, len(views), RECHECKS_PER_BREATH):
            part = views[start : start + RECHECKS_PER_BREATH]
            fallen += len(self._held(part)[1])
            if start + RECHECKS_PER_BREATH < len(views):
                await asyncio.sleep(0)
        return fallen

    async def renew(self) -> None:
        """Renew the leases of all views that are still allowed, in bulk; end the others."""
        views = list(self._views.values())
        for start in range(0, len(views), RECHECKS_PER_BREATH):
            held, _ = self._held(views[start : start + RECHECKS_PER_BREATH])
            for view in held:
                view.until = self._lease_end(view.permit)
            self._core.renew_viewers([(view.id, view.until) for view in held])
            await asyncio.sleep(0)

    def tick(self, clock_s: float) -> None:
        """Once a second: fresh figures for those that are watched, in one call of the core."""
        watched = [v for v in self._views.values() if v.watches and v.ended_cause is None]
        self._refresh(watched)
        for view in watched:
            view.tell(self._state_event(view))
        for view in list(self._views.values()):
            if view.ended_cause is not None:
                if view.close_by == 0.0:
                    view.close_by = clock_s + self._settings.close_grace_s
                elif clock_s >= view.close_by:
                    self._finish(view)

    def end_all(self, cause: str) -> None:
        """Nothing is opened any more; everything that is open ends."""
        self._closing = True
        self._end([v for v in self._views.values() if v.ended_cause is None], cause)

    async def drained(self) -> None:
        """Wait until the core has let go of every view."""
        await self._drained.wait()

    def abandon(self) -> None:
        """Close the books on what the core still owes us an event for."""
        for view in list(self._views.values()):
            self._finish(view)

    # --- what is heard ----------------------------------------------------------------------------

    def handle_event(self, event: Event) -> None:
        """Subscriber of the event pump, after the router."""
        match event:
            case StepTaken(owner=owner):
                self._step(event, [owner] if owner in self._views else self._on(owner))
            case ViewerConnected(viewer_id=viewer_id) if viewer_id in self._views:
                view = self._views[viewer_id]
                view.connected, view.srtp_cipher = True, event.srtp_cipher
            case ViewerClosed(viewer_id=viewer_id) if viewer_id in self._views:
                view = self._views[viewer_id]
                view.sent_bytes, view.packets = event.sent_bytes, event.packets
                self._close_books(view, event.cause)
            case ViewerLagging(viewer_id=viewer_id) if viewer_id in self._views:
                self._views[viewer_id].lagged += 1
                self.lagging_total += 1
            case EventsLost():
                self._resync()
            case _:
                pass

    def route_changed(self, stream_id: str) -> None:
        """Listener of the router."""
        for view_id in self._on(stream_id):
            view = self._views[view_id]
            if view.watches and view.ended_cause is None:
                view.tell(self._state_event(view))

    # --- inside -----------------------------------------------------------------------------------

    def _live(self, view_id: str) -> LiveView | None:
        view = self._views.get(view_id)
        return view if view is not None and view.ended_cause is None else None

    def _on(self, stream_id: str) -> Iterable[str]:
        return tuple(self._by_stream.get(stream_id, ()))

    def _lease_end(self, permit: Permit) -> float:
        end = self._now().timestamp() + self._settings.lease_s
        return end if permit.until is None else min(end, permit.until.timestamp())

    def _held(self, views: Sequence[LiveView]) -> tuple[Sequence[LiveView], Sequence[LiveView]]:
        """Split into those still allowed (with a fresh permit) and the fallen, which end."""
        held, fallen = [], []
        for view in views:
            if view.ended_cause is not None:
                continue
            permit = self._guard.recheck(view.permit)
            if permit is None:
                fallen.append(view)
            else:
                view.permit = permit
                held.append(view)
        for cause in {self._fall_cause(view) for view in fallen}:
            self._end([v for v in fallen if self._fall_cause(v) == cause], cause)
        return held, fallen

    def _fall_cause(self, view: LiveView) -> str:
        channel = self._facts.current.channel(view.channel_id)
        if channel is None:
            return "channel_removed"
        if not channel.enabled:
            return "channel_disabled"
        if view.permit.until is not None and view.permit.until <= self._now():
            return "grant_ended"
        return "revoked"

    def _step(self, event: StepTaken, view_ids: Iterable[str]) -> None:
        for view_id in view_ids:
            view = self._views[view_id]
            if view.ended_cause is not None:
                continue
            view.add_step(event.step, event.at_ms)
            if event.step == "first_sent":
                view.connected = True
                view.last_packet_age_ms = 0
            if view.watches:
                view.tell(self._state_event(view))

    def _end(self, views: Sequence[LiveView], cause: str) -> None:
        for view in views:
            self._mark_ended(view, cause)
        if views:
            self._core.close_viewers(viewer_ids=[view.id for view in views], cause=cause)

    def _mark_ended(self, view: LiveView, cause: str) -> None:
        if view.ended_cause is None:
            view.ended_cause = cause
            self.ended_total[cause] += 1
            self._router.release(view.id)
            view.tell(self._state_event(view))
            log.info("view_ended", view_id=view.id, channel_id=view.channel_id, cause=cause)

    def _close_books(self, view: LiveView, cause: str) -> None:
        """The core closed it: by our wish (`ended_cause` is set), or for a cause of its own."""
        until = view.permit.until
        if cause == "lease_expired" and until is not None and until <= self._now():
            cause = "grant_ended"
        self._mark_ended(view, cause)
        self._finish(view)

    def _finish(self, view: LiveView) -> None:
        if self._views.pop(view.id, None) is None:
            return
        siblings = self._by_stream.get(view.stream_id, set())
        siblings.discard(view.id)
        if not siblings:
            self._by_stream.pop(view.stream_id, None)
        self._on_finished(view)
        if not self._views:
            self._drained.set()

    def _refresh(self, views: Sequence[LiveView]) -> None:
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

    def _resync(self) -> None:
        """Events were lost: what the core does not have any more has ended."""
        rows = self._core.viewer_stats(list(self._views))
        for view in list(self._views.values()):
            if view.id not in rows:
                self._close_books(view, "unknown")
        self._refresh(list(self._views.values()))

    def _state_event(self, view: LiveView) -> ViewEvent:
        route = self._router.route(view.stream_id)
        return ViewEvent("state", state_of(view, route, self._settings.stale_after_ms).data())

    def _snapshot(self, view: LiveView) -> View:
        route = self._router.route(view.stream_id)
        return snapshot_of(view, state_of(view, route, self._settings.stale_after_ms))
