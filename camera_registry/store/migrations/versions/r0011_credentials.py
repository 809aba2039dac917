"""Sign-ins with a name and an absolute end, API keys, second factors, identities."""

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
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("subject_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("actions", sa.String(128), nullable=True),
        sa.Column("area_ids", sa.Text, nullable=True),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.String(32), nullable=False),
        sa.Column("used_at", sa.String(32), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subjects.id"], name="fk_api_keys_subject_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_api_keys_subject_id", "api_keys", ["subject_id"])
    for name in ("second_factor_required", "has_second_factor", "must_change_password"):
        op.add_column(
            "subjects", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())
        )
    op.create_table(
        "second_factors",
        sa.Column("subject_id", sa.String(32), nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary, nullable=False),
        sa.Column("confirmed", sa.Boolean, nullable=False),
        sa.Column("last_step", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("subject_id", name="pk_second_factors"),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["subjects.id"],
            name="fk_second_factors_subject_id",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("subject_id", sa.String(32), nullable=False),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "code_hash", name="pk_recovery_codes"),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["subjects.id"],
            name="fk_recovery_codes_subject_id",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "identities",
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("sub", sa.String(255), nullable=False),
        sa.Column("subject_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "sub", name="pk_identities"),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subjects.id"], name="fk_identities_subject_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_identities_subject_id", "identities", ["subject_id"])
    op.create_table(
        "provider_grants",
        sa.Column("grant_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("grant_id", name="pk_provider_grants"),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["grants.id"], name="fk_provider_grants_grant_id", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    op.drop_table("provider_grants")
    op.drop_table("identities")
    op.drop_table("recovery_codes")
    op.drop_table("second_factors")
    for name in ("must_change_password", "has_second_factor", "second_factor_required"):
        op.drop_column("subjects", name)
    op.drop_table("api_keys")
    # An older program does not know the kind.
    op.execute("DELETE FROM changes WHERE kind = 'api_key'")
    op.drop_index("ix_sign_ins_id", "sign_ins")
    for column in ("method", "agent", "ends_at", "id"):
        op.drop_column("sign_ins", column)
