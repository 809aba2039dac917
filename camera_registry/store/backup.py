"""A copy of the whole store while it is in use, and what a copy holds. The only part of a backup
that knows which store it is.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ..errors import BackupDamaged, BackupRefused, StoreBusy, StoreError
from ..secret import Secret
from .database import BUSY_TIMEOUT_MS

_NOT_COUNTED: Final = frozenset({"alembic_version", "sqlite_sequence"})


@dataclass(frozen=True, slots=True)
class StoreContent:
    """What a copy holds: its schema, rows by table, where the audit chain ends, whose key."""

    schema: str | None
    counts: Mapping[str, int]
    audit_rows: int
    audit_hash: str
    vault_key_id: str | None
    sealed: bool  # whether anything in it needs the vault's key


def snapshot(location: Path | Secret, into: Path) -> StoreContent:
    """Copies the store as it is at one moment into a new file (mode 0600), beside whoever reads
    and writes; blocks. `location`: the file, or a database's URL.

    Raises BackupRefused("not_sqlite") for another store, StoreBusy, StoreError.
    """
    if isinstance(location, Secret):
        raise BackupRefused(
            "not_sqlite",
            "The registry is in a database of its own: back it up with that one's tool "
            "(pg_dump for PostgreSQL), and the file secret.key apart from it.",
        )
    os.close(os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    source = f"file:{quote(str(location.resolve()))}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(source, uri=True, timeout=BUSY_TIMEOUT_MS / 1000)) as here,
            closing(sqlite3.connect(into)) as there,
        ):
            # In one step: one snapshot, and in WAL mode no writer waits for it (SQLite,
            # "Online Backup API").
            here.backup(there)
            # One file, without a WAL beside it.
            there.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreBusy(f"The registry at {location} is held by another process.") from error
        raise StoreError(f"The registry at {location} can't be copied: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise StoreError(f"The registry at {location} can't be copied: {error}.") from error
    return content(into)


def content(path: Path) -> StoreContent:
    """Looks through a copy that nobody uses; blocks. Raises BackupDamaged when it is no whole
    registry."""
    try:
        with closing(sqlite3.connect(path)) as db:
            found = db.execute("PRAGMA integrity_check(1)").fetchone()
            if found != ("ok",):
                raise BackupDamaged(f"The registry in it is damaged ({found[0]}).")
            tables = {
                name
                for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            } - _NOT_COUNTED
            counts = {name: _number(db, f'"{name}"') for name in sorted(tables)}
            head = db.execute("SELECT seq, hash FROM audit_head").fetchone() or (0, "0" * 64)
            revision = db.execute("SELECT version_num FROM alembic_version").fetchone()
            key = db.execute("SELECT value FROM meta WHERE key = 'vault_key_id'").fetchone()
            sealed = _number(db, "devices WHERE password_sealed IS NOT NULL") > 0
            sealed = sealed or any(
                counts.get(table)
                for table in ("webhooks", "second_factors", "sweeps", "import_files")
            )
    except sqlite3.DatabaseError as error:
        raise BackupDamaged(f"What is in it is no registry ({error}).") from error
    return StoreContent(
        schema=revision[0] if revision else None,
        counts=counts,
        audit_rows=int(head[0]),
        audit_hash=str(head[1]),
        vault_key_id=key[0] if key else None,
        sealed=sealed,
    )


def _number(db: sqlite3.Connection, what: str) -> int:
    # `what` is a table's name out of the schema, or a text of ours.
    row: tuple[int] = db.execute(f"SELECT count(*) FROM {what}").fetchone()  # noqa: S608
    return row[0]
