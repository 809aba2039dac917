"""The tables as the newest migration leaves them. A change here needs a migration beside it;
a test compares the two.

Times are text, RFC 3339 in UTC with microseconds: they sort as they read, and print as they are
hashed. Booleans are 0 and 1 in SQLite.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
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
    false,
    text,
)
from sqlalchemy.types import TypeDecorator

from ..errors import ValidationFailed

NOT_OK = "outcome <> 'ok'"  # few rows of the audit


def _only(condition: str) -> dict[str, Any]:
    """Of an index: the rows that it has."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


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


def fitting(column: Column[Any], text: str | None) -> str | None:
    """What every database keeps of a text from outside: PostgreSQL knows no NUL, and takes a
    column's width at its word.
    """
    width: int | None = getattr(column.type, "length", None)
    return None if text is None else text.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:width]


def cursor_time(text: str) -> datetime:
    """The time inside a cursor. Raises ValidationFailed for a forged one."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):  # at the ends of the calendar there is no UTC of it
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
    Column("listen_to_events", Boolean, nullable=False, server_default=false()),
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
    Column("facts", Text, nullable=False, server_default="{}"),  # JSON: what the forms ask besides
    Column("mac", String(17), nullable=True, index=True),  # of facts, to find the same one twice
    Column("filing", String(16), nullable=False, server_default="filed"),
    Column("filing_note", String(500), nullable=True),  # why it was sent back
    Column("sensitive", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("code"),
    Index(None, "main_url"),
    Index(None, "filing", "code"),  # the few that wait for a review, among 100,000
)

# Which channels belong in which area: asked in order of priority, the first that fits says it.
assignment_rules = Table(
    "assignment_rules",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("priority", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("field", String(64), nullable=True),
    Column("text", String(200), nullable=True),
    Column("area_id", ForeignKey("areas.id", ondelete="CASCADE"), nullable=False, index=True),
)

# What channels are listed and found by, narrow, so that thousands of rows are read in milliseconds;
# `text` is search_text.py's. Its index of runs of three characters is made by a migration: the
# table channel_grams on SQLite, kept by triggers; ix_channel_search_text on PostgreSQL.
channel_search = Table(
    "channel_search",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("channel_id", ForeignKey("channels.id", ondelete="CASCADE"), nullable=False),
    Column("code", String(20), nullable=False),
    Column("area_id", String(32), nullable=False),
    Column("device_class", String(16), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("filing", String(16), nullable=False),
    Column("text", Text, nullable=False),
    UniqueConstraint("channel_id"),
    UniqueConstraint("code"),
    Index(None, "area_id", "code"),
    Index(None, "area_id", "device_class", "code"),
    Index(None, "device_class", "code"),
)

# Runs of three characters that are, or once were, in a text of a centre code: repos_runs.py.
channel_runs = Table(
    "channel_runs",
    metadata,
    Column("run", String(3), primary_key=True),
    Column("centre", String(8), primary_key=True),
)

# Every change to a channel: who, when, what it was and is. Rows outlive the channel.
channel_versions = Table(
    "channel_versions",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("channel_id", String(32), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("subject_id", String(32), nullable=True),
    Column("subject_name", String(80), nullable=True),
    Column("act", String(32), nullable=False),
    Column("job_id", String(32), nullable=True, index=True),
    Column("before", Text, nullable=True),  # JSON; null: it was not there
    Column("after", Text, nullable=True),
    Index(None, "channel_id", "seq"),
    sqlite_autoincrement=True,
)

import_jobs = Table(
    "import_jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created_at", UtcTime, nullable=False),
    Column("subject_id", String(32), nullable=True),
    Column("subject_name", String(80), nullable=True),
    Column("file_name", String(200), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("options", Text, nullable=False),  # JSON
    Column("state", String(16), nullable=False),
    Column("rows_done", Integer, nullable=False),
    Column("counts", Text, nullable=False),  # JSON
    Column("base_seq", Integer, nullable=True),  # the changes seq that the plan was made at
    Column("sentence", Text, nullable=True),  # why it went no further
    Column("finished_at", UtcTime, nullable=True),
    Column("code", String(40), nullable=True),  # of the sentence
    Column("attempt", Integer, nullable=False),  # the newest check that was begun
    Column("held_until", UtcTime, nullable=True),  # until then it is under way
    Index(None, "created_at", "id"),
)

# The file as it was sent, sealed (it may hold passwords); gone when its job is over for long.
import_files = Table(
    "import_files",
    metadata,
    Column("job_id", ForeignKey("import_jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

# What the plan says of each row of the file.
import_rows = Table(
    "import_rows",
    metadata,
    Column("job_id", ForeignKey("import_jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("verdict", String(16), nullable=False),
    Column("payload", Text, nullable=False),  # JSON
    Column("sealed", LargeBinary, nullable=True),  # the device's password, see vault.py
    Index(None, "job_id", "verdict", "number"),
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created_at", UtcTime, nullable=False),
    Column("subject_id", String(32), nullable=True),
    Column("subject_name", String(80), nullable=True),
    Column("options", Text, nullable=False),  # JSON
    Column("sealed", LargeBinary, nullable=True),  # the credential sets that it tries
    Column("state", String(16), nullable=False),
    Column("progress", Text, nullable=False),  # JSON
    Column("finished_at", UtcTime, nullable=True),
    Index(None, "created_at", "id"),
)

sweep_devices = Table(
    "sweep_devices",
    metadata,
    Column("sweep_id", ForeignKey("sweeps.id", ondelete="CASCADE"), primary_key=True),
    Column("host", String(253), primary_key=True),
    Column("port", Integer, primary_key=True, autoincrement=False),
    Column("payload", Text, nullable=False),  # JSON
)

# Which passwords a host has refused, by keyed hashes: they are not tried on it again.
device_tries = Table(
    "device_tries",
    metadata,
    Column("host", String(253), primary_key=True),
    Column("told", Text, nullable=False),  # JSON
    Column("changed_at", UtcTime, nullable=False),
)

# The newest inspection of each channel at each profile.
channel_inspections = Table(
    "channel_inspections",
    metadata,
    Column("channel_id", ForeignKey("channels.id", ondelete="CASCADE"), primary_key=True),
    Column("profile", String(8), primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("run_id", String(32), nullable=True),  # no foreign key: cards outlive their runs
    Column("verdict", String(16), nullable=False),
    Column("codes", Text, nullable=False),  # JSON
    Column("facts", Text, nullable=False),  # JSON
    Index(None, "verdict", "channel_id", "profile"),
)

# Apart from the cards: lists are read without them.
inspection_pictures = Table(
    "inspection_pictures",
    metadata,
    Column("channel_id", ForeignKey("channels.id", ondelete="CASCADE"), primary_key=True),
    Column("profile", String(8), primary_key=True),
    Column("jpeg", LargeBinary, nullable=False),
)

inspection_runs = Table(
    "inspection_runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created_at", UtcTime, nullable=False),
    Column("subject_id", String(32), nullable=True),
    Column("subject_name", String(80), nullable=True),
    Column("scope", Text, nullable=False),  # JSON
    Column("profiles", String(32), nullable=False),  # joined by commas
    Column("total", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("counts", Text, nullable=False),  # JSON
    Column("finished_at", UtcTime, nullable=True),
    Index(None, "created_at", "id"),
)

# What is left to do of a run; a row goes with its result.
inspection_targets = Table(
    "inspection_targets",
    metadata,
    Column("run_id", ForeignKey("inspection_runs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("channel_id", String(32), nullable=False),
    Column("profile", String(8), nullable=False),
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
    Column("second_factor_required", Boolean, nullable=False),
    Column("has_second_factor", Boolean, nullable=False),
    Column("must_change_password", Boolean, nullable=False),
    UniqueConstraint("username"),
)

identities = Table(
    "identities",  # who a subject is at an OpenID provider
    metadata,
    Column("issuer", String(255), primary_key=True),
    Column("sub", String(255), primary_key=True),
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), nullable=False, index=True),
)

second_factors = Table(
    "second_factors",
    metadata,
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), primary_key=True),
    Column("secret_sealed", LargeBinary, nullable=False),  # see vault.py
    Column("confirmed", Boolean, nullable=False),
    Column("last_step", Integer, nullable=False),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), primary_key=True),
    Column("code_hash", String(64), primary_key=True),  # see streamhub.access.second_factor
)

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("id_hash", String(64), primary_key=True),  # see credentials.py
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False, index=True),
    Column("remote", String(64), nullable=True),
    Column("id", String(32), nullable=False),
    Column("ends_at", UtcTime, nullable=False),
    Column("agent", String(200), nullable=True),
    Column("method", String(16), nullable=False),
    Index(None, "id", unique=True),
)

roles = Table(
    "roles",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(32), nullable=False),
    Column("display_name", String(80), nullable=False),
    UniqueConstraint("name"),
)

role_members = Table(
    "role_members",
    metadata,
    Column("role_id", ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), primary_key=True, index=True
    ),
    # It follows what a provider says at each sign-in; else it was put in by hand.
    Column("of_provider", Boolean, nullable=False, server_default=false()),
)

purposes = Table(
    "purposes",
    metadata,
    Column("code", String(32), primary_key=True),
    Column("zh", String(80), nullable=False),
    Column("en", String(80), nullable=False),
    Column("needs_note", Boolean, nullable=False, server_default=false()),
)

# What a ticket for the RTSP door was asked for, where that was said; gone with the ticket.
ticket_purposes = Table(
    "ticket_purposes",
    metadata,
    Column("ticket_id", String(16), primary_key=True),
    Column("channel_id", String(32), nullable=False),  # no foreign key: channels go
    Column("purpose", String(32), nullable=False),
    Column("note", String(160), nullable=True),
    Column("expires_at", UtcTime, nullable=False, index=True),
)

export_requests = Table(
    "export_requests",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created_at", UtcTime, nullable=False),
    Column("subject_id", String(32), nullable=True),  # no foreign key: they outlive subjects
    Column("subject_name", String(80), nullable=False),
    Column("asked", Text, nullable=False),  # JSON: the filter
    Column("up_to_seq", BigInteger, nullable=False),  # the log's last row when it was asked
    Column("format", String(8), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("note", String(160), nullable=True),
    Column("state", String(16), nullable=False),
    Column("ends_at", UtcTime, nullable=False),
    Column("decided_at", UtcTime, nullable=True),
    Column("decided_by_id", String(32), nullable=True),
    Column("decided_by", String(80), nullable=True),
    Column("reason", String(500), nullable=True),
    Column("fetched_at", UtcTime, nullable=True),
    Column("covers", String(64), nullable=True),
    Index(None, "created_at", "id"),
)

# Who made an account that programs use, or gave one its password or its key: they may know what it
# comes with. What was known once stays known.
keepers = Table(
    "keepers",
    metadata,
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), primary_key=True),
    Column("person", String(80), primary_key=True),  # an id; a local operator's name
)

quotas = Table(
    "quotas",
    metadata,
    Column("holder_id", String(32), primary_key=True),  # the one of the two that is set
    Column("area_id", ForeignKey("areas.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("max_views", Integer, nullable=True),
    Column("max_bps", BigInteger, nullable=True),
    Column("kept_views", Integer, nullable=False),
    Column("kept_bps", BigInteger, nullable=False),
)

subject_homes = Table(
    "subject_homes",  # of which area a subject is
    metadata,
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), primary_key=True),
    Column("area_id", ForeignKey("areas.id"), nullable=False, index=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("key_hash", String(64), nullable=False),  # see streamhub.access.api_keys
    Column("prefix", String(16), nullable=False),
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(80), nullable=False),
    Column("actions", String(128), nullable=True),  # sorted, joined by commas
    Column("area_ids", Text, nullable=True),  # sorted, joined by commas
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime, nullable=True),
    UniqueConstraint("key_hash"),
)

grants = Table(
    "grants",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("actions", String(128), nullable=False),  # sorted, joined by commas
    Column("area_id", ForeignKey("areas.id"), nullable=True, index=True),
    Column("channel_id", ForeignKey("channels.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("valid_from", UtcTime, nullable=False),
    Column("valid_until", UtcTime, nullable=True),
    Column("created_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime, nullable=True),
    Column("role_id", ForeignKey("roles.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("effect", String(8), nullable=False, server_default="allow"),
    Column("conditions", Text, nullable=False, server_default="[]"),  # JSON
    Column("windows", Text, nullable=False, server_default="[]"),  # JSON
    Column("purpose_required", Boolean, nullable=False, server_default=false()),
    Column("lent_by", String(80), nullable=True),  # of a loan: who allowed it
    Index(None, "created_at", "id"),
)

# Cameras that were asked for, and the answers; what a loan lends, and until when, is its grant's.
loans = Table(
    "loans",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("subject_id", ForeignKey("subjects.id", ondelete="CASCADE"), nullable=False),
    Column("asked", String(32), nullable=False),  # no foreign key: there may be no such channel
    Column("actions", String(128), nullable=False),  # sorted, joined by commas
    Column("reason", String(500), nullable=False),
    Column("minutes", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("lapses_at", UtcTime, nullable=False),
    Column("withdrawn_at", UtcTime, nullable=True),
    Column("answered_at", UtcTime, nullable=True),
    Column("answered_by", String(80), nullable=True),  # no foreign key: answers outlive subjects
    Column("refusal", String(500), nullable=True),
    Column("grant_id", ForeignKey("grants.id", ondelete="SET NULL"), nullable=True, index=True),
    Index(None, "subject_id", "created_at", "id"),
    Index(None, "created_at", "id"),
)

provider_grants = Table(
    "provider_grants",  # those that follow what a provider says at each sign-in
    metadata,
    Column("grant_id", ForeignKey("grants.id", ondelete="CASCADE"), primary_key=True),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("url", String(1024), nullable=False),
    Column("secret_sealed", LargeBinary, nullable=False),  # see vault.py
    Column("kinds", String(128), nullable=False),  # sorted, joined by commas
    Column("area_id", ForeignKey("areas.id"), nullable=True, index=True),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("version_seq", Integer, nullable=False),
    Column("dropped", Integer, nullable=False),
    Index(None, "created_at", "id"),
)

# Events on their way to a webhook, and those that were given up. What has arrived is deleted.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("webhook_id", ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("event_id", String(40), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("channel_id", String(32), nullable=False),  # no foreign key: channels go
    Column("body", Text, nullable=False),  # JSON, as it is sent
    Column("created_at", UtcTime, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text, nullable=True),
    Index(None, "webhook_id", "state", "seq"),
    sqlite_autoincrement=True,
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
    # Repeated out of `detail` for the search (chain.derived).
    Column("purpose", String(200), nullable=True),
    Column("began_at", UtcTime, nullable=True),  # of a view, in the row of its end
    Index(None, "subject_id", "seq"),
    Index(None, "channel_id", "seq"),
    Index(None, "area_id", "seq"),
    Index(None, "act", "seq"),
    Index(None, "seq", "purpose", **_only("purpose IS NOT NULL")),
    Index(None, "outcome", "seq", **_only(NOT_OK)),
)

# One row: where the chain ends, so that rows cut off its end are missed.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
)

# One row per signed segment; it stays when the segment's rows are cut.
audit_segments = Table(
    "audit_segments",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("day", String(10), nullable=False),  # of Asia/Shanghai
    Column("first_seq", Integer, nullable=False),
    Column("last_seq", Integer, nullable=False),
    Column("spans_from", UtcTime, nullable=False),  # the earliest time of a row, or of its view
    Column("spans_to", UtcTime, nullable=False),  # the latest time of a row
    Column("prev_hash", String(64), nullable=False),  # of its first row
    Column("last_hash", String(64), nullable=False),
    Column("root", String(64), nullable=False),
    Column("previous", String(64), nullable=False),  # the hash of the statement before
    Column("sealed_at", UtcTime, nullable=False),
    Column("key_id", String(32), nullable=False),
    Column("signature", String(128), nullable=False),
    Column("cut_at", UtcTime, nullable=True),  # not in what is signed
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
