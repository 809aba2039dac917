"""Channels are found by a search text that is kept beside them, under an index of both stores."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from camera_registry.domain import Channel, DeviceClass
from camera_registry.search_text import search_text

revision = "0007"
down_revision = "0006"

ROWS_AT_ONCE = 1_000

_SQLITE = (
    # Only which runs of three are in which row: where in it, the text itself says.
    """CREATE VIRTUAL TABLE channel_grams USING fts5(
        text, content='channel_search', content_rowid='n',
        tokenize='trigram case_sensitive 1', detail='none', columnsize=0)""",
    """CREATE TRIGGER channel_search_added AFTER INSERT ON channel_search BEGIN
        INSERT INTO channel_grams (rowid, text) VALUES (new.n, new.text);
    END""",
    """CREATE TRIGGER channel_search_gone AFTER DELETE ON channel_search BEGIN
        INSERT INTO channel_grams (channel_grams, rowid, text)
        VALUES ('delete', old.n, old.text);
    END""",
    """CREATE TRIGGER channel_search_changed AFTER UPDATE OF text ON channel_search
    WHEN old.text <> new.text BEGIN
        INSERT INTO channel_grams (channel_grams, rowid, text)
        VALUES ('delete', old.n, old.text);
        INSERT INTO channel_grams (rowid, text) VALUES (new.n, new.text);
    END""",
)
_POSTGRESQL = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX ix_channel_search_text ON channel_search USING gin (text gin_trgm_ops)",
)


def upgrade() -> None:
    search = op.create_table(
        "channel_search",
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("channel_id", sa.String(32), nullable=False),
        sa.Column("code", sa.String(20), nullable=False),
        sa.Column("area_id", sa.String(32), nullable=False),
        sa.Column("device_class", sa.String(16), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("filing", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["channel_id"],
            ["channels.id"],
            name="fk_channel_search_channel_id",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("channel_id", name="uq_channel_search_channel_id"),
        sa.UniqueConstraint("code", name="uq_channel_search_code"),
    )
    for columns in (
        ["area_id", "code"],
        ["area_id", "device_class", "code"],
        ["device_class", "code"],
    ):
        op.create_index(f"ix_channel_search_{'_'.join(columns)}", "channel_search", columns)
    connection = op.get_bind()
    sqlite = connection.dialect.name == "sqlite"
    for statement in _SQLITE if sqlite else ():
        op.execute(statement)
    _fill(connection, search)
    for statement in () if sqlite else _POSTGRESQL:  # filled first: half the time
        op.execute(statement)


def _fill(connection: sa.Connection, search: sa.Table) -> None:
    after = ""
    while True:
        rows = connection.execute(
            sa.text(
                "SELECT id, code, name, area_id, device_class, enabled, filing, facts FROM channels"
                " WHERE code > :after ORDER BY code LIMIT :many"
            ),
            {"after": after, "many": ROWS_AT_ONCE},
        ).all()
        if not rows:
            return
        connection.execute(search.insert(), [_values(row) for row in rows])
        after = rows[-1].code


def _values(row: sa.Row[Any]) -> dict[str, Any]:
    channel = Channel(
        row.id,
        "",
        row.area_id,
        row.code,
        row.name,
        DeviceClass(row.device_class),
        "",
        None,
        facts=json.loads(row.facts),
    )
    return {
        "channel_id": row.id,
        "code": row.code,
        "area_id": row.area_id,
        "device_class": row.device_class,
        "enabled": bool(row.enabled),
        "filing": row.filing,
        "text": search_text(channel),
    }


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE channel_grams")
    op.drop_table("channel_search")  # the extension stays: others may use it
