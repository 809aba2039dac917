"""SQL about who subjects are at an OpenID provider, and what follows it."""

from __future__ import annotations

from sqlalchemy import select

from ..credentials import Identity
from ..domain import Grant, Role
from ..errors import Conflict
from . import schema
from .repos_base import Repo
from .repos_rights import GRANTS
from .rows import grant_from, role_from

_P, _G, _F = schema.identities.c, schema.grants.c, schema.provider_grants.c
_R, _M = schema.roles.c, schema.role_members.c


class SqlIdentities(Repo):
    async def subject_id(self, identity: Identity) -> str | None:
        row = await self._tx.one(
            select(_P.subject_id).where(_P.issuer == identity.issuer, _P.sub == identity.sub)
        )
        return row.subject_id if row else None

    async def of_subject(self, subject_id: str) -> list[Identity]:
        rows = await self._tx.rows(
            select(schema.identities).where(_P.subject_id == subject_id).order_by(_P.issuer, _P.sub)
        )
        return [Identity(row.issuer, row.sub) for row in rows]

    async def granted(self, subject_id: str) -> list[Grant]:
        rows = await self._tx.rows(
            GRANTS.join(schema.provider_grants, _F.grant_id == _G.id)
            .where(_G.subject_id == subject_id, _G.revoked_at.is_(None))
            .order_by(_G.created_at, _G.id)
        )
        return [grant_from(row) for row in rows]

    async def roles(self, subject_id: str) -> list[Role]:
        rows = await self._tx.rows(
            select(schema.roles)
            .join(schema.role_members, _M.role_id == _R.id)
            .where(_M.subject_id == subject_id, _M.of_provider)
            .order_by(_R.name)
        )
        return [role_from(row) for row in rows]

    async def add(self, identity: Identity, subject_id: str) -> None:
        await self._tx.run_or(
            Conflict("sub", "identity_taken", "That person of the provider is somebody else here."),
            schema.identities.insert().values(
                issuer=identity.issuer, sub=identity.sub, subject_id=subject_id
            ),
        )

    async def add_grant(self, grant: Grant) -> None:
        await self._tx.run(schema.provider_grants.insert().values(grant_id=grant.id))

    async def delete_of_subject(self, subject_id: str) -> int:
        return await self._tx.run(schema.identities.delete().where(_P.subject_id == subject_id))
