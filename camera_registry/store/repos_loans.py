"""SQL about loans: each with what its grant says."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, or_, select, tuple_

from ..domain import Page
from ..loans import LONGEST, Loan
from . import schema
from .repos_base import Repo, first
from .rows import AnyRow, cursor_of, keys_of

_L, _G = schema.loans.c, schema.grants.c
_LOANS = select(
    schema.loans,
    _G.channel_id,
    _G.actions.label("lent"),
    _G.valid_until.label("until"),
    _G.revoked_at.label("ended_at"),
).select_from(schema.loans.outerjoin(schema.grants, _G.id == _L.grant_id))


class SqlLoans(Repo):
    async def get(self, loan_id: str) -> Loan | None:
        row = await self._tx.one(_LOANS.where(_L.id == loan_id))
        return _loan(row) if row else None

    async def of_subject(self, subject_id: str) -> list[Loan]:
        rows = await self._tx.rows(
            _LOANS.where(_L.subject_id == subject_id).order_by(_L.created_at, _L.id)
        )
        return [_loan(row) for row in rows]

    async def page(self, subject_id: str, *, limit: int, cursor: str | None) -> Page[Loan]:
        own = _L.subject_id == subject_id
        statement = _LOANS.where(own).order_by(_L.created_at.desc(), _L.id.desc())
        if cursor is not None:
            at, last_id = keys_of(cursor, str, str)
            after = tuple_(_L.created_at, _L.id) < (schema.cursor_time(at), last_id)
            statement = statement.where(after)
        items = [_loan(row) for row in await self._tx.rows(first(statement, limit))]
        more = len(items) > limit
        items = items[:limit]
        return Page(
            items,
            cursor_of(schema.time_text(items[-1].created_at), items[-1].id) if more else None,
            await self._tx.count(schema.loans, own),
        )

    async def unfinished(self, now: datetime) -> list[Loan]:
        is_open = and_(_L.answered_at.is_(None), _L.withdrawn_at.is_(None), _L.lapses_at > now)
        runs = and_(_G.revoked_at.is_(None), _G.valid_until > now)
        # By an index: what was asked for before is over.
        recent = _L.created_at > now - LONGEST
        rows = await self._tx.rows(
            _LOANS.where(recent, or_(is_open, runs)).order_by(_L.created_at, _L.id)
        )
        return [_loan(row) for row in rows]

    async def add(self, loan: Loan) -> None:
        await self._tx.run(
            schema.loans.insert().values(
                id=loan.id,
                subject_id=loan.subject_id,
                asked=loan.asked,
                actions=",".join(sorted(loan.actions)),
                reason=loan.reason,
                minutes=loan.minutes,
                created_at=loan.created_at,
                lapses_at=loan.lapses_at,
            )
        )

    async def update(self, loan: Loan) -> None:
        await self._tx.run(
            schema.loans.update()
            .where(_L.id == loan.id)
            .values(
                withdrawn_at=loan.withdrawn_at,
                answered_at=loan.answered_at,
                answered_by=loan.answered_by,
                refusal=loan.refusal,
                grant_id=loan.grant_id,
            )
        )

    async def delete(self, loan_ids: Collection[str]) -> None:
        await self._tx.run(schema.loans.delete().where(_L.id.in_(sorted(loan_ids))))


def _loan(row: AnyRow) -> Loan:
    return Loan(
        id=row.id,
        subject_id=row.subject_id,
        asked=row.asked,
        actions=frozenset(row.actions.split(",")),
        reason=row.reason,
        minutes=row.minutes,
        created_at=row.created_at,
        lapses_at=row.lapses_at,
        withdrawn_at=row.withdrawn_at,
        answered_at=row.answered_at,
        answered_by=row.answered_by,
        refusal=row.refusal,
        grant_id=row.grant_id,
        channel_id=row.channel_id,
        lent=frozenset(row.lent.split(",")) if row.lent else frozenset(),
        until=row.until,
        ended_at=row.ended_at,
    )
