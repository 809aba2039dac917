"""Purposes that want words with them; what a ticket was asked for; exports that two people make.

A purpose's note needs no column of the audit: the row's detail has it, and the column `purpose`
repeats both for the search.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


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


def downgrade() -> None:
    op.drop_table("export_requests")
    op.drop_table("ticket_purposes")
    op.drop_column("purposes", "needs_note")
