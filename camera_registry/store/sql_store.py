"""`SqlStore`: the store on SQLite by SQLAlchemy Core.

One connection writes, behind an asyncio lock in this process and BEGIN IMMEDIATE among
processes; readers have their own connections and never wait for it (WAL).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from ..domain import AuditEntry, AuditRow, AuditVerification, Change
from ..errors import StoreBusy, StoreError
from . import migrate as migrations
from . import repos_audit
from .audit_writer import AuditWriter
from .chain import canonical_json
from .engine import BUSY_TIMEOUT_MS, make_engine
from .repos_base import Tx
from .sql_tx import SqlReadTx, SqlWriteTx

AUDIT_BATCH: Final = 256  # rows that share one commit: a few ms of hashing and SQL
AUDIT_WAITING: Final = 4_096  # refusals in a flood; beyond it callers hear StoreBusy

_log = logging.getLogger(__name__)


class SqlStore:
    """Implements `store.contract.Store` on one SQLite file. Made by `open_store`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer: AsyncEngine = make_engine(path, writer=True)
        self._readers: AsyncEngine = make_engine(path, writer=False)
        self._audit_writer = AuditWriter(path)
        self._write_lock = asyncio.Lock()
        self._write_task: asyncio.Task[object] | None = None
        self._watch: sqlite3.Connection | None = None
        self._callbacks: list[Callable[[int], None]] = []
        self._audit_waiting: list[tuple[AuditEntry, asyncio.Future[AuditRow]]] = []
        self._audit_task: asyncio.Task[None] | None = None

    async def migrate(self) -> None:
        """Brings the schema up to this program's, and lets go of changes rows of long ago.

        Raises SchemaTooNew, StoreError, StoreBusy.
        """
        await self._migrate(migrations.upgrade)
        async with self._write_lock, self._writer.begin() as connection:
            await repos_audit.trim_changes(Tx(connection), datetime.now(UTC))

    async def migrate_down(self, revision: str) -> None:
        """Back to `revision` ("base": empty). Loses what the older schema cannot hold."""

        def down(connection: migrations.Connection, path: Path) -> None:
            migrations.downgrade(connection, path, revision)

        await self._migrate(down)

    async def schema_revision(self) -> str | None:
        async with self._readers.connect() as connection:
            return await connection.run_sync(migrations.current_revision)

    async def close(self) -> None:
        """Writes what is waiting, then closes the file."""
        if self._audit_task is not None:
            await self._audit_task
        await self._audit_writer.close()
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        await self._readers.dispose()
        await self._writer.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqlReadTx]:
        async with self._readers.connect() as connection, connection.begin():
            yield SqlReadTx(connection)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[SqlWriteTx]:
        task = asyncio.current_task()
        if task is not None and self._write_task is task:
            raise RuntimeError("a unit of work inside a unit of work would wait for itself")
        async with self._write_lock:
            self._write_task = task
            try:
                async with self._writer.connect() as connection, connection.begin():
                    tx = SqlWriteTx(connection)
                    yield tx
            except OperationalError as error:
                raise self._translated(str(error.orig)) from error
            finally:
                self._write_task = None
        if tx.last_change_seq is not None:
            self._committed(tx.last_change_seq)

    async def append_audit(self, entry: AuditEntry) -> AuditRow:
        canonical_json(dict(entry.detail))  # a bad entry must not fail its neighbours
        if len(self._audit_waiting) >= AUDIT_WAITING:
            raise StoreBusy("Too many audit rows are waiting to be written; try again shortly.")
        future: asyncio.Future[AuditRow] = asyncio.get_running_loop().create_future()
        self._audit_waiting.append((entry, future))
        if self._audit_task is None or self._audit_task.done():
            self._audit_task = asyncio.create_task(self._write_audit(), name="audit-writer")
        return await future

    async def changes_since(self, seq: int, limit: int = 1000) -> list[Change]:
        async with self._readers.connect() as connection, connection.begin():
            return await repos_audit.changes_since(Tx(connection), seq, limit)

    async def latest_change_seq(self) -> int:
        async with self.read() as tx:
            return await tx.change_seq()

    async def data_version(self) -> int:
        # SQLite counts per connection, so it is always the same one that asks; and it asks here,
        # without a thread: the answer is in shared memory, a few microseconds away.
        if self._watch is None:
            self._watch = sqlite3.connect(self.path, timeout=0, isolation_level=None)
            self._watch.execute("PRAGMA query_only=ON")
        try:
            found: tuple[int] = self._watch.execute("PRAGMA data_version").fetchone()
        except sqlite3.OperationalError as error:
            raise StoreBusy(f"The registry at {self.path} could not be asked: {error}.") from error
        return found[0]

    async def verify_audit(self) -> AuditVerification:
        async with self._readers.connect() as connection, connection.begin():
            return await repos_audit.verify(Tx(connection))

    def on_commit(self, callback: Callable[[int], None]) -> Callable[[], None]:
        self._callbacks.append(callback)

        def unregister() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return unregister

    async def _migrate(self, step: Callable[[migrations.Connection, Path], None]) -> None:
        async with self._write_lock:
            try:
                async with self._writer.begin() as connection:
                    await connection.run_sync(step, self.path)
            except OperationalError as error:
                raise self._translated(str(error.orig)) from error

    async def _write_audit(self) -> None:
        while self._audit_waiting:
            batch = self._audit_waiting[:AUDIT_BATCH]
            del self._audit_waiting[:AUDIT_BATCH]
            try:
                async with self._write_lock:
                    rows = await self._audit_writer.append([entry for entry, _ in batch])
            except sqlite3.OperationalError as error:
                failed: Exception = self._translated(str(error))
                failed.__cause__ = error
            except Exception as error:
                failed = error
            else:
                for (_, future), row in zip(batch, rows, strict=True):
                    if not future.done():
                        future.set_result(row)
                continue
            for _, future in batch:
                if not future.done():
                    future.set_exception(failed)

    def _committed(self, seq: int) -> None:
        for callback in list(self._callbacks):
            try:
                callback(seq)
            except Exception:
                _log.exception("a follower of commits failed")

    def _translated(self, reason: str) -> StoreError:
        if "locked" in reason or "busy" in reason:
            return StoreBusy(
                f"Another process has held the registry at {self.path} for over "
                f"{BUSY_TIMEOUT_MS // 1000} s; try again, or look for a command that hangs."
            )
        return StoreError(f"The registry at {self.path} could not be written: {reason}.")


if TYPE_CHECKING:
    from .contract import Store

    _conforms: type[Store] = SqlStore


async def open_store(path: Path, *, migrate: bool = True) -> SqlStore:
    """Opens (and makes) the registry file, mode 0600; with `migrate` its schema is brought up.

    Raises SchemaTooNew; SchemaMissing when `migrate` is False and the schema is older.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Made by us first: the file holds password hashes, and the WAL takes over its mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    store = SqlStore(path)
    try:
        if migrate:
            await store.migrate()
        else:
            migrations.require_current(await store.schema_revision(), path)
    except BaseException:
        await store.close()
        raise
    return store
