"""Grants: who may (or, by a denial, may not) do actions, where, for a time, at which hours.

Whoever manages an area grants on it, but passes on only what they hold there themselves. A denial
is for whoever manages the district: it binds those above an area, too.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel, Field

from camera_registry.domain import Effect, Grant
from camera_registry.drafts import GrantDraft
from camera_registry.errors import EntryRefused, NotFound, RegistryError
from camera_registry.grant_batch import MAX_CHANGES
from camera_registry.grant_terms import MAX_CONDITIONS, MAX_WINDOWS
from streamhub.access.errors import AccessError, NotVisible
from streamhub.access.permit import Permit
from streamhub.access.principal import DISTRICT, Action, Principal, Resource, area, channel

from .grant_bodies import (
    ConditionBody,
    WindowBody,
    conditions_in,
    conditions_out,
    role_name,
    windows_in,
    windows_out,
)
from .newest import ByNewestRights
from .paging import DEFAULT_LIMIT, Cursor, Limit
from .problems import Problem
from .rights import Who, declares, in_person, must_be_in_person, requires_in_person
from .services import Provided, Services
from .times import Time

router = APIRouter(prefix="/api/v1/grants", tags=["grants"], route_class=ByNewestRights)


class GrantOut(BaseModel):
    id: str
    subject_id: str | None
    subject_name: str | None
    actions: list[str]
    area_id: str | None
    area_name: str | None
    channel_id: str | None
    channel_name: str | None
    valid_from: Time
    valid_until: Time | None
    created_at: Time
    revoked_at: Time | None
    role_id: str | None
    role_name: str | None
    effect: Effect
    conditions: list[ConditionBody]
    windows: list[WindowBody]
    purpose_required: bool
    lent_by: str | None = Field(description="Of a loan: the username of who allowed it.")


class GrantList(BaseModel):
    items: list[GrantOut]
    next_cursor: str | None
    total: int


class GrantCreate(BaseModel):
    subject_id: str | None = Field(default=None, description="Or `username`, or `role_id`.")
    username: str | None = Field(
        default=None, max_length=32, description="Whose, where the id is not known."
    )
    role_id: str | None = None
    effect: Effect = Field(default=Effect.ALLOW, description="A denial wins over what allows.")
    actions: Annotated[list[Action], Field(min_length=1, max_length=len(Action))]
    area_id: str | None = Field(default=None, description="With all areas below it.")
    channel_id: str | None = Field(default=None, description="Without area and conditions.")
    conditions: Annotated[list[ConditionBody], Field(max_length=MAX_CONDITIONS)] = Field(
        default=[], description="Only cameras they all hold of; without area: of the district."
    )
    windows: Annotated[list[WindowBody], Field(max_length=MAX_WINDOWS)] = Field(
        default=[], description="Hours of the week; left out: at all times."
    )
    purpose_required: bool = Field(
        default=False, description="Pictures by this grant ask for a purpose."
    )
    valid_from: Time | None = Field(default=None, description="Left out: from now.")
    valid_until: Time | None = Field(default=None, description="Left out: until revoked.")


class GrantChange(BaseModel):
    """One of the two."""

    create: GrantCreate | None = None
    revoke: str | None = Field(default=None, max_length=64, description="A grant's id.")


class GrantBatch(BaseModel):
    changes: Annotated[list[GrantChange], Field(min_length=1, max_length=MAX_CHANGES)]


class GrantsChanged(BaseModel):
    items: list[GrantOut] = Field(description="As they are now, in the order of `changes`.")


def target_in_body(body: GrantCreate) -> Resource:
    """What the grant is on. Raises Problem 422 when it names both or neither."""
    alone = body.area_id is None and not body.conditions
    if (body.channel_id is None) == alone:
        raise Problem(
            422,
            "grant_target",
            "Give area_id, conditions or both; or channel_id alone.",
            extra={"field": "area_id"},
        )
    if body.channel_id is not None:
        return channel(body.channel_id)
    return DISTRICT if body.area_id is None else area(body.area_id)


@dataclass(frozen=True, slots=True)
class Managed:
    """A stored grant, and who manages what it is on."""

    grant: Grant
    who: Principal


@declares("manage on what the grant is on")
async def _grant_in_path(services: Provided, who: Who, grant_id: str) -> Managed:
    grant = None
    with suppress(NotFound):
        grant = await services.people.get_grant(grant_id)
    return Managed(_managed(services, who, grant, grant_id), who)


ThisGrant = Annotated[Managed, Depends(_grant_in_path)]


@router.get("")
async def list_grants(
    services: Provided,
    who: Annotated[Principal, in_person()],
    subject_id: Annotated[str | None, Query(description="Also by its roles.")] = None,
    role_id: Annotated[str | None, Query()] = None,
    area_id: Annotated[str | None, Query()] = None,
    channel_id: Annotated[str | None, Query()] = None,
    include_revoked: bool = False,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> GrantList:
    """One's own (what an API key is for, `/api/v1/me` says); with `area_id` or `channel_id`, those
    on what one manages; for whoever manages the district, all."""
    guard = services.guard
    if not guard.allows(who, Action.MANAGE, DISTRICT):
        if channel_id is not None:
            guard.require(who, Action.MANAGE, channel(channel_id))
        elif area_id is not None:
            guard.require(who, Action.MANAGE, area(area_id))
        elif role_id is not None or subject_id not in (None, who.subject_id):
            guard.require(who, Action.MANAGE, DISTRICT)
        else:
            subject_id = who.subject_id
    page = await services.people.list_grants(
        subject_id=subject_id,
        role_ids=_roles_of(services, subject_id) if role_id is None else [role_id],
        area_id=area_id,
        channel_id=channel_id,
        include_revoked=include_revoked,
        limit=limit,
        cursor=cursor,
    )
    items = [grant_out(services, who, row) for row in page.items]
    return GrantList(items=items, next_cursor=page.next_cursor, total=page.total)


@router.post("", status_code=201)
async def create_grant(
    services: Provided,
    permit: Annotated[Permit, requires_in_person(Action.MANAGE, target_in_body)],
    body: GrantCreate,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> GrantOut:
    who = permit.principal
    _require_granting(services, who, body)
    draft = _draft(services, body)

    async def create() -> GrantOut:
        return grant_out(services, who, await services.people.create_grant(draft, who.actor()))

    return await services.idempotency.once(
        idempotency_key, subject_id=permit.subject_id, route="grants", body=body, create=create
    )


@router.post("/batch")
async def change_grants(
    services: Provided,
    who: Annotated[Principal, in_person()],
    body: GrantBatch,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> GrantsChanged:
    """Makes and revokes grants, each with the right that it takes alone: all in one transaction,
    with an audit row each, or none of them. What is refused says which `entry` it is about."""
    revoked = [each.revoke for each in body.changes if each.revoke is not None]
    known = {each.id: each for each in await services.people.get_grants(revoked)}
    # An answer that was kept is not given again to who may no more.
    changes = _changes(services, who, body, known)

    async def change() -> GrantsChanged:
        rows = await services.people.change_grants(changes, who.actor())
        return GrantsChanged(items=[grant_out(services, who, row) for row in rows])

    return await services.idempotency.once(
        idempotency_key, subject_id=who.subject_id, route="grant batch", body=body, create=change
    )


@router.get("/{grant_id}")
async def get_grant(services: Provided, found: ThisGrant) -> GrantOut:
    return grant_out(services, found.who, found.grant)


@router.delete("/{grant_id}", status_code=204)
async def revoke_grant(services: Provided, found: ThisGrant) -> Response:
    """Revokes it: when this answers, the views it allowed have been told to end. What is lent by
    it an API key does not end, as it ends no loan."""
    if found.grant.lent_by is not None:
        must_be_in_person(found.who)
    await services.people.revoke_grant(found.grant.id, found.who.actor())
    return Response(status_code=204)


def _changes(
    services: Services, who: Principal, body: GrantBatch, known: Mapping[str, Grant]
) -> list[GrantDraft | str]:
    """Raises EntryRefused."""
    changes: list[GrantDraft | str] = []
    for number, each in enumerate(body.changes):
        try:
            changes.append(_change(services, who, each, known))
        except (AccessError, RegistryError, Problem) as refused:
            raise EntryRefused(number, refused) from refused
    return changes


def _change(
    services: Services, who: Principal, change: GrantChange, known: Mapping[str, Grant]
) -> GrantDraft | str:
    """As the registry takes it. Raises Problem, and what the guard and the fields raise."""
    if (change.create is None) == (change.revoke is None):
        raise Problem(422, "grant_change", "Give `create` or `revoke`.")
    if change.create is not None:
        services.guard.require(who, Action.MANAGE, target_in_body(change.create))
        _require_granting(services, who, change.create)
        return _draft(services, change.create)
    grant_id = str(change.revoke)
    return _managed(services, who, known.get(grant_id), grant_id).id


def _managed(services: Services, who: Principal, grant: Grant | None, grant_id: str) -> Grant:
    """The grant, of whoever manages what it is on. To everybody else the same is said, and noted,
    as where there is none: nobody learns which ids there are, or which of them are denials."""
    if grant is None or not services.guard.allows(who, Action.MANAGE, _target(grant)):
        services.guard.require(who, Action.MANAGE, channel(grant_id))
        raise NotVisible("There is no such thing, or it is not yours to see.")
    return grant


def _require_granting(services: Services, who: Principal, body: GrantCreate) -> None:
    """What it takes besides the right to manage: a denial binds those above an area, too, and
    nobody passes on more than is theirs."""
    if body.effect is Effect.DENY:
        services.guard.require(who, Action.MANAGE, DISTRICT)
        return
    target = target_in_body(body)
    for action in body.actions:
        services.guard.require_passing_on(who, action, target, asked_why=body.purpose_required)


def _draft(services: Services, body: GrantCreate) -> GrantDraft:
    """For whoever may grant it: a name is looked up for nobody else. Raises
    Problem("grant_holder")."""
    return GrantDraft(
        subject_id=_subject_id(services, body),
        role_id=body.role_id,
        effect=body.effect,
        conditions=conditions_in(body.conditions),
        windows=windows_in(body.windows),
        purpose_required=body.purpose_required,
        actions={action.value for action in body.actions},
        area_id=body.area_id,
        channel_id=body.channel_id,
        valid_from=body.valid_from,
        valid_until=body.valid_until,
    )


def _subject_id(services: Services, body: GrantCreate) -> str | None:
    """An unknown name is refused as an unknown id is, after all else that may be wrong: who tries
    names learns of one by a grant alone, which is in the audit."""
    if body.username is None:
        return body.subject_id
    if body.subject_id is not None or body.role_id is not None:
        raise Problem(
            422,
            "grant_holder",
            "Grant to one: by subject_id, by username or by role_id.",
            extra={"field": "subject_id"},
        )
    named = services.facts.current.subject_named(body.username.strip().lower())
    return "" if named is None else named.id


def _roles_of(services: Services, subject_id: str | None) -> list[str]:
    if subject_id is None:
        return []
    return [role.id for role in services.facts.current.roles_of(subject_id)]


def _target(grant: Grant) -> Resource:
    if grant.denies:
        return DISTRICT
    if grant.channel_id is not None:
        return channel(grant.channel_id)
    return DISTRICT if grant.area_id is None else area(grant.area_id)


def require_own(services: Services, who: Principal, grants: Iterable[Grant]) -> None:
    """All that the grants allow, now or later, must be the principal's to pass on: whoever puts
    somebody into a role, or makes a key in their name, could else have it by a detour."""
    now = services.now()
    for grant in grants:
        if grant.denies or (grant.valid_until is not None and grant.valid_until <= now):
            continue
        for action in sorted(grant.actions):
            services.guard.require_passing_on(
                who, Action(action), _target(grant), asked_why=grant.purpose_required
            )


def channel_name(services: Services, who: Principal, channel_id: str | None) -> str | None:
    """The name of a channel that a grant is on, for whom there is one: a draft's for whoever
    manages it, one that is denied to them altogether not."""
    row = None if channel_id is None else services.facts.current.channel(channel_id)
    if row is None or not services.guard.actions_on(who, row):
        return None
    return row.name


def grant_out(services: Services, who: Principal, row: Grant) -> GrantOut:
    """As `who` is told of it: a camera's name only where it is theirs to see."""
    facts = services.facts.current
    subject = None if row.subject_id is None else facts.subject(row.subject_id)
    on_area = None if row.area_id is None else facts.area(row.area_id)
    return GrantOut(
        id=row.id,
        subject_id=row.subject_id,
        subject_name=None if subject is None else subject.username,
        actions=sorted(row.actions),
        area_id=row.area_id,
        area_name=None if on_area is None else on_area.name,
        channel_id=row.channel_id,
        channel_name=channel_name(services, who, row.channel_id),
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        role_id=row.role_id,
        role_name=role_name(services, row),
        effect=row.effect,
        conditions=conditions_out(row),
        windows=windows_out(row),
        purpose_required=row.purpose_required,
        lent_by=row.lent_by,
    )
