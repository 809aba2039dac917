"""The rights written down a second time, the slow and obvious way: no index, no cache, no sets of
areas. Local time by the time zone database, one day after the other. For tests that compare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from camera_registry.domain import (
    Area,
    Channel,
    Condition,
    Grant,
    Op,
    Purpose,
    Role,
    Stated,
    Subject,
    WeeklyWindow,
)
from streamhub.access.facts import Facts

SHANGHAI = ZoneInfo("Asia/Shanghai")
ASKED_WHY = {"live", "snapshot", "playback", "talk", "export"}


@dataclass
class World:
    areas: list[Area]
    channels: list[Channel]
    subjects: list[Subject]
    grants: list[Grant]
    roles: list[Role] = field(default_factory=list)
    members: dict[str, frozenset[str]] = field(default_factory=dict)
    purposes: list[Purpose] = field(default_factory=list)

    def facts(self) -> Facts:
        return Facts.build(
            areas=self.areas,
            channels=self.channels,
            subjects=self.subjects,
            grants=self.grants,
            roles=self.roles,
            members=self.members,
            purposes=self.purposes,
        )


def in_window(window: WeeklyWindow, now: datetime) -> bool:
    local = now.astimezone(SHANGHAI)
    for days_ago in (0, 1):
        begun = (local - timedelta(days=days_ago)).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        if begun.weekday() not in window.days:
            continue
        start = begun + timedelta(minutes=window.start_min)
        end = begun + timedelta(minutes=window.end_min)
        if end <= start:
            end += timedelta(days=1)
        if start <= local < end:
            return True
    return False


def in_force(grant: Grant, now: datetime) -> bool:
    if grant.revoked_at is not None or now < grant.valid_from:
        return False
    if grant.valid_until is not None and now >= grant.valid_until:
        return False
    return grant.windows == () or any(in_window(window, now) for window in grant.windows)


def is_given_to(world: World, grant: Grant, subject_id: str) -> bool:
    if grant.subject_id == subject_id:
        return True
    known = {role.id for role in world.roles}
    return grant.role_id in known and subject_id in world.members.get(grant.role_id or "", ())


def lies_within(world: World, area_id: str, above: str) -> bool:
    at: str | None = area_id
    while at is not None:
        if at == above:
            return True
        at = next(area.parent_id for area in world.areas if area.id == at)
    return False


def condition_holds(condition: Condition, row: Channel) -> bool:
    own = {"name": row.name, "code": row.code, "device_class": str(row.device_class)}
    text = own[condition.field] if condition.field in own else row.facts.get(condition.field)
    if not text:
        return False
    if condition.op == Op.EQ:
        return any(text == value for value in condition.values)
    if condition.op == Op.NE:
        return all(text != value for value in condition.values)
    return any(text[: len(value)] == value for value in condition.values)


def is_about(world: World, grant: Grant, row: Channel) -> bool:
    if grant.channel_id is not None:
        return grant.channel_id == row.id
    if grant.area_id is not None and not lies_within(world, row.area_id, grant.area_id):
        return False
    return all(condition_holds(each, row) for each in grant.conditions)


def said(
    world: World, subject_id: str, action: str, row: Channel, now: datetime
) -> Iterator[Grant]:
    for grant in world.grants:
        if (
            is_given_to(world, grant, subject_id)
            and in_force(grant, now)
            and is_about(world, grant, row)
            and action in grant.actions
        ):
            yield grant


def granted(world: World, subject_id: str, action: str, row: Channel, now: datetime) -> bool:
    grants = list(said(world, subject_id, action, row, now))
    return bool(grants) and not any(grant.effect == "deny" for grant in grants)


def listed(world: World, subject_id: str, action: str, row: Channel, now: datetime) -> bool:
    """What a list shows: neither a purpose nor a switched-off camera matters."""
    if row.filing != "filed" and not granted(world, subject_id, "manage", row, now):
        return False
    return granted(world, subject_id, action, row, now)


def allowed(
    world: World,
    subject_id: str,
    action: str,
    row: Channel,
    now: datetime,
    stated: Stated | None = None,
) -> bool:
    if not listed(world, subject_id, action, row, now):
        return False
    if action in {"live", "snapshot", "talk"} and not row.enabled:
        return False
    if stated is not None:
        return any(
            each.code == stated.purpose and (stated.note is not None or not each.needs_note)
            for each in world.purposes
        )
    if action not in ASKED_WHY:
        return True
    grants = said(world, subject_id, action, row, now)
    return not row.sensitive and any(not grant.purpose_required for grant in grants)


def visible(world: World, subject_id: str, row: Channel, now: datetime) -> bool:
    """Whether its subject may know that there is such a channel."""
    actions = {action for grant in world.grants for action in grant.actions}
    return any(listed(world, subject_id, action, row, now) for action in actions)
