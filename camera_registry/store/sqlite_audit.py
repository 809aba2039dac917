"""Audit rows that come alone, on SQLite: a batch is one visit to one thread, and one commit.

The rows of a join are on the way of its answer. By the unit of work each of its five statements is
a visit of its own to the driver's thread, which cost more than the disk did.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from ..domain import AuditEntry, AuditRow
from . import database
from .audit_sql import COLUMNS, READ_HEAD, insert_row, row_values, write_head
from .chain import ZERO_HASH, chain_rows

_WRITE_HEAD: Final = write_head("?")


class SqliteAuditWriter:
    """Implements `store.database.AuditWriter`; `pragmas` are the writer's."""

    def __init__(self, path: Path, pragmas: Sequence[str]) -> None:
        self._path = path
        self._pragmas = pragmas
        self._connection: sqlite3.Connection | None = None
        self._columns: Sequence[str] = COLUMNS
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit-writer")

    async def append(self, entries: Sequence[AuditEntry]) -> list[AuditRow]:
        """Durable when it returns. Raises sqlite3.OperationalError; then nothing was written."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._append, entries)

    async def close(self) -> None:
        """Ends the thread, after what it is writing."""
        await asyncio.to_thread(self._thread.shutdown)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _append(self, entries: Sequence[AuditEntry]) -> list[AuditRow]:
        if self._connection is None:
            self._connection = self._connect()
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            head = connection.execute(READ_HEAD).fetchone()
            seq, prev_hash = head or (0, ZERO_HASH)
            rows = chain_rows(entries, seq=seq, prev_hash=prev_hash)
            values = [row_values(row, self._columns) for row in rows]
            connection.executemany(insert_row("?", self._columns), values)
            connection.execute(_WRITE_HEAD, (rows[-1].seq, rows[-1].hash))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return rows

    def _connect(self) -> sqlite3.Connection:
        # Transactions are begun by hand; one thread at a time has it, whichever.
        connection = sqlite3.connect(
            self._path,
            timeout=database.BUSY_TIMEOUT_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
        )
        for pragma in self._pragmas:
            connection.execute(pragma)
        # A backup is written down also in a registry from before the columns that repeat others.
        known = {row[1] for row in connection.execute("PRAGMA table_info(audit)")}
        self._columns = [name for name in COLUMNS if name in known]
        return connection
