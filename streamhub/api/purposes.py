"""Purposes: the reasons for looking that a district accepts, where a grant or a camera asks."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from camera_registry.domain import Purpose
from streamhub.access.permit import Permit
from streamhub.access.principal import Action, Principal

from .newest import ByNewestRights
from .rights import requires, signed_in, the_district
from .services import Provided

router = APIRouter(prefix="/api/v1/purposes", tags=["purposes"], route_class=ByNewestRights)

Manages = Annotated[Permit, requires(Action.MANAGE, the_district)]


class PurposeOut(BaseModel):
    code: str = Field(description="What `purpose` and the header Streamhub-Purpose name.")
    zh: str
    en: str
    needs_note: bool = Field(description="Whoever names it says more in `purpose_note`.")


class PurposeBody(BaseModel):
    zh: str
    en: str
    needs_note: bool | None = Field(
        default=None, description="Left out: as it was; of a new one no."
    )


class PurposeList(BaseModel):
    items: list[PurposeOut]
    next_cursor: str | None
    total: int


@router.get("")
async def list_purposes(services: Provided, who: Annotated[Principal, signed_in()]) -> PurposeList:
    """All of them (at most 50), by code."""
    items = [_out(each) for each in await services.people.list_purposes()]
    return PurposeList(items=items, next_cursor=None, total=len(items))


@router.put("/{code}")
async def put_purpose(
    services: Provided, permit: Manages, code: str, body: PurposeBody
) -> PurposeOut:
    """Adds one, or changes what it says. Views that lack a note which it needs now end."""
    by = permit.principal.actor()
    purpose = await services.people.put_purpose(
        code, body.zh, body.en, by, needs_note=body.needs_note
    )
    return _out(purpose)


@router.delete("/{code}", status_code=204)
async def remove_purpose(services: Provided, permit: Manages, code: str) -> Response:
    """Views that were opened for it, and need a purpose, end."""
    await services.people.remove_purpose(code, permit.principal.actor())
    return Response(status_code=204)


def _out(row: Purpose) -> PurposeOut:
    return PurposeOut(code=row.code, zh=row.zh, en=row.en, needs_note=row.needs_note)
