"""Purposes that want words with them; what a ticket was asked for; exports that two people make.

A purpose's note needs no column of the audit: the row's detail has it, and the column `purpose`
repeats both for the search. Before, it repeated the code alone, and a verification says so where it
does not: so on the way down the notes are taken out of it, and on the way up put back.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

ROWS_AT_ONCE = 1_000


def upgrade() -> None:
    op.add_column(
        "purposes", sa.Column("needs_note", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.create_table(
        "ticket_purposes",
        sa.Column("ticket_id", sa.String(16), nullable=False),
        sa.Column("channel_id", sa.String(32), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("note", sa.String(160), nullable=True),
        sa.Column("expires_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("ticket_id", name="pk_ticket_purposes"),
    )
    op.create_index("ix_ticket_purposes_expires_at", "ticket_purposes", ["expires_at"])
    op.create_table(
        "export_requests",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("subject_id", sa.String(32), nullable=True),
        sa.Column("subject_name", sa.String(80), nullable=False),
        sa.Column("asked", sa.Text, nullable=False),
        sa.Column("up_to_seq", sa.BigInteger, nullable=False),
        sa.Column("format", sa.String(8), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("note", sa.String(160), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("ends_at", sa.String(32), nullable=False),
        sa.Column("decided_at", sa.String(32), nullable=True),
        sa.Column("decided_by_id", sa.String(32), nullable=True),
        sa.Column("decided_by", sa.String(80), nullable=True),
        sa.Column("reason", sa.String(500), nullable=True),
        sa.Column("fetched_at", sa.String(32), nullable=True),
        sa.Column("covers", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_export_requests"),
    )
    op.create_index("ix_export_requests_created_at_id", "export_requests", ["created_at", "id"])
    _write_purposes(with_notes=True)


def downgrade() -> None:
    _write_purposes(with_notes=False)
    op.drop_table("export_requests")
    op.drop_table("ticket_purposes")
    op.drop_column("purposes", "needs_note")


def _write_purposes(*, with_notes: bool) -> None:
    """Of the rows with a note: there are some on the way up, too, where this step was taken back
    before. What is not as it was written stays so: a verification names it."""
    connection = op.get_bind()
    audit = sa.table("audit", *(sa.column(name) for name in ("seq", "purpose", "detail")))
    write = (
        audit.update()
        .where(audit.c.seq == sa.bindparam("of_seq"))
        .values(purpose=sa.bindparam("said"))
    )
    noted = (audit.c.purpose.is_not(None), audit.c.detail.contains('"purpose_note"'))
    seq = 0
    while True:
        rows = connection.execute(
            sa.select(audit.c.seq, audit.c.purpose, audit.c.detail)
            .where(*noted, audit.c.seq > seq)
            .order_by(audit.c.seq)
            .limit(ROWS_AT_ONCE)
        ).all()
        if not rows:
            return
        seq = rows[-1].seq
        values: list[dict[str, Any]] = []
        for row in rows:
            code, both = _said(row.detail)
            before, after = (code, both) if with_notes else (both, code)
            if row.purpose == before:
                values.append({"of_seq": row.seq, "said": after})
        if values:
            connection.execute(write, values)


def _said(detail: str) -> tuple[str | None, str | None]:
    """The code, and the code with the note, as the column holds them; no text for what is none."""
    try:
        said = json.loads(detail)
        code, note = said["purpose"], said["purpose_note"]
    except (ValueError, TypeError, KeyError):
        return None, None
    if not isinstance(code, str) or not isinstance(note, str):
        return None, None
    one, both = (text.replace("\x00", "\ufffd")[:200] for text in (code, f"{code}: {note}"))
    return one, both
