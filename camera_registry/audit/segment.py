"""The statement that is signed about a segment, and the line it makes in a root file. Pure.

It has the hash of the statement before: the last one of a day stands for every row up to it.
docs/audit.md says the same for other programs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ..store.chain import ZERO_HASH, canonical_json
from ..store.schema import time_text
from .model import Segment

KIND: Final = "streamhub-audit-segment-1"
_TIMES: Final = frozenset({"spans_from", "spans_to", "sealed_at"})
_NUMBERS: Final = frozenset({"number", "first_seq", "last_seq"})
_SIGNED: Final = (
    *("number", "day", "first_seq", "last_seq", "spans_from", "spans_to", "prev_hash"),
    *("last_hash", "root", "previous", "sealed_at", "key_id"),
)


def statement(segment: Segment) -> bytes:
    """What is signed: canonical JSON."""
    return canonical_json(_fields(segment)).encode()


def statement_hash(segment: Segment | None) -> str:
    """For `Segment.previous` of the next; of none 64 zeros."""
    return ZERO_HASH if segment is None else hashlib.sha256(statement(segment)).hexdigest()


def line_of(segment: Segment) -> str:
    """The statement with its signature, without a line's end."""
    return canonical_json({**_fields(segment), "signature": segment.signature})


def from_line(text: str) -> Segment:
    """Raises ValueError for what is no such line, letter for letter."""
    try:
        fields = json.loads(text)
        values: dict[str, Any] = {}
        for name in (*_SIGNED, "signature"):
            if type(fields[name]) is not (int if name in _NUMBERS else str):
                raise TypeError(name)
            values[name] = datetime.fromisoformat(fields[name]) if name in _TIMES else fields[name]
        segment = Segment(**values)
        if line_of(segment) != text:
            raise ValueError(text)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ValueError("not a signed root") from error
    return segment


def _fields(segment: Segment) -> Mapping[str, Any]:
    fields: dict[str, Any] = {"kind": KIND}
    for name in _SIGNED:
        value = getattr(segment, name)
        fields[name] = time_text(value) if name in _TIMES else value
    return fields
