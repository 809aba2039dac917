"""The two kinds of transaction: a snapshot to read, a unit of work to write."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Table, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..domain import Area, ChangeKind, ChangeOp, Channel, Device, Grant, Subject
from . import schema
from .repos_assignment import SqlRules
from .repos_audit import SqlAudit
from .repos_base import Tx, parts
from .repos_cameras import SqlAreas, SqlChannels, SqlDevices
from .repos_credentials import SqlApiKeys, SqlSignIns
from .repos_exports import SqlExportRequests, SqlTicketPurposes
from .repos_identities import SqlIdentities
from .repos_imports import SqlJobs, SqlVersions
from .repos_inspections import SqlInspections
from .repos_loans import SqlLoans
from .repos_people import SqlSubjects
from .repos_quotas import SqlQuotas
from .repos_rights import SqlGrants, SqlPurposes, SqlRoles
from .repos_runs import add_runs
from .repos_second_factors import SqlSecondFactors
from .repos_sweeps import SqlSweeps
from .repos_webhooks import SqlWebhooks
from .rows import (
    area_values,
    channel_values,
    device_values,
    grant_values,
    search_values,
    subject_values,
)


class SqlReadTx:
    """Repositories over one transaction. The engine of readers refuses writes (query_only)."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._tx = Tx(connection)
        self.areas = SqlAreas(self._tx)
        self.devices = SqlDevices(self._tx)
        self.channels = SqlChannels(self._tx)
        self.versions = SqlVersions(self._tx)
        self.jobs = SqlJobs(self._tx)
        self.sweeps = SqlSweeps(self._tx)
        self.rules = SqlRules(self._tx)
        self.inspections = SqlInspections(self._tx)
        self.subjects = SqlSubjects(self._tx)
        self.roles = SqlRoles(self._tx)
        self.grants = SqlGrants(self._tx)
        self.loans = SqlLoans(self._tx)
        self.purposes = SqlPurposes(self._tx)
        self.quotas = SqlQuotas(self._tx)
        self.ticket_purposes = SqlTicketPurposes(self._tx)
        self.export_requests = SqlExportRequests(self._tx)
        self.sign_ins = SqlSignIns(self._tx)
        self.api_keys = SqlApiKeys(self._tx)
        self.second_factors = SqlSecondFactors(self._tx)
        self.identities = SqlIdentities(self._tx)
        self.webhooks = SqlWebhooks(self._tx)
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
        homes: Mapping[str, str] | None = None,
    ) -> None:
        # In the order of codes: what a list or a search wants lies together.
        searched = [search_values(row) for row in sorted(channels, key=lambda each: each.code)]
        plan = (
            (schema.areas, [area_values(area) for area in areas]),
            (
                schema.devices,
                [device_values(box) | {"password_sealed": sealed} for box, sealed in devices],
            ),
            (schema.channels, [channel_values(channel) for channel in channels]),
            (schema.channel_search, searched),
            (
                schema.subjects,
                [subject_values(who) | {"password_hash": hashed} for who, hashed in subjects],
            ),
            (schema.grants, [grant_values(grant) for grant in grants]),
            (
                schema.subject_homes,
                [{"subject_id": who, "area_id": where} for who, where in (homes or {}).items()],
            ),
        )
        for table, values in plan:
            if values:
                await self._tx.run(table.insert(), values)
        await add_runs(self._tx, searched)
        await self._tx.changed(ChangeKind.EVERYTHING, "*", ChangeOp.UPDATED)

    async def bulk_update(
        self,
        *,
        devices: Iterable[tuple[Device, bytes | None]] = (),
        channels: Sequence[Channel] = (),
    ) -> None:
        searched = [search_values(channel) for channel in channels]
        plan: tuple[tuple[Table, str, list[dict[str, Any]]], ...] = (
            (
                schema.devices,
                "id",
                [device_values(box) | {"password_sealed": sealed} for box, sealed in devices],
            ),
            (schema.channels, "id", [channel_values(channel) for channel in channels]),
            (schema.channel_search, "channel_id", searched),
        )
        await add_runs(self._tx, searched)  # before the rows lose their keys
        for table, key, values in plan:
            if values:
                await self._tx.run(
                    table.update().where(table.c[key] == bindparam("row_key")),
                    [{"row_key": row.pop(key)} | row for row in values],
                )
        await self._tx.changed(ChangeKind.EVERYTHING, "*", ChangeOp.UPDATED)

    async def bulk_delete(
        self, *, channels: Collection[str] = (), devices: Collection[str] = ()
    ) -> None:
        for table, ids in ((schema.channels, channels), (schema.devices, devices)):
            for part in parts(sorted(ids)):
                await self._tx.run(table.delete().where(table.c.id.in_(part)))
        await self._tx.changed(ChangeKind.EVERYTHING, "*", ChangeOp.UPDATED)
