"""Which memberships of roles follow an OpenID provider; those there were are by hand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column(
        "role_members",
        sa.Column("of_provider", sa.Boolean, nullable=False, server_default=sa.false()),
    )


def downgrade() -> None:
    # An older program would keep them for ever, whatever the provider says.
    members = sa.table("role_members", sa.column("of_provider", sa.Boolean))
    op.execute(members.delete().where(members.c.of_provider))
    op.drop_column("role_members", "of_provider")
    # Nor can one read what a script's sign-in is; its tokens end with it.
    sign_ins = sa.table("sign_ins", sa.column("method", sa.String))
    op.execute(sign_ins.delete().where(sign_ins.c.method == "token"))
