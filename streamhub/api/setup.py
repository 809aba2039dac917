"""The first administrator: is one needed, and make one with the code that the start printed."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, SecretStr

from camera_registry.first_start import FirstStartDraft

from .rights import public, remote_of
from .services import Provided
from .sign_in import SubjectBrief

router = APIRouter(prefix="/api/v1/setup", tags=["sign-in"])

_WHY = "nobody can sign in yet; a code that was printed at the start is asked for"


class SetupState(BaseModel):
    needed: bool = Field(description="Nobody can sign in yet.")
    has_areas: bool = Field(description="The district exists already.")


class SetupIn(BaseModel):
    code: Annotated[SecretStr, Field(max_length=64, description="Printed when it started.")]
    username: Annotated[str, Field(max_length=128)]
    display_name: Annotated[str, Field(max_length=200)]
    password: SecretStr
    area_code: Annotated[
        str, Field(max_length=18, description="Of the district, e.g. 110112; if there is none yet.")
    ] = ""
    area_name: Annotated[str, Field(max_length=200)] = ""


@router.get("", dependencies=[public("the page asks before anybody can sign in")])
async def state(services: Provided) -> SetupState:
    """Whether the first administrator is still to be made."""
    return SetupState(
        needed=await services.setup.is_needed(), has_areas=bool(services.facts.current.roots)
    )


@router.post("", status_code=201, dependencies=[public(_WHY)])
async def set_up(request: Request, services: Provided, body: SetupIn) -> SubjectBrief:
    """Make the first administrator, and the district if there is none. Works once."""
    subject = await services.setup.make(
        body.code.get_secret_value(),
        FirstStartDraft(body.username, body.display_name, body.area_code, body.area_name),
        body.password.get_secret_value(),
        remote_of(request),
    )
    return SubjectBrief(
        id=subject.id,
        username=subject.username,
        display_name=subject.display_name,
        kind=subject.kind,
    )
