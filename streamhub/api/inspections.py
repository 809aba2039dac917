"""Inspections: a run over many channels, and the card that each channel has by it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel, Field

from camera_registry.domain import Filing
from camera_registry.errors import NotFound
from camera_registry.inspection.card import Card, Run, RunState, Verdict
from camera_registry.inspection.verdicts import rules
from streamhub.access.errors import NotVisible
from streamhub.access.permit import Permit
from streamhub.access.policy import Scope
from streamhub.access.principal import DISTRICT, Action, Principal, Resource, area, channel

from .channels import registry_scope
from .newest import ByNewestRights
from .paging import DEFAULT_LIMIT, Cursor, Limit
from .profiles import Profile
from .rights import Who, channel_in_path, declares, requires, requires_somewhere
from .services import Provided, Services

router = APIRouter(tags=["inspections"], route_class=ByNewestRights)

RUNS_PATH = "/api/v1/inspections"
MAX_NAMED = 1_000
# Of one query string: a page of a list, twice over.
MAX_ASKED = 100


class InspectionIn(BaseModel):
    """An area with all below it, or channels; neither means all."""

    area_id: str | None = Field(default=None, max_length=32)
    channel_ids: list[Annotated[str, Field(max_length=32)]] | None = Field(
        default=None, max_length=MAX_NAMED
    )
    profiles: list[Profile] = Field(default=["main"], min_length=1, max_length=2)


class RunOut(BaseModel):
    id: str
    created_at: datetime
    created_by: str | None
    scope: dict[str, Any]
    profiles: list[str]
    state: RunState
    total: int = Field(description="Channels, times profiles.")
    done: int
    counts: dict[str, int] = Field(description="By verdict; `gone`: deleted before their turn.")
    finished_at: datetime | None


class RunList(BaseModel):
    items: list[RunOut]
    next_cursor: str | None


class CardFindingOut(BaseModel):
    code: str
    severity: Literal["error", "warning"]
    zh: str
    en: str


class CardOut(BaseModel):
    channel_id: str
    code: str = Field(description="The channel's 20 digits.")
    name: str
    area_id: str | None
    filing: Filing | None
    profile: str
    at: datetime
    inspection_id: str | None
    verdict: Verdict
    findings: list[CardFindingOut] = Field(
        description="What to change in the camera; errors first."
    )
    facts: dict[str, Any] = Field(description="What was measured; null was not learnt.")
    has_picture: bool


class CardList(BaseModel):
    items: list[CardOut]
    next_cursor: str | None
    total: int


@dataclass(frozen=True, slots=True)
class RunAccess:
    """A run that the principal may see, follow and stop."""

    principal: Principal
    run: Run


@declares("manage on all that is named")
async def _what_is_named(services: Provided, who: Who, body: InspectionIn) -> Principal:
    for each in _resources(body.area_id, body.channel_ids):
        services.guard.require(who, Action.MANAGE, each)
    return who


@declares("manage on all that the inspection is about")
async def _run_in_path(services: Provided, who: Who, inspection_id: str) -> RunAccess:
    try:
        run = await services.inspections.get(inspection_id)
    except NotFound:
        raise NotVisible("There is no such inspection.") from None
    for each in _about(services, run):
        services.guard.require(who, Action.MANAGE, each)
    return RunAccess(who, run)


ThisRun = Annotated[RunAccess, Depends(_run_in_path)]
MayManage = Annotated[Permit, requires(Action.MANAGE, channel_in_path)]


@router.post(RUNS_PATH, status_code=202)
async def create_inspection(
    services: Provided,
    who: Annotated[Principal, Depends(_what_is_named)],
    body: InspectionIn,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> RunOut:
    """Has the cameras looked at, each for some seconds; one inspection at a time."""

    async def create() -> RunOut:
        run = await services.inspector.begin(
            who.actor(),
            area_id=body.area_id,
            channel_ids=body.channel_ids,
            profiles=body.profiles,
            manages=services.guard.scope(who, Action.MANAGE).has,
        )
        return _run(run)

    return await services.idempotency.once(
        idempotency_key, subject_id=who.subject_id, route="inspections", body=body, create=create
    )


@router.get(RUNS_PATH)
async def list_inspections(
    services: Provided,
    who: Who,
    scope: Annotated[Scope, requires_somewhere(Action.MANAGE)],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> RunList:
    """Newest first; those about what one manages."""
    page = await services.inspections.runs(limit=limit, cursor=cursor)
    items = [
        _run(run)
        for run in page.items
        if all(services.guard.allows(who, Action.MANAGE, each) for each in _about(services, run))
    ]
    return RunList(items=items, next_cursor=page.next_cursor)


@router.get(f"{RUNS_PATH}/{{inspection_id}}")
async def get_inspection(access: ThisRun) -> RunOut:
    """How far it is."""
    return _run(access.run)


@router.post(f"{RUNS_PATH}/{{inspection_id}}/resume", status_code=202)
async def resume_inspection(services: Provided, access: ThisRun) -> RunOut:
    """Goes on with one that broke off. One that is under way, or over, stays as it is."""
    return _run(await services.inspector.resume(access.run.id))


@router.delete(f"{RUNS_PATH}/{{inspection_id}}")
async def stop_inspection(services: Provided, access: ThisRun) -> RunOut:
    """Stops it. The cards that it has made stay."""
    return _run(await services.inspector.end(access.run.id, access.principal.actor()))


@router.get("/api/v1/channel-inspections")
async def list_cards(
    services: Provided,
    scope: Annotated[Scope, requires_somewhere(Action.MANAGE)],
    verdict: Verdict | None = None,
    profile: Profile | None = None,
    inspection_id: Annotated[str | None, Query(max_length=32)] = None,
    area_id: Annotated[str | None, Query(max_length=32, description="With all below.")] = None,
    filing: Annotated[Filing | None, Query(description="Of channels in this state.")] = None,
    channel_id: Annotated[
        list[Annotated[str, Field(max_length=32)]] | None,
        Query(max_length=MAX_ASKED, description="Of these alone."),
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> CardList:
    """The newest card of each channel that one manages."""
    page = await services.inspections.cards(
        verdict=verdict,
        profile=profile,
        run_id=inspection_id,
        area_id=area_id,
        filing=filing,
        channel_ids=channel_id,
        scope=registry_scope(scope),
        limit=limit,
        cursor=cursor,
    )
    items = [_card(services, card) for card in page.items]
    return CardList(items=items, next_cursor=page.next_cursor, total=page.total)


@router.get("/api/v1/channels/{channel_id}/inspection")
async def get_card(services: Provided, permit: MayManage, profile: Profile = "main") -> CardOut:
    """What the newest inspection found, and what to change."""
    return _card(services, await services.inspections.card(permit.channel_id, profile))


@router.get(
    "/api/v1/channels/{channel_id}/inspection.jpg",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
)
async def get_picture(
    services: Provided,
    permit: Annotated[Permit, requires(Action.SNAPSHOT, channel_in_path)],
    profile: Profile = "main",
) -> Response:
    """The still that was kept with the card, 480 pixels wide at most: for whoever manages the
    camera and may take stills of it."""
    services.guard.require(permit.principal, Action.MANAGE, permit.resource)
    jpeg = await services.inspections.picture(permit.channel_id, profile)
    row = services.facts.current.channel(permit.channel_id)
    await services.audit.record(
        "inspection_picture",
        principal=permit.principal,
        channel_id=permit.channel_id,
        area_id=None if row is None else row.area_id,
        detail={"profile": profile, "bytes": len(jpeg), **permit.what_for(), **permit.grounds()},
    )
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def _resources(area_id: str | None, channel_ids: list[str] | None) -> list[Resource]:
    named = [channel(each) for each in dict.fromkeys(channel_ids or ())]
    if area_id is not None:
        named.append(area(area_id))
    return named or [DISTRICT]


def _about(services: Services, run: Run) -> list[Resource]:
    """What a run is about, as far as it is still there."""
    facts = services.facts.current
    about = _resources(run.scope.get("area_id"), run.scope.get("channel_ids"))
    there = [
        each
        for each in about
        if (each.kind == "channel" and facts.channel(each.id) is not None)
        or (each.kind == "area" and facts.area(each.id) is not None)
    ]
    return there or [DISTRICT]


def _run(run: Run) -> RunOut:
    return RunOut(
        id=run.id,
        created_at=run.created_at,
        created_by=run.subject_name,
        scope=dict(run.scope),
        profiles=list(run.profiles),
        state=run.state,
        total=run.total,
        done=run.done,
        counts=dict(run.counts),
        finished_at=run.finished_at,
    )


def _card(services: Services, card: Card) -> CardOut:
    row = services.facts.current.channel(card.channel_id)
    return CardOut(
        channel_id=card.channel_id,
        code="" if row is None else row.code,
        name="" if row is None else row.name,
        area_id=None if row is None else row.area_id,
        filing=None if row is None else row.filing,
        profile=card.profile,
        at=card.at,
        inspection_id=card.run_id,
        verdict=card.verdict,
        findings=[
            CardFindingOut(code=rule.code, severity=rule.severity, zh=rule.zh, en=rule.en)
            for rule in (rules()[code] for code in card.codes if code in rules())
        ],
        facts=card.facts.values(),
        has_picture=card.has_picture,
    )
