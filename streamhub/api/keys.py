"""API keys: one's own, and those of whom one manages. A key's text is shown once, when made."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from camera_registry.credential_cases import MAX_AREAS_OF_KEY
from camera_registry.credentials import ApiKey
from streamhub.access.permit import Permit
from streamhub.access.principal import Action, Principal

from .grants import require_own
from .newest import ByNewestRights
from .rights import (
    in_person,
    in_person_with_nothing_due,
    requires,
    requires_in_person,
    the_district,
)
from .services import Provided, Services
from .times import Time

router = APIRouter(prefix="/api/v1", tags=["keys"], route_class=ByNewestRights)

Own = Annotated[Principal, in_person()]
Manages = Annotated[Permit, requires(Action.MANAGE, the_district)]
ManagesInPerson = Annotated[Permit, requires_in_person(Action.MANAGE, the_district)]


class KeyOut(BaseModel):
    id: str
    name: str
    prefix: str = Field(description="How the key begins.")
    actions: list[str] | None = Field(description="None: all that the subject may.")
    area_ids: list[str] | None = Field(description="None: wherever the subject may.")
    created_at: Time
    expires_at: Time
    used_at: Time | None = Field(description="Within an hour.")
    expired: bool


class NewKey(KeyOut):
    key: str = Field(description="Not shown again.")


class KeyList(BaseModel):
    items: list[KeyOut]


class KeyCreate(BaseModel):
    name: Annotated[str, Field(max_length=80)]
    actions: Annotated[list[Action], Field(min_length=1, max_length=len(Action))] | None = None
    area_ids: Annotated[list[str], Field(min_length=1, max_length=MAX_AREAS_OF_KEY)] | None = None
    expires_in_days: int | None = Field(default=None, description="Left out: 90, or the maximum.")


@router.get("/keys")
async def list_own_keys(services: Provided, who: Own) -> KeyList:
    if who.is_local:
        return KeyList(items=[])
    return await _list(services, who.subject_id)


@router.post("/keys", status_code=201)
async def create_own_key(
    services: Provided,
    who: Annotated[Principal, in_person_with_nothing_due()],
    body: KeyCreate,
) -> NewKey:
    """A key in one's own name: it allows what one's grants allow, or less. Not before one's own
    password and second factor are seen to: the key would go on without them."""
    return await _make(services, who.subject_id, who, body)


@router.delete("/keys/{key_id}", status_code=204)
async def revoke_own_key(services: Provided, who: Own, key_id: str) -> Response:
    """It opens nothing any more; its views end at once."""
    await services.credentials.revoke_key(who.subject_id, key_id, who.actor())
    return Response(status_code=204)


@router.get("/subjects/{subject_id}/keys")
async def list_keys(services: Provided, permit: Manages, subject_id: str) -> KeyList:
    return await _list(services, subject_id)


@router.post("/subjects/{subject_id}/keys", status_code=201)
async def create_key(
    services: Provided, permit: ManagesInPerson, subject_id: str, body: KeyCreate
) -> NewKey:
    """A key in the subject's name: it allows what the subject's grants allow, or less. All of that
    must be yours to pass on."""
    require_own(services, permit.principal, services.facts.current.grants_of(subject_id))
    return await _make(services, subject_id, permit.principal, body)


@router.delete("/subjects/{subject_id}/keys/{key_id}", status_code=204)
async def revoke_key(services: Provided, permit: Manages, subject_id: str, key_id: str) -> Response:
    await services.credentials.revoke_key(subject_id, key_id, permit.principal.actor())
    return Response(status_code=204)


async def _list(services: Services, subject_id: str) -> KeyList:
    rows = await services.credentials.keys_of(subject_id)
    return KeyList(items=[KeyOut(**_fields(services, row)) for row in rows])


async def _make(services: Services, subject_id: str, by: Principal, body: KeyCreate) -> NewKey:
    row, text = await services.api_keys.make(
        subject_id,
        by,
        name=body.name,
        actions=body.actions,
        area_ids=body.area_ids,
        days=body.expires_in_days,
    )
    return NewKey(key=text.reveal(), **_fields(services, row))


def _fields(services: Services, row: ApiKey) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "prefix": row.prefix,
        "actions": None if row.actions is None else sorted(row.actions),
        "area_ids": None if row.area_ids is None else sorted(row.area_ids),
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "used_at": row.used_at,
        "expired": row.expires_at <= services.now(),
    }
