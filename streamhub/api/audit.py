"""The audit log, newest first. An auditor of an area sees the rows about its channels; everybody
sees their own.
"""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel

from camera_registry.store.contract_audit import AuditQuery
from streamhub.access.policy import Scope
from streamhub.access.principal import Action, Principal

from .audit_filter import Asked, own
from .paging import DEFAULT_LIMIT, Cursor, Limit
from .rights import in_person, requires_somewhere
from .services import Provided, Services
from .times import Time

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])


class AuditRowOut(BaseModel):
    seq: int
    at: Time
    act: str
    outcome: str
    subject_id: str | None
    subject_name: str | None
    as_role: str | None
    remote: str | None
    channel_id: str | None
    channel_name: str | None
    area_id: str | None
    area_name: str | None
    detail: dict[str, Any]
    prev_hash: str
    hash: str


class AuditList(BaseModel):
    items: list[AuditRowOut]
    next_cursor: str | None
    total: int
    total_capped: bool


@router.get("")
async def list_audit(
    services: Provided,
    scope: Annotated[Scope, requires_somewhere(Action.AUDIT)],
    asked: Asked,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> AuditList:
    """The rows that fit, of those one may see."""
    return await _list(services, asked.query(services.facts.current, scope), limit, cursor)


@router.get("/mine")
async def list_mine(
    services: Provided,
    who: Annotated[Principal, in_person()],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> AuditList:
    """One's own rows: the very ones that an auditor sees."""
    return await _list(services, own(who), limit, cursor)


async def _list(services: Services, query: AuditQuery, limit: int, cursor: str | None) -> AuditList:
    facts = services.facts.current
    async with services.store.read() as tx:
        page = await tx.audit.page(query, limit=limit, cursor=cursor)
    items = []
    for row in page.items:
        on_channel = None if row.channel_id is None else facts.channel(row.channel_id)
        on_area = None if row.area_id is None else facts.area(row.area_id)
        items.append(
            AuditRowOut(
                seq=row.seq,
                at=row.at,
                act=row.act,
                outcome=row.outcome,
                subject_id=row.subject_id,
                subject_name=row.subject_name,
                as_role=row.as_role,
                remote=row.remote,
                channel_id=row.channel_id,
                channel_name=None if on_channel is None else on_channel.name,
                area_id=row.area_id,
                area_name=None if on_area is None else on_area.name,
                detail=dict(row.detail),
                prev_hash=row.prev_hash,
                hash=row.hash,
            )
        )
    return AuditList(
        items=items,
        next_cursor=page.next_cursor,
        total=page.total,
        total_capped=page.total_capped,
    )
