"""Alembic, run from code inside one transaction of the writer: all steps or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect, text

from ..errors import SchemaMissing, SchemaTooNew

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0020"  # a test holds it to the newest file in migrations/versions

__all__ = [
    "HEAD",
    "Connection",
    "current_revision",
    "downgrade",
    "known_revisions",
    "require_current",
    "upgrade",
]


def current_revision(connection: Connection) -> str | None:
    """The schema revision of the file, None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def upgrade(connection: Connection, where: str) -> None:
    """Raises SchemaTooNew for a revision that this program does not know."""
    current = current_revision(connection)
    if current == HEAD:
        return  # the common start: Alembic is not even imported
    from alembic import command

    _require_known(current, where)
    command.upgrade(_config(connection), HEAD)


def downgrade(connection: Connection, where: str, revision: str) -> None:
    from alembic import command

    _require_known(current_revision(connection), where)
    command.downgrade(_config(connection), revision)


def require_current(current: str | None, where: str) -> None:
    """Raises SchemaMissing for an older schema, SchemaTooNew for an unknown one."""
    if current == HEAD:
        return
    _require_known(current, where)
    raise SchemaMissing(
        f"The registry at {where} has schema {current or 'none'}, this program needs {HEAD}. "
        "Start the service once: it brings the schema up."
    )


def known_revisions() -> frozenset[str]:
    """Every schema revision that this program can bring up to its own."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config(None)).walk_revisions()
    return frozenset(script.revision for script in scripts)


def _require_known(current: str | None, where: str) -> None:
    if current is None:
        return
    if current not in known_revisions():
        raise SchemaTooNew(
            f"The registry at {where} has schema {current}; this program knows up to {HEAD}. "
            "It was written by a newer StreamHub: update this one, or restore the backup "
            "from before."
        )


def _config(connection: Connection | None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "camera_registry.store:migrations")
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config
