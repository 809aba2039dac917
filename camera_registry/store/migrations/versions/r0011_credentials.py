"""Sign-ins have a name to list and end them by, and an absolute end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    for column in (
        sa.Column("id", sa.String(32), nullable=False, server_default=""),
        sa.Column("ends_at", sa.String(32), nullable=False, server_default=""),
        sa.Column("agent", sa.String(200), nullable=True),
        sa.Column("method", sa.String(16), nullable=False, server_default="password"),
    ):
        op.add_column("sign_ins", column)
    # Those of before are renewed no more: each ends within its 12 hours.
    op.execute("UPDATE sign_ins SET id = 'si_' || substr(id_hash, 1, 20), ends_at = expires_at")
    op.create_index("ix_sign_ins_id", "sign_ins", ["id"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_sign_ins_id", "sign_ins")
    for column in ("method", "agent", "ends_at", "id"):
        op.drop_column("sign_ins", column)
