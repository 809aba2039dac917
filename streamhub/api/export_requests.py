"""Exports of the log that two people make: one asks, another decides, the first fetches."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from camera_registry.audit.export import Format
from camera_registry.domain import SubjectKind
from camera_registry.errors import NotFound
from camera_registry.export_requests import ExportRequest, RequestState
from camera_registry.filing_rules import MAX_NOTE_CHARS
from camera_registry.store.contract_audit import AuditQuery
from camera_registry.validation import MAX_PURPOSE_NOTE_CHARS
from streamhub.access.errors import Forbidden, NotVisible
from streamhub.access.facts import Facts
from streamhub.access.guard import purpose_wanted
from streamhub.access.permit import Permit
from streamhub.access.policy import Scope, purpose_unfit
from streamhub.access.principal import Action, Principal

from .audit_export import ZIP, handed_over, seen_by
from .audit_filter import Asked, Filter
from .newest import ByNewestRights
from .paging import DEFAULT_LIMIT, Cursor, Limit, page_in_memory
from .rights import (
    Who,
    declares,
    must_be_in_person,
    requires_in_person,
    requires_somewhere,
    stated,
    the_district,
)
from .services import Provided, Services
from .times import Time

router = APIRouter(prefix="/api/v1", tags=["audit"], route_class=ByNewestRights)

MayAudit = Annotated[Scope, requires_somewhere(Action.AUDIT)]


class ExportIn(BaseModel):
    """What is to be exported stands in the query, as the log is asked."""

    format: Format = "csv"
    purpose: str | None = Field(
        default=None, max_length=32, description="What for: a code of `/api/v1/purposes`."
    )
    purpose_note: str | None = Field(default=None, max_length=MAX_PURPOSE_NOTE_CHARS)


class RefusalIn(BaseModel):
    reason: str = Field(max_length=MAX_NOTE_CHARS)


class ExportOut(BaseModel):
    id: str
    created_at: Time
    asked_by: str
    asked: dict[str, Any] = Field(
        description="The filter; its `subject` is the id where that account is gone."
    )
    channel_name: str | None = Field(description="As the filter's channel is called now.")
    area_name: str | None
    format: Format
    purpose: str
    purpose_note: str | None
    state: RequestState
    ends_at: Time = Field(
        description="A pending one can be decided before it, an approved one fetched."
    )
    decided_by: str | None
    decided_at: Time | None
    reason: str | None = Field(description="Of a refusal.")
    fetched_at: Time | None = Field(description="The last time.")
    is_open: bool = Field(description="Whether `ends_at` is still to come.")
    is_mine: bool
    may_decide: bool
    may_refuse: bool = Field(description="Also what is approved: it is taken back.")
    may_fetch: bool


class ExportList(BaseModel):
    items: list[ExportOut]
    next_cursor: str | None
    total: int
    second_person: bool = Field(description="Whether an export is made by two people here.")


class ExportSettings(BaseModel):
    second_person: bool = Field(description="Whether an export is made by two people.")


@dataclass(frozen=True, slots=True)
class RequestAccess:
    """A request that the principal may see."""

    principal: Principal
    request: ExportRequest


@declares("one's own, or audit on all that it is about")
async def _request_in_path(services: Provided, who: Who, export_id: str) -> RequestAccess:
    try:
        request = await services.export_requests.get(export_id)
    except NotFound:
        raise NotVisible("There is no such export.") from None
    if not _may_see(services, who, request):
        raise NotVisible("There is no such export.")
    return RequestAccess(who, request)


ThisExport = Annotated[RequestAccess, Depends(_request_in_path)]


@router.post("/audit/exports", status_code=201)
async def ask_for_export(
    services: Provided, who: Who, scope: MayAudit, asked: Asked, body: ExportIn
) -> ExportOut:
    """Asks for an export of the rows that fit, of those written until now. Somebody else, with the
    right `audit` on all that they are about, approves it; then it is fetched."""
    facts, now = services.facts.current, services.now()
    asked.require_somebody(facts)
    said = stated(body.purpose, body.purpose_note)
    unfit = "purpose_required" if said is None else purpose_unfit(said, facts)
    if said is None or unfit is not None:
        raise purpose_wanted(str(unfit), facts)
    given = asked.asked()
    if asked.until is None or asked.until > now:
        given["until"] = now.isoformat()
    request = await services.export_requests.ask(
        given, body.format, said, who.actor(), **asked.about(facts)
    )
    return _out(services, who, request)


@router.get("/audit/exports")
async def list_exports(
    services: Provided,
    who: Who,
    scope: MayAudit,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> ExportList:
    """One's own requests and those that one may decide on, the newest first; for 30 days."""
    kept = await services.export_requests.kept()
    rows = sorted((each for each in kept if _may_see(services, who, each)), key=_sort_key)
    page, next_cursor = page_in_memory(rows, _sort_key, limit=limit, cursor=cursor)
    return ExportList(
        items=[_out(services, who, each) for each in page],
        next_cursor=next_cursor,
        total=len(rows),
        second_person=await services.export_requests.wants_second_person(),
    )


@router.get("/audit/exports/{export_id}")
async def get_export(services: Provided, access: ThisExport) -> ExportOut:
    return _out(services, access.principal, access.request)


@router.post("/audit/exports/{export_id}/approve")
async def approve_export(services: Provided, access: ThisExport) -> ExportOut:
    """Lets whoever asked fetch it within 24 hours. For another person than who asked."""
    return await _decided(services, access, approve=True)


@router.post("/audit/exports/{export_id}/refuse")
async def refuse_export(services: Provided, access: ThisExport, body: RefusalIn) -> ExportOut:
    """Says no, and why. Takes back what was approved, until `ends_at`, by whoever may decide."""
    return await _decided(services, access, approve=False, reason=body.reason)


@router.get(
    "/audit/exports/{export_id}/file",
    response_class=StreamingResponse,
    responses={200: {"content": {ZIP: {}}}},
)
async def fetch_export(services: Provided, access: ThisExport) -> StreamingResponse:
    """The ZIP, as of `/api/v1/audit/export`, for whoever asked: the rows that they may see now.
    409 `export_changed` where its area has other cameras than when it was approved."""
    who, request = access.principal, access.request
    request.require_fetchable(who.actor(), services.now())
    asked = Filter.of(request.asked, services.facts.current)
    checked: Facts | None = None  # what it covers was asked of: of 100,000 cameras that is 0.3 s

    def rows() -> AuditQuery:
        nonlocal checked
        facts = services.facts.current
        if (
            checked is None
            or facts.tree is not checked.tree
            or facts.channels is not checked.channels
        ):
            request.require_unchanged(asked.covers(facts))
            checked = facts
        return replace(seen_by(services, who, asked), max_seq=request.up_to_seq)

    async def written() -> Mapping[str, Any]:
        now = await services.export_requests.fetch(
            request.id,
            who.actor(),
            grounds=services.guard.grounds(who, Action.AUDIT),
            **asked.about(services.facts.current),
        )
        return {
            "request_id": now.id,
            "approved_by": now.decided_by,
            "up_to_seq": now.up_to_seq,
            **now.stated.detail(),
        }

    return await handed_over(services, who, asked, cast(Format, request.format), rows, written)


@router.get("/export-settings")
async def export_settings(services: Provided, scope: MayAudit) -> ExportSettings:
    return ExportSettings(second_person=await services.export_requests.wants_second_person())


@router.put("/export-settings")
async def choose_export_settings(
    services: Provided,
    permit: Annotated[Permit, requires_in_person(Action.MANAGE, the_district)],
    body: ExportSettings,
) -> ExportSettings:
    """Whether an export of the log is made by two people. Audited."""
    chosen = await services.export_requests.choose(
        permit.principal.actor(), second_person=body.second_person
    )
    return ExportSettings(second_person=chosen)


async def _decided(
    services: Services, access: RequestAccess, *, approve: bool, reason: str | None = None
) -> ExportOut:
    who, facts = must_be_in_person(access.principal), services.facts.current
    asked = Filter.of(access.request.asked, facts)
    access.request.require_decidable(who.actor(), services.now(), approve=approve)
    services.guard.require_passing_on(who, Action.AUDIT, asked.resource(facts), asked_why=False)
    subject = facts.subject(who.subject_id)
    if subject is not None and subject.kind is not SubjectKind.PERSON:
        raise Forbidden("Only a person decides on an export; sign in as one.", code="person_wanted")
    decided = await services.export_requests.decide(
        access.request.id,
        who.actor(),
        approve=approve,
        reason=reason,
        covers=asked.covers(facts) if approve else None,
        **asked.about(facts),
    )
    return _out(services, who, decided)


def _may_see(services: Services, who: Principal, request: ExportRequest) -> bool:
    if request.is_of(who.actor()):
        return True
    facts = services.facts.current
    resource = Filter.of(request.asked, facts).resource(facts)
    return services.guard.allows(who, Action.AUDIT, resource)


def _sort_key(request: ExportRequest) -> str:
    """The newest first."""
    return f"{9e9 - request.created_at.timestamp():020.6f} {request.id}"


def _out(services: Services, who: Principal, request: ExportRequest) -> ExportOut:
    now, facts = services.now(), services.facts.current
    is_mine = request.is_of(who.actor())
    of_others = not is_mine and who.actor().person not in request.kept_by
    said = request.stated
    row = facts.channel(request.asked.get("channel_id", ""))
    place = facts.area(request.asked.get("area_id", ""))
    asked = dict(request.asked)
    if "subject_id" in asked and facts.subject(asked["subject_id"]) is None:
        # The name finds nothing any more, or somebody else who has it now.
        asked["subject"] = asked["subject_id"]
    return ExportOut(
        id=request.id,
        created_at=request.created_at,
        asked_by=request.subject_name,
        asked=asked,
        channel_name=None if row is None else row.name,
        area_name=None if place is None else place.name,
        format=cast(Format, request.format),
        purpose=said.purpose,
        purpose_note=said.note,
        state=request.state,
        ends_at=request.ends_at,
        decided_by=request.decided_by,
        decided_at=request.decided_at,
        reason=request.reason,
        fetched_at=request.fetched_at,
        is_open=now < request.ends_at,
        is_mine=is_mine,
        may_decide=of_others and request.waits(now),
        may_refuse=of_others and (request.waits(now) or request.may_be_fetched(now)),
        may_fetch=is_mine and request.may_be_fetched(now),
    )
