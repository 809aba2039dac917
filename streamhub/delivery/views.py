"""The live views: leases that are renewed while their facts hold, and end at once when not.

The core closes a viewer at its `until` by itself; nothing here is needed for a view to end, only
for it to go on.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from streamhub.delivery.admission import Admission, LimitReached
from streamhub.delivery.errors import OneStreamOnly, ShuttingDown, UnknownProfile, UnknownView
from streamhub.delivery.hearing import Hearing
from streamhub.delivery.quota_words import refusal
from streamhub.delivery.rates import StreamRates
from streamhub.delivery.settings import DeliverySettings
from streamhub.delivery.view import (
    MAX_WATCHERS,
    LiveView,
    Opened,
    View,
    ViewEvent,
    Watch,
)
from streamhub.delivery.view_table import ViewTable
from streamhub.media.contract import MediaCore, MediaError, OverCapacity, Reception, stream_id_of

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
        self._now = now
        # owned
        self._rates = StreamRates(core)
        self.admission = Admission(settings, facts, self._rates.of)
        self._table = ViewTable(
            core=core,
            router=router,
            settings=settings,
            admission=self.admission,
            on_finished=on_finished,
            now=now,
        )
        self.hearing = Hearing(core, self._table, self.admission)
        self._closing = False
        self.opened_total = 0

    def __len__(self) -> int:
        return len(self._table)

    @property
    def ended_total(self) -> Mapping[str, int]:
        """By cause."""
        return self._table.ended_total

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
        the core and `written` raise, with nothing left open; `QuotaExceeded` or `OverCapacity` when
        there is no room; `UnknownView` when the right to it ended meanwhile.
        """
        view = self._new_view(permit, profile)
        answer = self._core.open_viewer(
            viewer_id=view.id,
            stream_id=view.stream_id,
            channel_id=view.channel_id,
            subject_id=permit.subject_id,
            offer_sdp=offer_sdp,
            until=view.until,
            permit=permit,
        )
        await self._enter(view, written)
        return Opened(view.id, answer)

    async def open_rtsp(
        self,
        permit: Permit,
        profile: str,
        *,
        connection_id: str,
        ticket_id: str,
        not_after: float,
        written: Callable[[LiveView], Awaitable[None]],
    ) -> None:
        """Open a view for a client that waits at the RTSP door; the core hears of it only when its
        audit row is down. `not_after`: the ticket's end (unix seconds), and the view's at the
        latest. Raises as `open`.
        """
        view = self._new_view(permit, profile, ticket_id=ticket_id, not_after=not_after)
        await self._enter(view, written)
        try:
            self._core.accept_rtsp(
                connection_id=connection_id,
                viewer_id=view.id,
                stream_id=view.stream_id,
                channel_id=view.channel_id,
                subject_id=permit.subject_id,
                until=view.until,
                permit=permit,
            )
        except MediaError as error:
            self._table.end([view], error.code)
            raise

    def _new_view(
        self,
        permit: Permit,
        profile: str,
        *,
        ticket_id: str | None = None,
        not_after: float | None = None,
    ) -> LiveView:
        if self._closing:
            raise ShuttingDown
        with self._telling(permit):
            self.admission.admit(
                permit.subject_id,
                stream_id_of(permit.channel_id, profile),
                by_rtsp=ticket_id is not None,
            )
        channel = self._facts.current.channel(permit.channel_id)
        return LiveView(
            id=secrets.token_hex(16),
            channel_id=permit.channel_id,
            area_id=channel.area_id if channel else None,
            profile=profile,
            started_at=self._now(),
            permit=permit,
            until=self._lease_end(permit, not_after),
            ticket_id=ticket_id,
            not_after=not_after,
            reception=Reception(transport="udp" if ticket_id is None else "rtsp"),
        )

    async def _enter(self, view: LiveView, written: Callable[[LiveView], Awaitable[None]]) -> None:
        """Into the table, onto its stream, into the audit; and its right is still there."""
        # From here on a revocation finds it, even while its audit row is being written.
        self._table.add(view)
        view.add_step("permit", view.started_at_ms)
        for taken in self._router.route(view.stream_id).steps:
            view.add_step(taken.step, taken.at_ms)
        self._table.hold(view, view.profile, view.permit)
        try:
            await written(view)
        except BaseException:
            self._table.end([view], "not_audited")
            raise
        self.opened_total += 1
        if view.ended_cause is None and self._guard.recheck(view.permit) is None:
            self._table.end([view], self._guard.fall_cause(view.permit))
        if view.ended_cause is not None:
            raise UnknownView

    def switch(self, view_id: str, profile: str) -> View:
        """Send a view on to the channel's other stream; it goes over when that has a keyframe.

        Until then the picture stays. The last wish counts. Raises `UnknownView`, `UnknownProfile`;
        `QuotaExceeded` or `OverCapacity` when that stream takes more than there is room for;
        `OneStreamOnly` for a view by RTSP; `NoCommonCodec` when the viewer is known not to take it.
        """
        view = self._table.live(view_id)
        permit = None if view is None else self._guard.recheck(view.permit)
        if view is None or permit is None:
            raise UnknownView
        channel = self._facts.current.channel(view.channel_id)
        if channel is None or profile not in channel.profiles:
            raise UnknownProfile(view.channel_id, profile)
        if view.ticket_id is not None:
            raise OneStreamOnly
        if profile != view.wanted_profile:
            with self._telling(permit):
                self.admission.admit_switch(view, profile)
            self._core.switch_viewer(view.id, stream_id_of(view.channel_id, profile), permit)
            view.wanted_profile, view.switch_refused = profile, None
            self.admission.rebook([view])
            self._table.hold(view, profile, permit)
            self._table.tell_state(view)
        return self._snapshot(view)

    def set_audio(self, view_id: str, on: bool) -> View:
        """Turn a view's sound on or off. Raises `UnknownView`."""
        view = self._table.live(view_id)
        if view is None or self._guard.recheck(view.permit) is None:
            raise UnknownView
        self._core.set_viewer_audio(view.id, on)
        view.audio = on
        return self._snapshot(view)

    # --- look -------------------------------------------------------------------------------------

    def get(self, view_id: str) -> View | None:
        """A live view, or None."""
        view = self._table.live(view_id)
        return None if view is None else self._snapshot(view)

    def list(self) -> list[View]:
        """All live views, oldest first."""
        return self._table.snapshots(self._table.all_live())

    def held_by_tokens(self) -> set[str]:
        """Ids of the sign-ins of whose tokens there are views."""
        principals = (view.permit.principal for view in self._table.all_live())
        return {
            who.credential_id
            for who in principals
            if who.via == "bearer" and who.credential_id is not None
        }

    def watch(self, view_id: str) -> Watch:
        """Follow a view: its trace so far, its state, then what happens. Ends with the view.

        Raises `UnknownView`; `OverCapacity` when the view has too many watchers.
        """
        view = self._table.live(view_id)
        if view is None:
            raise UnknownView
        if len(view.watches) >= MAX_WATCHERS:
            raise OverCapacity("this view is watched too often", retry_after_s=5)
        watch = Watch()
        for taken in view.trace:
            watch.tell(ViewEvent("step", taken.data()))
        view.watches.add(watch)
        self._table.refresh([view])
        watch.tell(self._table.state_event(view))
        return watch

    def _snapshot(self, view: LiveView) -> View:
        [snapshot] = self._table.snapshots([view])
        return snapshot

    # --- end --------------------------------------------------------------------------------------

    async def close(self, view_id: str, cause: str) -> bool:
        """End a view now. False when there is no such live view."""
        view = self._table.live(view_id)
        if view is None:
            return False
        self._table.end([view], cause)
        return True

    async def recheck(self) -> int:
        """The facts changed: end every view whose right is gone or that is beyond a quota, and
        shorten the lease of each whose right ends sooner by now. Returns how many fell."""
        fallen = 0
        views = self._table.all_live()
        for start in range(0, len(views), RECHECKS_PER_BREATH):
            part = views[start : start + RECHECKS_PER_BREATH]
            held, gone = self._held(part)
            fallen += len(gone)
            self._shorten(held)
            if start + RECHECKS_PER_BREATH < len(views):
                await asyncio.sleep(0)
        beyond = self.admission.facts_changed()
        self._table.end(beyond, "quota_lowered")
        return fallen + len(beyond)

    async def renew(self) -> None:
        """Renew the leases of all views that are still allowed, in bulk; end the others.

        None is renewed while a revocation could not be heard of.
        """
        if self._facts.deaf_s > self._settings.deaf_s:
            log.warning("not_renewed", deaf_s=round(self._facts.deaf_s))
            return
        views = self._table.all_live()
        for start in range(0, len(views), RECHECKS_PER_BREATH):
            held, _ = self._held(views[start : start + RECHECKS_PER_BREATH])
            for view in held:
                view.until = self._lease_end(view.permit, view.not_after)
            try:
                self._core.renew_viewers([(view.id, view.until) for view in held])
            except MediaError as error:  # the next round comes long before the leases end
                log.warning("renewal_not_taken", views=len(held), code=error.code)
            await asyncio.sleep(0)

    def tick(self, clock_s: float) -> None:
        """Once a second: fresh figures for those that are watched, in one call of the core."""
        watched = [view for view in self._table.all_live() if view.watches]
        self._table.refresh(watched)
        for view in watched:
            self._table.tell_state(view)
        self._table.chase(clock_s)
        if self._rates.measure(clock_s, self._table.streams()):
            self.admission.rebook()

    def end_all(self, cause: str) -> None:
        """Nothing is opened any more; everything that is open ends."""
        self._closing = True
        self._table.end(self._table.all_live(), cause)

    async def drained(self) -> None:
        """Wait until the core has let go of every view."""
        await self._table.drained()

    def abandon(self) -> None:
        """Close the books on what the core still owes us an event for."""
        self._table.abandon()

    # --- inside -----------------------------------------------------------------------------------

    @contextmanager
    def _telling(self, permit: Permit) -> Iterator[None]:
        """A limit that is reached is said to who asked, and noted."""
        try:
            yield
        except LimitReached as reached:
            error = refusal(reached, permit.principal, self._facts.current, self._guard)
            self._guard.note(permit, error.code)
            raise error from None

    def _lease_end(self, permit: Permit, not_after: float | None) -> float:
        end = self._now().timestamp() + self._settings.lease_s
        if not_after is not None:
            end = min(end, not_after)
        return end if permit.until is None else min(end, permit.until.timestamp())

    def _shorten(self, views: Sequence[LiveView]) -> None:
        """The core closes these no later than their right ends; a renewal may come after that."""
        sooner = [
            view for view in views if self._lease_end(view.permit, view.not_after) < view.until
        ]
        if not sooner:
            return
        for view in sooner:
            view.until = self._lease_end(view.permit, view.not_after)
        try:
            self._core.renew_viewers([(view.id, view.until) for view in sooner])
        except MediaError as error:
            # The core's queue is full: it must not be they who go on.
            log.warning("shortening_not_taken", views=len(sooner), code=error.code)
            self._table.end(sooner, "revoked")

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
        by_cause: dict[str, list[LiveView]] = {}
        for view in fallen:
            by_cause.setdefault(self._guard.fall_cause(view.permit), []).append(view)
        for cause, views_of_it in by_cause.items():
            self._table.end(views_of_it, cause)
        return held, fallen
