"""What a sweep asks, in which order and how fast: a plan, a cursor and a pace. Sans-IO.

Consecutive targets lie in different subnets, so that a sweep is fast over many and gentle to each:
a street's switch or a cellular uplink must not notice it.
"""

from __future__ import annotations

import ipaddress
import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from gateways.onvif.errors import SweepInvalid

# A /12 with one port, or a /16 with sixteen.
MAX_TARGETS = 1 << 20
# What is paced as one subnet.
SUBNET_BITS = 8
MAX_PORTS = 32

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Target:
    """One host and port to ask. `subnet`: what it shares its pace with."""

    index: int
    host: str
    port: int
    subnet: int


class SweepPlan:
    """All targets of a sweep in their order, which depends on the networks and ports alone.

    `networks`: CIDRs; those that overlap are asked once. Raises `SweepInvalid`.
    """

    def __init__(self, networks: Sequence[str], ports: Sequence[int]) -> None:
        parsed = [_network(written) for written in networks]
        v4 = [one for one in parsed if isinstance(one, ipaddress.IPv4Network)]
        v6 = [one for one in parsed if isinstance(one, ipaddress.IPv6Network)]
        self.networks: tuple[Network, ...] = (
            *ipaddress.collapse_addresses(v4),
            *ipaddress.collapse_addresses(v6),
        )
        self.ports = tuple(sorted(set(ports)))
        if not self.networks or not self.ports or len(self.ports) > MAX_PORTS:
            raise SweepInvalid("bad_sweep", "No network or no port, or too many ports")
        if any(not 0 < port < 65536 for port in self.ports):
            raise SweepInvalid("bad_sweep", "A port is not between 1 and 65535")
        if sum(one.num_addresses for one in self.networks) * len(self.ports) > MAX_TARGETS + 65536:
            raise SweepInvalid("sweep_too_large")
        # First address and count of each subnet, the largest first: those that have a k-th address
        # are the first ones.
        self._subnets = sorted(
            chain.from_iterable(_subnets(one) for one in self.networks),
            key=lambda one: (-one[1], one[0]),
        )
        self._counts = [-count for _, count in self._subnets]
        self._total = sum(count for _, count in self._subnets) * len(self.ports)
        if self._total > MAX_TARGETS:
            raise SweepInvalid("sweep_too_large", f"{self._total} addresses and ports")

    def __len__(self) -> int:
        return self._total

    def targets(self, start: int = 0) -> Iterator[Target]:
        """From the `start`-th on."""
        index = 0
        for step in range(self._subnets[0][1]):
            having = bisect_left(self._counts, -step)  # those with more than `step` addresses
            if index + having * len(self.ports) <= start:
                index += having * len(self.ports)
                continue
            for port in self.ports:
                for subnet in range(having):
                    if index >= start:
                        host = ipaddress.ip_address(self._subnets[subnet][0] + step)
                        yield Target(index, str(host), port, subnet)
                    index += 1


@dataclass(frozen=True, slots=True)
class SweepCursor:
    """Where a sweep stands: all targets before `done` have been asked."""

    networks: tuple[str, ...]
    ports: tuple[int, ...]
    done: int

    def as_json(self) -> dict[str, Any]:
        """For `json.dumps`."""
        return {"networks": list(self.networks), "ports": list(self.ports), "done": self.done}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SweepCursor:
        """The reverse of `as_json`. Raises `SweepInvalid`."""
        match data:
            case {"networks": [*networks], "ports": [*ports], "done": int(done)} if (
                all(isinstance(one, str) for one in networks)
                and all(isinstance(one, int) for one in ports)
                and done >= 0
            ):
                return cls(tuple(networks), tuple(ports), done)
        raise SweepInvalid("bad_cursor")


@dataclass(frozen=True, slots=True)
class SweepPaceSettings:
    """`concurrency`: requests at once in all: those that are not answered take 1.5 s each.
    `every_s`: seconds from one request to the next; each costs the loop half a millisecond.
    `subnet_every_s`: the same within one subnet of 256 addresses.
    """

    concurrency: int = 256
    every_s: float = 0.005
    subnet_every_s: float = 0.05


class SweepPace:
    """Which target may be asked now. `now`: monotonic seconds.

    In: `next`, `finished`. Out: a target, or the time to come again (`timeout`), and the cursor.
    """

    def __init__(
        self, plan: SweepPlan, settings: SweepPaceSettings, cursor: SweepCursor | None = None
    ) -> None:
        # given
        self._plan = plan
        self._settings = settings
        # owned
        start = 0 if cursor is None else cursor.done
        self._identity = tuple(str(one) for one in plan.networks), plan.ports
        if cursor is not None and (
            (cursor.networks, cursor.ports) != self._identity or start > len(plan)
        ):
            raise SweepInvalid("bad_cursor")
        self._targets = plan.targets(start)
        self._head = next(self._targets, None)
        self._running: set[int] = set()
        self._next_at = -math.inf
        self._ready_at: dict[int, float] = {}
        self.finished_count = start

    @property
    def over(self) -> bool:
        """Everything has been asked and has answered, or has not."""
        return self._head is None and not self._running

    def next(self, now: float) -> Target | None:
        """The next target, if it may be asked now; it counts as running then."""
        head = self._head
        if head is None or len(self._running) >= self._settings.concurrency:
            return None
        if self._ready(head) > now:
            return None
        self._next_at = now + self._settings.every_s
        self._ready_at[head.subnet] = now + self._settings.subnet_every_s
        self._running.add(head.index)
        self._head = next(self._targets, None)
        return head

    def finished(self, target: Target) -> None:
        self._running.discard(target.index)
        self.finished_count += 1

    def timeout(self, now: float) -> float | None:
        """When `next` has something without a `finished` before; None: only after one."""
        if self._head is None or len(self._running) >= self._settings.concurrency:
            return None
        return max(now, self._ready(self._head))

    def _ready(self, target: Target) -> float:
        return max(self._next_at, self._ready_at.get(target.subnet, -math.inf))

    def cursor(self) -> SweepCursor:
        """Where to resume: what runs now is asked again then."""
        head = len(self._plan) if self._head is None else self._head.index
        return SweepCursor(*self._identity, min(self._running, default=head))


def _network(written: str) -> Network:
    try:
        return ipaddress.ip_network(written.strip(), strict=False)
    except ValueError:
        raise SweepInvalid("bad_sweep", f"{written} is no network") from None


def _subnets(network: Network) -> Iterator[tuple[int, int]]:
    """First address and count of each subnet; without network and broadcast addresses."""
    first, size = int(network.network_address), network.num_addresses
    reserved = 1 if network.version == 4 and size > 2 else 0
    first, last = first + reserved, first + size - reserved
    while first < last:
        end = min(last, ((first >> SUBNET_BITS) + 1) << SUBNET_BITS)
        yield first, end - first
        first = end
