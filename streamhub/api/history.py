"""The past of a channel, and the codes of channels to come."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header, Path
from pydantic import BaseModel, Field

from camera_registry.domain import ChannelVersion
from camera_registry.errors import NotFound
from camera_registry.importers.payloads import differences
from streamhub.access.permit import Permit
from streamhub.access.principal import Action, area

from .imports import ChangeOut
from .newest import ByNewestRights
from .paging import DEFAULT_LIMIT, Cursor, Limit
from .rights import channel_in_path, requires, the_district
from .services import Provided, Services

router = APIRouter(prefix="/api/v1", tags=["channels"], route_class=ByNewestRights)


class VersionOut(BaseModel):
    version: int
    at: datetime
    by: str | None
    act: str
    import_id: str | None
    existed: bool = Field(description="Whether the channel was there before.")
    exists: bool
    changes: list[ChangeOut]


class VersionList(BaseModel):
    items: list[VersionOut]
    next_cursor: str | None
    total: int


class CodesIn(BaseModel):
    division: str = Field(description="6 digits, or 8 with the basic unit.")
    industry: str = Field(default="00", description="2 digits.")
    type: str = Field(default="132", description="3 digits; 132 is a network camera.")
    network: str = Field(default="1", description="1 digit.")
    count: int = Field(default=1, ge=1, le=1000)


class CodesOut(BaseModel):
    codes: list[str]


@router.get("/channels/{channel_id}/versions")
async def list_versions(
    services: Provided,
    permit: Annotated[Permit, requires(Action.MANAGE, channel_in_path)],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> VersionList:
    """Who changed what when, newest first."""
    page = await services.registry.list_versions(permit.channel_id, limit=limit, cursor=cursor)
    return VersionList(
        items=[_version(services, each) for each in page.items],
        next_cursor=page.next_cursor,
        total=page.total,
    )


@router.post("/channel-versions/{version}/undo")
async def undo_version(
    services: Provided,
    permit: Annotated[Permit, requires(Action.MANAGE, the_district)],
    version: Annotated[int, Path(ge=1, le=2**63 - 1)],
) -> VersionOut:
    """Puts the channel back to what it was before its newest version. Needs the right to manage
    the district: the channel may go to another area, and to another device."""
    undone = await services.registry.get_version(version)
    services.guard.require(permit.principal, Action.MANAGE, area(undone.channel.area_id))
    await services.registry.undo_version(version, permit.principal.actor())
    page = await services.registry.list_versions(undone.channel_id, limit=1)
    if not page.items:
        raise NotFound("version", str(version))
    return _version(services, page.items[0])


@router.post("/codes", status_code=201)
async def mint_codes(
    services: Provided,
    permit: Annotated[Permit, requires(Action.MANAGE, the_district)],
    body: CodesIn,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> CodesOut:
    """The next free 20-digit codes; nobody else is given them."""

    async def create() -> CodesOut:
        codes = await services.registry.mint_codes(
            division=body.division,
            industry=body.industry,
            type_=body.type,
            network=body.network,
            count=body.count,
            by=permit.principal.actor(),
        )
        return CodesOut(codes=codes)

    return await services.idempotency.once(
        idempotency_key, subject_id=permit.subject_id, route="codes", body=body, create=create
    )


def _version(services: Services, version: ChannelVersion) -> VersionOut:
    areas = {each.id: each.code for each in services.facts.current.tree}
    before, after = version.before, version.after
    changes = differences(before, after, areas) if before and after else []
    return VersionOut(
        version=version.seq,
        at=version.at,
        by=version.subject_name,
        act=version.act,
        import_id=version.job_id,
        existed=before is not None,
        exists=after is not None,
        changes=[ChangeOut(field=f, before=b, after=a) for f, b, a in changes],
    )
