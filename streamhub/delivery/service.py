"""The delivery room as one object: what `app` builds and the api calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from streamhub.access.departed import Departed
from streamhub.delivery.limits import SERVICE
from streamhub.delivery.rtsp import RtspDoor, split_place
from streamhub.delivery.settings import DeliverySettings
from streamhub.delivery.snapshot import SnapshotDoor, StillDecoder
from streamhub.delivery.view_log import ViewLog
from streamhub.delivery.views import LiveViews, utc_now
from streamhub.delivery.whep import WhepDoor
from streamhub.media.contract import MediaCore, MediaError, channel_of
from streamhub.media.pump import EventPump
from streamhub.router.route import RouteState

if TYPE_CHECKING:
    from camera_registry.store.contract import Store
    from streamhub.access.audit import AuditLog, BadCredential
    from streamhub.access.facts import FactsSource
    from streamhub.access.facts_cache import FactsChange
    from streamhub.access.guard import Guard
    from streamhub.router.supervisor import Router

log = structlog.get_logger(__name__)

# Of the time to leave, this share is for goodbyes to viewers; the rest is for audit and core.
DRAIN_SHARE = 0.5


class Delivery:
    """Doors `whep`, `rtsp` and `snapshot`, and the live `views`."""

    def __init__(
        self,
        *,
        core: MediaCore,
        pump: EventPump,
        router: Router,
        guard: Guard,
        facts: FactsSource,
        audit: AuditLog,
        store: Store,
        decoder: StillDecoder,
        settings: DeliverySettings | None = None,
        now: Callable[[], datetime] = utc_now,
        keep_sign_ins: Callable[[Collection[str]], Awaitable[None]] | None = None,
        departed: Departed | None = None,
        note_bad: Callable[[BadCredential], None] | None = None,
    ) -> None:
        """`keep_sign_ins` is told regularly, by their ids, which views' tokens would run out;
        `note_bad` of tickets at the RTSP door that are not good; `departed` names whose they were.
        """
        # given
        self._keep_sign_ins = keep_sign_ins
        self._core = core
        self._pump = pump
        self._router = router
        self._facts = facts
        self._now = now
        self._settings = settings or DeliverySettings()
        # owned
        self._view_log = ViewLog(audit, store, timeout_s=self._settings.audit_timeout_s)
        self.views = LiveViews(
            core=core,
            router=router,
            guard=guard,
            facts=facts,
            settings=self._settings,
            on_finished=lambda view: self._view_log.ended(view, now()),
            now=now,
        )
        self.whep = WhepDoor(self.views, self._view_log, facts)
        departed = Departed() if departed is None else departed
        self.rtsp = RtspDoor(
            core, self.views, self._view_log, guard, facts, store, departed, note_bad
        )
        self.snapshot = SnapshotDoor(
            core=core,
            router=router,
            guard=guard,
            facts=facts,
            view_log=self._view_log,
            decoder=decoder,
            settings=self._settings,
        )
        self._tasks: list[asyncio.Task[None]] = []
        # The router first: views and stills ask it how a stream stands.
        for subscriber in (
            router.handle_event,
            self.views.hearing.handle_event,
            self.snapshot.handle_event,
            self.rtsp.handle_event,
        ):
            pump.subscribe(subscriber)
        router.on_change(self.views.hearing.route_changed)
        router.on_change(self.snapshot.route_changed)

    async def start(self) -> int:
        """Close what a killed process left open in the audit, then begin. Returns how many."""
        closed = await self._view_log.recover()
        self._pump.start()
        self._tasks = [
            asyncio.create_task(self._every(self._settings.tick_s, self._tick), name="view-tick"),
            asyncio.create_task(
                self._every(self._settings.renew_every_s, self.views.renew), name="view-renew"
            ),
            # Apart from the leases: a store that hangs must not hold up their renewal.
            asyncio.create_task(
                self._every(self._settings.renew_every_s, self._keep), name="view-sign-ins"
            ),
        ]
        if closed:
            log.warning("views_closed_at_start", views=closed, cause="service_restarted")
        return closed

    async def facts_changed(self, change: FactsChange) -> None:
        """Follower of the facts cache: what is not allowed any more ends now.

        The views fall before anything is awaited; the re-dials of changed cameras come after.
        """
        fallen = await self.views.recheck()
        if fallen:
            log.info("views_fell", views=fallen, version=change.version)
        kinds = {kind.partition(".")[0] for kind in change.kinds}
        if "everything" in kinds:
            await self._router.addresses_changed()
        elif kinds & {"channel", "device"}:
            await self._router.addresses_changed(self._channels_of(change.object_ids))

    async def shutdown(self, deadline_ms: int) -> None:
        """End every view (cause `shutdown`), write the audit rows, stop the core; in time."""
        deadline = time.monotonic() + deadline_ms / 1000
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.views.end_all("shutdown")
        await self.snapshot.close()
        await self.rtsp.close()
        await _within(deadline_ms / 1000 * DRAIN_SHARE, self.views.drained)
        self.views.abandon()
        await self._router.close()
        left_ms = max(100, round((deadline - time.monotonic()) * 1000 * DRAIN_SHARE))
        await asyncio.gather(
            self._core.shutdown(left_ms),
            _within(max(0.1, deadline - time.monotonic()), self._view_log.settled),
        )
        await self._view_log.give_up()
        await self._pump.stop()

    def rtsp_places(self, reached_at: str) -> list[str]:
        """The RTSP door for who reached the service at `reached_at`, as `scheme://host:port`: by
        TLS, then in the clear; nothing where there is no such door."""
        plain, told = split_place(self._settings.rtsp_advertise or reached_at)
        by_tls, told_tls = split_place(self._settings.rtsps_advertise or plain)
        doors = (
            ("rtsps", by_tls, told_tls, self._core.rtsps_port),
            ("rtsp", plain, told, self._core.rtsp_port),
        )
        return [f"{scheme}://{host}:{told or port}" for scheme, host, told, port in doors if port]

    def certificate_changed(self, certificate: bytes, key: bytes) -> None:
        """Show this one (PEM) at the RTSP door from here on, where it speaks TLS."""
        if self._core.rtsps_port is None:
            return
        try:
            self._core.set_rtsp_identity(certificate, key)
        except MediaError as error:
            log.error("rtsp_certificate_refused", reason=str(error), next="the former stays in use")
        else:
            log.info("rtsp_certificate_taken")

    @property
    def core_is_whole(self) -> bool:
        """No part of the packet core has ended by a fault."""
        return not self._core.stats().counters.get("shards_ended")

    def figures(self) -> dict[str, float]:
        """For /metrics: gauges and totals; `views_ended_total.<cause>` once per cause seen."""
        figures: dict[str, float] = {
            "views": len(self.views),
            "views_opened_total": self.views.opened_total,
            "viewers_lagging_total": self.views.hearing.lagging_total,
            "stills_taken_total": self.snapshot.taken_total,
            "stills_failed_total": self.snapshot.failed_total,
            "rtsp_refused_total": self.rtsp.refused_total,
            "dials_total": self._router.dials_total,
            "source_losses_total": self._router.losses_total,
        }
        admission = self.views.admission
        figures["views_kept"] = admission.limits.kept_views
        figures["views_bps"] = admission.use_of(SERVICE).bps
        for limit, refused in admission.refused_total.items():
            figures[f"views_over_limit_total.{limit}"] = refused
        for route in self._router.routes():
            key = f"routes.{route.state.value}"
            figures[key] = figures.get(key, 0) + 1
        for cause, ended in self.views.ended_total.items():
            figures[f"views_ended_total.{cause}"] = ended
        return figures

    def oldest_view(self) -> datetime | None:
        """The start of the oldest view that goes on."""
        return min((view.started_at for view in self.views.list()), default=None)

    def dials_by_device(self) -> dict[str, int]:
        """How many streams are pulled from each device now, or about to be."""
        facts = self._facts.current
        held: dict[str, int] = {}
        for route in self._router.routes():
            channel = facts.channel(channel_of(route.stream_id))
            if channel is not None and route.state in (RouteState.OPENING, RouteState.LIVE):
                held[channel.device_id] = held.get(channel.device_id, 0) + 1
        return held

    def _channels_of(self, object_ids: frozenset[str]) -> set[str]:
        """Of the streams that are routed: those whose channel or device is among these."""
        facts = self._facts.current
        channel_ids = {channel_of(route.stream_id) for route in self._router.routes()}
        return {
            channel_id
            for channel_id in channel_ids
            if channel_id in object_ids
            or ((ch := facts.channel(channel_id)) is not None and ch.device_id in object_ids)
        }

    async def _keep(self) -> None:
        if self._keep_sign_ins is not None:
            await self._keep_sign_ins(self.views.held_by_tokens())

    async def _tick(self) -> None:
        self.views.tick(time.monotonic())

    async def _every(self, period_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(period_s)
            try:
                await work()
            except Exception:
                log.exception("delivery_task_failed")


async def _within(timeout_s: float, work: Callable[[], Awaitable[None]]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await work()
