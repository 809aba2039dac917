"""A file that is refused as a whole has the code of it beside the sentence."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("import_jobs", sa.Column("code", sa.String(40), nullable=True))


def downgrade() -> None:
    op.drop_column("import_jobs", "code")
