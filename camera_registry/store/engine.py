"""Engines on a SQLite file: one connection that writes, a few that read, and their pragmas."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, event, pool
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

BUSY_TIMEOUT_MS: Final = 5_000  # a CLI's write takes milliseconds; beyond this something hangs
READERS: Final = 4  # each is a thread; list requests take about 2 ms
READER_WAIT_S: Final = 10
CACHE_KIB: Final = 16_384  # holds the demo district whole
WAL_PAGES: Final = 1_000  # checkpoint at about 4 MB


def _pragmas(*, writer: bool) -> tuple[str, ...]:
    common = (
        f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
        "PRAGMA foreign_keys=ON",
        f"PRAGMA cache_size=-{CACHE_KIB}",
    )
    if not writer:
        return (*common, "PRAGMA query_only=ON")
    # FULL: an audit row or a revocation that was answered survives a power cut.
    return (
        *common,
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        f"PRAGMA wal_autocheckpoint={WAL_PAGES}",
    )


def connect_writer(path: Path) -> sqlite3.Connection:
    """A plain connection with the writer's pragmas, transactions begun by its user. For one thread
    at a time, whichever."""
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
    )
    for pragma in _pragmas(writer=True):
        connection.execute(pragma)
    return connection


def make_engine(path: Path, *, writer: bool) -> AsyncEngine:
    """The writer begins with BEGIN IMMEDIATE: two processes cannot both read the chain's end."""
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        poolclass=pool.AsyncAdaptedQueuePool,
        pool_size=1 if writer else READERS,
        max_overflow=0,
        pool_timeout=READER_WAIT_S,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000},
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
