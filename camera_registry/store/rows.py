"""Rows to dataclasses and back; nothing else knows both."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from ..domain import (
    Actor,
    Area,
    AreaKind,
    AssignmentRule,
    AuditRow,
    Change,
    ChangeKind,
    ChangeOp,
    Channel,
    ChannelVersion,
    Condition,
    Device,
    DeviceClass,
    Effect,
    Filing,
    Grant,
    Op,
    Purpose,
    Quota,
    Role,
    RuleKind,
    Subject,
    SubjectKind,
    WeeklyWindow,
)
from ..errors import ValidationFailed
from ..jobs import ImportJob, JobState, Sweep, SweepState
from ..search_text import search_text
from .chain import canonical_json

AnyRow = Row[Any]
MAX_INTEGER = 2**31 - 1  # what a column of integers holds on PostgreSQL


def area_from(row: AnyRow) -> Area:
    boundary = json.loads(row.boundary) if row.boundary else None
    return replace(
        area_without_boundary(row, 0),
        boundary=tuple((lon, lat) for lon, lat in boundary) if boundary else None,
    )


def area_without_boundary(row: AnyRow, points: int) -> Area:
    return Area(
        id=row.id,
        parent_id=row.parent_id,
        kind=AreaKind(row.kind),
        code=row.code,
        name=row.name,
        schematic=row.schematic,
        unread_points=points,
    )


def area_values(area: Area) -> dict[str, Any]:
    """Raises ValueError for an area read without its boundary: writing it would erase that."""
    if area.unread_points and area.boundary is None:
        raise ValueError(f"Area {area.id} was read without its boundary; read it with `get`.")
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
        row.id,
        row.name,
        row.host,
        row.port,
        row.username,
        bool(row.has_password),
        row.max_dials,
        row.listen_to_events,
    )


def device_values(device: Device) -> dict[str, Any]:
    return {
        "id": device.id,
        "name": device.name,
        "host": device.host,
        "port": device.port,
        "username": device.username,
        "max_dials": device.max_dials,
        "listen_to_events": device.listen_to_events,
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
        json.loads(row.facts) if row.facts != "{}" else {},
        Filing(row.filing),
        row.filing_note,
        row.sensitive,
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
        "facts": canonical_json(dict(channel.facts)),
        "mac": channel.facts.get("mac"),
        "filing": channel.filing.value,
        "filing_note": channel.filing_note,
        "sensitive": channel.sensitive,
    }


def search_values(channel: Channel) -> dict[str, Any]:
    return {
        "channel_id": channel.id,
        "code": channel.code,
        "area_id": channel.area_id,
        "device_class": channel.device_class.value,
        "enabled": channel.enabled,
        "filing": channel.filing.value,
        "text": search_text(channel),
    }


def version_from(row: AnyRow) -> ChannelVersion:
    return ChannelVersion(
        seq=row.seq,
        channel_id=row.channel_id,
        at=row.at,
        subject_id=row.subject_id,
        subject_name=row.subject_name,
        act=row.act,
        job_id=row.job_id,
        before=_channel_of(row.before),
        after=_channel_of(row.after),
    )


def version_values(
    channel_id: str,
    before: Channel | None,
    after: Channel | None,
    *,
    at: datetime,
    act: str,
    by: Actor,
    job_id: str | None,
) -> dict[str, Any]:
    return {
        "channel_id": channel_id,
        "at": at,
        "subject_id": by.subject_id,
        "subject_name": by.subject_name,
        "act": act,
        "job_id": job_id,
        "before": _text_of(before),
        "after": _text_of(after),
    }


def _text_of(channel: Channel | None) -> str | None:
    if channel is None:
        return None
    return canonical_json(channel_values(channel) | {"facts": dict(channel.facts)})


def _channel_of(text: str | None) -> Channel | None:
    if text is None:
        return None
    values = json.loads(text)
    del values["mac"]
    values["device_class"] = DeviceClass(values["device_class"])
    values["filing"] = Filing(values.get("filing", Filing.FILED))  # older versions have no state
    return Channel(**values)


def rule_from(row: AnyRow) -> AssignmentRule:
    return AssignmentRule(
        row.id, row.priority, RuleKind(row.kind), row.area_id, row.field, row.text
    )


def rule_values(rule: AssignmentRule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "priority": rule.priority,
        "kind": rule.kind.value,
        "area_id": rule.area_id,
        "field": rule.field,
        "text": rule.text,
    }


def job_from(row: AnyRow) -> ImportJob:
    return ImportJob(
        id=row.id,
        created_at=row.created_at,
        subject_id=row.subject_id,
        subject_name=row.subject_name,
        file_name=row.file_name,
        sha256=row.sha256,
        options=json.loads(row.options),
        state=JobState(row.state),
        rows_done=row.rows_done,
        counts=json.loads(row.counts),
        base_seq=row.base_seq,
        code=row.code,
        sentence=row.sentence,
        finished_at=row.finished_at,
        attempt=row.attempt,
        held_until=row.held_until,
    )


def job_values(job: ImportJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "created_at": job.created_at,
        "subject_id": job.subject_id,
        "subject_name": job.subject_name,
        "file_name": job.file_name,
        "sha256": job.sha256,
        "options": canonical_json(dict(job.options)),
        "state": job.state.value,
        "rows_done": job.rows_done,
        "counts": canonical_json(dict(job.counts)),
        "base_seq": job.base_seq,
        "code": job.code,
        "sentence": job.sentence,
        "finished_at": job.finished_at,
        "attempt": job.attempt,
        "held_until": job.held_until,
    }


def sweep_from(row: AnyRow) -> Sweep:
    return Sweep(
        id=row.id,
        created_at=row.created_at,
        subject_id=row.subject_id,
        subject_name=row.subject_name,
        options=json.loads(row.options),
        state=SweepState(row.state),
        progress=json.loads(row.progress),
        finished_at=row.finished_at,
    )


def sweep_values(sweep: Sweep) -> dict[str, Any]:
    return {
        "id": sweep.id,
        "created_at": sweep.created_at,
        "subject_id": sweep.subject_id,
        "subject_name": sweep.subject_name,
        "options": canonical_json(dict(sweep.options)),
        "state": sweep.state.value,
        "progress": canonical_json(dict(sweep.progress)),
        "finished_at": sweep.finished_at,
    }


def subject_from(row: AnyRow) -> Subject:
    return Subject(
        row.id,
        row.username,
        row.display_name,
        SubjectKind(row.kind),
        row.enabled,
        row.version,
        row.second_factor_required,
        row.has_second_factor,
        row.must_change_password,
    )


def subject_values(subject: Subject) -> dict[str, Any]:
    return {
        "id": subject.id,
        "username": subject.username,
        "display_name": subject.display_name,
        "kind": subject.kind.value,
        "enabled": subject.enabled,
        "version": subject.version,
        "second_factor_required": subject.second_factor_required,
        "has_second_factor": subject.has_second_factor,
        "must_change_password": subject.must_change_password,
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
        row.role_id,
        Effect(row.effect),
        tuple(
            Condition(field, Op(op), tuple(values))
            for field, op, values in json.loads(row.conditions)
        ),
        tuple(
            WeeklyWindow(tuple(days), start, end) for days, start, end in json.loads(row.windows)
        ),
        row.purpose_required,
        row.lent_by,
        row.loan_id,
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
        "role_id": grant.role_id,
        "effect": grant.effect.value,
        "conditions": canonical_json(
            [[each.field, each.op.value, each.values] for each in grant.conditions]
        ),
        "windows": canonical_json(
            [[each.days, each.start_min, each.end_min] for each in grant.windows]
        ),
        "purpose_required": grant.purpose_required,
        "lent_by": grant.lent_by,
    }


def role_from(row: AnyRow) -> Role:
    return Role(row.id, row.name, row.display_name)


def role_values(role: Role) -> dict[str, Any]:
    return {"id": role.id, "name": role.name, "display_name": role.display_name}


def purpose_from(row: AnyRow) -> Purpose:
    return Purpose(row.code, row.zh, row.en, row.needs_note)


def quota_from(row: AnyRow) -> Quota:
    return Quota(
        row.area_id, row.subject_id, row.max_views, row.max_bps, row.kept_views, row.kept_bps
    )


def quota_values(quota: Quota) -> dict[str, Any]:
    return {
        "holder_id": quota.holder_id,
        "area_id": quota.area_id,
        "subject_id": quota.subject_id,
        "max_views": quota.max_views,
        "max_bps": quota.max_bps,
        "kept_views": quota.kept_views,
        "kept_bps": quota.kept_bps,
    }


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
            and all(_storable(key) for key in keys)
        ):
            return tuple(keys)
    except (ValueError, RecursionError):
        pass
    raise ValidationFailed(
        "cursor", "bad_cursor", "The cursor is not one that a list gave; begin without it."
    )


def _storable(key: str | int) -> bool:
    """Whether a store can be asked with it: a column's integer, and text that UTF-8 can hold."""
    if isinstance(key, int):
        return 0 <= key <= MAX_INTEGER
    return not any("\ud800" <= char <= "\udfff" for char in key)
