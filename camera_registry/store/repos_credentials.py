"""SQL about what subjects are let in by."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, select

from ..credentials import ApiKey, SignIn, SignInMethod
from ..domain import ChangeKind, ChangeOp
from . import schema
from .repos_base import Repo, parts
from .rows import AnyRow

_I, _K = schema.sign_ins.c, schema.api_keys.c


class SqlSignIns(Repo):
    async def get(self, sign_in_id: str) -> SignIn | None:
        row = await self._tx.one(select(schema.sign_ins).where(_I.id == sign_in_id))
        return _sign_in(row) if row else None

    async def is_known(self, id_hash: str) -> bool:
        return await self._tx.one(select(_I.id).where(_I.id_hash == id_hash)) is not None

    async def all(self) -> list[SignIn]:
        rows = await self._tx.rows(select(schema.sign_ins).order_by(_I.created_at, _I.id))
        return [_sign_in(row) for row in rows]

    async def of_subject(self, subject_id: str) -> list[SignIn]:
        rows = await self._tx.rows(
            select(schema.sign_ins)
            .where(_I.subject_id == subject_id)
            .order_by(_I.created_at, _I.id)
        )
        return [_sign_in(row) for row in rows]

    async def add(self, sign_in: SignIn) -> None:
        await self._tx.run(
            schema.sign_ins.insert().values(
                id=sign_in.id,
                id_hash=sign_in.id_hash,
                subject_id=sign_in.subject_id,
                created_at=sign_in.created_at,
                expires_at=sign_in.expires_at,
                ends_at=sign_in.ends_at,
                remote=schema.fitting(_I.remote, sign_in.remote),
                agent=schema.fitting(_I.agent, sign_in.agent),
                method=sign_in.method.value,
            )
        )
        await self._tx.changed(ChangeKind.SIGN_IN, sign_in.id, ChangeOp.CREATED)

    async def extend(self, sign_in_id: str, expires_at: datetime) -> None:
        if await self._tx.run(
            schema.sign_ins.update().where(_I.id == sign_in_id).values(expires_at=expires_at)
        ):
            await self._tx.changed(ChangeKind.SIGN_IN, sign_in_id, ChangeOp.UPDATED)

    async def delete(self, sign_in_ids: Collection[str]) -> int:
        deleted = 0
        for part in parts(sorted(sign_in_ids)):
            deleted += await self._delete(_I.id.in_(part))
        return deleted

    async def delete_of_subject(self, subject_id: str, *, but: str | None = None) -> int:
        condition = _I.subject_id == subject_id
        return await self._delete(condition if but is None else condition & (_I.id != but))

    async def delete_expired(self, now: datetime) -> int:
        return await self._delete(_I.expires_at <= now)

    async def _delete(self, condition: ColumnElement[bool]) -> int:
        rows = await self._tx.rows(select(_I.id).where(condition))
        if rows:
            await self._tx.run(schema.sign_ins.delete().where(condition))
        for row in rows:
            await self._tx.changed(ChangeKind.SIGN_IN, row.id, ChangeOp.DELETED)
        return len(rows)


class SqlApiKeys(Repo):
    async def get(self, key_id: str) -> ApiKey | None:
        row = await self._tx.one(select(schema.api_keys).where(_K.id == key_id))
        return _api_key(row) if row else None

    async def is_known(self, key_hash: str) -> bool:
        return await self._tx.one(select(_K.id).where(_K.key_hash == key_hash)) is not None

    async def all(self) -> list[ApiKey]:
        rows = await self._tx.rows(select(schema.api_keys).order_by(_K.created_at, _K.id))
        return [_api_key(row) for row in rows]

    async def of_subject(self, subject_id: str) -> list[ApiKey]:
        rows = await self._tx.rows(
            select(schema.api_keys)
            .where(_K.subject_id == subject_id)
            .order_by(_K.created_at, _K.id)
        )
        return [_api_key(row) for row in rows]

    async def add(self, key: ApiKey) -> None:
        await self._tx.run(
            schema.api_keys.insert().values(
                id=key.id,
                key_hash=key.key_hash,
                prefix=key.prefix,
                subject_id=key.subject_id,
                name=key.name,
                actions=_joined(key.actions),
                area_ids=_joined(key.area_ids),
                created_at=key.created_at,
                expires_at=key.expires_at,
                used_at=key.used_at,
            )
        )
        await self._tx.changed(ChangeKind.API_KEY, key.id, ChangeOp.CREATED)

    async def set_used(self, key_id: str, at: datetime) -> None:
        await self._tx.run(schema.api_keys.update().where(_K.id == key_id).values(used_at=at))

    async def delete(self, key_id: str) -> None:
        if await self._tx.run(schema.api_keys.delete().where(_K.id == key_id)):
            await self._tx.changed(ChangeKind.API_KEY, key_id, ChangeOp.DELETED)


def _joined(names: frozenset[str] | None) -> str | None:
    return None if names is None else ",".join(sorted(names))


def _split(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(text.split(","))


def _api_key(row: AnyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        key_hash=row.key_hash,
        prefix=row.prefix,
        subject_id=row.subject_id,
        name=row.name,
        actions=_split(row.actions),
        area_ids=_split(row.area_ids),
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
    )


def _sign_in(row: AnyRow) -> SignIn:
    return SignIn(
        id=row.id,
        id_hash=row.id_hash,
        subject_id=row.subject_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        ends_at=row.ends_at,
        remote=row.remote,
        agent=row.agent,
        method=SignInMethod(row.method),
    )
