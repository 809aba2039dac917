"""Limits sign-in attempts per name and address: a few at once, then one every few seconds.

A success gives the attempts back, so nobody is locked out by signing in often; the limit is per
pair, so a stranger who guesses at a name from elsewhere does not lock its owner out.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from .errors import TooManyAttempts

# Five guesses at once, then one every 10 s: 8,640 a day, far from a dictionary.
ATTEMPTS_AT_ONCE = 5
SECONDS_PER_ATTEMPT = 10.0
# The same address may try other names, but not endlessly: a whole office behind one address
# (NAT) signs in at shift change, so this one is wider.
ATTEMPTS_AT_ONCE_PER_ADDRESS = 50
# About 100 bytes each: a flood of made-up names costs 2 MB and pushes out the oldest.
MAX_ENTRIES = 20_000


class SignInLimiter:
    """Leaky buckets of attempts, in one bounded table. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._attempts: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def attempt(self, username: str, remote: str) -> None:
        """Count one attempt. Raises TooManyAttempts when those of the name from this address, or
        of the address, are used up; such an attempt is not counted."""
        keys = _keys(username, remote)
        levels = [self._level(key) for key, _ in keys]
        for (_, limit), level in zip(keys, levels, strict=True):
            if level > limit - 1:
                wait_s = math.ceil((level - (limit - 1)) * SECONDS_PER_ATTEMPT)
                raise TooManyAttempts(
                    f"Too many attempts; try again in {wait_s} s.", retry_after_s=wait_s
                )
        for (key, _), level in zip(keys, levels, strict=True):
            self._set(key, level + 1.0)

    def succeeded(self, username: str, remote: str) -> None:
        """Forget the attempts of this name from this address: they were its owner's."""
        (pair, _), (address, _) = _keys(username, remote)
        self._attempts.pop(pair, None)
        self._set(address, max(0.0, self._level(address) - 1.0))

    def _set(self, key: str, level: float) -> None:
        self._attempts[key] = (level, self._clock())
        self._attempts.move_to_end(key)
        while len(self._attempts) > MAX_ENTRIES:
            self._attempts.popitem(last=False)

    def _level(self, key: str) -> float:
        level, since = self._attempts.get(key, (0.0, 0.0))
        return max(0.0, level - (self._clock() - since) / SECONDS_PER_ATTEMPT)


def _keys(username: str, remote: str) -> tuple[tuple[str, int], tuple[str, int]]:
    pair = f"{remote}\n{username[:64]}"
    return (pair, ATTEMPTS_AT_ONCE), (remote, ATTEMPTS_AT_ONCE_PER_ADDRESS)
