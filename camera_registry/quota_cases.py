"""Use cases about quotas, and about whose people the subjects are.

Whether the caller may do them is decided before, in `streamhub.access`.
"""

from __future__ import annotations

from typing import Any, Final

from . import validation as check
from .domain import Actor, Subject
from .errors import Conflict, NotFound, ValidationFailed
from .quotas import Quota, QuotaDraft
from .store.contract import WriteTx
from .units import Unit, Units

# Facts hold all of them in memory: each area of a large district, and some hundred subjects.
MAX_QUOTAS: Final = 5_000
MAX_VIEWS: Final = 100_000
MAX_BPS: Final = 10**12
_FIELDS: Final = {
    "max_views": MAX_VIEWS,
    "max_bps": MAX_BPS,
    "kept_views": MAX_VIEWS,
    "kept_bps": MAX_BPS,
}


class QuotaCases:
    """The part of `People` about quotas."""

    _units: Units

    async def put_quota(self, draft: QuotaDraft, by: Actor) -> Quota:
        """Sets the quota of an area or a subject, in place of one that it has. Views beyond it
        end. Raises ValidationFailed("quota_empty", "unknown_area", "unknown_subject"),
        Conflict("too_many_quotas")."""
        for field, most in _FIELDS.items():
            given = getattr(draft, field)
            if given is not None:
                check.integer(field, given, 0, most)
        async with self._units.begin(by) as unit:
            before = await unit.tx.quotas.get(draft.area_id or draft.subject_id or "")
            quota = draft.over(before)
            if quota.says_nothing:
                raise ValidationFailed(
                    "max_views", "quota_empty", "Give a limit or what is kept; or remove the quota."
                )
            name = await _holder(unit.tx, quota)
            if before is None and await unit.tx.quotas.count() >= MAX_QUOTAS:
                raise Conflict(
                    "max_views",
                    "too_many_quotas",
                    f"There are {MAX_QUOTAS} quotas; remove some first.",
                )
            if before == quota:
                return quota
            await unit.tx.quotas.put(quota)
            await unit.record(
                "quota_set",
                area_id=quota.area_id,
                of=name,
                **_told(quota),
                before=None if before is None else _told(before),
            )
        return quota

    async def remove_quota(self, holder_id: str, by: Actor) -> None:
        """Raises NotFound when the area or subject has none."""
        async with self._units.begin(by) as unit:
            quota = await unit.tx.quotas.get(holder_id)
            if quota is None:
                raise NotFound("quota", holder_id)
            await unit.tx.quotas.delete(holder_id)
            await unit.record(
                "quota_remove",
                area_id=quota.area_id,
                of=await _holder(unit.tx, quota),
                **_told(quota),
            )


async def put_home(unit: Unit, subject: Subject, area_id: str | None) -> None:
    """Says of which area (a sub-platform) the subject is; None: of none. Nothing but quotas goes by
    it. Raises ValidationFailed("unknown_area")."""
    if area_id is not None and await unit.tx.areas.get(area_id) is None:
        raise _unknown("home_area_id", "area")
    before = await unit.tx.quotas.home_of(subject.id)
    if before != area_id:
        await unit.tx.quotas.set_home(subject.id, area_id)
        await unit.record(
            "subject_home",
            area_id=area_id,
            id=subject.id,
            username=subject.username,
            before=before,
        )


async def _holder(tx: WriteTx, quota: Quota) -> str:
    """The area's name or the subject's username."""
    if quota.area_id is not None:
        area = await tx.areas.get(quota.area_id)
        if area is None:
            raise _unknown("area_id", "area")
        return area.name
    subject = await tx.subjects.get(quota.subject_id or "")
    if subject is None:
        raise _unknown("subject_id", "subject")
    return subject.username


def _told(quota: Quota) -> dict[str, Any]:
    return {
        "max_views": quota.max_views,
        "max_bps": quota.max_bps,
        "kept_views": quota.kept_views,
        "kept_bps": quota.kept_bps,
    }


def _unknown(field: str, noun: str) -> ValidationFailed:
    return ValidationFailed(
        field, f"unknown_{noun}", f"There is no such {noun}; choose one that exists."
    )
