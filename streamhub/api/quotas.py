"""Quotas: how much the people of an area, or one subject, may watch at once, and what is kept for
them. Set by whoever manages the area above; those that one is under oneself, by the district."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from camera_registry.domain import Quota
from camera_registry.errors import ValidationFailed
from camera_registry.quota_cases import MAX_BPS, MAX_VIEWS
from camera_registry.quotas import QuotaDraft
from streamhub.access.facts import Facts
from streamhub.access.permit import Permit
from streamhub.access.principal import DISTRICT, Action, Principal, Resource, area
from streamhub.delivery.limits import SERVICE, Meter

from .newest import ByNewestRights
from .paging import DEFAULT_LIMIT, Cursor, Limit, page_in_memory
from .rights import Who, requires_in_person, signed_in
from .services import Provided, Services

router = APIRouter(prefix="/api/v1/quotas", tags=["quotas"], route_class=ByNewestRights)

Views = Annotated[int, Field(ge=0, le=MAX_VIEWS)]
Bps = Annotated[int, Field(ge=0, le=MAX_BPS)]


class QuotaOut(BaseModel):
    area_id: str | None = Field(description="Of all whose home is in it. Or `subject_id`.")
    area_name: str | None
    subject_id: str | None
    subject_name: str | None
    max_views: int | None = Field(description="At once; null: no limit.")
    max_bps: int | None = Field(description="Of all its views together, in bits per second.")
    kept_views: int = Field(description="Of the service's, for them and others of whom so is.")
    kept_bps: int
    views: int = Field(description="Open now.")
    bps: int = Field(description="What these take, by the measured rates of their streams.")
    may_set: bool = Field(description="Whether it is yours to change.")


class CapacityOut(BaseModel):
    """What the service carries: its settings `[capacity]`."""

    max_views: int
    max_bps: int | None
    kept_views: int = Field(description="Of them, for those of whom something is kept.")
    kept_bps: int
    views: int
    bps: int


class QuotaList(BaseModel):
    items: list[QuotaOut]
    next_cursor: str | None
    total: int
    capacity: CapacityOut | None = Field(
        description="For whoever manages the district, where a service runs."
    )


class QuotaBody(BaseModel):
    max_views: Views | None = None
    max_bps: Bps | None = None
    kept_views: Views | None = Field(
        default=None, description="For whoever manages the district. Left out: as it was."
    )
    kept_bps: Bps | None = None


async def above_area_in_path(services: Provided, who: Who, area_id: str) -> Resource:
    return _place(services.facts.current, who, area_id, None)


async def above_subject_in_path(services: Provided, who: Who, subject_id: str) -> Resource:
    return _place(services.facts.current, who, None, subject_id)


SetsArea = Annotated[Permit, requires_in_person(Action.MANAGE, above_area_in_path)]
SetsSubject = Annotated[Permit, requires_in_person(Action.MANAGE, above_subject_in_path)]


@router.get("")
async def list_quotas(
    services: Provided,
    who: Annotated[Principal, signed_in()],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> QuotaList:
    """Those that one is under, and those of areas that one manages and of their people; areas
    first, by code. With what is in use now."""
    services.guard.require_nothing_due(who)
    facts = services.facts.current
    shown = [each for each in facts.quotas.values() if _may_see(services, who, each)]
    rows = sorted(shown, key=lambda each: _sort_key(facts, each))
    page, next_cursor = page_in_memory(
        rows, lambda each: _sort_key(facts, each), limit=limit, cursor=cursor
    )
    items = [_out(services, who, each) for each in page]
    capacity = None
    if services.delivery is not None and services.guard.allows(who, Action.MANAGE, DISTRICT):
        capacity = _capacity(services)
    return QuotaList(items=items, next_cursor=next_cursor, total=len(rows), capacity=capacity)


@router.put("/areas/{area_id}")
async def put_area_quota(
    services: Provided, permit: SetsArea, area_id: str, body: QuotaBody
) -> QuotaOut:
    """In place of the one that it has. Views beyond it end, the newest first (`quota_lowered`)."""
    return await _put(services, permit, body, area_id=area_id)


@router.put("/subjects/{subject_id}")
async def put_subject_quota(
    services: Provided, permit: SetsSubject, subject_id: str, body: QuotaBody
) -> QuotaOut:
    """As an area's, by whoever manages the area above the subject's home; without a home, the
    district."""
    return await _put(services, permit, body, subject_id=subject_id)


@router.delete("/areas/{area_id}", status_code=204)
async def remove_area_quota(services: Provided, permit: SetsArea, area_id: str) -> Response:
    return await _remove(services, permit, area_id)


@router.delete("/subjects/{subject_id}", status_code=204)
async def remove_subject_quota(
    services: Provided, permit: SetsSubject, subject_id: str
) -> Response:
    return await _remove(services, permit, subject_id)


async def _put(
    services: Services,
    permit: Permit,
    body: QuotaBody,
    *,
    area_id: str | None = None,
    subject_id: str | None = None,
) -> QuotaOut:
    who, facts = permit.principal, services.facts.current
    now = facts.quotas.get(area_id or subject_id or "")
    kept = (now.kept_views, now.kept_bps) if now is not None else (0, 0)
    draft = QuotaDraft(area_id, subject_id, **body.model_dump())
    quota = draft.over(now)
    if (quota.kept_views, quota.kept_bps) != kept:
        # What is kept for some is taken from all.
        services.guard.require(who, Action.MANAGE, DISTRICT)
        _require_room(services, facts, quota, *kept)
    return _out(services, who, await services.people.put_quota(draft, who.actor()))


def _require_room(
    services: Services, facts: Facts, quota: Quota, views_before: int, bps_before: int
) -> None:
    """A slip of the finger must not leave all others without a view: what is kept grows only as far
    as the service carries it."""
    if services.delivery is None:
        return
    whole = services.delivery.views.admission.limits.of(SERVICE)
    others = [each for each in facts.quotas.values() if each.holder_id != quota.holder_id]
    views = quota.kept_views + sum(each.kept_views for each in others)
    bps = quota.kept_bps + sum(each.kept_bps for each in others)
    if whole.views is not None and quota.kept_views > views_before and views > whole.views:
        raise ValidationFailed(
            "kept_views",
            "kept_too_much",
            f"{views} views would be kept, and the service carries {whole.views}; keep fewer.",
        )
    if whole.bps is not None and quota.kept_bps > bps_before and bps > whole.bps:
        raise ValidationFailed(
            "kept_bps",
            "kept_too_much",
            f"{bps / 1e6:.1f} Mbit/s would be kept, and the service carries "
            f"{whole.bps / 1e6:.1f}; keep less.",
        )


async def _remove(services: Services, permit: Permit, holder_id: str) -> Response:
    now = services.facts.current.quotas.get(holder_id)
    if now is not None and now.keeps:
        services.guard.require(permit.principal, Action.MANAGE, DISTRICT)
    await services.people.remove_quota(holder_id, permit.principal.actor())
    return Response(status_code=204)


def _place(facts: Facts, who: Principal, area_id: str | None, subject_id: str | None) -> Resource:
    """What one has to manage to set the quota of the area or the subject: the area above, and of
    one that one is under oneself, the district."""
    if _is_under(facts, who, area_id, subject_id):
        return DISTRICT
    return _above(facts, area_id or facts.homes.get(subject_id or ""))


def _is_under(facts: Facts, who: Principal, area_id: str | None, subject_id: str | None) -> bool:
    """Whether what one watches oneself counts on the quota of the area or the subject."""
    home = facts.homes.get(who.subject_id, "")
    return subject_id == who.subject_id or area_id in facts.area_chain(home)


def _above(facts: Facts, area_id: str | None) -> Resource:
    """The area above; the district above its roots, and for who is of no area. An unknown area
    itself, which is then not found."""
    if area_id is None:
        return DISTRICT
    row = facts.area(area_id)
    if row is None:
        return area(area_id)
    return DISTRICT if row.parent_id is None else area(row.parent_id)


def _may_see(services: Services, who: Principal, quota: Quota) -> bool:
    facts = services.facts.current
    if _is_under(facts, who, quota.area_id, quota.subject_id):
        return True
    home = quota.area_id or facts.homes.get(quota.holder_id)
    place = DISTRICT if home is None else area(home)
    return services.guard.allows(who, Action.MANAGE, place)


def _sort_key(facts: Facts, quota: Quota) -> str:
    row = facts.area(quota.area_id or "")
    if row is not None:
        return f"0{len(row.code):03d}{row.code}"
    subject = facts.subject(quota.holder_id)
    return f"1{subject.username if subject else quota.holder_id}"


def _out(services: Services, who: Principal, quota: Quota) -> QuotaOut:
    facts = services.facts.current
    row = facts.area(quota.area_id or "")
    subject = facts.subject(quota.subject_id or "")
    views, bps = _use(services, Meter("area" if quota.area_id else "subject", quota.holder_id))
    place = _place(facts, who, quota.area_id, quota.subject_id)
    return QuotaOut(
        area_id=quota.area_id,
        area_name=None if row is None else row.name,
        subject_id=quota.subject_id,
        subject_name=None if subject is None else subject.username,
        max_views=quota.max_views,
        max_bps=quota.max_bps,
        kept_views=quota.kept_views,
        kept_bps=quota.kept_bps,
        views=views,
        bps=bps,
        may_set=services.guard.allows(who, Action.MANAGE, place),
    )


def _use(services: Services, meter: Meter) -> tuple[int, int]:
    """Views, and bits per second."""
    if services.delivery is None:
        return 0, 0
    use = services.delivery.views.admission.use_of(meter)
    return use.views, use.bps


def _capacity(services: Services) -> CapacityOut:
    limits = services.doors().views.admission.limits
    whole = limits.of(SERVICE)
    views, bps = _use(services, SERVICE)
    return CapacityOut(
        max_views=whole.views or 0,
        max_bps=whole.bps,
        kept_views=limits.kept_views,
        kept_bps=limits.kept_bps,
        views=views,
        bps=bps,
    )
