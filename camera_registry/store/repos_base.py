"""What the repositories share: the connection of the unit of work, and its changes rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Executable, Row, Select, func, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ..domain import ChangeKind, ChangeOp, Page
from ..errors import RegistryError
from . import schema
from .dialect import POSTGRESQL, constraint_guard
from .rows import cursor_of, keys_of

T = TypeVar("T")


class Tx:
    """One transaction's connection, and what it has written to the feed."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.last_change_seq: int | None = None
        self.is_postgresql = connection.dialect.name == POSTGRESQL

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
            async with constraint_guard(self.connection):
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

    async def changed_many(self, kind: ChangeKind, ids: Sequence[str], op: ChangeOp) -> None:
        """As `changed` for each. The writer is alone: the newest row is ours."""
        if ids:
            row = {"at": datetime.now(UTC), "kind": kind.value, "op": op.value}
            await self.run(schema.changes.insert(), [row | {"object_id": each} for each in ids])
            self.last_change_seq = await self.change_seq()

    async def change_seq(self) -> int:
        return await self.number(select(func.max(schema.changes.c.seq)))


# Values of one statement's IN: SQLite takes 32,766 variables, a plan is made for each number.
MAX_IN = 500


def parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cuts of at most `MAX_IN`."""
    for start in range(0, len(values), MAX_IN):
        yield values[start : start + MAX_IN]


class Repo:
    def __init__(self, tx: Tx) -> None:
        self._tx = tx


def first(statement: Select[Any], limit: int) -> Select[Any]:
    """One row more than asked tells whether there is a next page."""
    return statement.limit(limit + 1)


async def newest_first(
    tx: Tx,
    table: Any,
    make: Callable[[Row[Any]], T],
    *where: ColumnElement[bool],
    limit: int,
    cursor: str | None,
) -> Page[T]:
    """A page of what has `created_at` and `id`, the newest first."""
    created_at, id_ = table.c.created_at, table.c.id
    statement = select(table).where(*where).order_by(created_at.desc(), id_.desc())
    if cursor is not None:
        at, last_id = keys_of(cursor, str, str)
        statement = statement.where(tuple_(created_at, id_) < (schema.cursor_time(at), last_id))
    rows = await tx.rows(first(statement, limit))
    more, rows = len(rows) > limit, rows[:limit]
    next_cursor = None
    if more:
        next_cursor = cursor_of(schema.time_text(rows[-1].created_at), rows[-1].id)
    return Page([make(row) for row in rows], next_cursor, await tx.count(table, *where))
