"""Filing: channels are reviewed and filed, or sent back; and what the site chose about it."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from camera_registry.filing import MAX_CHOSEN, Selection
from camera_registry.filing_rules import MAX_NOTE_CHARS, FilingSettings, FilingStep
from streamhub.access.permit import Permit
from streamhub.access.policy import Scope
from streamhub.access.principal import DISTRICT, Action, Resource, area, channel

from .newest import ByNewestRights
from .rights import requires, requires_in_person, requires_somewhere, the_district
from .services import Provided, Services

router = APIRouter(prefix="/api/v1", tags=["filing"], route_class=ByNewestRights)

Begin = Literal["draft", "filed"]
# Of whatever was made here. JSON may hold what no database takes as text (lone surrogates).
Id = Annotated[str, Field(pattern=r"^[!-~]{1,64}$")]


class SelectionIn(BaseModel):
    """Give one of these."""

    channel_ids: list[Id] | None = Field(default=None, max_length=MAX_CHOSEN)
    area_id: Id | None = Field(default=None, description="With all areas below it.")
    import_id: Id | None = Field(default=None, description="What it added or changed.")

    def selection(self) -> Selection:
        ids = None if self.channel_ids is None else frozenset(self.channel_ids)
        return Selection(ids, self.area_id, self.import_id)

    def resource(self) -> Resource:
        """What has to be managed; of several cameras the first, `require_each` asks for all."""
        if self.area_id is not None:
            return area(self.area_id)
        if self.channel_ids:
            return channel(self.channel_ids[0])
        return DISTRICT

    def require_each(self, services: Services, permit: Permit) -> None:
        for channel_id in self.channel_ids or ():
            services.guard.require(permit.principal, Action.MANAGE, channel(channel_id))
        if self.area_id is not None and self.import_id is not None:
            services.guard.require(permit.principal, Action.MANAGE, DISTRICT)


class FilingIn(SelectionIn):
    step: FilingStep
    reason: str | None = Field(
        default=None, max_length=MAX_NOTE_CHARS, description="Of a refusal; kept with the camera."
    )
    without_own: bool = Field(
        default=False, description="Leave out what you changed yourself, instead of refusing all."
    )


class FilingOut(BaseModel):
    changed: int
    left_out: int = Field(description="Of an area or an import: in another state, or your own.")


class FilingSettingsOut(BaseModel):
    second_person: bool = Field(description="Who reviews a camera is not who changed it last.")
    by_hand: Begin = Field(description="What one camera added or changed by hand is then.")


class FilingSettingsIn(BaseModel):
    second_person: bool | None = None
    by_hand: Begin | None = None


async def selected_in_body(body: FilingIn) -> Resource:
    """The cameras of a step; an import may have brought some of any area: the district."""
    return body.resource()


@router.post("/channel-filing")
async def take_step(
    services: Provided,
    permit: Annotated[Permit, requires(Action.MANAGE, selected_in_body)],
    body: FilingIn,
) -> FilingOut:
    """Review, file, refuse or reopen: all of these cameras, or none. Of an area or an import
    those that one manages."""
    body.require_each(services, permit)
    outcome = await services.filings.take(
        body.step,
        body.selection(),
        permit.principal.actor(),
        reason=body.reason,
        without_own=body.without_own,
        manages=services.guard.scope(permit.principal, Action.MANAGE).has,
    )
    return FilingOut(changed=outcome.changed, left_out=outcome.left_out)


@router.get("/filing-settings")
async def filing_settings(
    services: Provided, scope: Annotated[Scope, requires_somewhere(Action.MANAGE)]
) -> FilingSettingsOut:
    return _settings(await services.filings.settings())


@router.put("/filing-settings")
async def choose_filing_settings(
    services: Provided,
    permit: Annotated[Permit, requires_in_person(Action.MANAGE, the_district)],
    body: FilingSettingsIn,
) -> FilingSettingsOut:
    """What is left out stays as it is. Audited."""
    chosen = await services.filings.choose(
        permit.principal.actor(), second_person=body.second_person, by_hand=body.by_hand
    )
    return _settings(chosen)


def _settings(chosen: FilingSettings) -> FilingSettingsOut:
    return FilingSettingsOut(
        second_person=chosen.second_person, by_hand="filed" if chosen.files_by_hand else "draft"
    )
