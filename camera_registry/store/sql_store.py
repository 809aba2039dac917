"""`SqlStore`: the store by SQLAlchemy Core, on SQLite or PostgreSQL.

One connection writes, behind an asyncio lock in this process and the database's own among
processes; readers have their own connections and never wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from ..audit.model import AuditVerification
from ..domain import AuditEntry, AuditRow, Change
from ..errors import StoreBusy
from ..secret import Secret
from . import migrate as migrations
from . import repos_audit
from .chain import canonical_json
from .contract_audit import SegmentJudge
from .database import Database
from .repos_base import Tx
from .sql_tx import SqlReadTx, SqlWriteTx
from .sqlite import SqliteDatabase

AUDIT_BATCH: Final = 256  # rows that share one commit: a few ms of hashing and SQL
AUDIT_WAITING: Final = 4_096  # refusals in a flood; beyond it callers hear StoreBusy

_log = logging.getLogger(__name__)


class SqlStore:
    """Implements `store.contract.Store` on one database. Made by `open_store`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._write_lock = asyncio.Lock()
        self._write_task: asyncio.Task[object] | None = None
        self._callbacks: list[Callable[[int], None]] = []
        self._audit_waiting: list[tuple[AuditEntry, asyncio.Future[AuditRow]]] = []
        self._audit_task: asyncio.Task[None] | None = None

    async def migrate(self) -> None:
        """Brings the schema up to this program's, and lets go of changes rows of long ago.

        Raises SchemaTooNew, StoreError, StoreBusy.
        """
        async with self._alone() as connection:
            await connection.run_sync(migrations.upgrade, self._database.where)
        async with self._alone() as connection:
            await repos_audit.trim_changes(Tx(connection), datetime.now(UTC))

    async def migrate_down(self, revision: str) -> None:
        """Back to `revision` ("base": empty). Loses what the older schema cannot hold."""
        async with self._alone() as connection:
            await connection.run_sync(migrations.downgrade, self._database.where, revision)

    async def schema_revision(self) -> str | None:
        async with self._reading() as connection:
            return await connection.run_sync(migrations.current_revision)

    async def close(self) -> None:
        """Writes what is waiting, then closes the database."""
        if self._audit_task is not None:
            await self._audit_task
        await self._database.close()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqlReadTx]:
        async with self._reading() as connection:
            yield SqlReadTx(connection)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[SqlWriteTx]:
        task = asyncio.current_task()
        if task is not None and self._write_task is task:
            raise RuntimeError("a unit of work inside a unit of work would wait for itself")
        async with self._write_lock:
            self._write_task = task
            try:
                with self._translated():
                    async with self._database.writer.begin() as connection:
                        tx = SqlWriteTx(connection)
                        yield tx
                        if tx.last_change_seq is not None:
                            await self._database.announce(connection)
            finally:
                self._write_task = None
        if tx.last_change_seq is not None:
            self._committed(tx.last_change_seq)

    async def append_audit(self, entry: AuditEntry) -> AuditRow:
        # A bad entry must not fail its neighbours.
        canonical_json(dict(entry.detail)).encode()
        if len(self._audit_waiting) >= AUDIT_WAITING:
            raise StoreBusy("Too many audit rows are waiting to be written; try again shortly.")
        future: asyncio.Future[AuditRow] = asyncio.get_running_loop().create_future()
        self._audit_waiting.append((entry, future))
        if self._audit_task is None or self._audit_task.done():
            self._audit_task = asyncio.create_task(self._write_audit(), name="audit-writer")
        return await future

    async def changes_since(self, seq: int, limit: int = 1000) -> list[Change]:
        async with self._reading() as connection:
            return await repos_audit.changes_since(Tx(connection), seq, limit)

    async def latest_change_seq(self) -> int:
        async with self.read() as tx:
            return await tx.change_seq()

    async def data_version(self) -> int:
        return await self._database.version()

    async def verify_audit(
        self,
        judge: SegmentJudge | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> AuditVerification:
        async with self._reading() as connection:
            return await repos_audit.verify(Tx(connection), judge, progress)

    def on_commit(self, callback: Callable[[int], None]) -> Callable[[], None]:
        self._database.follow(self._committed)
        self._callbacks.append(callback)

        def unregister() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return unregister

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        with self._translated():
            async with self._database.readers.begin() as connection:
                yield connection

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[AsyncConnection]:
        async with self._write_lock:
            with self._translated():
                async with self._database.writer.begin() as connection:
                    yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if isinstance(error.orig, self._database.errors):
                raise self._database.failure(error.orig) from error
            raise

    async def _write_audit(self) -> None:
        while self._audit_waiting:
            batch = self._audit_waiting[:AUDIT_BATCH]
            del self._audit_waiting[:AUDIT_BATCH]
            try:
                async with self._write_lock:
                    rows = await self._database.audit.append([entry for entry, _ in batch])
            except self._database.errors as error:
                failed: Exception = self._database.failure(error)
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


if TYPE_CHECKING:
    from .contract import Store

    _conforms: type[Store] = SqlStore


async def open_store(place: Path | Secret, *, migrate: bool = True) -> SqlStore:
    """Opens the registry: a SQLite file (made where there is none, mode 0600), or the PostgreSQL
    database of a ``postgresql://`` URL, which is secret for the password in it. With `migrate` its
    schema is brought up.

    Raises SchemaTooNew; SchemaMissing when `migrate` is False and the schema is older; StoreUnfit
    for what is no such URL, or no database that can hold a registry; StoreUnavailable, StoreBusy.
    """
    database: Database
    if isinstance(place, Path):
        database = SqliteDatabase(place)
    else:
        # Here, so that a registry in a file does without the driver's import.
        from .postgres import PostgresDatabase

        database = PostgresDatabase(place)
    store = SqlStore(database)
    try:
        await database.prepare()
        if migrate:
            await store.migrate()
        else:
            migrations.require_current(await store.schema_revision(), database.where)
    except BaseException:
        await store.close()
        raise
    return store
