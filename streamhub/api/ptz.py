"""Steering a camera: one person at a time, and no longer than they say so."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field, model_validator

from gateways.onvif import HOLD_S, Position, Velocity
from streamhub.access.permit import Permit
from streamhub.access.principal import Action
from streamhub.steering import Steered

from .rights import channel_in_path, requires
from .services import Provided

router = APIRouter(prefix="/api/v1/channels/{channel_id}/ptz", tags=["ptz"])

MaySteer = Annotated[Permit, requires(Action.PTZ, channel_in_path)]

Speed = Annotated[float | None, Field(ge=-1, le=1, description="null: this axis stays.")]
Place = Annotated[float | None, Field(ge=-1, le=1, description="null: as it is.")]
Zoomed = Annotated[float | None, Field(ge=0, le=1, description="null: as it is.")]
# As long as any camera's token or name; ONVIF says 64, cameras do not.
Token = Annotated[str, Field(min_length=1, max_length=128)]
TakeOver = Annotated[
    bool, Field(description="From whoever steers, for those who manage the channel.")
]


class Move(BaseModel):
    """Move while this is repeated, twice within `renew_within_ms` at best."""

    act: Literal["move"]
    pan: Speed = None
    tilt: Speed = None
    zoom: Speed = None
    take_over: TakeOver = False

    @model_validator(mode="after")
    def _moves(self) -> "Move":
        if not (self.pan or self.tilt or self.zoom):
            raise ValueError("nothing moves: give pan, tilt or zoom, or act `stop`")
        return self


class Absolute(BaseModel):
    """Go to a position. Pan and tilt go together."""

    act: Literal["absolute"]
    pan: Place = None
    tilt: Place = None
    zoom: Zoomed = None
    take_over: TakeOver = False

    @model_validator(mode="after")
    def _goes(self) -> "Absolute":
        if (self.pan is None) != (self.tilt is None):
            raise ValueError("pan and tilt go together: give both or none")
        if self.pan is None and self.zoom is None:
            raise ValueError("give pan and tilt, or zoom")
        return self


class GoToPreset(BaseModel):
    act: Literal["go_to_preset"]
    preset: Token
    take_over: TakeOver = False


class SetPreset(BaseModel):
    """Keep the present position, as a new preset or in place of one."""

    act: Literal["set_preset"]
    name: Token
    preset: Token | None = None
    take_over: TakeOver = False


class Take(BaseModel):
    """Have the camera without moving it; taken from somebody else, it is stopped."""

    act: Literal["take"]
    take_over: TakeOver = False


class Stop(BaseModel):
    """Stop whatever moves it."""

    act: Literal["stop"]


class Release(BaseModel):
    """Let others steer at once. A move ends."""

    act: Literal["release"]


PtzAct = Annotated[
    Move | Absolute | GoToPreset | SetPreset | Take | Stop | Release, Field(discriminator="act")
]


class SteeredOut(BaseModel):
    held_by: str
    is_mine: bool
    until: datetime = Field(description="Unless they act before.")


class ActedOut(BaseModel):
    steered: SteeredOut | None = Field(description="Who steers now; null: nobody.")
    renew_within_ms: int = Field(description="A move that is not repeated within it stops.")
    preset: str | None = Field(default=None, description="The token of what was kept.")


class StatusOut(BaseModel):
    steered: SteeredOut | None
    pan: float | None = Field(description="-1 to 1; null: the camera does not tell.")
    tilt: float | None
    zoom: float | None = Field(description="0 to 1.")
    moving: bool | None


class PresetOut(BaseModel):
    preset: str = Field(description="The camera's token.")
    name: str


class PresetList(BaseModel):
    items: list[PresetOut]


@router.post("")
async def act(services: Provided, permit: MaySteer, body: PtzAct) -> ActedOut:
    """One act. Whoever acts has the camera for ten seconds from then."""
    helm = services.helm()
    preset = None
    match body:
        case Move():
            velocity = Velocity(body.pan, body.tilt, body.zoom)
            await helm.move(permit, velocity, take_over=body.take_over)
        case Absolute():
            position = Position(body.pan, body.tilt, body.zoom)
            await helm.absolute(permit, position, take_over=body.take_over)
        case GoToPreset():
            await helm.go_to_preset(permit, body.preset, take_over=body.take_over)
        case SetPreset():
            preset = await helm.set_preset(permit, body.name, body.preset, take_over=body.take_over)
        case Take():
            await helm.take(permit, take_over=body.take_over)
        case Stop():
            await helm.stop(permit)
        case Release():
            helm.release(permit)
    return ActedOut(
        steered=_out(helm.steered(permit)), renew_within_ms=round(HOLD_S * 1000), preset=preset
    )


@router.get("")
async def status(services: Provided, permit: MaySteer) -> StatusOut:
    """Who steers, and where the camera looks."""
    helm = services.helm()
    told = await helm.status(permit)
    return StatusOut(
        steered=_out(helm.steered(permit)),
        pan=told.position.pan,
        tilt=told.position.tilt,
        zoom=told.position.zoom,
        moving=told.moving,
    )


@router.get("/presets")
async def presets(services: Provided, permit: MaySteer) -> PresetList:
    """As the camera keeps them."""
    found = await services.helm().presets(permit)
    return PresetList(items=[PresetOut(preset=each.token, name=each.name) for each in found])


def _out(steered: Steered | None) -> SteeredOut | None:
    if steered is None:
        return None
    return SteeredOut(held_by=steered.held_by, is_mine=steered.is_mine, until=steered.until)
