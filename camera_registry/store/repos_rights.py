"""SQL about roles, purposes and grants."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select, tuple_

from ..domain import ChangeKind, ChangeOp, Grant, Page, Purpose, Role
from ..errors import Conflict
from . import schema
from .repos_base import Repo, first, parts
from .rows import (
    cursor_of,
    grant_from,
    grant_values,
    keys_of,
    purpose_from,
    role_from,
    role_values,
)

_G, _L, _R, _M, _P = (
    schema.grants.c,
    schema.loans.c,
    schema.roles.c,
    schema.role_members.c,
    schema.purposes.c,
)
# As `grant_from` reads them: of a loan with its id. A loan has one grant.
GRANTS = select(schema.grants, _L.id.label("loan_id")).select_from(
    schema.grants.outerjoin(schema.loans, _L.grant_id == _G.id)
)


class SqlRoles(Repo):
    async def get(self, role_id: str) -> Role | None:
        row = await self._tx.one(select(schema.roles).where(_R.id == role_id))
        return role_from(row) if row else None

    async def all(self) -> list[Role]:
        rows = await self._tx.rows(select(schema.roles).order_by(_R.name))
        return [role_from(row) for row in rows]

    async def members(self, role_id: str) -> frozenset[str]:
        rows = await self._tx.rows(select(_M.subject_id).where(_M.role_id == role_id))
        return frozenset(row.subject_id for row in rows)

    async def all_members(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for row in await self._tx.rows(select(_M.role_id, _M.subject_id)):
            found.setdefault(row.role_id, set()).add(row.subject_id)
        return {role_id: frozenset(ids) for role_id, ids in found.items()}

    async def add(self, role: Role) -> None:
        await self._tx.run_or(
            Conflict("name", "role_taken", f"There is a role {role.name} already."),
            schema.roles.insert().values(role_values(role)),
        )
        await self._tx.changed(ChangeKind.ROLE, role.id, ChangeOp.CREATED)

    async def update(self, role: Role) -> None:
        await self._tx.run_or(
            Conflict("name", "role_taken", f"There is a role {role.name} already."),
            schema.roles.update().where(_R.id == role.id).values(role_values(role)),
        )
        await self._tx.changed(ChangeKind.ROLE, role.id, ChangeOp.UPDATED)

    async def delete(self, role_id: str) -> None:
        granted = await self._tx.rows(select(_G.id).where(_G.role_id == role_id))
        if not await self._tx.run(schema.roles.delete().where(_R.id == role_id)):
            return
        for row in granted:
            await self._tx.changed(ChangeKind.GRANT, row.id, ChangeOp.DELETED)
        await self._tx.changed(ChangeKind.ROLE, role_id, ChangeOp.DELETED)

    async def add_member(self, role_id: str, subject_id: str, *, of_provider: bool = False) -> bool:
        is_it = (_M.role_id == role_id, _M.subject_id == subject_id)
        row = await self._tx.one(select(_M.of_provider).where(*is_it))
        if row is not None:
            if of_provider or not row.of_provider:
                return False
            # No changes row: it may what it might.
            await self._tx.run(schema.role_members.update().where(*is_it).values(of_provider=False))
            return True
        await self._tx.run(
            schema.role_members.insert().values(
                role_id=role_id, subject_id=subject_id, of_provider=of_provider
            )
        )
        await self._tx.changed(ChangeKind.ROLE, role_id, ChangeOp.UPDATED)
        return True

    async def remove_member(self, role_id: str, subject_id: str) -> bool:
        touched = await self._tx.run(
            schema.role_members.delete().where(_M.role_id == role_id, _M.subject_id == subject_id)
        )
        if touched:
            await self._tx.changed(ChangeKind.ROLE, role_id, ChangeOp.UPDATED)
        return bool(touched)


class SqlPurposes(Repo):
    async def all(self) -> list[Purpose]:
        rows = await self._tx.rows(select(schema.purposes).order_by(_P.code))
        return [purpose_from(row) for row in rows]

    async def put(self, purpose: Purpose) -> None:
        values = {"zh": purpose.zh, "en": purpose.en, "needs_note": purpose.needs_note}
        touched = await self._tx.run(
            schema.purposes.update().where(_P.code == purpose.code).values(values)
        )
        if not touched:
            await self._tx.run(schema.purposes.insert().values(values | {"code": purpose.code}))
        await self._tx.changed(ChangeKind.PURPOSE, purpose.code, ChangeOp.UPDATED)

    async def delete(self, code: str) -> bool:
        touched = await self._tx.run(schema.purposes.delete().where(_P.code == code))
        if touched:
            await self._tx.changed(ChangeKind.PURPOSE, code, ChangeOp.DELETED)
        return bool(touched)


class SqlGrants(Repo):
    async def get(self, grant_id: str) -> Grant | None:
        row = await self._tx.one(GRANTS.where(_G.id == grant_id))
        return grant_from(row) if row else None

    async def by_ids(self, ids: Collection[str]) -> list[Grant]:
        found: list[Grant] = []
        for part in parts(sorted(ids)):
            rows = await self._tx.rows(GRANTS.where(_G.id.in_(part)))
            found += map(grant_from, rows)
        return found

    async def all_unrevoked(self) -> list[Grant]:
        rows = await self._tx.rows(
            GRANTS.where(_G.revoked_at.is_(None)).order_by(_G.created_at, _G.id)
        )
        return [grant_from(row) for row in rows]

    async def page(
        self,
        *,
        subject_id: str | None = None,
        role_ids: Collection[str] = (),
        area_id: str | None = None,
        channel_id: str | None = None,
        include_revoked: bool = False,
        limit: int,
        cursor: str | None,
    ) -> Page[Grant]:
        where: list[ColumnElement[bool]] = []
        holders: list[ColumnElement[bool]] = []
        if role_ids:
            holders.append(_G.role_id.in_(sorted(role_ids)))
        if subject_id is not None:
            holders.append(_G.subject_id == subject_id)
        if holders:
            where.append(or_(*holders))
        if area_id is not None:
            where.append(_G.area_id == area_id)
        if channel_id is not None:
            where.append(_G.channel_id == channel_id)
        if not include_revoked:
            where.append(_G.revoked_at.is_(None))
        statement = GRANTS.where(*where).order_by(_G.created_at, _G.id)
        if cursor is not None:
            at_text, grant_id = keys_of(cursor, str, str)
            at = schema.cursor_time(at_text)
            statement = statement.where(tuple_(_G.created_at, _G.id) > (at, grant_id))
        items = [grant_from(row) for row in await self._tx.rows(first(statement, limit))]
        more = len(items) > limit
        items = items[:limit]
        return Page(
            items,
            cursor_of(schema.time_text(items[-1].created_at), items[-1].id) if more else None,
            await self._tx.count(schema.grants, *where),
        )

    async def add(self, grant: Grant) -> None:
        await self._tx.run(schema.grants.insert().values(grant_values(grant)))
        await self._tx.changed(ChangeKind.GRANT, grant.id, ChangeOp.CREATED)

    async def add_many(self, grants: Sequence[Grant]) -> None:
        if grants:
            await self._tx.run(schema.grants.insert(), [grant_values(each) for each in grants])
            ids = [each.id for each in grants]
            await self._tx.changed_many(ChangeKind.GRANT, ids, ChangeOp.CREATED)

    async def revoke_many(self, ids: Collection[str], at: datetime) -> None:
        for part in parts(sorted(ids)):
            await self._tx.run(
                schema.grants.update()
                .where(_G.id.in_(part), _G.revoked_at.is_(None))
                .values(revoked_at=at)
            )
        await self._tx.changed_many(ChangeKind.GRANT, sorted(ids), ChangeOp.UPDATED)

    async def revoke(self, grant_id: str, at: datetime) -> Grant | None:
        touched = await self._tx.run(
            schema.grants.update()
            .where(_G.id == grant_id, _G.revoked_at.is_(None))
            .values(revoked_at=at)
        )
        if touched:
            await self._tx.changed(ChangeKind.GRANT, grant_id, ChangeOp.UPDATED)
        return await self.get(grant_id)
