"""The two kinds of transaction: a snapshot to read, a unit of work to write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..domain import Area, ChangeKind, ChangeOp, Channel, Device, Grant, Subject
from . import schema
from .repos_audit import SqlAudit
from .repos_base import Tx
from .repos_cameras import SqlAreas, SqlChannels, SqlDevices
from .repos_people import SqlGrants, SqlSignIns, SqlSubjects
from .rows import area_values, channel_values, device_values, grant_values, subject_values


class SqlReadTx:
    """Repositories over one transaction. The engine of readers refuses writes (query_only)."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._tx = Tx(connection)
        self.areas = SqlAreas(self._tx)
        self.devices = SqlDevices(self._tx)
        self.channels = SqlChannels(self._tx)
        self.subjects = SqlSubjects(self._tx)
        self.grants = SqlGrants(self._tx)
        self.sign_ins = SqlSignIns(self._tx)
        self.audit = SqlAudit(self._tx)

    async def change_seq(self) -> int:
        return await self._tx.change_seq()

    async def meta(self, key: str) -> str | None:
        row = await self._tx.one(select(schema.meta.c.value).where(schema.meta.c.key == key))
        return row.value if row else None


class SqlWriteTx(SqlReadTx):
    @property
    def last_change_seq(self) -> int | None:
        return self._tx.last_change_seq

    async def set_meta(self, key: str, value: str) -> None:
        touched = await self._tx.run(
            schema.meta.update().where(schema.meta.c.key == key).values(value=value)
        )
        if not touched:
            await self._tx.run(schema.meta.insert().values(key=key, value=value))

    async def bulk_add(
        self,
        *,
        areas: Sequence[Area] = (),
        devices: Iterable[tuple[Device, bytes | None]] = (),
        channels: Sequence[Channel] = (),
        subjects: Iterable[tuple[Subject, str | None]] = (),
        grants: Sequence[Grant] = (),
    ) -> None:
        plan = (
            (schema.areas, [area_values(area) for area in areas]),
            (
                schema.devices,
                [device_values(box) | {"password_sealed": sealed} for box, sealed in devices],
            ),
            (schema.channels, [channel_values(channel) for channel in channels]),
            (
                schema.subjects,
                [subject_values(who) | {"password_hash": hashed} for who, hashed in subjects],
            ),
            (schema.grants, [grant_values(grant) for grant in grants]),
        )
        for table, values in plan:
            if values:
                await self._tx.run(table.insert(), values)
        await self._tx.changed(ChangeKind.EVERYTHING, "*", ChangeOp.UPDATED)

    async def bulk_update(
        self,
        *,
        devices: Iterable[tuple[Device, bytes | None]] = (),
        channels: Sequence[Channel] = (),
    ) -> None:
        plan = (
            (
                schema.devices,
                [device_values(box) | {"password_sealed": sealed} for box, sealed in devices],
            ),
            (schema.channels, [channel_values(channel) for channel in channels]),
        )
        for table, values in plan:
            if values:
                await self._tx.run(
                    table.update().where(table.c.id == bindparam("row_id")),
                    [{"row_id": row.pop("id")} | row for row in values],
                )
        await self._tx.changed(ChangeKind.EVERYTHING, "*", ChangeOp.UPDATED)
