"""Limits on guessing: a few attempts at once, then one every so many seconds.

A success gives the attempts back, so nobody is locked out by signing in often. The limits are per
name and address, and slower ones per address and per name; that of a name does not count where its
owner is known to sit, so a stranger who guesses from elsewhere does not lock the owner out.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from .errors import TooManyAttempts


@dataclass(frozen=True, slots=True)
class Limit:
    """`at_once` attempts, then one every `per_s` seconds."""

    name: str
    at_once: int
    per_s: float


# Five guesses at once, then one every 10 s: 8,640 a day, far from a dictionary.
OF_NAME_AND_ADDRESS = Limit("name_and_address", 5, 10.0)
# The same address may try other names, but not endlessly: a whole office behind one address
# (NAT) signs in at shift change, so this one is wider.
OF_ADDRESS = Limit("address", 50, 10.0)
# Guessing at one name from many addresses. Those that the name is known to sign in from are not
# counted: there its owner does not even notice.
OF_NAME = Limit("name", 30, 60.0)
# Who tries these has the password. Three of a million codes count at a time: at 288 a day the
# chance of a hit is 0.1% a day.
OF_CODES = Limit("codes", 5, 300.0)
# About 100 bytes each: a flood of made-up names costs 2 MB and pushes out the oldest.
MAX_ENTRIES = 20_000

Bucket = tuple[Limit, str]


class Buckets:
    """Leaky buckets of attempts, in one bounded table. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._attempts: OrderedDict[Bucket, tuple[float, float]] = OrderedDict()
        self._full: OrderedDict[Bucket, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._attempts)

    def attempt(self, *buckets: Bucket) -> None:
        """Count one attempt in each. Raises TooManyAttempts when one is full; such an attempt is
        not counted."""
        levels = [self._level(bucket) for bucket in buckets]
        for bucket, level in zip(buckets, levels, strict=True):
            limit = bucket[0]
            if level > limit.at_once - 1:
                wait_s = math.ceil((level - (limit.at_once - 1)) * limit.per_s)
                raise TooManyAttempts(
                    f"Too many attempts; try again in {wait_s} s.",
                    retry_after_s=wait_s,
                    limit=limit.name,
                    is_first=self._is_news(bucket),
                )
        for bucket, level in zip(buckets, levels, strict=True):
            self._full.pop(bucket, None)
            self._set(bucket, level + 1.0)

    def forget(self, bucket: Bucket) -> None:
        """Its attempts were the owner's."""
        self._attempts.pop(bucket, None)

    def give_back(self, bucket: Bucket) -> None:
        """One attempt was no guess."""
        self._set(bucket, max(0.0, self._level(bucket) - 1.0))

    def _is_news(self, bucket: Bucket) -> bool:
        """Whether nobody was told that it is full since it last was not."""
        if bucket in self._full:
            return False
        self._full[bucket] = None
        while len(self._full) > MAX_ENTRIES:
            self._full.popitem(last=False)
        return True

    def _set(self, bucket: Bucket, level: float) -> None:
        self._attempts[bucket] = (level, self._clock())
        self._attempts.move_to_end(bucket)
        while len(self._attempts) > MAX_ENTRIES:
            self._attempts.popitem(last=False)

    def _level(self, bucket: Bucket) -> float:
        level, since = self._attempts.get(bucket, (0.0, 0.0))
        return max(0.0, level - (self._clock() - since) / bucket[0].per_s)


class SignInLimiter:
    """What counts where."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.buckets = Buckets(clock)
        self._known: OrderedDict[str, None] = OrderedDict()

    def attempt(self, username: str, remote: str, *, is_known: bool = False) -> None:
        """A password is about to be checked; `is_known`: the name is signed in from this address.
        Raises TooManyAttempts."""
        self.buckets.attempt(
            _pair(username, remote),
            (OF_ADDRESS, remote),
            *self._of_name(username, remote, is_known),
        )

    def attempt_code(self, subject_id: str) -> None:
        """A code of the second factor is about to be checked. Raises TooManyAttempts."""
        self.buckets.attempt((OF_CODES, subject_id))

    def succeeded(self, username: str, remote: str, *, is_known: bool = False) -> None:
        """Forget the attempts of this name from this address: they were its owner's."""
        pair = _pair(username, remote)
        self.buckets.forget(pair)
        self.buckets.give_back((OF_ADDRESS, remote))
        for bucket in self._of_name(username, remote, is_known):
            self.buckets.give_back(bucket)
        self._known[pair[1]] = None
        self._known.move_to_end(pair[1])
        while len(self._known) > MAX_ENTRIES:
            self._known.popitem(last=False)

    def _of_name(self, username: str, remote: str, is_known: bool) -> list[Bucket]:
        """Where the name itself is counted, if it is."""
        if is_known or _pair(username, remote)[1] in self._known:
            return []
        return [(OF_NAME, username[:64])]

    def code_succeeded(self, subject_id: str) -> None:
        self.buckets.forget((OF_CODES, subject_id))


def _pair(username: str, remote: str) -> Bucket:
    return OF_NAME_AND_ADDRESS, f"{remote}\n{username[:64]}"
