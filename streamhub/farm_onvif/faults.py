"""What can be wrong with a simulated device, and how a share of them is chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

DEFAULT_SLOW_S = 3.0
MAX_SLOW_S = 300.0


class FaultKind(Enum):
    """One way in which devices in the field are odd."""

    CLOCK_HOUR_OFF = "clock-hour-off"  # its clock is an hour ahead
    DIGEST_ONLY = "digest-only"  # takes no UsernameToken: 401 and HTTP digest
    MEDIA2_ONLY = "media2-only"  # has no ver10/media
    WRONG_HOST = "wrong-host"  # its XAddrs and URIs name an address nobody has
    FAULT_400 = "fault-400"  # every SOAP fault comes with HTTP 400
    SLOW = "slow"  # answers after some seconds
    NO_ANSWER = "no-answer"  # takes requests and never answers
    HUGE = "huge"  # answers with more than 2 MB
    DTD = "dtd"  # answers with a document type and an entity
    REDIRECT = "redirect"  # answers with 302
    DEAD = "dead"  # refuses connections


class FaultUnknown(Exception):
    """The words name no fault; the message says which there are."""

    code = "farm_fault_unknown"


@dataclass(frozen=True, slots=True)
class FaultSet:
    """The faults that one device has."""

    kinds: frozenset[FaultKind] = frozenset()
    slow_s: float = DEFAULT_SLOW_S

    def __contains__(self, kind: FaultKind) -> bool:
        return kind in self.kinds

    def adding(self, word: str) -> FaultSet:
        """With the fault that `kind` or `slow:<seconds>` names; `none` heals.

        Raises FaultUnknown.
        """
        if word == "none":
            return FaultSet()
        name, _, value = word.partition(":")
        try:
            kind = FaultKind(name)
            slow_s = float(value) if value else DEFAULT_SLOW_S
        except ValueError:
            raise _unknown(word) from None
        if (value and kind is not FaultKind.SLOW) or not 0 < slow_s <= MAX_SLOW_S:
            raise _unknown(word)
        seconds = slow_s if kind is FaultKind.SLOW else self.slow_s
        return FaultSet(self.kinds | {kind}, seconds)


def spread(shares: Mapping[str, float], count: int) -> dict[int, FaultSet]:
    """Faults for devices 1 to `count`: each kind has its share (0 to 1), no device has two.

    The same devices are chosen each time. Raises FaultUnknown for a kind that is not, and for
    shares that are more than the whole.
    """
    if any(not 0 <= share <= 1 for share in shares.values()) or sum(shares.values()) > 1 + 1e-9:
        raise FaultUnknown("The shares of --onvif-fault must be 0 to 1, and 1 at most together.")
    numbers = iter(_shuffled(range(1, count + 1)))
    chosen: dict[int, FaultSet] = {}
    for word, share in shares.items():
        fault = FaultSet().adding(word)
        # Half a device too many, by rounding, finds none left.
        for _, number in zip(range(round(share * count)), numbers, strict=False):
            chosen[number] = fault
    return chosen


def _shuffled(numbers: Iterable[int]) -> list[int]:
    return sorted(numbers, key=lambda n: hashlib.sha256(f"fault {n}".encode()).digest())


def _unknown(word: str) -> FaultUnknown:
    kinds = ", ".join(kind.value for kind in FaultKind)
    return FaultUnknown(
        f"There is no fault {word}; there are {kinds} (slow:<seconds> up to {MAX_SLOW_S:.0f}) "
        "and none."
    )
