"""Who may know what an account comes with that programs use; of those there were, by the log."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

ROWS_AT_ONCE = 1_000


def upgrade() -> None:
    op.create_table(
        "keepers",
        sa.Column("subject_id", sa.String(32), nullable=False),
        sa.Column("person", sa.String(80), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "person", name="pk_keepers"),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subjects.id"], name="fk_keepers_subject_id", ondelete="CASCADE"
        ),
    )
    _fill()


def downgrade() -> None:
    op.drop_table("keepers")


def _fill() -> None:
    """Rows that were cut are not there to tell."""
    connection = op.get_bind()
    subjects = sa.table("subjects", *(sa.column(name) for name in ("id", "username", "kind")))
    audit = sa.table(
        "audit",
        *(sa.column(name) for name in ("seq", "act", "subject_id", "subject_name", "detail")),
    )
    keepers = sa.table("keepers", sa.column("subject_id"), sa.column("person"))
    rows = connection.execute(sa.select(subjects)).all()
    by_name = {row.username: row.id for row in rows}
    services = {row.id for row in rows if row.kind == "service"}
    known: set[tuple[str, str]] = set()
    seq = 0
    acts = ("subject_create", "subject_password", "key_create")
    while True:
        part = connection.execute(
            sa.select(audit)
            .where(audit.c.act.in_(acts), audit.c.seq > seq)
            .order_by(audit.c.seq)
            .limit(ROWS_AT_ONCE)
        ).all()
        if not part:
            break
        seq = part[-1].seq
        for row in part:
            told, person = _told(row.detail), row.subject_id or row.subject_name
            if row.act == "key_create":
                kept = by_name.get(str(told.get("of")))
            else:
                kept = str(told.get("id"))
                kept = kept if kept in services else None
            if kept is not None and person is not None and person != kept:
                known.add((kept, person))
    if known:
        values = [{"subject_id": kept, "person": person} for kept, person in sorted(known)]
        connection.execute(keepers.insert(), values)


def _told(detail: str) -> dict[str, Any]:
    try:
        told = json.loads(detail)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
