"""Every suite runs twice: on SQLite files under tmp_path and on PostgreSQL, one registry per test.
Helpers in `registry_child` run as other processes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from camera_registry.domain import Actor
from camera_registry.feed import ChangeFeed
from camera_registry.importers.check import check_job
from camera_registry.imports import Imports
from camera_registry.jobs import Attempt
from camera_registry.people import People
from camera_registry.secret import Secret
from camera_registry.service import Registry
from camera_registry.store import SqlStore, open_store
from camera_registry.vault import Vault, open_vault
from support.postgres import Cluster

CHILD = Path(__file__).with_name("registry_child.py")
Spawn = Callable[..., "subprocess.Popen[str]"]


@dataclass(frozen=True)
class Place:
    """Where a test's registry is; `execute` speaks to it past the store."""

    at: Path | Secret

    @property
    def is_file(self) -> bool:
        return isinstance(self.at, Path)

    def execute(self, statement: str, *values: object) -> list[Any]:
        """The rows, if any; placeholders are ``?``."""
        with closing(self._connect()) as db:
            cursor = db.execute(statement if self.is_file else statement.replace("?", "%s"), values)
            rows = cursor.fetchall() if cursor.description else []
            db.commit()
        return rows

    def tables(self) -> set[str]:
        """Without those of SQLite's own, and of its index of search texts."""
        rows = self.execute(
            "SELECT name FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            if self.is_file
            else "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
        return {name for (name,) in rows}

    def held(self) -> bytes:
        """All that is stored: the files, or every row of every table as text."""
        if isinstance(self.at, Path):
            return b"".join(path.read_bytes() for path in self.at.parent.glob(f"{self.at.name}*"))
        rows = (self.execute(f"SELECT t::text FROM {name} AS t") for name in self.tables())
        return "\n".join(text for table in rows for (text,) in table).encode()

    def _connect(self) -> Any:
        if isinstance(self.at, Path):
            return sqlite3.connect(self.at)
        return psycopg.connect(self.at.reveal())


@contextmanager
def place_of(request: pytest.FixtureRequest, *, migrated: bool = True) -> Iterator[Place]:
    if request.param == "sqlite":
        folder: Path = request.getfixturevalue("tmp_path")
        yield Place(folder / "data" / "registry.db")
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    url = cluster.fresh() if migrated else cluster.empty()
    yield Place(url)
    cluster.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A registry that a store is yet to open: no file, or a database with the tables."""
    with place_of(request) as place:
        yield place


@pytest.fixture(params=["sqlite", "postgresql"])
def bare(request: pytest.FixtureRequest) -> Iterator[Place]:
    """As `place`, but a database without tables."""
    with place_of(request, migrated=False) as place:
        yield place


@pytest.fixture
def db_path(tmp_path: Path) -> Path:
    """For what is so of a file alone."""
    return tmp_path / "data" / "registry.db"


@pytest.fixture
async def store(place: Place) -> AsyncIterator[SqlStore]:
    store = await open_store(place.at)
    yield store
    await store.close()


@pytest.fixture
async def vault(store: SqlStore, tmp_path: Path) -> Vault:
    return await open_vault(store, tmp_path / "data" / "secret.key")


@pytest.fixture
async def feed(store: SqlStore) -> AsyncIterator[ChangeFeed]:
    feed = ChangeFeed(store)
    await feed.start()
    yield feed
    await feed.stop()


@pytest.fixture
async def registry(store: SqlStore, vault: Vault, feed: ChangeFeed) -> AsyncIterator[Registry]:
    registry = Registry(store, vault, feed)
    await registry.start()
    yield registry
    await registry.stop()


@pytest.fixture
async def imports(store: SqlStore, vault: Vault, feed: ChangeFeed) -> AsyncIterator[Imports]:
    async def checker(attempt: Attempt) -> None:
        await check_job(store, vault, attempt, None)

    imports = Imports(store, vault, feed, checker)
    await imports.start()
    yield imports
    await imports.stop()


@pytest.fixture
async def people(store: SqlStore, feed: ChangeFeed) -> People:
    return People(store, feed)


@pytest.fixture
def by() -> Actor:
    return Actor(None, "local:test", "127.0.0.1")


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Starts `registry_child.py` on a place; what still runs at the end is killed."""
    children: list[subprocess.Popen[str]] = []

    def start(place: Place, *args: str) -> subprocess.Popen[str]:
        at = str(place.at) if isinstance(place.at, Path) else place.at.reveal()
        child = subprocess.Popen(
            [sys.executable, "-W", "error", str(CHILD), at, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},  # compiled once, not per child
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()
