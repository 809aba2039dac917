"""The audit log, newest first. An auditor of an area sees the rows about its channels."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from camera_registry.store.contract import AuditQuery
from streamhub.access.facts import Facts
from streamhub.access.policy import Scope
from streamhub.access.principal import Action

from .paging import DEFAULT_LIMIT, Cursor, Limit
from .rights import requires_somewhere
from .services import Provided
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


@router.get("")
async def list_audit(
    services: Provided,
    scope: Annotated[Scope, requires_somewhere(Action.AUDIT)],
    act: Annotated[str | None, Query(max_length=64)] = None,
    subject_id: Annotated[str | None, Query(max_length=64)] = None,
    channel_id: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> AuditList:
    facts = services.facts.current
    query = AuditQuery(
        act=act,
        subject_id=subject_id,
        channel_id=channel_id,
        area_ids=None if scope.everything else scope.area_ids,
        channel_ids=None if scope.everything else _channel_ids(facts, scope),
        except_channel_ids=frozenset() if scope.everything else scope.listing.except_ids,
    )
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
    return AuditList(items=items, next_cursor=page.next_cursor, total=page.total)


def _channel_ids(facts: Facts, scope: Scope) -> frozenset[str]:
    return frozenset(
        row.id
        for row in facts.channels.values()
        if scope.has(row)  # drafts too: what was done stays to be seen
    )
