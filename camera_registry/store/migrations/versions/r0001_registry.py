"""The registry as it begins: areas, devices, channels, subjects, sign-ins, grants, audit, feed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_meta"),
    )
    op.create_table(
        "areas",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("parent_id", sa.String(32), nullable=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("code", sa.String(20), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("boundary", sa.Text, nullable=True),
        sa.Column("schematic", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_areas"),
        sa.ForeignKeyConstraint(["parent_id"], ["areas.id"], name="fk_areas_parent_id"),
        sa.UniqueConstraint("code", name="uq_areas_code"),
    )
    op.create_index("ix_areas_parent_id", "areas", ["parent_id"])
    op.create_table(
        "devices",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("host", sa.String(253), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("username", sa.String(256), nullable=True),
        sa.Column("password_sealed", sa.LargeBinary, nullable=True),
        sa.Column("max_dials", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
    )
    op.create_index("ix_devices_name_id", "devices", ["name", "id"])
    op.create_index("ix_devices_host_port", "devices", ["host", "port"])
    op.create_table(
        "channels",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("device_id", sa.String(32), nullable=False),
        sa.Column("area_id", sa.String(32), nullable=False),
        sa.Column("code", sa.String(20), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("device_class", sa.String(16), nullable=False),
        sa.Column("main_url", sa.String(1024), nullable=False),
        sa.Column("sub_url", sa.String(1024), nullable=True),
        sa.Column("lon", sa.Float, nullable=True),
        sa.Column("lat", sa.Float, nullable=True),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_channels"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_channels_device_id"),
        sa.ForeignKeyConstraint(["area_id"], ["areas.id"], name="fk_channels_area_id"),
        sa.UniqueConstraint("code", name="uq_channels_code"),
    )
    op.create_index("ix_channels_device_id", "channels", ["device_id"])
    op.create_index("ix_channels_area_id", "channels", ["area_id"])
    _create_people()
    _create_records()


def _create_people() -> None:
    op.create_table(
        "subjects",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("username", sa.String(32), nullable=False),
        sa.Column("display_name", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("password_hash", sa.String(256), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_subjects"),
        sa.UniqueConstraint("username", name="uq_subjects_username"),
    )
    op.create_table(
        "sign_ins",
        sa.Column("id_hash", sa.String(64), nullable=False),
        sa.Column("subject_id", sa.String(32), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.String(32), nullable=False),
        sa.Column("remote", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id_hash", name="pk_sign_ins"),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subjects.id"], name="fk_sign_ins_subject_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_sign_ins_subject_id", "sign_ins", ["subject_id"])
    op.create_index("ix_sign_ins_expires_at", "sign_ins", ["expires_at"])
    op.create_table(
        "grants",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("subject_id", sa.String(32), nullable=False),
        sa.Column("actions", sa.String(128), nullable=False),
        sa.Column("area_id", sa.String(32), nullable=True),
        sa.Column("channel_id", sa.String(32), nullable=True),
        sa.Column("valid_from", sa.String(32), nullable=False),
        sa.Column("valid_until", sa.String(32), nullable=True),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("revoked_at", sa.String(32), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_grants"),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subjects.id"], name="fk_grants_subject_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["area_id"], ["areas.id"], name="fk_grants_area_id"),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channels.id"], name="fk_grants_channel_id", ondelete="CASCADE"
        ),
    )
    for column in ("subject_id", "area_id", "channel_id"):
        op.create_index(f"ix_grants_{column}", "grants", [column])
    op.create_index("ix_grants_created_at_id", "grants", ["created_at", "id"])


def _create_records() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("subject_id", sa.String(32), nullable=True),
        sa.Column("subject_name", sa.String(80), nullable=True),
        sa.Column("as_role", sa.String(64), nullable=True),
        sa.Column("remote", sa.String(64), nullable=True),
        sa.Column("act", sa.String(64), nullable=False),
        sa.Column("channel_id", sa.String(32), nullable=True),
        sa.Column("area_id", sa.String(32), nullable=True),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    for column in ("subject_id", "channel_id", "act"):
        op.create_index(f"ix_audit_{column}_seq", "audit", [column, "seq"])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )
    op.create_table(
        "changes",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("object_id", sa.String(64), nullable=False),
        sa.Column("op", sa.String(16), nullable=False),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    for table in (
        "changes",
        "audit_head",
        "audit",
        "grants",
        "sign_ins",
        "subjects",
        "channels",
        "devices",
        "areas",
        "meta",
    ):
        op.drop_table(table)
