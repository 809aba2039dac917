"""The tables as the newest migration leaves them. A change here needs a migration beside it;
a test compares the two.

Times are text, RFC 3339 in UTC with microseconds: they sort as they read, and print as they are
hashed. Booleans are 0 and 1.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

from ..errors import ValidationFailed

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def time_text(moment: datetime) -> str:
    """UTC, always with six decimals: ``2026-11-24T03:43:34.000000+00:00``."""
    if moment.tzinfo is None:
        raise ValueError("a time without offset cannot be stored")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def cursor_time(text: str) -> datetime:
    """The time inside a cursor. Raises ValidationFailed for a forged one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise ValidationFailed(
            "cursor", "bad_cursor", "The cursor is not one that a list gave; begin without it."
        )
    return moment


class UtcTime(TypeDecorator[datetime]):
    """datetime <-> the text of `time_text`."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        return None if value is None else time_text(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


meta = Table(
    "meta",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

areas = Table(
    "areas",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("parent_id", ForeignKey("areas.id"), nullable=True, index=True),
    Column("kind", String(16), nullable=False),
    Column("code", String(20), nullable=False),
    Column("name", String(80), nullable=False),
    Column("boundary", Text, nullable=True),  # JSON [[lon, lat], …]
    Column("schematic", Boolean, nullable=False),
    UniqueConstraint("code"),
)

devices = Table(
    "devices",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("host", String(253), nullable=False),
    Column("port", Integer, nullable=False),
    Column("username", String(256), nullable=True),
    Column("password_sealed", LargeBinary, nullable=True),  # see vault.py
    Column("max_dials", Integer, nullable=False),
    Index(None, "name", "id"),
    Index(None, "host", "port"),
)

channels = Table(
    "channels",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("device_id", ForeignKey("devices.id"), nullable=False, index=True),
    Column("area_id", ForeignKey("areas.id"), nullable=False, index=True),
    Column("code", String(20), nullable=False),
    Column("name", String(80), nullable=False),
    Column("device_class", String(16), nullable=False),
    Column("main_url", String(1024), nullable=False),
    Column("sub_url", String(1024), nullable=True),
    Column("lon", Float, nullable=True),
    Column("lat", Float, nullable=True),
    Column("enabled", Boolean, nullable=False),
    UniqueConstraint("code"),
)

subjects = Table(
    "subjects",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("username", String(32), nullable=False),
    Column("display_name", String(80), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("password_hash", String(256), nullable=True),  # argon2, encoded form
    UniqueConstraint("username"),
)

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("id_hash", String(64), primary_key=True),  # SHA-256 of the cookie's id
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False, index=True),
    Column("remote", String(64), nullable=True),
)

grants = Table(
    "grants",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("actions", String(128), nullable=False),  # sorted, joined by commas
    Column("area_id", ForeignKey("areas.id"), nullable=True, index=True),
    Column("channel_id", ForeignKey("channels.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("valid_from", UtcTime, nullable=False),
    Column("valid_until", UtcTime, nullable=True),
    Column("created_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime, nullable=True),
    Index(None, "created_at", "id"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("subject_id", String(32), nullable=True),  # no foreign key: rows outlive subjects
    Column("subject_name", String(80), nullable=True),
    Column("as_role", String(64), nullable=True),
    Column("remote", String(64), nullable=True),
    Column("act", String(64), nullable=False),
    Column("channel_id", String(32), nullable=True),
    Column("area_id", String(32), nullable=True),
    Column("outcome", String(16), nullable=False),
    Column("detail", Text, nullable=False),  # canonical JSON, as hashed
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index(None, "subject_id", "seq"),
    Index(None, "channel_id", "seq"),
    Index(None, "act", "seq"),
)

# One row: where the chain ends, so that rows cut off its end are missed.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
)

changes = Table(
    "changes",
    metadata,
    # AUTOINCREMENT: a seq is never used again, even after rows were removed.
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("object_id", String(64), nullable=False),
    Column("op", String(16), nullable=False),
    sqlite_autoincrement=True,
)
