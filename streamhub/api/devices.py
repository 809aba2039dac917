"""Devices: boxes with an address and credentials. For whoever manages the district."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field, SecretStr

from camera_registry.domain import Device
from camera_registry.drafts import DeviceChanges, DeviceDraft
from camera_registry.secret import Secret
from streamhub.access.permit import Permit
from streamhub.access.principal import Action

from .newest import ByNewestRights
from .paging import DEFAULT_LIMIT, Cursor, Limit
from .rights import requires, the_district
from .services import Provided, Services

router = APIRouter(prefix="/api/v1/devices", tags=["devices"], route_class=ByNewestRights)

Manages = Annotated[Permit, requires(Action.MANAGE, the_district)]


class DeviceOut(BaseModel):
    id: str
    name: str
    host: str
    port: int
    username: str | None
    has_password: bool
    max_dials: int = Field(description="Streams that may be pulled from it at once.")
    listen_to_events: bool = Field(description="What it says by itself is asked for (ONVIF).")
    events_state: str | None = Field(
        description="`listening`, `waiting`, or the code of what is wrong; null: not listened to."
    )


class DeviceList(BaseModel):
    items: list[DeviceOut]
    next_cursor: str | None
    total: int


class DeviceCreate(BaseModel):
    name: str
    host: str
    port: int = 554
    username: str | None = None
    password: SecretStr | None = None
    max_dials: int = 4
    listen_to_events: bool = False


class DevicePatch(BaseModel):
    name: str | None = None
    host: str | None = None
    port: int | None = None
    username: str | None = None
    password: SecretStr | None = Field(default=None, description="null takes it away.")
    max_dials: int | None = None
    listen_to_events: bool | None = None


@router.get("")
async def list_devices(
    services: Provided,
    permit: Manages,
    q: Annotated[str | None, Query(max_length=100, description="Part of name or host.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> DeviceList:
    page = await services.registry.list_devices(q=q, limit=limit, cursor=cursor)
    items = [_out(services, row) for row in page.items]
    return DeviceList(items=items, next_cursor=page.next_cursor, total=page.total)


@router.post("", status_code=201)
async def create_device(
    services: Provided,
    permit: Manages,
    body: DeviceCreate,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> DeviceOut:
    draft = DeviceDraft(**body.model_dump(exclude={"password"}), password=_secret(body.password))

    async def create() -> DeviceOut:
        made = await services.registry.create_device(draft, permit.principal.actor())
        return _out(services, made)

    return await services.idempotency.once(
        idempotency_key, subject_id=permit.subject_id, route="devices", body=body, create=create
    )


@router.get("/{device_id}")
async def get_device(services: Provided, permit: Manages, device_id: str) -> DeviceOut:
    return _out(services, await services.registry.get_device(device_id))


@router.patch("/{device_id}")
async def update_device(
    services: Provided, permit: Manages, device_id: str, body: DevicePatch
) -> DeviceOut:
    changes: DeviceChanges = {}
    if "username" in body.model_fields_set:
        changes["username"] = body.username
    if "password" in body.model_fields_set:
        changes["password"] = _secret(body.password)
    if body.name is not None:
        changes["name"] = body.name
    if body.host is not None:
        changes["host"] = body.host
    if body.port is not None:
        changes["port"] = body.port
    if body.max_dials is not None:
        changes["max_dials"] = body.max_dials
    if body.listen_to_events is not None:
        changes["listen_to_events"] = body.listen_to_events
    by = permit.principal.actor()
    return _out(services, await services.registry.update_device(device_id, changes, by))


@router.delete("/{device_id}", status_code=204)
async def delete_device(services: Provided, permit: Manages, device_id: str) -> Response:
    await services.registry.delete_device(device_id, permit.principal.actor())
    return Response(status_code=204)


def _secret(given: SecretStr | None) -> Secret | None:
    return None if given is None else Secret(given.get_secret_value())


def _out(services: Services, row: Device) -> DeviceOut:
    return DeviceOut(
        id=row.id,
        name=row.name,
        host=row.host,
        port=row.port,
        username=row.username,
        has_password=row.has_password,
        max_dials=row.max_dials,
        listen_to_events=row.listen_to_events,
        events_state=None if services.ears is None else services.ears.state_of(row.id),
    )
