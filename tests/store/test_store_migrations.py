"""The schema goes up, down and up; a newer one is refused in words."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, pool

from camera_registry.domain import AuditEntry
from camera_registry.errors import SchemaMissing, SchemaTooNew
from camera_registry.store import SqlStore, migrate, open_store, schema

from .conftest import Spawn


def tables(path: Path) -> set[str]:
    db = sqlite3.connect(path)
    try:
        found = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    finally:
        db.close()
    return {name for (name,) in found if not name.startswith("sqlite_")}


async def test_up_down_up(store: SqlStore, db_path: Path) -> None:
    assert tables(db_path) == {*schema.metadata.tables, "alembic_version"}
    assert await store.schema_revision() == migrate.HEAD
    await store.migrate_down("base")
    assert tables(db_path) == {"alembic_version"}
    await store.migrate()
    assert tables(db_path) == {*schema.metadata.tables, "alembic_version"}
    await store.append_audit(AuditEntry("after", "ok"))
    assert (await store.verify_audit()).rows_checked == 1


async def test_the_migrations_give_the_tables_that_the_code_uses(
    store: SqlStore, db_path: Path
) -> None:
    engine = create_engine(f"sqlite:///{db_path}", poolclass=pool.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []


def test_head_is_the_newest_step() -> None:
    script = ScriptDirectory.from_config(migrate._config(None))
    assert script.get_heads() == [migrate.HEAD]


async def test_a_newer_schema_is_refused_and_left_alone(store: SqlStore, db_path: Path) -> None:
    await store.close()
    db = sqlite3.connect(db_path)
    db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.commit()
    db.close()
    for bring_up in (True, False):
        with pytest.raises(SchemaTooNew, match=r"schema 9999.*newer StreamHub"):
            await open_store(db_path, migrate=bring_up)
    assert "channels" in tables(db_path)


async def test_without_migrate_an_empty_file_is_said_to_be_empty(db_path: Path) -> None:
    with pytest.raises(SchemaMissing, match="has schema none"):
        await open_store(db_path, migrate=False)


async def test_two_processes_that_start_at_once_both_come_up(spawn: Spawn, db_path: Path) -> None:
    children = [spawn("open"), spawn("open")]
    codes = await asyncio.gather(*(asyncio.to_thread(child.wait) for child in children))
    assert codes == [0, 0]
    assert "channels" in tables(db_path)


async def test_only_the_owner_reads_the_file(store: SqlStore, db_path: Path) -> None:
    await store.append_audit(AuditEntry("x", "ok"))
    for path in db_path.parent.glob("registry.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
