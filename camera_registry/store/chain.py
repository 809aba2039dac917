"""The audit chain: what a row's hash covers. Pure.

hash = SHA-256 over the canonical JSON (keys sorted, no spaces, UTF-8, no NaN) of every other
field of the row, `prev_hash` included; row 1 has a `prev_hash` of 64 zeros. docs/audit.md
says the same for whoever verifies with another program. What is searched for but lies within
`detail` stands once more in columns of its own, which the hash need not cover: `derived`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from json.encoder import encode_basestring
from typing import Any, Final

from ..domain import AuditEntry, AuditRow, Stated
from .schema import audit, fitting, time_text

ZERO_HASH: Final = "0" * 64
MAX_DETAIL_BYTES: Final = 16_384  # a view's trace of steps is under 2 kB
_TEXTS: Final = (
    *("subject_id", "subject_name", "as_role", "remote"),
    *("act", "channel_id", "area_id", "outcome"),
)
# The keys of the canonical JSON, in its order, around `detail`.
_BEFORE_DETAIL: Final = ("act", "area_id", "as_role", "at", "channel_id")
_AFTER_DETAIL: Final = (*("outcome", "prev_hash", "remote", "seq", "subject_id", "subject_name"),)


def utc_now() -> datetime:
    return datetime.now(UTC)


def canonical_json(value: object) -> str:
    """Raises TypeError for what is not JSON (a Secret, bytes, a datetime)."""
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )


def row_hash(fields: Mapping[str, Any], detail_text: str) -> str:
    """`fields` without detail and hash, times as text; `detail_text` as stored, which is canonical
    already. Raises TypeError for what is not JSON.
    """
    before = ",".join([f'"{name}":{_json(fields[name])}' for name in _BEFORE_DETAIL])
    after = ",".join([f'"{name}":{_json(fields[name])}' for name in _AFTER_DETAIL])
    text = f'{{{before},"detail":{detail_text},{after}}}'
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _json(value: object) -> str:
    if value is None:
        return "null"
    return encode_basestring(value) if isinstance(value, str) else canonical_json(value)


def derived(detail: Mapping[str, Any]) -> dict[str, str | None]:
    """The columns that repeat a part of `detail`, as they are stored."""
    purpose, note = detail.get("purpose"), detail.get("purpose_note")
    said = None
    if isinstance(purpose, str):
        said = Stated(purpose, note if isinstance(note, str) else None).text()
    return {
        "purpose": fitting(audit.c.purpose, said),
        "began_at": _time_or_none(detail.get("started_at")),
    }


def _time_or_none(text: object) -> str | None:
    try:
        return time_text(datetime.fromisoformat(str(text)))
    except (ValueError, OverflowError):
        return None


def chain_row(entry: AuditEntry, *, seq: int, at: datetime, prev_hash: str) -> AuditRow:
    """The row that `entry` becomes at this place of the chain."""
    # Twice: keys that are no texts become some, and are then sorted as such.
    detail = json.loads(canonical_json(dict(entry.detail)))
    detail_text = canonical_json(detail)
    if len(detail_text.encode("utf-8", "surrogatepass")) > MAX_DETAIL_BYTES:
        raise ValueError(f"the detail of an audit row is over {MAX_DETAIL_BYTES} bytes")
    fields: dict[str, Any] = {
        "seq": seq,
        "prev_hash": prev_hash,
        # Cut before it is hashed: the name of a failed sign-in may be anything.
        **{name: fitting(audit.c[name], getattr(entry, name)) for name in _TEXTS},
    }
    return AuditRow(
        **fields,
        at=at,
        detail=detail,
        hash=row_hash({**fields, "at": time_text(at)}, detail_text),
    )


def chain_rows(entries: Sequence[AuditEntry], *, seq: int, prev_hash: str) -> list[AuditRow]:
    """The rows that `entries` become behind row `seq`, whose hash is `prev_hash`."""
    rows: list[AuditRow] = []
    for entry in entries:
        seq += 1
        row = chain_row(entry, seq=seq, at=utc_now(), prev_hash=prev_hash)
        prev_hash = row.hash
        rows.append(row)
    return rows
