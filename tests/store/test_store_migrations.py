"""The schema goes up, down and up; a newer one is refused in words."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, pool

from camera_registry.domain import AuditEntry
from camera_registry.errors import SchemaMissing, SchemaTooNew, StoreError
from camera_registry.store import SqlStore, migrate, open_store, schema
from camera_registry.store.sqlite import make_file

from .conftest import Place, Spawn


def _is_of_both_stores(name: str | None, kind: str, _parents: object) -> bool:
    """The index of search texts is of each store's own kind: a table there, a GIN index here."""
    if kind == "table":
        return not str(name).startswith("channel_grams")
    return name != "ix_channel_search_text"


async def test_up_down_up(bare: Place) -> None:
    store = await open_store(bare.at)
    assert bare.tables() == {*schema.metadata.tables, "alembic_version"}
    assert await store.schema_revision() == migrate.HEAD
    await store.migrate_down("base")
    assert bare.tables() == {"alembic_version"}
    await store.migrate()
    assert bare.tables() == {*schema.metadata.tables, "alembic_version"}
    await store.append_audit(AuditEntry("after", "ok"))
    assert (await store.verify_audit()).rows_checked == 1
    await store.close()


async def test_the_migrations_give_the_tables_that_the_code_uses(
    store: SqlStore, place: Place
) -> None:
    if isinstance(place.at, Path):
        engine = create_engine(f"sqlite:///{place.at}", poolclass=pool.NullPool)
    else:
        url = place.at.reveal().replace("postgresql:", "postgresql+psycopg:")
        engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        opts = {"compare_type": True, "include_name": _is_of_both_stores}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, schema.metadata) == []


def test_head_is_the_newest_step() -> None:
    script = ScriptDirectory.from_config(migrate._config(None))
    assert script.get_heads() == [migrate.HEAD]


async def test_a_newer_schema_is_refused_and_left_alone(store: SqlStore, place: Place) -> None:
    await store.close()
    place.execute("UPDATE alembic_version SET version_num = '9999'")
    for bring_up in (True, False):
        with pytest.raises(SchemaTooNew, match=r"schema 9999.*newer StreamHub"):
            await open_store(place.at, migrate=bring_up)
    assert "channels" in place.tables()


@pytest.mark.parametrize("bring_up", [True, False])
def test_a_file_that_is_no_registry_is_refused_and_left_alone(
    db_path: Path, bring_up: bool
) -> None:
    db_path.parent.mkdir()
    db_path.write_bytes(b"minutes of a meeting\n" * 100)
    with pytest.raises(
        StoreError, match=r"registry\.db could not be written: file is not a database"
    ):
        asyncio.run(open_store(db_path, migrate=bring_up))
    assert db_path.read_bytes() == b"minutes of a meeting\n" * 100


async def test_without_migrate_an_empty_place_is_said_to_be_empty(bare: Place) -> None:
    with pytest.raises(SchemaMissing, match="has schema none"):
        await open_store(bare.at, migrate=False)


async def test_two_processes_that_start_at_once_both_come_up(spawn: Spawn, bare: Place) -> None:
    children = [spawn(bare, "open"), spawn(bare, "open")]
    codes = await asyncio.gather(*(asyncio.to_thread(child.wait) for child in children))
    assert codes == [0, 0]
    assert "channels" in bare.tables()


def test_many_that_make_the_file_at_once_all_have_it(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / f"{number}.db"
        at_once = threading.Barrier(4)

        def make(path: Path = path, at_once: threading.Barrier = at_once) -> None:
            at_once.wait()
            make_file(path)

        with ThreadPoolExecutor(4) as pool_of_four:
            for made in [pool_of_four.submit(make) for _ in range(4)]:
                made.result()
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_only_the_owner_reads_the_file(db_path: Path) -> None:
    store = await open_store(db_path)
    await store.append_audit(AuditEntry("x", "ok"))
    for path in db_path.parent.glob("registry.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    await store.close()
