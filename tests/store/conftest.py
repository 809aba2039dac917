"""Real SQLite files under tmp_path, one registry per test; helpers in `registry_child` run as
other processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from camera_registry.domain import Actor
from camera_registry.feed import ChangeFeed
from camera_registry.people import People
from camera_registry.service import Registry
from camera_registry.store import SqlStore, open_store
from camera_registry.vault import Vault, open_vault

CHILD = Path(__file__).with_name("registry_child.py")
Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def db_path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "registry.db"


@pytest.fixture
async def store(db_path: Path) -> AsyncIterator[SqlStore]:
    store = await open_store(db_path)
    yield store
    await store.close()


@pytest.fixture
async def vault(store: SqlStore, db_path: Path) -> Vault:
    return await open_vault(store, db_path.with_name("secret.key"))


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
async def people(store: SqlStore, feed: ChangeFeed) -> People:
    return People(store, feed)


@pytest.fixture
def by() -> Actor:
    return Actor(None, "local:test", "127.0.0.1")


@pytest.fixture
def spawn(db_path: Path) -> Iterator[Spawn]:
    """Starts `registry_child.py` on the test's registry; what still runs at the end is killed."""
    children: list[subprocess.Popen[str]] = []

    def start(*args: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-W", "error", str(CHILD), str(db_path), *args],
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
