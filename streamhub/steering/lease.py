"""Who steers which camera. No I/O, no clock: `now` is monotonic seconds.

free --act--> held --act of the same--> held --silence or release--> free
               held --act of a higher rank that says so--> held by that one
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from streamhub.access.permit import Permit

# Between two touches of somebody who looks for something; who waits for the camera waits so long.
IDLE_S = 10.0
# Leases that are over are forgotten many at once.
MAX_STALE = 256


@dataclass(frozen=True, slots=True)
class Lease:
    """`rank`: the higher may take over. `until`: unless its holder acts before."""

    permit: Permit
    rank: int
    until: float

    def is_of(self, permit: Permit) -> bool:
        """Whether the same person asks: one account at two desks is two people."""
        mine, theirs = self.permit.principal, permit.principal
        return (mine.subject_id, mine.remote) == (theirs.subject_id, theirs.remote)


class Held(Exception):
    """Somebody else's."""

    def __init__(self, lease: Lease) -> None:
        super().__init__()
        self.lease = lease


class Leases:
    """By channel; as many as were steered within `IDLE_S`, and `MAX_STALE` that are over."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}

    def holder(self, now: float, channel_id: str) -> Lease | None:
        lease = self._leases.get(channel_id)
        return None if lease is None or lease.until <= now else lease

    def take(self, now: float, permit: Permit, rank: int, *, take_over: bool) -> Lease | None:
        """Take it or keep it. Gives whose it was, if somebody else's. Raises `Held`."""
        held = self.holder(now, permit.channel_id)
        others = held if held is not None and not held.is_of(permit) else None
        if others is not None and not (take_over and rank > others.rank):
            raise Held(others)
        if len(self._leases) > MAX_STALE:
            list(self.all(now))  # forgets what is over
        self._leases[permit.channel_id] = Lease(permit, rank, now + IDLE_S)
        return others

    def refuse_others(self, now: float, permit: Permit) -> None:
        """Raises `Held` when it is somebody else's."""
        held = self.holder(now, permit.channel_id)
        if held is not None and not held.is_of(permit):
            raise Held(held)

    def release(self, channel_id: str) -> None:
        self._leases.pop(channel_id, None)

    def all(self, now: float) -> Iterator[tuple[str, Lease]]:
        """Those that hold; the others are forgotten."""
        for channel_id, lease in list(self._leases.items()):
            if lease.until <= now:
                del self._leases[channel_id]
            else:
                yield channel_id, lease
