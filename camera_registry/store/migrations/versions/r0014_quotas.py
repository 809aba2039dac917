"""Quotas of areas and subjects, and of which area a subject is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "quotas",
        sa.Column("holder_id", sa.String(32), nullable=False),
        sa.Column("area_id", sa.String(32), nullable=True),
        sa.Column("subject_id", sa.String(32), nullable=True),
        sa.Column("max_views", sa.Integer, nullable=True),
        sa.Column("max_bps", sa.BigInteger, nullable=True),
        sa.Column("kept_views", sa.Integer, nullable=False),
        sa.Column("kept_bps", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("holder_id", name="pk_quotas"),
        sa.ForeignKeyConstraint(
            ["area_id"], ["areas.id"], name="fk_quotas_area_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subjects.id"], name="fk_quotas_subject_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "subject_homes",
        sa.Column("subject_id", sa.String(32), nullable=False),
        sa.Column("area_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", name="pk_subject_homes"),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subjects.id"], name="fk_subject_homes_subject_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["area_id"], ["areas.id"], name="fk_subject_homes_area_id"),
    )
    for table, column in (
        ("quotas", "area_id"),
        ("quotas", "subject_id"),
        ("subject_homes", "area_id"),
    ):
        op.create_index(f"ix_{table}_{column}", table, [column])


def downgrade() -> None:
    op.drop_table("subject_homes")
    op.drop_table("quotas")
    op.execute("DELETE FROM changes WHERE kind = 'quota'")
