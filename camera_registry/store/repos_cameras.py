"""SQL about areas, devices and channels."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, or_, select, tuple_

from ..domain import Area, AreaKind, ChangeKind, ChangeOp, Channel, Device, Page
from ..errors import Conflict
from . import schema
from .chain import canonical_json
from .contract import ChannelQuery
from .dialect import contains
from .repos_base import Repo, first, parts
from .repos_runs import add_runs
from .repos_search import CodeSearch
from .rows import (
    area_from,
    area_values,
    area_without_boundary,
    channel_from,
    channel_values,
    cursor_of,
    device_from,
    device_values,
    keys_of,
    search_values,
)

_A, _D, _C = schema.areas.c, schema.devices.c, schema.channels.c
# All but the boundary; its points are counted where it lies, by the brackets that open them.
_AREA_COLUMNS = (
    *(column for column in _A if column is not _A.boundary),
    func.coalesce(
        func.length(_A.boundary) - func.length(func.replace(_A.boundary, "[", "")) - 1, 0
    ).label("points"),
)
_DEVICE_COLUMNS = (
    _D.id,
    _D.name,
    _D.host,
    _D.port,
    _D.username,
    _D.max_dials,
    _D.listen_to_events,
    _D.password_sealed.is_not(None).label("has_password"),
)
_STOREY = {kind.value: storey for storey, kind in enumerate(AreaKind)}


class SqlAreas(Repo):
    async def get(self, area_id: str) -> Area | None:
        row = await self._tx.one(select(schema.areas).where(_A.id == area_id))
        return area_from(row) if row else None

    async def by_code(self, code: str) -> Area | None:
        row = await self._tx.one(select(schema.areas).where(_A.code == code))
        return area_from(row) if row else None

    async def all(self, *, boundaries: bool = False) -> list[Area]:
        if boundaries:
            rows = await self._tx.rows(select(schema.areas).order_by(_A.code))
            # A district's may be tens of megabytes of JSON: not on the event loop.
            found = await asyncio.to_thread(lambda: [area_from(row) for row in rows])
        else:
            rows = await self._tx.rows(select(*_AREA_COLUMNS).order_by(_A.code))
            found = [area_without_boundary(row, row.points) for row in rows]
        return sorted(found, key=lambda area: _STOREY[area.kind])

    async def add(self, area: Area) -> None:
        await self._tx.run_or(
            Conflict("code", "code_taken", f"The area code {area.code} is taken already."),
            schema.areas.insert().values(area_values(area)),
        )
        await self._tx.changed(ChangeKind.AREA, area.id, ChangeOp.CREATED)

    async def update(self, area: Area) -> None:
        await self._tx.run(schema.areas.update().where(_A.id == area.id).values(area_values(area)))
        await self._tx.changed(ChangeKind.AREA, area.id, ChangeOp.UPDATED)

    async def set_boundaries(
        self, rings: Mapping[str, tuple[tuple[float, float], ...] | None], *, schematic: bool
    ) -> None:
        if not rings:
            return
        values = [
            {"area": area_id, "ring": canonical_json(ring) if ring else None, "drawn": schematic}
            for area_id, ring in rings.items()
        ]
        statement = schema.areas.update().where(_A.id == bindparam("area"))
        statement = statement.values(boundary=bindparam("ring"), schematic=bindparam("drawn"))
        await self._tx.run(statement, values)
        await self._tx.changed_many(ChangeKind.AREA, list(rings), ChangeOp.UPDATED)

    async def delete(self, area_id: str) -> None:
        in_use = Conflict(
            "id",
            "area_in_use",
            "The area still has areas, cameras, grants, people or webhooks; move or delete those "
            "first.",
        )
        if await self._tx.run_or(in_use, schema.areas.delete().where(_A.id == area_id)):
            await self._tx.changed(ChangeKind.AREA, area_id, ChangeOp.DELETED)


class SqlDevices(Repo):
    async def get(self, device_id: str) -> Device | None:
        row = await self._tx.one(select(*_DEVICE_COLUMNS).where(_D.id == device_id))
        return device_from(row) if row else None

    async def by_address(self, host: str, port: int) -> list[Device]:
        rows = await self._tx.rows(
            select(*_DEVICE_COLUMNS)
            .where(_D.host == host, _D.port == port)
            .order_by(_D.name, _D.id)
        )
        return [device_from(row) for row in rows]

    async def all(self) -> list[Device]:
        rows = await self._tx.rows(select(*_DEVICE_COLUMNS).order_by(_D.name, _D.id))
        return [device_from(row) for row in rows]

    async def page(self, *, q: str | None, limit: int, cursor: str | None) -> Page[Device]:
        where: list[ColumnElement[bool]] = []
        if q:
            where.append(or_(contains(_D.name, q), contains(_D.host, q)))
        statement = select(*_DEVICE_COLUMNS).where(*where).order_by(_D.name, _D.id)
        if cursor is not None:
            statement = statement.where(tuple_(_D.name, _D.id) > keys_of(cursor, str, str))
        items = [device_from(row) for row in await self._tx.rows(first(statement, limit))]
        more = len(items) > limit
        items = items[:limit]
        return Page(
            items,
            cursor_of(items[-1].name, items[-1].id) if more else None,
            await self._tx.count(schema.devices, *where),
        )

    async def without_channels(self, device_ids: Collection[str]) -> set[str]:
        left = set(device_ids)
        for part in parts(sorted(device_ids)):
            rows = await self._tx.rows(
                select(_C.device_id).where(_C.device_id.in_(part)).distinct()
            )
            left -= {row.device_id for row in rows}
        return left

    async def listened(self) -> list[Device]:
        rows = await self._tx.rows(
            select(*_DEVICE_COLUMNS).where(_D.listen_to_events.is_(True)).order_by(_D.id)
        )
        return [device_from(row) for row in rows]

    async def sealed_password(self, device_id: str) -> bytes | None:
        row = await self._tx.one(select(_D.password_sealed).where(_D.id == device_id))
        return row.password_sealed if row else None

    async def sealed_passwords(self) -> dict[str, bytes]:
        rows = await self._tx.rows(
            select(_D.id, _D.password_sealed).where(_D.password_sealed.is_not(None))
        )
        return {row.id: row.password_sealed for row in rows}

    async def count_sealed(self) -> int:
        return await self._tx.count(schema.devices, _D.password_sealed.is_not(None))

    async def add(self, device: Device, sealed_password: bytes | None = None) -> None:
        await self._tx.run(
            schema.devices.insert().values(
                device_values(device) | {"password_sealed": sealed_password}
            )
        )
        await self._tx.changed(ChangeKind.DEVICE, device.id, ChangeOp.CREATED)

    async def update(self, device: Device) -> None:
        await self._tx.run(
            schema.devices.update().where(_D.id == device.id).values(device_values(device))
        )
        await self._tx.changed(ChangeKind.DEVICE, device.id, ChangeOp.UPDATED)

    async def set_sealed_password(self, device_id: str, sealed: bytes | None) -> None:
        await self._tx.run(
            schema.devices.update().where(_D.id == device_id).values(password_sealed=sealed)
        )
        await self._tx.changed(ChangeKind.DEVICE, device_id, ChangeOp.UPDATED)

    async def delete(self, device_id: str) -> None:
        in_use = Conflict(
            "id", "device_in_use", "The device still has channels; delete those first."
        )
        if await self._tx.run_or(in_use, schema.devices.delete().where(_D.id == device_id)):
            await self._tx.changed(ChangeKind.DEVICE, device_id, ChangeOp.DELETED)


class SqlChannels(Repo):
    async def get(self, channel_id: str) -> Channel | None:
        row = await self._tx.one(select(schema.channels).where(_C.id == channel_id))
        return channel_from(row) if row else None

    async def by_code(self, code: str) -> Channel | None:
        row = await self._tx.one(select(schema.channels).where(_C.code == code))
        return channel_from(row) if row else None

    async def all(self) -> list[Channel]:
        rows = await self._tx.rows(select(schema.channels).order_by(_C.code))
        return [channel_from(row) for row in rows]

    async def by_ids(self, ids: Collection[str]) -> list[Channel]:
        return await self._among(_C.id, ids)

    async def by_codes(self, codes: Collection[str]) -> list[Channel]:
        return await self._among(_C.code, codes)

    async def by_areas(self, area_ids: Collection[str]) -> list[Channel]:
        return await self._among(_C.area_id, area_ids)

    async def by_device(self, device_id: str) -> list[Channel]:
        rows = await self._tx.rows(
            select(schema.channels).where(_C.device_id == device_id).order_by(_C.code)
        )
        return [channel_from(row) for row in rows]

    async def by_main_urls(self, urls: Collection[str]) -> list[Channel]:
        return await self._among(_C.main_url, urls)

    async def by_macs(self, macs: Collection[str]) -> list[Channel]:
        return await self._among(_C.mac, macs)

    async def greatest_code(self, prefix: str) -> str | None:
        # ":" comes after "9": a range, so that the index serves on both stores.
        row = await self._tx.one(
            select(func.max(_C.code).label("code")).where(_C.code >= prefix, _C.code < f"{prefix}:")
        )
        return row.code if row else None

    async def _among(self, column: ColumnElement[Any], values: Collection[str]) -> list[Channel]:
        found: list[Channel] = []
        for part in parts(sorted(values)):
            rows = await self._tx.rows(select(schema.channels).where(column.in_(part)))
            found += [channel_from(row) for row in rows]
        return found

    async def page(self, query: ChannelQuery, *, limit: int, cursor: str | None) -> Page[Channel]:
        found = await CodeSearch(self._tx, query).page(limit, cursor)
        items = sorted(await self.by_codes(found.codes), key=lambda channel: channel.code)
        return Page(items, found.next_cursor, found.total, found.capped)

    async def count_by_area(self) -> dict[str, int]:
        rows = await self._tx.rows(select(_C.area_id, func.count().label("n")).group_by(_C.area_id))
        return {row.area_id: row.n for row in rows}

    async def add(self, channel: Channel) -> None:
        if await self.by_code(channel.code) is not None:
            raise _code_taken(channel)
        await self._tx.run(schema.channels.insert().values(channel_values(channel)))
        values = search_values(channel)
        await self._tx.run(schema.channel_search.insert().values(values))
        await add_runs(self._tx, [values])
        await self._tx.changed(ChangeKind.CHANNEL, channel.id, ChangeOp.CREATED)

    async def update(self, channel: Channel) -> None:
        other = await self.by_code(channel.code)
        if other is not None and other.id != channel.id:
            raise _code_taken(channel)
        await self._tx.run(
            schema.channels.update().where(_C.id == channel.id).values(channel_values(channel))
        )
        values = search_values(channel)
        await self._tx.run(
            schema.channel_search.update()
            .where(schema.channel_search.c.channel_id == channel.id)
            .values(values)
        )
        await add_runs(self._tx, [values])
        await self._tx.changed(ChangeKind.CHANNEL, channel.id, ChangeOp.UPDATED)

    async def delete(self, channel_id: str) -> None:
        granted = await self._tx.rows(
            select(schema.grants.c.id).where(schema.grants.c.channel_id == channel_id)
        )
        if await self._tx.run(schema.channels.delete().where(_C.id == channel_id)):
            for row in granted:
                await self._tx.changed(ChangeKind.GRANT, row.id, ChangeOp.DELETED)
            await self._tx.changed(ChangeKind.CHANNEL, channel_id, ChangeOp.DELETED)


def _code_taken(channel: Channel) -> Conflict:
    return Conflict("code", "code_taken", f"The code {channel.code} belongs to a channel already.")
