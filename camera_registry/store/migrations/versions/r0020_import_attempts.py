"""A check of an import is numbered, and says until when it is under way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column(
        "import_jobs", sa.Column("attempt", sa.Integer, nullable=False, server_default="0")
    )
    op.add_column("import_jobs", sa.Column("held_until", sa.String(32), nullable=True))


def downgrade() -> None:
    op.drop_column("import_jobs", "held_until")
    op.drop_column("import_jobs", "attempt")
