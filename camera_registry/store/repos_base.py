"""What the repositories share: the connection of the unit of work, and its changes rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Executable, Row, Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ..domain import ChangeKind, ChangeOp
from ..errors import RegistryError
from . import schema

T = TypeVar("T")


class Tx:
    """One transaction's connection, and what it has written to the feed."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.last_change_seq: int | None = None

    async def one(self, statement: Executable) -> Row[Any] | None:
        return (await self.connection.execute(statement)).first()

    async def rows(self, statement: Executable) -> Sequence[Row[Any]]:
        return (await self.connection.execute(statement)).all()

    async def number(self, statement: Executable) -> int:
        return int((await self.connection.execute(statement)).scalar() or 0)

    async def count(self, table: Any, *conditions: ColumnElement[bool]) -> int:
        return await self.number(select(func.count()).select_from(table).where(*conditions))

    async def run(self, statement: Executable, many: Sequence[dict[str, Any]] | None = None) -> int:
        """Rows touched."""
        result = await self.connection.execute(statement, many)
        return int(result.rowcount)

    async def run_or(self, error: RegistryError, statement: Executable) -> int:
        """Raises `error` when the statement breaks a constraint."""
        try:
            return await self.run(statement)
        except IntegrityError:
            raise error from None

    async def changed(self, kind: ChangeKind, object_id: str, op: ChangeOp) -> None:
        """Writes the changes row of this change."""
        result = await self.connection.execute(
            schema.changes.insert().values(
                at=datetime.now(UTC), kind=kind.value, object_id=object_id, op=op.value
            )
        )
        key = result.inserted_primary_key
        if key is not None:
            self.last_change_seq = int(key[0])

    async def change_seq(self) -> int:
        return await self.number(select(func.max(schema.changes.c.seq)))


class Repo:
    def __init__(self, tx: Tx) -> None:
        self._tx = tx


def like(text: str) -> str:
    """A LIKE pattern for "contains", with the wildcards in `text` made plain (escape ``\\``)."""
    plain = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{plain}%"


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    return column.like(like(text), escape="\\")


def first(statement: Select[Any], limit: int) -> Select[Any]:
    """One row more than asked tells whether there is a next page."""
    return statement.limit(limit + 1)
