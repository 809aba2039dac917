"""Several changes of grants as one: what they name is looked up together, and written together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Protocol, Self, TypeVar

from . import grant_terms
from . import validation as check
from .domain import AuditEntry, Grant, Role, Subject, new_id
from .drafts import GrantDraft
from .errors import NotFound, ValidationFailed
from .grant_terms import DAYS, clock
from .units import Unit

MAX_CHANGES: Final = 1_000
# Beyond so many one read of the table is cheaper than reads by id.
MAX_READS_BY_ID: Final = 20


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


T_co = TypeVar("T_co", bound=_Identified, covariant=True)
T = TypeVar("T", bound=_Identified)


class _Table(Protocol[T_co]):
    async def get(self, object_id: str, /) -> T_co | None: ...
    async def all(self) -> Sequence[T_co]: ...


class GrantBatch:
    """The changes of one unit of work. `take` each, then `write`."""

    def __init__(
        self,
        unit: Unit,
        now: datetime,
        *,
        known: Mapping[str, Grant],
        subjects: Mapping[str, Subject],
        roles: Mapping[str, Role],
        area_ids: Collection[str],
        channel_ids: Collection[str],
    ) -> None:
        # given
        self._unit = unit
        self._now = now
        self._known = dict(known)
        self._subjects = subjects
        self._roles = roles
        self._area_ids = area_ids
        self._channel_ids = channel_ids
        # owned
        self.grants: list[Grant] = []
        self._added: list[Grant] = []
        self._revoked: list[str] = []
        self._entries: list[AuditEntry] = []

    @classmethod
    async def begin(cls, unit: Unit, changes: Sequence[GrantDraft | str], now: datetime) -> Self:
        tx = unit.tx
        known = {each.id: each for each in await tx.grants.by_ids(_texts(changes))}
        named: list[GrantDraft | Grant] = [each for each in changes if isinstance(each, GrantDraft)]
        named += known.values()
        areas = await _found(tx.areas, {each.area_id for each in named})
        channel_ids = {each.channel_id for each in named if each.channel_id is not None}
        return cls(
            unit,
            now,
            known=known,
            subjects=await _found(tx.subjects, {each.subject_id for each in named}),
            roles=await _found(tx.roles, {each.role_id for each in named}),
            area_ids=areas,
            channel_ids={each.id for each in await tx.channels.by_ids(channel_ids)},
        )

    def take(self, change: GrantDraft | str) -> None:
        """A grant that is made, or (by id) revoked. Raises ValidationFailed, NotFound."""
        grant = self._revoke(change) if isinstance(change, str) else self._create(change)
        self.grants.append(grant)

    @classmethod
    async def change(cls, unit: Unit, change: GrantDraft | str, now: datetime) -> Grant:
        """One alone. Raises as `take`."""
        batch = await cls.begin(unit, [change], now)
        batch.take(change)
        await batch.write()
        return batch.grants[0]

    async def write(self) -> None:
        await self._unit.tx.grants.add_many(self._added)
        await self._unit.tx.grants.revoke_many(self._revoked, self._now)
        if self._entries:
            await self._unit.tx.audit.append_many(self._entries)

    def _create(self, draft: GrantDraft) -> Grant:
        actions = check.actions(draft.actions)
        grant_terms.target(draft)
        grant = Grant(
            id=new_id("gr"),
            subject_id=draft.subject_id,
            actions=actions,
            area_id=draft.area_id,
            channel_id=draft.channel_id,
            valid_from=grant_terms.times(draft, self._now),
            valid_until=draft.valid_until,
            created_at=self._now,
            role_id=draft.role_id,
            effect=draft.effect,
            conditions=grant_terms.conditions(draft.conditions),
            windows=grant_terms.windows(draft.windows),
            purpose_required=draft.purpose_required,
            lent_by=draft.lent_by,
            loan_id=draft.loan_id,
        )
        to = self._holder(grant)
        if to is None:
            field = "subject_id" if grant.role_id is None else "role_id"
            noun = field.removesuffix("_id")
            raise _unknown(field, f"unknown_{noun}", noun)
        if draft.area_id is not None and draft.area_id not in self._area_ids:
            raise _unknown("area_id", "unknown_area", "area")
        if draft.channel_id is not None and draft.channel_id not in self._channel_ids:
            raise _unknown("channel_id", "unknown_channel", "channel")
        self._added.append(grant)
        self._record("grant_create", grant, to=to, **_told(grant))
        return grant

    def _revoke(self, grant_id: str) -> Grant:
        before = self._known.get(grant_id)
        if before is None:
            raise NotFound("grant", grant_id)
        if before.revoked_at is not None:
            return before
        grant = self._known[grant_id] = replace(before, revoked_at=self._now)
        self._revoked.append(grant_id)
        self._record(
            "grant_revoke",
            grant,
            to=self._holder(grant) or grant.subject_id or grant.role_id,
            effect=grant.effect.value,
            actions=sorted(grant.actions),
        )
        return grant

    def _record(self, act: str, grant: Grant, **detail: Any) -> None:
        self._entries.append(
            self._unit.entry(
                act, channel_id=grant.channel_id, area_id=grant.area_id, id=grant.id, **detail
            )
        )

    def _holder(self, grant: Grant) -> str | None:
        """A subject's username, or `role:` and the role's name."""
        if grant.role_id is not None:
            role = self._roles.get(grant.role_id)
            return None if role is None else f"role:{role.name}"
        subject = self._subjects.get(grant.subject_id or "")
        return None if subject is None else subject.username


def _texts(changes: Sequence[GrantDraft | str]) -> set[str]:
    return {each for each in changes if isinstance(each, str)}


async def _found(table: _Table[T], ids: Collection[str | None]) -> dict[str, T]:
    """The rows with these ids that there are."""
    wanted = {each for each in ids if each is not None}
    if len(wanted) > MAX_READS_BY_ID:
        return {row.id: row for row in await table.all() if row.id in wanted}
    rows = [await table.get(each) for each in sorted(wanted)]
    return {row.id: row for row in rows if row is not None}


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
