"""SQL about what tickets and exports were asked for."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, select

from ..domain import Stated
from ..export_requests import ExportRequest, RequestState
from . import schema
from .chain import canonical_json
from .repos_base import Repo
from .repos_people import SqlSubjects
from .rows import AnyRow

_T, _E = schema.ticket_purposes.c, schema.export_requests.c


class SqlTicketPurposes(Repo):
    async def get(self, ticket_id: str, channel_id: str) -> Stated | None:
        row = await self._tx.one(
            select(_T.purpose, _T.note).where(
                _T.ticket_id == ticket_id, _T.channel_id == channel_id
            )
        )
        return None if row is None else Stated(row.purpose, row.note)

    async def add(
        self, ticket_id: str, channel_id: str, stated: Stated, expires_at: datetime
    ) -> None:
        await self._tx.run(
            schema.ticket_purposes.insert().values(
                ticket_id=ticket_id,
                channel_id=channel_id,
                purpose=stated.purpose,
                note=stated.note,
                expires_at=expires_at,
            )
        )

    async def delete_expired(self, now: datetime) -> int:
        return await self._tx.run(schema.ticket_purposes.delete().where(_T.expires_at <= now))


class SqlExportRequests(Repo):
    async def get(self, request_id: str) -> ExportRequest | None:
        row = await self._tx.one(select(schema.export_requests).where(_E.id == request_id))
        return None if row is None else (await self._requests([row]))[0]

    async def kept(self, since: datetime) -> list[ExportRequest]:
        rows = await self._tx.rows(
            select(schema.export_requests)
            .where(_E.ends_at >= since)
            .order_by(_E.created_at.desc(), _E.id.desc())
        )
        return await self._requests(rows)

    async def of_person(self, subject_id: str | None, name: str) -> list[ExportRequest]:
        here = and_(
            _E.subject_id.is_(None), _E.subject_name == schema.fitting(_E.subject_name, name)
        )
        rows = await self._tx.rows(
            select(schema.export_requests)
            .where(here if subject_id is None else _E.subject_id == subject_id)
            .order_by(_E.created_at, _E.id)
        )
        return await self._requests(rows)

    async def add(self, request: ExportRequest) -> None:
        await self._tx.run(schema.export_requests.insert().values(_values(request)))

    async def update(self, request: ExportRequest) -> None:
        await self._tx.run(
            schema.export_requests.update().where(_E.id == request.id).values(_values(request))
        )

    async def delete(self, request_ids: Collection[str]) -> None:
        await self._tx.run(schema.export_requests.delete().where(_E.id.in_(sorted(request_ids))))

    async def delete_ended(self, before: datetime) -> int:
        return await self._tx.run(schema.export_requests.delete().where(_E.ends_at < before))

    async def _requests(self, rows: Sequence[AnyRow]) -> list[ExportRequest]:
        ids = {row.subject_id for row in rows if row.subject_id is not None}
        keepers = await SqlSubjects(self._tx).keepers(ids)
        return [_request(row, keepers.get(row.subject_id, frozenset())) for row in rows]


def _request(row: AnyRow, kept_by: frozenset[str]) -> ExportRequest:
    return ExportRequest(
        id=row.id,
        created_at=row.created_at,
        subject_id=row.subject_id,
        subject_name=row.subject_name,
        asked=json.loads(row.asked),
        up_to_seq=row.up_to_seq,
        format=row.format,
        stated=Stated(row.purpose, row.note),
        state=RequestState(row.state),
        ends_at=row.ends_at,
        decided_at=row.decided_at,
        decided_by_id=row.decided_by_id,
        decided_by=row.decided_by,
        reason=row.reason,
        fetched_at=row.fetched_at,
        covers=row.covers,
        kept_by=kept_by,
    )


def _values(request: ExportRequest) -> dict[str, Any]:
    return {
        "id": request.id,
        "created_at": request.created_at,
        "subject_id": request.subject_id,
        "subject_name": schema.fitting(_E.subject_name, request.subject_name),
        "asked": canonical_json(dict(request.asked)),
        "up_to_seq": request.up_to_seq,
        "format": request.format,
        "purpose": request.stated.purpose,
        "note": request.stated.note,
        "state": request.state.value,
        "ends_at": request.ends_at,
        "decided_at": request.decided_at,
        "decided_by_id": request.decided_by_id,
        "decided_by": schema.fitting(_E.decided_by, request.decided_by),
        "reason": request.reason,
        "fetched_at": request.fetched_at,
        "covers": request.covers,
    }
