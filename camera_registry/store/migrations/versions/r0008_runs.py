"""Which runs of three are in the search texts of which centre code."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from camera_registry.search_text import runs_of

revision = "0008"
down_revision = "0007"

ROWS_AT_ONCE = 5_000
CENTRE_CHARS = 8


def upgrade() -> None:
    runs = op.create_table(
        "channel_runs",
        sa.Column("run", sa.String(3), nullable=False),
        sa.Column("centre", sa.String(8), nullable=False),
        sa.PrimaryKeyConstraint("run", "centre", name="pk_channel_runs"),
    )
    connection = op.get_bind()
    centre, found = "", set[str]()
    after = ""
    while rows := connection.execute(
        sa.text(
            "SELECT code, text FROM channel_search WHERE code > :after ORDER BY code LIMIT :many"
        ),
        {"after": after, "many": ROWS_AT_ONCE},
    ).all():
        for row in rows:
            if row.code[:CENTRE_CHARS] != centre:
                _write(connection, runs, centre, found)
                centre, found = row.code[:CENTRE_CHARS], set()
            found |= runs_of(row.text)
        after = rows[-1].code
    _write(connection, runs, centre, found)


def _write(connection: sa.Connection, runs: sa.Table, centre: str, found: set[str]) -> None:
    if found:
        values = [{"run": run, "centre": centre} for run in sorted(found)]
        connection.execute(runs.insert(), values)


def downgrade() -> None:
    op.drop_table("channel_runs")
