"""Roles, purposes; grants that deny, go to a role, follow a rule, keep hours or ask for a purpose.

`export` is a right of its own from here on: whoever manages could export before, and still can.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

NEW_ACTIONS = frozenset({"export", "playback", "ptz", "talk"})
# What a district begins with; it keeps its own from then on.
PURPOSES = (
    ("duty", "日常值守巡查", "Routine duty"),
    ("incident", "接处警与应急处置", "Response to an incident"),
    ("inquiry", "案件事件调查", "Inquiry into a case"),
    ("maintenance", "设备维护", "Maintenance of the camera"),
)


def upgrade() -> None:
    op.create_table(
        "roles",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("display_name", sa.String(80), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_roles"),
        sa.UniqueConstraint("name", name="uq_roles_name"),
    )
    op.create_table(
        "role_members",
        sa.Column("role_id", sa.String(32), nullable=False),
        sa.Column("subject_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("role_id", "subject_id", name="pk_role_members"),
        sa.ForeignKeyConstraint(
            ["role_id"], ["roles.id"], name="fk_role_members_role_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subjects.id"], name="fk_role_members_subject_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_role_members_subject_id", "role_members", ["subject_id"])
    purposes = op.create_table(
        "purposes",
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("zh", sa.String(80), nullable=False),
        sa.Column("en", sa.String(80), nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_purposes"),
    )
    op.bulk_insert(purposes, [{"code": c, "zh": zh, "en": en} for c, zh, en in PURPOSES])
    op.add_column(
        "channels", sa.Column("sensitive", sa.Boolean, nullable=False, server_default=sa.false())
    )
    with op.batch_alter_table("grants") as grants:
        grants.alter_column("subject_id", existing_type=sa.String(32), nullable=True)
        grants.add_column(sa.Column("role_id", sa.String(32), nullable=True))
        grants.add_column(sa.Column("effect", sa.String(8), nullable=False, server_default="allow"))
        grants.add_column(sa.Column("conditions", sa.Text, nullable=False, server_default="[]"))
        grants.add_column(sa.Column("windows", sa.Text, nullable=False, server_default="[]"))
        grants.add_column(
            sa.Column("purpose_required", sa.Boolean, nullable=False, server_default=sa.false())
        )
        grants.create_foreign_key(
            "fk_grants_role_id", "roles", ["role_id"], ["id"], ondelete="CASCADE"
        )
    op.create_index("ix_grants_role_id", "grants", ["role_id"])
    _change_actions(lambda held: held | {"export"} if "manage" in held else held)


def downgrade() -> None:
    connection = op.get_bind()
    denies = connection.execute(
        sa.text("SELECT count(*) FROM grants WHERE effect = 'deny' AND revoked_at IS NULL")
    ).scalar()
    if denies:
        raise RuntimeError(
            f"{denies} grants deny something, which an older program does not know: what they "
            "deny would be allowed. Revoke them first."
        )
    # What an older program would take for more than it is.
    op.execute(
        "DELETE FROM grants WHERE effect = 'deny' OR role_id IS NOT NULL OR conditions <> '[]'"
        " OR windows <> '[]' OR purpose_required"
    )
    _change_actions(lambda held: held - NEW_ACTIONS)
    op.execute("DELETE FROM grants WHERE actions = ''")
    op.drop_index("ix_grants_role_id", "grants")
    with op.batch_alter_table("grants") as grants:
        grants.drop_constraint("fk_grants_role_id", type_="foreignkey")
        for name in ("role_id", "effect", "conditions", "windows", "purpose_required"):
            grants.drop_column(name)
        grants.alter_column("subject_id", existing_type=sa.String(32), nullable=False)
    op.drop_column("channels", "sensitive")
    op.drop_table("purposes")
    op.drop_table("role_members")
    op.drop_table("roles")
    op.execute("DELETE FROM changes WHERE kind IN ('role', 'purpose')")


def _change_actions(change: Callable[[frozenset[str]], frozenset[str]]) -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.text("SELECT id, actions FROM grants")).all():
        actions = ",".join(sorted(change(frozenset(row.actions.split(",")))))
        if actions != row.actions:
            connection.execute(
                sa.text("UPDATE grants SET actions = :actions WHERE id = :id"),
                {"actions": actions, "id": row.id},
            )
