"""Where one is signed in, and ending it: one's own sign-ins, and those of whom one manages."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from camera_registry.credentials import NO_END, SignIn, SignInMethod
from streamhub.access.permit import Permit
from streamhub.access.principal import Action, Principal
from streamhub.access.sign_in import SIGN_IN_IDLE
from streamhub.access.token_sign_ins import GOES_ON_FOR

from .newest import ByNewestRights
from .rights import in_person, requires_in_person, the_district
from .services import Provided
from .times import Time

router = APIRouter(prefix="/api/v1", tags=["sign-in"], route_class=ByNewestRights)

Own = Annotated[Principal, in_person()]
Manages = Annotated[Permit, requires_in_person(Action.MANAGE, the_district)]


class SignInOut(BaseModel):
    id: str
    created_at: Time
    used_at: Time = Field(
        description="Within ten minutes; a script's is used by asking for a token, and by views."
    )
    expires_at: Time = Field(description="If it is not used until then.")
    ends_at: Time | None = Field(
        description="However much it is used; null: a script's, while it has tokens or views."
    )
    remote: str | None
    agent: str | None = Field(description="What the browser or the script called itself.")
    method: SignInMethod = Field(description="`token`: a script's; the others are a page's.")
    current: bool = Field(description="The one this is asked with.")


class SignInList(BaseModel):
    items: list[SignInOut]


class Ended(BaseModel):
    ended: int


@router.get("/sign-ins")
async def list_own_sign_ins(services: Provided, who: Own) -> SignInList:
    """Where one is signed in, oldest first: pages and scripts, at most 100 of each."""
    if who.is_local:
        return SignInList(items=[])
    rows = await services.credentials.sign_ins_of(who.subject_id)
    return _list(rows, services.now(), who.credential_id)


@router.delete("/sign-ins")
async def end_other_sign_ins(services: Provided, who: Own) -> Ended:
    """Ends all of one's sign-ins but the one this is asked with; their views end at once."""
    if who.is_local:
        return Ended(ended=0)
    ended = await services.credentials.end_sign_ins(
        who.subject_id, who.actor(), but=who.credential_id
    )
    return Ended(ended=ended)


@router.delete("/sign-ins/{sign_in_id}", status_code=204)
async def end_own_sign_in(services: Provided, who: Own, sign_in_id: str) -> Response:
    """Ends one of one's sign-ins; its views end at once."""
    await services.credentials.end_sign_in(who.subject_id, sign_in_id, who.actor())
    return Response(status_code=204)


@router.get("/subjects/{subject_id}/sign-ins")
async def list_sign_ins(services: Provided, permit: Manages, subject_id: str) -> SignInList:
    rows = await services.credentials.sign_ins_of(subject_id)
    return _list(rows, services.now(), permit.principal.credential_id)


@router.delete("/subjects/{subject_id}/sign-ins")
async def end_sign_ins(services: Provided, permit: Manages, subject_id: str) -> Ended:
    """Ends all of them, with their views; the subject may sign in again."""
    by = permit.principal.actor()
    return Ended(ended=await services.credentials.end_sign_ins(subject_id, by))


@router.delete("/subjects/{subject_id}/sign-ins/{sign_in_id}", status_code=204)
async def end_sign_in(
    services: Provided, permit: Manages, subject_id: str, sign_in_id: str
) -> Response:
    await services.credentials.end_sign_in(subject_id, sign_in_id, permit.principal.actor())
    return Response(status_code=204)


def _list(rows: list[SignIn], now: datetime, current: str | None) -> SignInList:
    return SignInList(items=[_out(row, current) for row in rows if row.expires_at > now])


def _out(row: SignIn, current: str | None) -> SignInOut:
    # Near its absolute end it is renewed no more: then this is when it was at the latest.
    idle = GOES_ON_FOR if row.method is SignInMethod.TOKEN else SIGN_IN_IDLE
    used_at = max(row.created_at, row.expires_at - idle)
    return SignInOut(
        id=row.id,
        created_at=row.created_at,
        used_at=used_at,
        expires_at=row.expires_at,
        ends_at=None if row.ends_at == NO_END else row.ends_at,
        remote=row.remote,
        agent=row.agent,
        method=row.method,
        current=row.id == current,
    )
