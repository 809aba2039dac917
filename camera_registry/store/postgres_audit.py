"""Audit rows that come alone, on PostgreSQL: a batch is two journeys to the server, and one commit.

The rows of a join are on the way of its answer. By the unit of work each of its statements is a
journey of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import psycopg

from ..domain import AuditEntry, AuditRow
from .audit_sql import READ_HEAD, insert_row, row_values, write_head
from .chain import ZERO_HASH, chain_rows

_INSERT: Final = insert_row("%s")
_WRITE_HEAD: Final = write_head("%s")

Connection = psycopg.AsyncConnection[Any]


class PostgresAuditWriter:
    """Implements `store.database.AuditWriter`; `take_lock` is the statement by which a transaction
    becomes the only one that writes.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], take_lock: str) -> None:
        self._connect = connect
        self._begin = f"BEGIN; {take_lock}; {READ_HEAD}"
        self._connection: Connection | None = None

    async def append(self, entries: Sequence[AuditEntry]) -> list[AuditRow]:
        """Raises psycopg.OperationalError."""
        connection, head = await self._begun()
        try:
            seq, prev_hash = head or (0, ZERO_HASH)
            rows = chain_rows(entries, seq=seq, prev_hash=prev_hash)
            async with connection.pipeline(), connection.cursor() as cursor:
                await cursor.executemany(_INSERT, [row_values(row) for row in rows])
                await cursor.execute(_WRITE_HEAD, (rows[-1].seq, rows[-1].hash))
                await cursor.execute("COMMIT")
        except BaseException:
            await self._give_up(connection)
            raise
        return rows

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _begun(self) -> tuple[Connection, tuple[int, str] | None]:
        """In a transaction that holds the lock, with the end of the chain."""
        kept = self._connection
        try:
            return await self._begin_on(kept or await self._connect())
        except psycopg.OperationalError:
            if kept is None or not kept.closed:
                raise
            # Lost while nobody used it; nothing was written yet, so it may be tried again.
            return await self._begin_on(await self._connect())

    async def _begin_on(self, connection: Connection) -> tuple[Connection, tuple[int, str] | None]:
        self._connection = connection
        try:
            cursor = await connection.execute(self._begin, prepare=False)
            while cursor.nextset():
                pass
            return connection, await cursor.fetchone()
        except BaseException:
            await self._give_up(connection)
            raise

    async def _give_up(self, connection: Connection) -> None:
        """Nothing of what was begun stays; a connection in doubt is not used again."""
        try:
            await connection.rollback()
        except psycopg.Error:
            await connection.close()
        if connection.closed:
            self._connection = None
