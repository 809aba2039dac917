"""SQL about the rules of assignment."""

from __future__ import annotations

from sqlalchemy import select

from ..domain import AssignmentRule
from . import schema
from .repos_base import Repo
from .rows import rule_from, rule_values

_R = schema.assignment_rules.c


class SqlRules(Repo):
    async def all(self) -> list[AssignmentRule]:
        rows = await self._tx.rows(select(schema.assignment_rules).order_by(_R.priority, _R.id))
        return [rule_from(row) for row in rows]

    async def add(self, rule: AssignmentRule) -> None:
        await self._tx.run(schema.assignment_rules.insert().values(rule_values(rule)))

    async def delete(self, rule_id: str) -> None:
        await self._tx.run(schema.assignment_rules.delete().where(_R.id == rule_id))
