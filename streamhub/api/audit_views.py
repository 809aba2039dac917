"""Reports: who looked at a camera, what a person looked at; from when, until when, and how much."""

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from camera_registry.domain import AuditRow
from camera_registry.store.contract_audit import AuditQuery
from streamhub.access.facts import Facts
from streamhub.access.policy import Scope
from streamhub.access.principal import Action, Principal
from streamhub.delivery import View

from .audit_filter import Asked, own
from .paging import DEFAULT_LIMIT, Cursor, Limit
from .rights import in_person, requires_somewhere
from .services import Provided, Services
from .times import Time

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

# The acts by which somebody sees a picture; a view counts by the row of its end.
_KINDS: dict[str, Literal["view", "still"]] = {
    "view_end": "view",
    "snapshot": "still",
    "inspection_picture": "still",
}
# Of the views that go on: more than a wall has, and an answer that stays small.
MAX_OPEN = 500


class LookOut(BaseModel):
    seq: int | None = Field(description="Of its audit row; null while the view goes on.")
    kind: Literal["view", "still"]
    view_id: str | None
    subject_id: str | None
    subject_name: str | None
    remote: str | None
    channel_id: str | None
    channel_name: str | None
    profile: str | None = Field(description="The one shown last.")
    profiles: list[str] = Field(description="All that were shown, the first first.")
    began_at: Time | None
    ended_at: Time | None = Field(
        description="Null: it goes on; or unknown, before `written_at`: the service was killed."
    )
    written_at: Time | None
    sent_bytes: int | None
    outcome: str | None
    cause: str | None = Field(description="Why the view ended.")
    purpose: str | None = Field(description="Its code.")
    purpose_note: str | None = Field(description="What they said with it.")


class LookList(BaseModel):
    open: list[LookOut] = Field(description="Views that go on, the first page alone.")
    items: list[LookOut]
    next_cursor: str | None
    total: int
    total_capped: bool


@router.get("/views")
async def report_views(
    services: Provided,
    scope: Annotated[Scope, requires_somewhere(Action.AUDIT)],
    asked: Asked,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> LookList:
    """Views and stills that fit, the newest end first; an act of the filter is left aside."""
    query = asked.query(services.facts.current, scope)
    return await _looks(services, query, limit, cursor)


@router.get("/mine/views")
async def report_own_views(
    services: Provided,
    who: Annotated[Principal, in_person()],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> LookList:
    """What one looked at oneself."""
    return await _looks(services, own(who), limit, cursor)


async def _looks(services: Services, query: AuditQuery, limit: int, cursor: str | None) -> LookList:
    facts = services.facts.current
    looked = replace(query, acts=frozenset(_KINDS))
    async with services.store.read() as tx:
        page = await tx.audit.page(looked, limit=limit, cursor=cursor)
    going_on = [] if cursor is not None or services.delivery is None else _open(services, query)
    return LookList(
        open=[_of_view(facts, view) for view in going_on[:MAX_OPEN]],
        items=[_of_row(facts, row) for row in page.items],
        next_cursor=page.next_cursor,
        total=page.total,
        total_capped=page.total_capped,
    )


def _open(services: Services, query: AuditQuery) -> list[View]:
    """The live views that the query means: as it will their rows, once they end."""

    def meant(view: View) -> bool:
        channel = services.facts.current.channel(view.channel_id)
        area_id = None if channel is None else channel.area_id
        narrowed = query.area_ids is not None or query.channel_ids is not None
        return (
            query.subject_id in (None, view.subject_id)
            and query.subject_name in (None, view.subject_name)
            and query.channel_id in (None, view.channel_id)
            and query.outcome in (None, "ok")
            and _is_for(view, query.purpose)
            and view.channel_id not in query.except_channel_ids
            and (query.until is None or view.started_at < query.until)
            and (
                not narrowed
                or area_id in (query.area_ids or ())
                or view.channel_id in (query.channel_ids or ())
            )
        )

    return [view for view in services.doors().views.list() if meant(view)]


def _is_for(view: View, part: str | None) -> bool:
    said = view.permit.stated
    return part is None or (said is not None and part.lower() in said.text().lower())


def _of_view(facts: Facts, view: View) -> LookOut:
    said = view.permit.stated
    return LookOut(
        seq=None,
        kind="view",
        view_id=view.id,
        subject_id=view.subject_id,
        subject_name=view.subject_name,
        remote=view.permit.principal.remote,
        channel_id=view.channel_id,
        channel_name=_name(facts, view.channel_id),
        profile=view.profile,
        profiles=list(view.profiles_shown),
        began_at=view.started_at,
        ended_at=None,
        written_at=None,
        sent_bytes=view.sent_bytes,
        outcome=None,
        cause=None,
        purpose=None if said is None else said.purpose,
        purpose_note=None if said is None else said.note,
    )


def _of_row(facts: Facts, row: AuditRow) -> LookOut:
    kind, detail = _KINDS[row.act], row.detail
    profile = detail.get("profile")
    return LookOut(
        seq=row.seq,
        kind=kind,
        view_id=detail.get("view_id"),
        subject_id=row.subject_id,
        subject_name=row.subject_name,
        remote=row.remote,
        channel_id=row.channel_id,
        channel_name=_name(facts, row.channel_id),
        profile=profile,
        # Stills, and views that a killed service left open, have the one.
        profiles=detail.get("profiles", [] if profile is None else [profile]),
        began_at=detail.get("started_at") if kind == "view" else row.at,
        ended_at=detail.get("ended_at", row.at) if kind == "view" else row.at,
        written_at=row.at,
        sent_bytes=detail.get("sent_bytes" if kind == "view" else "bytes"),
        outcome=row.outcome,
        cause=detail.get("cause") if kind == "view" else detail.get("code"),
        purpose=detail.get("purpose"),
        purpose_note=detail.get("purpose_note"),
    )


def _name(facts: Facts, channel_id: str | None) -> str | None:
    channel = None if channel_id is None else facts.channel(channel_id)
    return None if channel is None else channel.name
