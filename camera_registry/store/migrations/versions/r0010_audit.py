"""The audit: what it is searched by, and the segments whose roots are signed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

ROWS_AT_ONCE = 1_000


def upgrade() -> None:
    op.add_column("audit", sa.Column("purpose", sa.String(200), nullable=True))
    op.add_column("audit", sa.Column("began_at", sa.String(32), nullable=True))
    _fill_began_at()
    op.create_index("ix_audit_area_id_seq", "audit", ["area_id", "seq"])
    given = sa.text("purpose IS NOT NULL")
    op.create_index(
        "ix_audit_seq_purpose",
        "audit",
        ["seq", "purpose"],
        sqlite_where=given,
        postgresql_where=given,
    )
    few = sa.text("outcome <> 'ok'")
    op.create_index(
        "ix_audit_outcome_seq",
        "audit",
        ["outcome", "seq"],
        sqlite_where=few,
        postgresql_where=few,
    )
    op.create_table(
        "audit_segments",
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("first_seq", sa.Integer, nullable=False),
        sa.Column("last_seq", sa.Integer, nullable=False),
        sa.Column("spans_from", sa.String(32), nullable=False),
        sa.Column("spans_to", sa.String(32), nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("last_hash", sa.String(64), nullable=False),
        sa.Column("root", sa.String(64), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("sealed_at", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("signature", sa.String(128), nullable=False),
        sa.Column("cut_at", sa.String(32), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_audit_segments"),
    )


def downgrade() -> None:
    op.drop_table("audit_segments")
    op.drop_index("ix_audit_outcome_seq", "audit")
    op.drop_index("ix_audit_seq_purpose", "audit")
    op.drop_index("ix_audit_area_id_seq", "audit")
    op.drop_column("audit", "began_at")
    op.drop_column("audit", "purpose")


def _fill_began_at() -> None:
    """Of the views that ended before there was the column; purposes there were none."""
    connection = op.get_bind()
    audit = sa.table("audit", *(sa.column(name) for name in ("seq", "act", "detail", "began_at")))
    write = (
        audit.update()
        .where(audit.c.seq == sa.bindparam("of_seq"))
        .values(began_at=sa.bindparam("began"))
    )
    seq = 0
    while True:
        rows = connection.execute(
            sa.select(audit.c.seq, audit.c.detail)
            .where(audit.c.act == "view_end", audit.c.seq > seq)
            .order_by(audit.c.seq)
            .limit(ROWS_AT_ONCE)
        ).all()
        if not rows:
            return
        seq = rows[-1].seq
        values: list[dict[str, Any]] = [
            {"of_seq": row.seq, "began": began}
            for row in rows
            if (began := _began_at(row.detail)) is not None
        ]
        if values:
            connection.execute(write, values)


def _began_at(detail: str) -> str | None:
    try:
        moment = datetime.fromisoformat(str(json.loads(detail).get("started_at")))
        return moment.astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, AttributeError, OverflowError):
        return None
