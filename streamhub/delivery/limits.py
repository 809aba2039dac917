"""Which limits a view comes under, as the registry and the settings are: from quotas and homes.

Pure. What is counted together is a `Meter`; a view counts on several: its subject's, those of the
areas that the subject is of, the service's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from streamhub.delivery.settings import DeliverySettings

if TYPE_CHECKING:
    from streamhub.access.facts import Facts

MeterKind = Literal["rtsp", "subject", "area", "general", "service"]


class Meter(NamedTuple):
    """What is counted together: one subject's views by RTSP; those of one subject, or of an area's
    people, that has a quota; those of all for whom nothing is kept; all there are."""

    kind: MeterKind
    id: str = ""


SERVICE: Final = Meter("service")
GENERAL: Final = Meter("general")


@dataclass(frozen=True, slots=True)
class Limit:
    """At once; None: as many, as much as there may be."""

    views: int | None = None
    bps: int | None = None


NO_LIMIT: Final = Limit()


class Limits:
    """All there are, as one snapshot of the facts says."""

    def __init__(self, facts: Facts, settings: DeliverySettings) -> None:
        # Not the facts themselves: this may outlive many snapshots.
        self._tree, self._homes = facts.tree, facts.homes
        self._quotas, self._subjects = facts.quotas, facts.subjects
        self.kept_views = sum(each.kept_views for each in facts.quotas.values())
        self.kept_bps = sum(each.kept_bps for each in facts.quotas.values())
        self._meters: dict[tuple[str, bool], tuple[Meter, ...]] = {}
        self._by_rtsp = Limit(settings.max_rtsp_views_per_subject)
        self._of = {SERVICE: Limit(settings.max_views, settings.max_bps)}
        self._has_lane = any(each.keeps for each in facts.quotas.values())
        # The lane is what the others may not use: so it is free whenever its people come.
        if self._has_lane:
            self._of[GENERAL] = Limit(
                _less(settings.max_views, self.kept_views), _less(settings.max_bps, self.kept_bps)
            )
        for quota in facts.quotas.values():
            meter = Meter("subject" if quota.area_id is None else "area", quota.holder_id)
            self._of[meter] = Limit(quota.max_views, quota.max_bps)

    def is_of(self, facts: Facts) -> bool:
        """Whether these say the same."""
        own = (self._tree, self._quotas, self._homes)
        return own == (facts.tree, facts.quotas, facts.homes)

    def of(self, meter: Meter) -> Limit:
        return self._by_rtsp if meter.kind == "rtsp" else self._of.get(meter, NO_LIMIT)

    def meters_of(self, subject_id: str, *, by_rtsp: bool) -> tuple[Meter, ...]:
        """On which a view of the subject counts, the narrowest first."""
        known = self._meters.get((subject_id, by_rtsp))
        if known is None:
            known = self._made_meters(subject_id, by_rtsp)
            if subject_id in self._subjects:  # bounded by them
                self._meters[subject_id, by_rtsp] = known
        return known

    def _made_meters(self, subject_id: str, by_rtsp: bool) -> tuple[Meter, ...]:
        home = self._homes.get(subject_id)
        holders = [subject_id] if home is None else [subject_id, home, *self._tree.ancestors(home)]
        meters = [Meter("rtsp", subject_id)] if by_rtsp else []
        for holder in holders:
            meter = Meter("subject" if holder == subject_id else "area", holder)
            if meter in self._of:
                meters.append(meter)
        quotas = (self._quotas.get(holder) for holder in holders)
        if self._has_lane and not any(each is not None and each.keeps for each in quotas):
            meters.append(GENERAL)
        return (*meters, SERVICE)


def _less(limit: int | None, kept: int) -> int | None:
    return None if limit is None else max(0, limit - kept)
