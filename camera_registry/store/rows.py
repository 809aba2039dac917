"""Rows to dataclasses and back; nothing else knows both."""

from __future__ import annotations

import base64
import json
from typing import Any

from sqlalchemy import Row

from ..domain import (
    Area,
    AreaKind,
    AuditRow,
    Change,
    ChangeKind,
    ChangeOp,
    Channel,
    Device,
    DeviceClass,
    Grant,
    SignIn,
    Subject,
    SubjectKind,
)
from ..errors import ValidationFailed
from .chain import canonical_json

AnyRow = Row[Any]


def area_from(row: AnyRow) -> Area:
    boundary = json.loads(row.boundary) if row.boundary else None
    return Area(
        row.id,
        row.parent_id,
        AreaKind(row.kind),
        row.code,
        row.name,
        tuple((lon, lat) for lon, lat in boundary) if boundary else None,
        row.schematic,
    )


def area_values(area: Area) -> dict[str, Any]:
    return {
        "id": area.id,
        "parent_id": area.parent_id,
        "kind": area.kind.value,
        "code": area.code,
        "name": area.name,
        "boundary": canonical_json(area.boundary) if area.boundary else None,
        "schematic": area.schematic,
    }


def device_from(row: AnyRow) -> Device:
    return Device(
        row.id, row.name, row.host, row.port, row.username, bool(row.has_password), row.max_dials
    )


def device_values(device: Device) -> dict[str, Any]:
    return {
        "id": device.id,
        "name": device.name,
        "host": device.host,
        "port": device.port,
        "username": device.username,
        "max_dials": device.max_dials,
    }


def channel_from(row: AnyRow) -> Channel:
    return Channel(
        row.id,
        row.device_id,
        row.area_id,
        row.code,
        row.name,
        DeviceClass(row.device_class),
        row.main_url,
        row.sub_url,
        row.lon,
        row.lat,
        row.enabled,
    )


def channel_values(channel: Channel) -> dict[str, Any]:
    return {
        "id": channel.id,
        "device_id": channel.device_id,
        "area_id": channel.area_id,
        "code": channel.code,
        "name": channel.name,
        "device_class": channel.device_class.value,
        "main_url": channel.main_url,
        "sub_url": channel.sub_url,
        "lon": channel.lon,
        "lat": channel.lat,
        "enabled": channel.enabled,
    }


def subject_from(row: AnyRow) -> Subject:
    return Subject(
        row.id,
        row.username,
        row.display_name,
        SubjectKind(row.kind),
        row.enabled,
        row.version,
    )


def subject_values(subject: Subject) -> dict[str, Any]:
    return {
        "id": subject.id,
        "username": subject.username,
        "display_name": subject.display_name,
        "kind": subject.kind.value,
        "enabled": subject.enabled,
        "version": subject.version,
    }


def grant_from(row: AnyRow) -> Grant:
    return Grant(
        row.id,
        row.subject_id,
        frozenset(row.actions.split(",")),
        row.area_id,
        row.channel_id,
        row.valid_from,
        row.valid_until,
        row.created_at,
        row.revoked_at,
    )


def grant_values(grant: Grant) -> dict[str, Any]:
    return {
        "id": grant.id,
        "subject_id": grant.subject_id,
        "actions": ",".join(sorted(grant.actions)),
        "area_id": grant.area_id,
        "channel_id": grant.channel_id,
        "valid_from": grant.valid_from,
        "valid_until": grant.valid_until,
        "created_at": grant.created_at,
        "revoked_at": grant.revoked_at,
    }


def sign_in_from(row: AnyRow) -> SignIn:
    return SignIn(row.id_hash, row.subject_id, row.created_at, row.expires_at, row.remote)


def audit_from(row: AnyRow) -> AuditRow:
    return AuditRow(
        seq=row.seq,
        at=row.at,
        subject_id=row.subject_id,
        subject_name=row.subject_name,
        as_role=row.as_role,
        remote=row.remote,
        act=row.act,
        channel_id=row.channel_id,
        area_id=row.area_id,
        outcome=row.outcome,
        detail=json.loads(row.detail),
        prev_hash=row.prev_hash,
        hash=row.hash,
    )


def change_from(row: AnyRow) -> Change:
    return Change(row.seq, row.at, ChangeKind(row.kind), row.object_id, ChangeOp(row.op))


def cursor_of(*keys: str | int) -> str:
    """An opaque cursor: the keys of the last row of the page."""
    return base64.urlsafe_b64encode(canonical_json(keys).encode()).decode().rstrip("=")


def keys_of(cursor: str, *kinds: type[str] | type[int]) -> tuple[Any, ...]:
    """The keys inside a cursor. Raises ValidationFailed for one that we did not make."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        keys = json.loads(base64.urlsafe_b64decode(padded))
        if (
            isinstance(keys, list)
            and len(keys) == len(kinds)
            and all(type(key) is kind for key, kind in zip(keys, kinds, strict=True))
        ):
            return tuple(keys)
    except (ValueError, RecursionError):
        pass
    raise ValidationFailed(
        "cursor", "bad_cursor", "The cursor is not one that a list gave; begin without it."
    )
