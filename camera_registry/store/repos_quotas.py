"""SQL about quotas, and about the areas that subjects are of."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select

from ..domain import ChangeKind, ChangeOp
from ..quotas import Quota
from . import schema
from .repos_base import Repo
from .rows import quota_from, quota_values

_Q, _H = schema.quotas.c, schema.subject_homes.c


class SqlQuotas(Repo):
    async def all(self) -> list[Quota]:
        rows = await self._tx.rows(select(schema.quotas).order_by(_Q.holder_id))
        return [quota_from(row) for row in rows]

    async def get(self, holder_id: str) -> Quota | None:
        row = await self._tx.one(select(schema.quotas).where(_Q.holder_id == holder_id))
        return None if row is None else quota_from(row)

    async def count(self) -> int:
        return await self._tx.count(schema.quotas)

    async def put(self, quota: Quota) -> None:
        values = quota_values(quota)
        touched = await self._tx.run(
            schema.quotas.update().where(_Q.holder_id == quota.holder_id).values(values)
        )
        if not touched:
            await self._tx.run(schema.quotas.insert().values(values))
        await self._tx.changed(ChangeKind.QUOTA, quota.holder_id, ChangeOp.UPDATED)

    async def delete(self, holder_id: str) -> bool:
        touched = await self._tx.run(schema.quotas.delete().where(_Q.holder_id == holder_id))
        if touched:
            await self._tx.changed(ChangeKind.QUOTA, holder_id, ChangeOp.DELETED)
        return bool(touched)

    async def homes(self) -> Mapping[str, str]:
        rows = await self._tx.rows(select(schema.subject_homes))
        return {row.subject_id: row.area_id for row in rows}

    async def home_of(self, subject_id: str) -> str | None:
        row = await self._tx.one(select(_H.area_id).where(_H.subject_id == subject_id))
        return None if row is None else row.area_id

    async def set_home(self, subject_id: str, area_id: str | None) -> None:
        await self._tx.run(schema.subject_homes.delete().where(_H.subject_id == subject_id))
        if area_id is not None:
            values = {"subject_id": subject_id, "area_id": area_id}
            await self._tx.run(schema.subject_homes.insert().values(values))
        await self._tx.changed(ChangeKind.QUOTA, subject_id, ChangeOp.UPDATED)
