"""Channels: one camera view each; what people name and are granted."""

from dataclasses import replace
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field, SecretStr

from camera_registry.channel_facts import STEERED_BY
from camera_registry.denials import Denials
from camera_registry.domain import Channel, DeviceClass, Filing
from camera_registry.domain import Scope as RegistryScope
from camera_registry.drafts import ChannelChanges, ChannelDraft
from camera_registry.secret import Secret
from streamhub.access.permit import Permit
from streamhub.access.policy import Scope
from streamhub.access.principal import DISTRICT, Action, Principal, area

from .newest import ByNewestRights
from .paging import DEFAULT_LIMIT, Cursor, Limit
from .profiles import Profile
from .rights import channel_in_path, requires, signed_in, the_district
from .services import Provided, Services

router = APIRouter(prefix="/api/v1/channels", tags=["channels"], route_class=ByNewestRights)

MayDo = Literal["live", "snapshot", "ptz", "manage"]
_MAY: tuple[tuple[MayDo, Action], ...] = (
    ("live", Action.LIVE),
    ("snapshot", Action.SNAPSHOT),
    ("ptz", Action.PTZ),
    ("manage", Action.MANAGE),
)


class ChannelOut(BaseModel):
    id: str
    code: str = Field(description="20 digits (GB/T 28181).")
    name: str
    device_class: DeviceClass
    area_id: str
    area_path: list[str] = Field(description="Names from the district down.")
    lon: float | None = Field(description="WGS-84.")
    lat: float | None
    enabled: bool
    filing: Filing = Field(description="Who does not manage it sees it only when it is filed.")
    profiles: list[Profile]
    may: list[MayDo] = Field(description="What you may do with it now.")
    purpose_for: list[MayDo] = Field(description="What of that asks for a purpose.")


class ChannelDetail(ChannelOut):
    device_id: str | None = Field(description="Only for whoever manages it, as the URLs.")
    main_url: str | None
    sub_url: str | None
    facts: dict[str, str] = Field(description="What the forms ask besides, by field key.")
    filing_note: str | None = Field(description="Why it was sent back.")
    sensitive: bool = Field(description="Its pictures ask for a purpose.")


class ChannelList(BaseModel):
    items: list[ChannelOut]
    next_cursor: str | None
    total: int = Field(description="As many as were counted.")
    total_capped: bool = Field(description="Whether there are more than `total`.")


class ChannelCreate(BaseModel):
    code: str
    name: str
    area_id: str
    device_class: DeviceClass
    main_url: str = Field(description="rtsp://; userinfo becomes the device's credentials.")
    sub_url: str | None = None
    lon: float | None = None
    lat: float | None = None
    enabled: bool = True
    device_id: str | None = None
    username: str | None = None
    password: SecretStr | None = None
    facts: dict[str, str | None] = {}
    filing: Literal["draft", "filed"] | None = Field(
        default=None, description="As the site chose, when it is left out."
    )
    sensitive: bool = False


class ChannelPatch(BaseModel):
    code: str | None = None
    name: str | None = None
    area_id: str | None = None
    device_class: DeviceClass | None = None
    main_url: str | None = None
    sub_url: str | None = None
    lon: float | None = None
    lat: float | None = None
    enabled: bool | None = None
    facts: dict[str, str | None] | None = Field(
        default=None, description="Merged; null takes one away."
    )
    sensitive: bool | None = None


_SEARCH = (
    "Words that must all be found: part of name, common name or address, pinyin or initials of the "
    "names, three and more digits of the code."
)

# These may be taken away with null; null for any other field is refused by the registry's types.
_NULLABLE = frozenset({"sub_url", "lon", "lat"})
# What a denial may go by.
_DENIED_BY = frozenset({"code", "name", "area_id", "device_class", "facts"})


@router.get("")
async def list_channels(
    services: Provided,
    who: Annotated[Principal, signed_in()],
    q: Annotated[str | None, Query(max_length=100, description=_SEARCH)] = None,
    area_id: Annotated[str | None, Query(description="With all areas below it.")] = None,
    device_class: DeviceClass | None = None,
    filing: Annotated[Filing | None, Query(description="Those in this state.")] = None,
    enabled: bool | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> ChannelList:
    """The channels one may list, by code."""
    scope = services.guard.scope(who, Action.LIST)
    page = await services.registry.list_channels(
        q=q,
        area_id=area_id,
        device_class=device_class,
        filing=filing,
        enabled=enabled,
        scope=registry_scope(scope),
        limit=limit,
        cursor=cursor,
    )
    items = [_out(services, who, row) for row in page.items]
    return ChannelList(
        items=items,
        next_cursor=page.next_cursor,
        total=page.total,
        total_capped=page.total_capped,
    )


@router.post("", status_code=201)
async def create_channel(
    services: Provided,
    permit: Annotated[Permit, requires(Action.MANAGE, the_district)],
    body: ChannelCreate,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> ChannelDetail:
    """Needs the right to manage the district: devices and their credentials are shared, so
    whoever names a URL could else reach another area's cameras with them."""
    services.guard.require(permit.principal, Action.MANAGE, area(body.area_id))
    password = None if body.password is None else Secret(body.password.get_secret_value())
    draft = ChannelDraft(
        **body.model_dump(exclude={"password", "device_class"}),
        device_class=body.device_class,
        password=password,
    )

    async def create() -> ChannelDetail:
        row = await services.registry.create_channel(draft, permit.principal.actor())
        return _detail(services, permit.principal, row)

    return await services.idempotency.once(
        idempotency_key, subject_id=permit.subject_id, route="channels", body=body, create=create
    )


@router.get("/{channel_id}")
async def get_channel(
    services: Provided, permit: Annotated[Permit, requires(Action.LIST, channel_in_path)]
) -> ChannelDetail:
    row = await services.registry.get_channel(permit.channel_id)
    return _detail(services, permit.principal, row)


@router.patch("/{channel_id}")
async def update_channel(
    services: Provided,
    permit: Annotated[Permit, requires(Action.MANAGE, channel_in_path)],
    body: ChannelPatch,
) -> ChannelDetail:
    """Moving it needs the right to manage the new area too; another URL, what it is steered by
    (its device may have other areas' cameras), saying whether it is sensitive, or taking it from
    under a denial, be it somebody else's, the district."""
    given = body.model_fields_set
    if body.area_id is not None:
        services.guard.require(permit.principal, Action.MANAGE, area(body.area_id))
    steered_by = STEERED_BY & (body.facts or {}).keys()
    if given & {"main_url", "sub_url", "sensitive"} or steered_by:
        services.guard.require(permit.principal, Action.MANAGE, DISTRICT)
    changes: ChannelChanges = {}
    for name in given:
        value = getattr(body, name)
        if value is not None or name in _NULLABLE:
            changes[name] = value  # type: ignore[literal-required]
    if _leaves_a_denial(services, permit.channel_id, body):
        services.guard.require(permit.principal, Action.MANAGE, DISTRICT)
    row = await services.registry.update_channel(
        permit.channel_id, changes, permit.principal.actor()
    )
    return _detail(services, permit.principal, row)


def _leaves_a_denial(services: Services, channel_id: str, body: ChannelPatch) -> bool:
    facts = services.facts.current
    row = facts.channel(channel_id)
    if row is None or not body.model_fields_set & _DENIED_BY:
        return False
    said = {**row.facts, **(body.facts or {})}
    changed = replace(
        row,
        code=body.code or row.code,
        name=body.name or row.name,
        area_id=body.area_id or row.area_id,
        device_class=body.device_class or row.device_class,
        facts={key: value for key, value in said.items() if value is not None},
    )
    return Denials(facts.denials(), facts.tree).leaves_one(row, changed)


@router.delete("/{channel_id}", status_code=204)
async def delete_channel(
    services: Provided, permit: Annotated[Permit, requires(Action.MANAGE, channel_in_path)]
) -> Response:
    """One that is sensitive, or denied to somebody, by the district alone."""
    if services.facts.current.is_kept_from_somebody(frozenset({permit.channel_id})):
        services.guard.require(permit.principal, Action.MANAGE, DISTRICT)
    await services.registry.delete_channel(permit.channel_id, permit.principal.actor())
    return Response(status_code=204)


def registry_scope(scope: Scope) -> RegistryScope | None:
    """The registry's word for what one may see; None is everything."""
    if scope.shows_all:
        return None
    unfiled = None if scope.managed is None else registry_scope(scope.managed)
    listing = scope.listing
    return RegistryScope(
        listing.areas,
        listing.channel_ids,
        unfiled,
        class_areas=listing.class_areas,
        except_ids=listing.except_ids,
        exact=True,
    )


def _out(services: Services, who: Principal, row: Channel) -> ChannelOut:
    allowed = services.guard.actions_on(who, row)
    return ChannelOut(
        id=row.id,
        code=row.code,
        name=row.name,
        device_class=row.device_class,
        area_id=row.area_id,
        area_path=list(services.facts.current.area_path(row.area_id)),
        lon=row.lon,
        lat=row.lat,
        enabled=row.enabled,
        filing=row.filing,
        profiles=cast(list[Profile], list(row.profiles)),
        may=[name for name, action in _MAY if action in allowed],
        purpose_for=[name for name, action in _MAY if allowed.get(action)],
    )


def _detail(services: Services, who: Principal, row: Channel) -> ChannelDetail:
    brief = _out(services, who, row)
    manages = "manage" in brief.may
    return ChannelDetail(
        **brief.model_dump(),
        device_id=row.device_id if manages else None,
        main_url=row.main_url if manages else None,
        sub_url=row.sub_url if manages else None,
        facts=dict(row.facts) if manages else {},
        filing_note=row.filing_note if manages else None,
        sensitive=row.sensitive,
    )
