"""SQL about inspections: the cards, their pictures, and the runs with what is left of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, not_, or_, select, tuple_

from ..domain import DeviceClass, Page
from ..inspection.card import Card, Facts, Run, RunState, Verdict
from . import schema
from .chain import canonical_json
from .contract_inspections import CardQuery
from .dialect import among
from .repos_base import Repo, first, newest_first, parts
from .rows import AnyRow, cursor_of, keys_of

_I, _P = schema.channel_inspections.c, schema.inspection_pictures.c
_R, _T = schema.inspection_runs.c, schema.inspection_targets.c
_CARDS = select(schema.channel_inspections, _P.channel_id.is_not(None).label("has_picture")).join(
    schema.inspection_pictures,
    and_(_P.channel_id == _I.channel_id, _P.profile == _I.profile),
    isouter=True,
)


class SqlInspections(Repo):
    async def card(self, channel_id: str, profile: str) -> Card | None:
        row = await self._tx.one(_CARDS.where(_I.channel_id == channel_id, _I.profile == profile))
        return _card_from(row) if row else None

    async def cards(self, query: CardQuery, *, limit: int, cursor: str | None) -> Page[Card]:
        where = _conditions(query, postgresql_=self._tx.is_postgresql)
        statement = _CARDS.where(*where).order_by(_I.channel_id, _I.profile)
        if cursor is not None:
            statement = statement.where(
                tuple_(_I.channel_id, _I.profile) > keys_of(cursor, str, str)
            )
        items = [_card_from(row) for row in await self._tx.rows(first(statement, limit))]
        more, items = len(items) > limit, items[:limit]
        return Page(
            items,
            cursor_of(items[-1].channel_id, items[-1].profile) if more else None,
            await self._tx.count(schema.channel_inspections, *where),
        )

    async def picture(self, channel_id: str, profile: str) -> bytes | None:
        row = await self._tx.one(
            select(_P.jpeg).where(_P.channel_id == channel_id, _P.profile == profile)
        )
        return row.jpeg if row else None

    async def run(self, run_id: str) -> Run | None:
        row = await self._tx.one(select(schema.inspection_runs).where(_R.id == run_id))
        return _run_from(row) if row else None

    async def runs(self, *, limit: int, cursor: str | None) -> Page[Run]:
        return await newest_first(
            self._tx, schema.inspection_runs, _run_from, limit=limit, cursor=cursor
        )

    async def running(self) -> list[Run]:
        rows = await self._tx.rows(
            select(schema.inspection_runs).where(_R.state == RunState.RUNNING.value)
        )
        return [_run_from(row) for row in rows]

    async def left(self, run_id: str) -> list[tuple[int, str, str]]:
        rows = await self._tx.rows(
            select(_T.number, _T.channel_id, _T.profile)
            .where(_T.run_id == run_id)
            .order_by(_T.number)
        )
        return [(row.number, row.channel_id, row.profile) for row in rows]

    async def still_left(self, run_id: str, numbers: Collection[int]) -> set[int]:
        found: set[int] = set()
        for part in parts(sorted(numbers)):
            rows = await self._tx.rows(
                select(_T.number).where(_T.run_id == run_id, _T.number.in_(part))
            )
            found |= {row.number for row in rows}
        return found

    async def put(self, card: Card, jpeg: bytes | None) -> None:
        for table in (schema.channel_inspections, schema.inspection_pictures):
            await self._tx.run(
                table.delete().where(
                    table.c.channel_id == card.channel_id, table.c.profile == card.profile
                )
            )
        await self._tx.run(schema.channel_inspections.insert().values(_card_values(card)))
        if jpeg is not None:
            await self._tx.run(
                schema.inspection_pictures.insert().values(
                    channel_id=card.channel_id, profile=card.profile, jpeg=jpeg
                )
            )

    async def add_run(self, run: Run, targets: Sequence[tuple[str, str]]) -> None:
        await self._tx.run(schema.inspection_runs.insert().values(_run_values(run)))
        values = [
            {"run_id": run.id, "number": number, "channel_id": channel_id, "profile": profile}
            for number, (channel_id, profile) in enumerate(targets, 1)
        ]
        if values:
            await self._tx.run(schema.inspection_targets.insert(), values)

    async def update_run(self, run: Run) -> None:
        await self._tx.run(
            schema.inspection_runs.update().where(_R.id == run.id).values(_run_values(run))
        )

    async def drop_targets(self, run_id: str, numbers: Collection[int] | None) -> None:
        delete = schema.inspection_targets.delete().where(_T.run_id == run_id)
        if numbers is None:
            await self._tx.run(delete)
            return
        for part in parts(sorted(numbers)):
            await self._tx.run(delete.where(_T.number.in_(part)))

    async def delete_runs_before(self, at: datetime) -> None:
        await self._tx.run(
            schema.inspection_runs.delete().where(
                _R.created_at < at, _R.state != RunState.RUNNING.value
            )
        )


def _conditions(query: CardQuery, *, postgresql_: bool) -> list[ColumnElement[bool]]:
    def some(column: ColumnElement[Any], ids: frozenset[str]) -> ColumnElement[bool]:
        return among(column, sorted(ids), postgresql_=postgresql_)

    def in_areas(ids: frozenset[str], of_class: DeviceClass | None = None) -> ColumnElement[bool]:
        """Of channels that are in these areas now."""
        there = select(channels.id).where(some(channels.area_id, ids))
        if of_class is not None:
            there = there.where(channels.device_class == of_class.value)
        return _I.channel_id.in_(there)

    channels = schema.channels.c
    where: list[ColumnElement[bool]] = []
    if query.verdict is not None:
        where.append(_I.verdict == query.verdict.value)
    if query.profile is not None:
        where.append(_I.profile == query.profile)
    if query.run_id is not None:
        where.append(_I.run_id == query.run_id)
    if query.filing is not None:
        in_state = select(channels.id).where(channels.filing == query.filing.value)
        where.append(_I.channel_id.in_(in_state))
    if query.channel_ids is not None:
        where.append(some(_I.channel_id, query.channel_ids))
    if query.area_ids is not None:
        where.append(in_areas(query.area_ids))
    if query.visible_area_ids is not None or query.visible_channel_ids is not None:
        cells = (query.visible_class_areas or {}).items()
        where.append(
            or_(
                in_areas(query.visible_area_ids or frozenset()),
                some(_I.channel_id, query.visible_channel_ids or frozenset()),
                *(in_areas(areas, of_class) for of_class, areas in cells),
            )
        )
    if query.except_channel_ids:
        where.append(not_(some(_I.channel_id, query.except_channel_ids)))
    return where


def _card_from(row: AnyRow) -> Card:
    return Card(
        channel_id=row.channel_id,
        profile=row.profile,
        at=row.at,
        run_id=row.run_id,
        verdict=Verdict(row.verdict),
        codes=tuple(json.loads(row.codes)),
        facts=Facts.of(json.loads(row.facts)),
        has_picture=bool(row.has_picture),
    )


def _card_values(card: Card) -> dict[str, Any]:
    return {
        "channel_id": card.channel_id,
        "profile": card.profile,
        "at": card.at,
        "run_id": card.run_id,
        "verdict": card.verdict.value,
        "codes": canonical_json(list(card.codes)),
        "facts": canonical_json(card.facts.values()),
    }


def _run_from(row: AnyRow) -> Run:
    return Run(
        id=row.id,
        created_at=row.created_at,
        subject_id=row.subject_id,
        subject_name=row.subject_name,
        scope=json.loads(row.scope),
        profiles=tuple(row.profiles.split(",")),
        total=row.total,
        state=RunState(row.state),
        counts=json.loads(row.counts),
        finished_at=row.finished_at,
    )


def _run_values(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "created_at": run.created_at,
        "subject_id": run.subject_id,
        "subject_name": run.subject_name,
        "scope": canonical_json(dict(run.scope)),
        "profiles": ",".join(run.profiles),
        "total": run.total,
        "state": run.state.value,
        "counts": canonical_json(dict(run.counts)),
        "finished_at": run.finished_at,
    }
