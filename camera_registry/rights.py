"""Use cases about grants, and the purposes that a district accepts.

Whether the caller may do them is decided before, in `streamhub.access`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from . import grant_terms
from . import validation as check
from .domain import Actor, Grant, Page, Purpose, new_id
from .drafts import GrantDraft
from .errors import Conflict, NotFound, ValidationFailed
from .grant_terms import DAYS, clock
from .store.contract import ReadTx, Store, WriteTx
from .units import Clock, Unit, Units

MAX_PURPOSES: Final = 50  # a list to choose from


class GrantCases:
    """The part of `People` about grants."""

    _store: Store
    _units: Units
    _clock: Clock

    async def get_grant(self, grant_id: str) -> Grant:
        async with self._store.read() as tx:
            grant = await tx.grants.get(grant_id)
        if grant is None:
            raise NotFound("grant", grant_id)
        return grant

    async def list_grants(
        self,
        *,
        subject_id: str | None = None,
        role_ids: Collection[str] = (),
        area_id: str | None = None,
        channel_id: str | None = None,
        include_revoked: bool = False,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Grant]:
        """By creation. `area_id` and `channel_id` match the grant's own target only, `subject_id`
        those given to it by itself, or to one of `role_ids`."""
        limit = check.integer("limit", limit, 1, check.MAX_PAGE)
        async with self._store.read() as tx:
            return await tx.grants.page(
                subject_id=subject_id,
                role_ids=role_ids,
                area_id=area_id,
                channel_id=channel_id,
                include_revoked=include_revoked,
                limit=limit,
                cursor=cursor,
            )

    async def create_grant(self, draft: GrantDraft, by: Actor) -> Grant:
        """Raises ValidationFailed: unknown action, area, channel, subject or role, and what
        `grant_terms` says of the rest."""
        actions = check.actions(draft.actions)
        grant_terms.target(draft)
        now = self._clock()
        grant = Grant(
            id=new_id("gr"),
            subject_id=draft.subject_id,
            actions=actions,
            area_id=draft.area_id,
            channel_id=draft.channel_id,
            valid_from=grant_terms.times(draft, now),
            valid_until=draft.valid_until,
            created_at=now,
            role_id=draft.role_id,
            effect=draft.effect,
            conditions=grant_terms.conditions(draft.conditions),
            windows=grant_terms.windows(draft.windows),
            purpose_required=draft.purpose_required,
        )
        async with self._units.begin(by) as unit:
            tx = unit.tx
            to = await _holder(tx, grant)
            if to is None:
                field = "subject_id" if grant.role_id is None else "role_id"
                noun = field.removesuffix("_id")
                raise _unknown(field, f"unknown_{noun}", noun)
            if draft.area_id is not None and await tx.areas.get(draft.area_id) is None:
                raise _unknown("area_id", "unknown_area", "area")
            if draft.channel_id is not None and await tx.channels.get(draft.channel_id) is None:
                raise _unknown("channel_id", "unknown_channel", "channel")
            await add(unit, grant, to)
        return grant

    async def revoke_grant(self, grant_id: str, by: Actor) -> Grant:
        """The grant as it now is; revoking twice changes nothing and is not audited again."""
        async with self._units.begin(by) as unit:
            before = await unit.tx.grants.get(grant_id)
            if before is None:
                raise NotFound("grant", grant_id)
            if before.revoked_at is not None:
                return before
            return await revoke(unit, grant_id, self._clock())

    # --- purposes ---------------------------------------------------------------------------------

    async def list_purposes(self) -> list[Purpose]:
        """By code."""
        async with self._store.read() as tx:
            return await tx.purposes.all()

    async def put_purpose(self, code: str, zh: str, en: str, by: Actor) -> Purpose:
        """Adds one, or gives it other words. Raises ValidationFailed,
        Conflict("too_many_purposes")."""
        purpose = Purpose(
            check.short_name("code", "A purpose's code", code),
            check.name("zh", zh),
            check.name("en", en),
        )
        async with self._units.begin(by) as unit:
            known = {each.code for each in await unit.tx.purposes.all()}
            if purpose.code not in known and len(known) >= MAX_PURPOSES:
                raise Conflict(
                    "code", "too_many_purposes", f"There are {MAX_PURPOSES}; remove one first."
                )
            await unit.tx.purposes.put(purpose)
            await unit.record("purpose_put", code=purpose.code, zh=purpose.zh, en=purpose.en)
        return purpose

    async def remove_purpose(self, code: str, by: Actor) -> None:
        """Views that were opened with it and need one end."""
        async with self._units.begin(by) as unit:
            if not await unit.tx.purposes.delete(code):
                raise NotFound("purpose", code)
            await unit.record("purpose_remove", code=code)


async def add(unit: Unit, grant: Grant, to: str) -> None:
    """Inside a unit of work, with its audit row; `to`: the name of who gets it."""
    await unit.tx.grants.add(grant)
    await unit.record(
        "grant_create",
        channel_id=grant.channel_id,
        area_id=grant.area_id,
        id=grant.id,
        to=to,
        **_told(grant),
    )


async def revoke(unit: Unit, grant_id: str, at: datetime) -> Grant:
    """Inside a unit of work, with its audit row. Raises NotFound."""
    grant = await unit.tx.grants.revoke(grant_id, at)
    if grant is None:
        raise NotFound("grant", grant_id)
    await unit.record(
        "grant_revoke",
        channel_id=grant.channel_id,
        area_id=grant.area_id,
        id=grant.id,
        to=await _holder(unit.tx, grant) or grant.subject_id or grant.role_id,
        effect=grant.effect.value,
        actions=sorted(grant.actions),
    )
    return grant


async def _holder(tx: ReadTx | WriteTx, grant: Grant) -> str | None:
    """A subject's username, or `role:` and the role's name."""
    if grant.role_id is not None:
        role = await tx.roles.get(grant.role_id)
        return None if role is None else f"role:{role.name}"
    subject = await tx.subjects.get(grant.subject_id or "")
    return None if subject is None else subject.username


def _told(grant: Grant) -> dict[str, Any]:
    """What the audit keeps of a grant; what it does not say is left out."""
    until = grant.valid_until
    told: dict[str, Any] = {
        "actions": sorted(grant.actions),
        "valid_from": grant.valid_from.isoformat(),
        "valid_until": until.isoformat() if until else None,
    }
    if grant.denies:
        told["effect"] = grant.effect.value
    if grant.conditions:
        told["conditions"] = [[c.field, c.op.value, list(c.values)] for c in grant.conditions]
    if grant.windows:
        told["windows"] = [
            f"{','.join(DAYS[day] for day in w.days)} {clock(w.start_min)}-{clock(w.end_min)}"
            for w in grant.windows
        ]
    if grant.purpose_required:
        told["purpose_required"] = True
    if grant.lent_by is not None:
        told["lent_by"] = grant.lent_by
    return told


def _unknown(field: str, code: str, noun: str) -> ValidationFailed:
    return ValidationFailed(field, code, f"There is no such {noun}; choose one that exists.")
