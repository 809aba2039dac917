"""SQL about sweeps and what they found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, tuple_

from ..domain import Page
from ..jobs import FoundDevice, Sweep, SweepState
from . import schema
from .chain import canonical_json
from .repos_base import Repo, newest_first
from .rows import sweep_from, sweep_values

_S, _D, _T = schema.sweeps.c, schema.sweep_devices.c, schema.device_tries.c


class SqlSweeps(Repo):
    async def get(self, sweep_id: str) -> Sweep | None:
        row = await self._tx.one(select(schema.sweeps).where(_S.id == sweep_id))
        return sweep_from(row) if row else None

    async def page(self, *, limit: int, cursor: str | None) -> Page[Sweep]:
        return await newest_first(self._tx, schema.sweeps, sweep_from, limit=limit, cursor=cursor)

    async def in_state(self, state: SweepState) -> list[Sweep]:
        rows = await self._tx.rows(
            select(schema.sweeps).where(_S.state == state.value).order_by(_S.created_at, _S.id)
        )
        return [sweep_from(row) for row in rows]

    async def sealed(self, sweep_id: str) -> bytes | None:
        row = await self._tx.one(select(_S.sealed).where(_S.id == sweep_id))
        return row.sealed if row else None

    async def found(
        self, sweep_id: str, *, after: tuple[str, int] = ("", 0), limit: int
    ) -> list[FoundDevice]:
        rows = await self._tx.rows(
            select(schema.sweep_devices)
            .where(_D.sweep_id == sweep_id, tuple_(_D.host, _D.port) > after)
            .order_by(_D.host, _D.port)
            .limit(limit)
        )
        return [FoundDevice(row.host, row.port, json.loads(row.payload)) for row in rows]

    async def tries(self) -> list[tuple[str, Mapping[str, Any]]]:
        rows = await self._tx.rows(select(schema.device_tries).order_by(_T.changed_at, _T.host))
        return [(row.host, json.loads(row.told)) for row in rows]

    async def add(self, sweep: Sweep, sealed: bytes | None) -> None:
        await self._tx.run(schema.sweeps.insert().values(sweep_values(sweep) | {"sealed": sealed}))

    async def update(self, sweep: Sweep) -> None:
        await self._tx.run(
            schema.sweeps.update().where(_S.id == sweep.id).values(sweep_values(sweep))
        )

    async def put_found(self, sweep_id: str, devices: Sequence[FoundDevice]) -> None:
        for device in devices:
            await self._tx.run(
                schema.sweep_devices.delete().where(
                    _D.sweep_id == sweep_id, _D.host == device.host, _D.port == device.port
                )
            )
        values = [
            {
                "sweep_id": sweep_id,
                "host": device.host,
                "port": device.port,
                "payload": canonical_json(dict(device.payload)),
            }
            for device in devices
        ]
        if values:
            await self._tx.run(schema.sweep_devices.insert(), values)

    async def put_tries(self, host: str, told: Mapping[str, Any], at: datetime) -> None:
        await self.delete_tries([host])
        values = {"host": host, "told": canonical_json(dict(told)), "changed_at": at}
        await self._tx.run(schema.device_tries.insert().values(values))

    async def delete_tries(self, hosts: Sequence[str]) -> None:
        for host in hosts:
            await self._tx.run(schema.device_tries.delete().where(_T.host == host))

    async def delete(self, sweep_id: str) -> None:
        await self._tx.run(schema.sweeps.delete().where(_S.id == sweep_id))
