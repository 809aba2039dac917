"""Loans: who asked for which camera, and what was answered; what is lent is a grant."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("grants", sa.Column("lent_by", sa.String(80), nullable=True))
    op.create_table(
        "loans",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("subject_id", sa.String(32), nullable=False),
        sa.Column("asked", sa.String(32), nullable=False),
        sa.Column("actions", sa.String(128), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("minutes", sa.Integer, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("lapses_at", sa.String(32), nullable=False),
        sa.Column("withdrawn_at", sa.String(32), nullable=True),
        sa.Column("answered_at", sa.String(32), nullable=True),
        sa.Column("answered_by", sa.String(80), nullable=True),
        sa.Column("refusal", sa.String(500), nullable=True),
        sa.Column("grant_id", sa.String(32), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_loans"),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subjects.id"], name="fk_loans_subject_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["grants.id"], name="fk_loans_grant_id", ondelete="SET NULL"
        ),
    )
    for columns in (["subject_id", "created_at", "id"], ["created_at", "id"], ["grant_id"]):
        op.create_index(f"ix_loans_{'_'.join(columns)}", "loans", columns)


def downgrade() -> None:
    # What is lent stays a grant, and ends at its time.
    op.drop_table("loans")
    op.drop_column("grants", "lent_by")
