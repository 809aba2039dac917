"""The newest inspection of each channel and profile, and the runs that make them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "channel_inspections",
        sa.Column("channel_id", sa.String(32), nullable=False),
        sa.Column("profile", sa.String(8), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("run_id", sa.String(32), nullable=True),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("codes", sa.Text, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("channel_id", "profile", name="pk_channel_inspections"),
        sa.ForeignKeyConstraint(
            ["channel_id"],
            ["channels.id"],
            name="fk_channel_inspections_channel_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "ix_channel_inspections_verdict_channel_id_profile",
        "channel_inspections",
        ["verdict", "channel_id", "profile"],
    )
    op.create_table(
        "inspection_pictures",
        sa.Column("channel_id", sa.String(32), nullable=False),
        sa.Column("profile", sa.String(8), nullable=False),
        sa.Column("jpeg", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("channel_id", "profile", name="pk_inspection_pictures"),
        sa.ForeignKeyConstraint(
            ["channel_id"],
            ["channels.id"],
            name="fk_inspection_pictures_channel_id",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "inspection_runs",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("subject_id", sa.String(32), nullable=True),
        sa.Column("subject_name", sa.String(80), nullable=True),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("profiles", sa.String(32), nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("counts", sa.Text, nullable=False),
        sa.Column("finished_at", sa.String(32), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_inspection_runs"),
    )
    op.create_index("ix_inspection_runs_created_at_id", "inspection_runs", ["created_at", "id"])
    op.create_table(
        "inspection_targets",
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("channel_id", sa.String(32), nullable=False),
        sa.Column("profile", sa.String(8), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_inspection_targets"),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["inspection_runs.id"],
            name="fk_inspection_targets_run_id",
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    op.drop_table("inspection_targets")
    op.drop_table("inspection_runs")
    op.drop_table("inspection_pictures")
    op.drop_table("channel_inspections")
