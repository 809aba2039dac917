"""The statements of the two audit writers, which speak to their drivers directly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..domain import AuditRow
from . import schema
from .chain import canonical_json, derived

COLUMNS: Final = tuple(column.name for column in schema.audit.columns)
_HEAD: Final = schema.audit_head.name

READ_HEAD: Final = f"SELECT seq, hash FROM {_HEAD} WHERE id = 1"  # noqa: S608  (names of our own)


def insert_row(mark: str, columns: Sequence[str] = COLUMNS) -> str:
    """For `row_values`; `mark` is the driver's placeholder."""
    marks = ", ".join([mark] * len(columns))
    return f"INSERT INTO {schema.audit.name} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608


def write_head(mark: str) -> str:
    """For (seq, hash) of the last row."""
    return (
        f"INSERT INTO {_HEAD} (id, seq, hash) VALUES (1, {mark}, {mark})"  # noqa: S608
        " ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash"
    )


def row_values(row: AuditRow, columns: Sequence[str] = COLUMNS) -> tuple[Any, ...]:
    written = {
        "at": schema.time_text(row.at),
        "detail": canonical_json(dict(row.detail)),
        **derived(row.detail),
    }
    return tuple(written[name] if name in written else getattr(row, name) for name in columns)
