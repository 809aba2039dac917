"""Which passwords a host has refused: not to be tried on it again after a restart either."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "device_tries",
        sa.Column("host", sa.String(253), nullable=False),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("changed_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("host", name="pk_device_tries"),
    )


def downgrade() -> None:
    op.drop_table("device_tries")
