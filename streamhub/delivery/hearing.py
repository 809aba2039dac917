"""What is heard of the live views: from the core, by way of the event pump, and from the router.

Who opens, switches and ends them is `views`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from streamhub.media.contract import (
    PROFILES,
    Event,
    EventsLost,
    MediaCore,
    MediaError,
    NoCommonCodec,
    StepTaken,
    SwitchRefused,
    ViewerClosed,
    ViewerConnected,
    ViewerLagging,
    ViewerSwitched,
    profile_of,
    stream_id_of,
)

if TYPE_CHECKING:
    from streamhub.delivery.admission import Admission
    from streamhub.delivery.view import LiveView
    from streamhub.delivery.view_table import ViewTable

log = structlog.get_logger(__name__)

ViewerEvent = ViewerConnected | ViewerSwitched | SwitchRefused | ViewerClosed | ViewerLagging


class Hearing:
    """For the event loop's thread."""

    def __init__(self, core: MediaCore, table: ViewTable, admission: Admission) -> None:
        self._core = core
        self._table = table
        self._admission = admission
        self.lagging_total = 0

    def handle_event(self, event: Event) -> None:
        """Subscriber of the event pump, after the router."""
        match event:
            case StepTaken():
                self._step(event)
            case EventsLost():
                self._resync()
            case _ if isinstance(event, ViewerEvent):
                view = self._table.get(event.viewer_id)
                if view is not None:
                    self._viewer_event(view, event)

    def route_changed(self, stream_id: str) -> None:
        """Listener of the router."""
        for view in self._table.on(stream_id):
            self._table.tell_state(view)

    def _step(self, event: StepTaken) -> None:
        viewer = self._table.get(event.owner)
        for view in [viewer] if viewer is not None else self._table.on(event.owner):
            if view.ended_cause is not None or event.owner not in (view.id, view.stream_id):
                continue  # ended, or a step of the stream that it has yet to go over to
            view.add_step(event.step, event.at_ms)
            if event.step == "first_sent":
                view.connected = True
                view.last_packet_age_ms = 0
            self._table.tell_state(view)

    def _viewer_event(self, view: LiveView, event: ViewerEvent) -> None:
        match event:
            case ViewerConnected():
                view.connected, view.srtp_cipher = True, event.srtp_cipher
            case ViewerSwitched() if view.ended_cause is None:
                self._switched(view, event.stream_id)
            case SwitchRefused() if view.ended_cause is None:
                self._stays(view, profile_of(event.stream_id), event.cause)
            case ViewerClosed():
                view.sent_bytes, view.packets = event.sent_bytes, event.packets
                view.reception = event.reception
                self._table.closed(view, event.cause)
            case ViewerLagging():
                view.lagged += 1
                self.lagging_total += 1

    def _switched(self, view: LiveView, stream_id: str) -> None:
        """It shows this stream. What it neither shows nor wants is let go of."""
        view.shows(profile_of(stream_id))
        self._admission.rebook([view])
        for profile in PROFILES:
            if profile not in (view.profile, view.wanted_profile):
                self._table.let_go(view, profile)
        self._table.tell_state(view)

    def _stays(self, view: LiveView, profile: str, cause: str) -> None:
        """The stream that it was on its way to is none for this viewer."""
        if profile == view.wanted_profile:
            view.wanted_profile, view.switch_refused = view.profile, cause
            self._admission.rebook([view])
            self._table.let_go(view, profile)
            self._table.tell_state(view)

    def _send_on(self, view: LiveView) -> None:
        """Tell the core once more where the view wants to go."""
        wanted = view.wanted_profile
        try:
            stream_id = stream_id_of(view.channel_id, wanted)
            self._core.switch_viewer(view.id, stream_id, view.permit)
        except NoCommonCodec as refusal:
            self._stays(view, wanted, refusal.code)
        except MediaError as error:
            log.warning("switch_not_taken", view_id=view.id, code=error.code)

    def _resync(self) -> None:
        """Events were lost: what the core does not have any more has ended; it knows which stream
        each of the others shows."""
        rows = self._core.viewer_stats([view.id for view in self._table.all()])
        for view in self._table.all():
            row = rows.get(view.id)
            if row is None:
                self._table.closed(view, "unknown")
            elif view.ended_cause is None:
                if row.stream_id != view.stream_id:
                    self._switched(view, row.stream_id)
                if view.wanted_profile != view.profile:
                    self._send_on(view)
        self._table.refresh(self._table.all())
