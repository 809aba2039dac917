"""Audit rows that come alone: a batch is one visit to one thread, and one commit.

The rows of a join are on the way of its answer. By the unit of work each of its five statements is
a visit of its own to the driver's thread, which cost more than the disk did.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from ..domain import AuditEntry, AuditRow
from . import schema
from .chain import ZERO_HASH, canonical_json, chain_rows
from .engine import connect_writer

_COLUMNS: Final = tuple(column.name for column in schema.audit.columns)
_INSERT: Final = (
    f"INSERT INTO {schema.audit.name} ({', '.join(_COLUMNS)})"  # noqa: S608  (names of our own)
    f" VALUES ({', '.join('?' * len(_COLUMNS))})"
)
_HEAD: Final = schema.audit_head.name
_READ_HEAD: Final = f"SELECT seq, hash FROM {_HEAD} WHERE id = 1"  # noqa: S608
_WRITE_HEAD: Final = f"INSERT OR REPLACE INTO {_HEAD} (id, seq, hash) VALUES (1, ?, ?)"  # noqa: S608


class AuditWriter:
    """Appends to the chain on a connection of its own. The caller holds the store's write lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
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
            self._connection = connect_writer(self._path)
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            head = connection.execute(_READ_HEAD).fetchone()
            seq, prev_hash = head or (0, ZERO_HASH)
            rows = chain_rows(entries, seq=seq, prev_hash=prev_hash)
            connection.executemany(_INSERT, [_values(row) for row in rows])
            connection.execute(_WRITE_HEAD, (rows[-1].seq, rows[-1].hash))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return rows


def _values(row: AuditRow) -> tuple[Any, ...]:
    written = {"at": schema.time_text(row.at), "detail": canonical_json(dict(row.detail))}
    return tuple(written.get(name, getattr(row, name)) for name in _COLUMNS)
