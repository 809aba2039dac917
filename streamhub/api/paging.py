"""Lists take `limit` and an opaque `cursor`; here also the paging of lists held in memory."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Query

from .problems import Problem

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
MAX_CURSOR_CHARS = 512

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="At most so many items.")]
Cursor = Annotated[
    str | None, Query(max_length=MAX_CURSOR_CHARS, description="`next_cursor` of the page before.")
]

T = TypeVar("T")


def page_in_memory(
    rows: Sequence[T], key: Callable[[T], str], *, limit: int, cursor: str | None
) -> tuple[list[T], str | None]:
    """The page after `cursor` of rows that are sorted by `key` (unique), and the next cursor."""
    after = None if cursor is None else _decode(cursor)
    left = [row for row in rows if after is None or key(row) > after]
    page = left[:limit]
    more = len(left) > limit
    return page, _encode(key(page[-1])) if more else None


def _encode(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise Problem(422, "cursor_invalid", "The cursor is not one this list gave.") from None
