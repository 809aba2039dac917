"""Sign-ins and API keys that ended of late: who shows one still is named in the audit by its id.

The registry keeps nothing of them. What ended before this process began is refused without a name.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, TypeVar

from camera_registry.credentials import ApiKey, SignIn, SignInMethod

from .errors import Known

# About 200 bytes each. A district ends some hundreds a day.
MAX_DEPARTED: Final = 2_000

T = TypeVar("T")


class Departed:
    """By hash, and keys by id too, the newest `MAX_DEPARTED` each. Nobody is let in by them."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._keys: OrderedDict[str, Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def compare_sign_ins(self, before: Mapping[str, SignIn], now: Mapping[str, SignIn]) -> None:
        """Those that were there before and are not now. A token says itself whose it is."""
        for row in _gone(before, now):
            if row.method is not SignInMethod.TOKEN:
                _add(self._known, row.id_hash, Known(row.subject_id, row.id))

    def compare_keys(self, before: Mapping[str, ApiKey], now: Mapping[str, ApiKey]) -> None:
        """As `compare_sign_ins`."""
        for row in _gone(before, now):
            known = Known(row.subject_id, row.id)
            _add(self._known, row.key_hash, known)
            _add(self._keys, row.id, known)

    def by_hash(self, shown: str) -> Known | None:
        """Whose it was, where that is known still."""
        return self._known.get(shown)

    def key(self, key_id: str) -> Known | None:
        """As `by_hash`, of an API key that a ticket names."""
        return self._keys.get(key_id)


def _add(to: OrderedDict[str, Known], gone: str, known: Known) -> None:
    to[gone] = known
    while len(to) > MAX_DEPARTED:
        to.popitem(last=False)


def _gone(before: Mapping[str, T], now: Mapping[str, T]) -> list[T]:
    return [] if before is now else [before[each] for each in before.keys() - now.keys()]
