"""SQL about second factors and recovery codes."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from ..credentials import SecondFactor
from ..domain import ChangeKind, ChangeOp
from . import schema
from .repos_base import Repo

_F, _R, _S = schema.second_factors.c, schema.recovery_codes.c, schema.subjects.c


class SqlSecondFactors(Repo):
    async def get(self, subject_id: str) -> SecondFactor | None:
        row = await self._tx.one(select(schema.second_factors).where(_F.subject_id == subject_id))
        if row is None:
            return None
        return SecondFactor(row.subject_id, row.secret_sealed, row.confirmed, row.last_step)

    async def count(self) -> int:
        return await self._tx.count(schema.second_factors)

    async def recovery_codes_left(self, subject_id: str) -> int:
        return await self._tx.count(schema.recovery_codes, _R.subject_id == subject_id)

    async def put(self, factor: SecondFactor) -> None:
        await self.delete(factor.subject_id)
        await self._tx.run(
            schema.second_factors.insert().values(
                subject_id=factor.subject_id,
                secret_sealed=factor.secret_sealed,
                confirmed=factor.confirmed,
                last_step=factor.last_step,
            )
        )
        await self._mark(factor.subject_id, factor.confirmed)

    async def confirm(self, subject_id: str, code_hashes: Collection[str]) -> None:
        await self._tx.run(
            schema.second_factors.update().where(_F.subject_id == subject_id).values(confirmed=True)
        )
        rows = [{"subject_id": subject_id, "code_hash": each} for each in sorted(code_hashes)]
        await self._tx.run(schema.recovery_codes.insert(), rows)
        await self._mark(subject_id, True)

    async def take_step(self, subject_id: str, step: int) -> bool:
        return bool(
            await self._tx.run(
                schema.second_factors.update()
                .where(_F.subject_id == subject_id, _F.last_step < step)
                .values(last_step=step)
            )
        )

    async def take_recovery_code(self, subject_id: str, code_hash: str) -> bool:
        return bool(
            await self._tx.run(
                schema.recovery_codes.delete().where(
                    _R.subject_id == subject_id, _R.code_hash == code_hash
                )
            )
        )

    async def delete(self, subject_id: str) -> bool:
        await self._tx.run(schema.recovery_codes.delete().where(_R.subject_id == subject_id))
        deleted = await self._tx.run(
            schema.second_factors.delete().where(_F.subject_id == subject_id)
        )
        if deleted:
            await self._mark(subject_id, False)
        return bool(deleted)

    async def _mark(self, subject_id: str, has: bool) -> None:
        """The facts tell whether a subject has one; its version stays, and with it what it has
        open."""
        if await self._tx.run(
            schema.subjects.update()
            .where(_S.id == subject_id, _S.has_second_factor != has)
            .values(has_second_factor=has)
        ):
            await self._tx.changed(ChangeKind.SUBJECT, subject_id, ChangeOp.UPDATED)
