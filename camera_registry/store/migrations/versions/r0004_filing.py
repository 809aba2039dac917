"""Channels are drafts, reviewed or filed; what is there is filed. Rules say which area is whose."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "channels", sa.Column("filing", sa.String(16), nullable=False, server_default="filed")
    )
    op.add_column("channels", sa.Column("filing_note", sa.String(500), nullable=True))
    op.create_index("ix_channels_filing_code", "channels", ["filing", "code"])
    op.create_table(
        "assignment_rules",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("field", sa.String(64), nullable=True),
        sa.Column("text", sa.String(200), nullable=True),
        sa.Column("area_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_assignment_rules"),
        sa.ForeignKeyConstraint(
            ["area_id"], ["areas.id"], name="fk_assignment_rules_area_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_assignment_rules_area_id", "assignment_rules", ["area_id"])


def downgrade() -> None:
    op.drop_table("assignment_rules")
    op.drop_index("ix_channels_filing_code", "channels")
    op.drop_column("channels", "filing_note")
    op.drop_column("channels", "filing")
