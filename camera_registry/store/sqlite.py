"""The registry in a SQLite file: one connection that writes, a few that read, and their pragmas.

The writer is alone among processes by BEGIN IMMEDIATE; readers never wait for it (WAL).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, event, pool
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ..errors import StoreBusy, StoreError
from . import database
from .database import READER_WAIT_S, READERS
from .sqlite_audit import SqliteAuditWriter

CACHE_KIB: Final = 16_384  # holds the demo district whole
# Readers see the file through the system's own cache: a search of 100,000 channels touches pages
# all over 100 MB, and each that is not in a reader's cache would be a system call.
MMAP_BYTES: Final = 1 << 30
WAL_PAGES: Final = 1_000  # checkpoint at about 4 MB


def _pragmas(*, writer: bool) -> tuple[str, ...]:
    common = (
        f"PRAGMA busy_timeout={database.BUSY_TIMEOUT_MS}",
        "PRAGMA foreign_keys=ON",
        f"PRAGMA cache_size=-{CACHE_KIB}",
    )
    if not writer:
        return (*common, "PRAGMA query_only=ON", f"PRAGMA mmap_size={MMAP_BYTES}")
    # FULL: an audit row or a revocation that was answered survives a power cut.
    # WAL mode is kept in the file: make_file.
    return (
        *common,
        "PRAGMA synchronous=FULL",
        f"PRAGMA wal_autocheckpoint={WAL_PAGES}",
    )


def make_file(path: Path) -> None:
    """Makes the registry file where there is none (mode 0600), and puts it into WAL mode.

    Raises sqlite3.OperationalError where another process holds it for BUSY_TIMEOUT_MS.
    """
    # Made by us first: the file holds password hashes, and the WAL takes over its mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    until = time.monotonic() + database.BUSY_TIMEOUT_MS / 1000
    with closing(sqlite3.connect(path, timeout=database.BUSY_TIMEOUT_MS / 1000)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                # Of two that both read the file and want to change its mode SQLite refuses one at
                # once, timeout or not: waiting, they would wait for each other.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.01)


def make_engine(path: Path, *, writer: bool) -> AsyncEngine:
    """The writer begins with BEGIN IMMEDIATE: two processes cannot both read the chain's end."""
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        poolclass=pool.AsyncAdaptedQueuePool,
        pool_size=1 if writer else READERS,
        max_overflow=0,
        pool_timeout=READER_WAIT_S,
        hide_parameters=True,  # password hashes are among them
        connect_args={"timeout": database.BUSY_TIMEOUT_MS / 1000},
    )
    begin = "BEGIN IMMEDIATE" if writer else "BEGIN"

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(dbapi_connection: Any, _record: Any) -> None:
        # The driver's own idea of transactions is switched off; ours is explicit.
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        for pragma in _pragmas(writer=writer):
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


class SqliteDatabase:
    """Implements `store.database.Database` on one file."""

    errors = (sqlite3.OperationalError,)

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self.writer: AsyncEngine = make_engine(path, writer=True)
        self.readers: AsyncEngine = make_engine(path, writer=False)
        self.audit = SqliteAuditWriter(path, _pragmas(writer=True))
        self._path = path
        self._watch: sqlite3.Connection | None = None

    async def prepare(self) -> None:
        """Makes the file and its folder where there are none. Raises StoreError, StoreBusy."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            await asyncio.to_thread(make_file, self._path)
        except sqlite3.DatabaseError as error:
            raise self.failure(error) from error

    async def announce(self, connection: AsyncConnection) -> None:
        """Nothing to do: the others see it by `version`."""

    def follow(self, heard: Callable[[int], None]) -> None:
        """No news comes by itself."""

    async def version(self) -> int:
        # SQLite counts per connection, so it is always the same one that asks; and it asks here,
        # without a thread: the answer is in shared memory, a few microseconds away.
        if self._watch is None:
            self._watch = sqlite3.connect(self._path, timeout=0, isolation_level=None)
            self._watch.execute("PRAGMA query_only=ON")
        try:
            found: tuple[int] = self._watch.execute("PRAGMA data_version").fetchone()
        except sqlite3.OperationalError as error:
            raise StoreBusy(f"The registry at {self.where} could not be asked: {error}.") from error
        return found[0]

    def failure(self, error: BaseException) -> StoreError:
        reason = str(error)
        if "locked" in reason or "busy" in reason:
            return StoreBusy(
                f"Another process has held the registry at {self.where} for over "
                f"{database.BUSY_TIMEOUT_MS // 1000} s; try again, or look for a command that "
                "hangs."
            )
        return StoreError(f"The registry at {self.where} could not be written: {reason}.")

    async def close(self) -> None:
        await self.audit.close()
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        await self.readers.dispose()
        await self.writer.dispose()


if TYPE_CHECKING:
    from .database import Database

    _conforms: type[Database] = SqliteDatabase
