"""New passwords for many devices at once. For whoever manages the district."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field, SecretStr

from camera_registry.errors import ValidationFailed
from camera_registry.rotation import (
    MAX_ROTATED,
    AreaCredentials,
    NewCredentials,
    RotationReport,
)
from camera_registry.secret import Secret
from streamhub.access.permit import Permit
from streamhub.access.principal import Action

from .middleware import ROTATION_PATH
from .newest import ByNewestRights
from .rights import requires, the_district
from .services import Provided

router = APIRouter(tags=["devices"], route_class=ByNewestRights)


class DeviceCredentials(BaseModel):
    host: str = Field(max_length=253)
    port: int = Field(default=554, ge=1, le=65_535)
    username: str | None = Field(default=None, description="Left out, it stays.")
    password: SecretStr
    row: int | None = Field(default=None, description="For the findings; else its place here.")


class RotationIn(BaseModel):
    """Either `devices`, or `area_id` with one `password` for all of its devices."""

    devices: list[DeviceCredentials] | None = Field(default=None, max_length=MAX_ROTATED)
    area_id: str | None = None
    username: str | None = Field(default=None, description="With `area_id`; left out, they stay.")
    password: SecretStr | None = Field(default=None, description="With `area_id`.")
    dry_run: bool = Field(default=False, description="Only say what would be done.")


class RotatedOut(BaseModel):
    row: int | None
    device_id: str
    name: str
    host: str
    port: int
    username_before: str | None
    username: str | None


class RefusedOut(BaseModel):
    row: int | None
    host: str
    port: int
    code: str
    sentence: str


class RotationOut(BaseModel):
    applied: bool
    devices: list[RotatedOut]
    refused: list[RefusedOut] = Field(description="With one of them nothing is done.")
    channels_elsewhere: int = Field(
        description="Channels of these devices that lie outside the area."
    )


@router.post(ROTATION_PATH)
async def rotate_passwords(
    services: Provided,
    permit: Annotated[Permit, requires(Action.MANAGE, the_district)],
    body: RotationIn,
) -> RotationOut:
    """Tells the registry what many devices' passwords are by now, all or none; tells no device.

    There is no undo: the passwords of before are not kept.
    """
    order = _order(body)
    if body.dry_run:
        return _out(await services.registry.preview_rotation(order))
    return _out(await services.registry.rotate_passwords(order, permit.principal.actor()))


def _order(body: RotationIn) -> Sequence[NewCredentials] | AreaCredentials:
    if (body.devices is None) == (body.area_id is None):
        raise ValidationFailed("devices", "rotation_target", "Give either devices or an area_id.")
    if body.devices is not None:
        return [
            NewCredentials(
                number if each.row is None else each.row,
                each.host,
                each.port,
                Secret(each.password.get_secret_value()),
                each.username or None,
            )
            for number, each in enumerate(body.devices, 1)
        ]
    password = "" if body.password is None else body.password.get_secret_value()
    return AreaCredentials(body.area_id or "", Secret(password), body.username or None)


def _out(report: RotationReport) -> RotationOut:
    return RotationOut(
        applied=report.applied,
        devices=[
            RotatedOut(
                row=each.row,
                device_id=each.device.id,
                name=each.device.name,
                host=each.device.host,
                port=each.device.port,
                username_before=each.device.username,
                username=each.username,
            )
            for each in report.rotated
        ],
        refused=[
            RefusedOut(
                row=each.row,
                host=each.host,
                port=each.port,
                code=each.code,
                sentence=each.sentence,
            )
            for each in report.refused
        ],
        channels_elsewhere=report.channels_elsewhere,
    )
