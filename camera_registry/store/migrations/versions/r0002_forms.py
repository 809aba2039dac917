"""Channels gain the facts of the archive forms; every change a version; imports are jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("channels", sa.Column("facts", sa.Text, nullable=False, server_default="{}"))
    op.add_column("channels", sa.Column("mac", sa.String(17), nullable=True))
    op.create_index("ix_channels_mac", "channels", ["mac"])
    op.create_index("ix_channels_main_url", "channels", ["main_url"])
    op.create_table(
        "channel_versions",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("channel_id", sa.String(32), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("subject_id", sa.String(32), nullable=True),
        sa.Column("subject_name", sa.String(80), nullable=True),
        sa.Column("act", sa.String(32), nullable=False),
        sa.Column("job_id", sa.String(32), nullable=True),
        sa.Column("before", sa.Text, nullable=True),
        sa.Column("after", sa.Text, nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_channel_versions_channel_id_seq", "channel_versions", ["channel_id", "seq"])
    op.create_index("ix_channel_versions_job_id", "channel_versions", ["job_id"])
    op.create_table(
        "import_jobs",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("subject_id", sa.String(32), nullable=True),
        sa.Column("subject_name", sa.String(80), nullable=True),
        sa.Column("file_name", sa.String(200), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("rows_done", sa.Integer, nullable=False),
        sa.Column("counts", sa.Text, nullable=False),
        sa.Column("base_seq", sa.Integer, nullable=True),
        sa.Column("sentence", sa.Text, nullable=True),
        sa.Column("finished_at", sa.String(32), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_import_jobs"),
    )
    op.create_index("ix_import_jobs_created_at_id", "import_jobs", ["created_at", "id"])
    op.create_table(
        "import_files",
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_import_files"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["import_jobs.id"], name="fk_import_files_job_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "import_rows",
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=True),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_import_rows"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["import_jobs.id"], name="fk_import_rows_job_id", ondelete="CASCADE"
        ),
    )
    op.create_index(
        "ix_import_rows_job_id_verdict_number", "import_rows", ["job_id", "verdict", "number"]
    )


def downgrade() -> None:
    op.drop_table("import_rows")
    op.drop_table("import_files")
    op.drop_table("import_jobs")
    op.drop_table("channel_versions")
    op.drop_index("ix_channels_main_url", "channels")
    op.drop_index("ix_channels_mac", "channels")
    op.drop_column("channels", "mac")
    op.drop_column("channels", "facts")
