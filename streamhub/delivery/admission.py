"""Who may still open a view: what is in use is counted, and held against the limits.

Synchronous, for the event loop's thread: between the look (`admit`) and the count (`add`) nobody
else comes in. No clock, no I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from streamhub.delivery.limits import Limit, Limits, Meter
from streamhub.media.contract import stream_id_of

if TYPE_CHECKING:
    from streamhub.access.facts import FactsSource
    from streamhub.delivery.settings import DeliverySettings
    from streamhub.delivery.view import LiveView

What = Literal["views", "bit_rate"]


@dataclass(slots=True)
class Use:
    """What is in use on a meter now; `bps`: bits per second."""

    views: int = 0
    bps: int = 0


@dataclass(slots=True)
class Seat:
    """How a view counts."""

    view: LiveView
    meters: tuple[Meter, ...]
    bps: int


class LimitReached(Exception):
    """One more would be over `limit` of `meter`: views, or bits per second. `asked`: what it would
    add; `held_by`: what each subject has of it."""

    def __init__(
        self, meter: Meter, what: What, limit: int, used: int, asked: int, held_by: dict[str, int]
    ) -> None:
        super().__init__(f"{meter.kind} {meter.id}: {used} + {asked} > {limit} ({what})")
        self.meter = meter
        self.what = what
        self.limit = limit
        self.used = used
        self.asked = asked
        self.held_by = held_by


class Admission:
    """The views that count, oldest first."""

    def __init__(
        self, settings: DeliverySettings, facts: FactsSource, rate_of: Callable[[str], int]
    ) -> None:
        """`rate_of`: bits per second of a stream, by its id."""
        # given
        self._settings = settings
        self._facts = facts
        self._rate_of = rate_of
        # owned
        self._limits = Limits(facts.current, settings)
        self._seats: dict[str, Seat] = {}
        self._use: dict[Meter, Use] = {}
        self.refused_total: Counter[str] = Counter()

    @property
    def limits(self) -> Limits:
        return self._limits

    def use_of(self, meter: Meter) -> Use:
        """A copy."""
        use = self._use.get(meter)
        return Use() if use is None else Use(use.views, use.bps)

    def admit(self, subject_id: str, stream_id: str, *, by_rtsp: bool) -> None:
        """Whether a view of the stream may be opened. Raises `LimitReached`."""
        meters = self._limits.meters_of(subject_id, by_rtsp=by_rtsp)
        self._require(meters, views=1, bps=self._rate_of(stream_id))

    def admit_switch(self, view: LiveView, profile: str) -> None:
        """Whether it may go over to its channel's other stream. Raises `LimitReached`."""
        seat = self._seats[view.id]
        bps = self._booking(view, profile)
        if bps > seat.bps:
            self._require(seat.meters, views=0, bps=bps - seat.bps)

    def add(self, view: LiveView) -> None:
        """It counts from now on."""
        meters = self._limits.meters_of(view.permit.subject_id, by_rtsp=view.is_by_rtsp)
        seat = Seat(view, meters, self._booking(view, view.wanted_profile))
        self._seats[view.id] = seat
        self._count(seat, 1)

    def remove(self, view: LiveView) -> None:
        """It counts no more; no error when it did not."""
        seat = self._seats.pop(view.id, None)
        if seat is not None:
            self._count(seat, -1)

    def rebook(self, views: Iterable[LiveView] | None = None) -> None:
        """These (None: all) show, or want, another stream; or streams take more or less by now.
        Nothing ends by that: who is in stays, but there may be no room for others."""
        seats = (
            self._seats.values()
            if views is None
            else [self._seats[view.id] for view in views if view.id in self._seats]
        )
        for seat in seats:
            bps = self._booking(seat.view, seat.view.wanted_profile)
            more, seat.bps = bps - seat.bps, bps
            if more:
                for meter in seat.meters:
                    self._use[meter].bps += more

    def facts_changed(self) -> list[LiveView]:
        """Goes by the facts as they are now. Gives the views that are beyond a limit which was
        lowered, or under which they came: the newest ones; they count no more."""
        facts, limits, use = self._facts.current, self._limits, self._use
        if limits.is_of(facts):
            return []
        self._limits, self._use = Limits(facts, self._settings), {}
        for seat in self._seats.values():
            view = seat.view
            seat.meters = self._limits.meters_of(view.permit.subject_id, by_rtsp=view.is_by_rtsp)
            self._count(seat, 1)
        return self._cut(
            {
                meter: _to_keep(limits.of(meter), use.get(meter, Use()), self._limits.of(meter))
                for meter in self._use
            }
        )

    def _cut(self, to: dict[Meter, Limit]) -> list[LiveView]:
        """From the newest on, those that are over one of these limits."""
        gone: list[LiveView] = []
        if not any(_is_over(self._use[meter], limit) for meter, limit in to.items()):
            return gone
        for seat in reversed(list(self._seats.values())):
            if any(_is_over(self._use[meter], to[meter]) for meter in seat.meters):
                self.remove(seat.view)
                gone.append(seat.view)
        return gone

    def _require(self, meters: tuple[Meter, ...], *, views: int, bps: int) -> None:
        for meter in meters:
            limit, use = self._limits.of(meter), self._use.get(meter, Use())
            if views and limit.views is not None and use.views + views > limit.views:
                self._refuse(meter, "views", limit.views, use.views, views)
            if limit.bps is not None and use.bps + bps > limit.bps:
                self._refuse(meter, "bit_rate", limit.bps, use.bps, bps)

    def _refuse(self, meter: Meter, what: What, limit: int, used: int, asked: int) -> None:
        self.refused_total[f"{meter.kind}_{what}"] += 1
        held_by: dict[str, int] = {}
        for seat in self._seats.values():
            if meter in seat.meters:
                subject_id = seat.view.permit.subject_id
                share = 1 if what == "views" else seat.bps
                held_by[subject_id] = held_by.get(subject_id, 0) + share
        raise LimitReached(meter, what, limit, used, asked, held_by)

    def _booking(self, view: LiveView, wanted: str) -> int:
        """Until it has gone over it takes the larger of both."""
        shown = self._rate_of(view.stream_id)
        if wanted == view.profile:
            return shown
        return max(shown, self._rate_of(stream_id_of(view.channel_id, wanted)))

    def _count(self, seat: Seat, sign: int) -> None:
        for meter in seat.meters:
            use = self._use.get(meter)
            if use is None:
                use = self._use[meter] = Use()
            use.views += sign
            use.bps += sign * seat.bps
            if use.views == 0:
                del self._use[meter]


def _to_keep(before: Limit, use_before: Use, limit: Limit) -> Limit:
    """What the change leaves: the limit, where it is lower than it was; else what was in use, too.
    What only grew by itself, as a bit rate does, is left alone."""
    return Limit(
        _most(before.views, use_before.views, limit.views),
        _most(before.bps, use_before.bps, limit.bps),
    )


def _most(before: int | None, used_before: int, limit: int | None) -> int | None:
    if limit is None or before is None or limit < before:
        return limit
    return max(limit, used_before)


def _is_over(use: Use, limit: Limit) -> bool:
    return (limit.views is not None and use.views > limit.views) or (
        limit.bps is not None and use.bps > limit.bps
    )
