"""Roles: named sets of subjects that are granted things together. For whoever manages the
district."""

from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel

from camera_registry.domain import Role, Subject
from camera_registry.drafts import RoleDraft
from streamhub.access.permit import Permit
from streamhub.access.principal import Action

from .grants import require_own
from .newest import ByNewestRights
from .paging import DEFAULT_LIMIT, Cursor, Limit, page_in_memory
from .rights import requires, requires_in_person, the_district
from .services import Provided, Services

router = APIRouter(prefix="/api/v1/roles", tags=["roles"], route_class=ByNewestRights)

Manages = Annotated[Permit, requires(Action.MANAGE, the_district)]
ManagesInPerson = Annotated[Permit, requires_in_person(Action.MANAGE, the_district)]


class RoleOut(BaseModel):
    id: str
    name: str
    display_name: str
    members: int


class RoleList(BaseModel):
    items: list[RoleOut]
    next_cursor: str | None
    total: int


class RoleBody(BaseModel):
    name: str
    display_name: str


class MemberOut(BaseModel):
    id: str
    username: str
    display_name: str
    enabled: bool


class MemberList(BaseModel):
    items: list[MemberOut]
    next_cursor: str | None
    total: int


@router.get("")
async def list_roles(
    services: Provided, permit: Manages, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> RoleList:
    """By name."""
    rows = await services.people.list_roles()
    page, next_cursor = page_in_memory(rows, lambda row: row.name, limit=limit, cursor=cursor)
    items = [_out(services, row) for row in page]
    return RoleList(items=items, next_cursor=next_cursor, total=len(rows))


@router.post("", status_code=201)
async def create_role(
    services: Provided,
    permit: ManagesInPerson,
    body: RoleBody,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> RoleOut:
    async def create() -> RoleOut:
        draft = RoleDraft(body.name, body.display_name)
        return _out(services, await services.people.create_role(draft, permit.principal.actor()))

    return await services.idempotency.once(
        idempotency_key, subject_id=permit.subject_id, route="roles", body=body, create=create
    )


@router.get("/{role_id}")
async def get_role(services: Provided, permit: Manages, role_id: str) -> RoleOut:
    return _out(services, await services.people.get_role(role_id))


@router.put("/{role_id}")
async def rename_role(
    services: Provided, permit: ManagesInPerson, role_id: str, body: RoleBody
) -> RoleOut:
    draft = RoleDraft(body.name, body.display_name)
    by = permit.principal.actor()
    return _out(services, await services.people.rename_role(role_id, draft, by))


@router.delete("/{role_id}", status_code=204)
async def delete_role(services: Provided, permit: ManagesInPerson, role_id: str) -> Response:
    """Its grants go with it; views that rested on them have been told to end."""
    await services.people.delete_role(role_id, permit.principal.actor())
    return Response(status_code=204)


@router.get("/{role_id}/members")
async def list_members(
    services: Provided,
    permit: Manages,
    role_id: str,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> MemberList:
    """By username."""
    rows = await services.people.role_members(role_id)
    page, next_cursor = page_in_memory(rows, lambda row: row.username, limit=limit, cursor=cursor)
    items = [_member(row) for row in page]
    return MemberList(items=items, next_cursor=next_cursor, total=len(rows))


@router.put("/{role_id}/members/{subject_id}", status_code=204)
async def add_member(
    services: Provided, permit: ManagesInPerson, role_id: str, subject_id: str
) -> Response:
    """A second time changes nothing. What the role is granted must be yours to pass on."""
    require_own(services, permit.principal, services.facts.current.grants_of_role(role_id))
    await services.people.add_member(role_id, subject_id, permit.principal.actor())
    return Response(status_code=204)


@router.delete("/{role_id}/members/{subject_id}", status_code=204)
async def remove_member(
    services: Provided, permit: ManagesInPerson, role_id: str, subject_id: str
) -> Response:
    """When this answers, the views that rested on it have been told to end."""
    await services.people.remove_member(role_id, subject_id, permit.principal.actor())
    return Response(status_code=204)


def _out(services: Services, row: Role) -> RoleOut:
    members = services.facts.current.members.get(row.id, ())
    return RoleOut(id=row.id, name=row.name, display_name=row.display_name, members=len(members))


def _member(row: Subject) -> MemberOut:
    return MemberOut(
        id=row.id, username=row.username, display_name=row.display_name, enabled=row.enabled
    )
