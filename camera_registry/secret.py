"""A string that does not print itself: passwords and keys travel in it."""

from __future__ import annotations

import hmac
from typing import Any, NoReturn

MASK = "***"


class Secret:
    """Wraps a secret text; `repr`, `str`, `format` and f-strings give ``***``.

    Only `reveal()` gives the text, so that every use can be found by searching for it. Not
    hashable, not picklable, not JSON-serialisable: a secret that would leave by accident raises
    instead.
    """

    __slots__ = ("_text",)

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, format_spec: str) -> str:
        return format(MASK, format_spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled; pass it by reference or seal it in the vault")

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self  # immutable; dataclasses.asdict() must not fail on it
