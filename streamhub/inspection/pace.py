"""Who is dialled next: sans-IO, on whatever clock the caller has.

Dead cameras must not starve the good: what is suspected dead never holds more than a share of the
slots, and a device that was given up takes its other channels along without a dial. A wrong
password is tried once on each device: most cameras lock the account after five.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Final

from camera_registry.inspection.card import Target

# Nobody is there; whether for the moment or for good shows only with a second try.
DEAD: Final = frozenset({"connect_timeout", "unreachable"})
# All places taken, or a device that is starting: a place frees itself when a dead peer times out.
# The last one is ours: the process that looked has ended.
BUSY: Final = frozenset({"busy", "no_answer", "closed_by_peer", "not_inspected"})
# True of all channels of the device, and dangerous or useless to try again.
DEVICE_WIDE: Final = frozenset({"auth_failed", "auth_required", "seal_broken"})
# The channel was deleted before its turn: that says nothing of the device.
GONE: Final = "gone"


@dataclass(frozen=True, slots=True)
class PaceSettings:
    """Times in seconds."""

    # At 4 Mbit/s each about 200 Mbit/s of looking: an eighth of a core of the process that looks.
    slots: int = 48
    # Access switches carry a street's cameras over 100 Mbit/s or a radio link.
    subnet_slots: int = 16
    # Of all slots, for what has failed before or lives in a subnet where all has; as long as
    # others wait.
    suspect_share: float = 0.25
    # So many dials of one subnet that all went dead make it suspect.
    subnet_strikes: int = 4
    tries: int = 2
    retry_s: float = 10.0
    # Share of a delay that is random, so that retries of one switch do not come together.
    jitter_share: float = 0.5
    # Viewers may hold all dials of a device for as long as they like.
    full_wait_s: float = 120.0
    full_poll_s: float = 2.0

    @property
    def suspect_slots(self) -> int:
        return max(1, int(self.slots * self.suspect_share))


@dataclass(frozen=True, slots=True)
class Ended:
    """A target that needs no look (any more), and why; `code` None: its own result stands."""

    target: Target
    code: str | None


@dataclass(slots=True)
class _Device:
    """Targets of one device wait in one line."""

    id: str
    subnet: str
    waiting: deque[Target] = field(default_factory=deque)
    flying: int = 0
    proven: bool = False  # it answered a look; before, one at a time
    failed: int = 0  # dead or busy in a row
    not_before: float = 0.0
    full_since: float | None = None
    queued: bool = False  # in its subnet's rotation


@dataclass(slots=True)
class _Subnet:
    flying: int = 0
    strikes: int = 0  # dead dials before the first answer
    answered: bool = False
    lines: deque[_Device] = field(default_factory=deque)


class Pace:
    """`poll` says who to dial, `landed` takes what came of it. Times are monotonic seconds."""

    def __init__(
        self, settings: PaceSettings | None = None, jitter: Callable[[], float] = random.random
    ) -> None:
        # given
        self._settings = settings or PaceSettings()
        self._jitter = jitter
        # owned
        self._devices: dict[str, _Device] = {}
        self._subnets: dict[str, _Subnet] = {}
        self._rotation: deque[str] = deque()
        self._resting: list[tuple[float, str]] = []  # devices that wait for their time
        self._suspects: set[int] = set()  # numbers of flying targets that were suspect
        self._tries: dict[int, int] = {}
        self._due: float | None = None
        self._suspect_slots = 0  # now
        # derived
        self.flying = 0
        self.waiting = 0

    @property
    def suspects_flying(self) -> int:
        return len(self._suspects)

    def add(self, target: Target) -> None:
        device = self._devices.get(target.device_id)
        if device is None:
            device = _Device(target.device_id, subnet_of(target.host))
            self._devices[target.device_id] = device
        device.waiting.append(target)
        self.waiting += 1
        self._enqueue(device)

    def poll(self, now: float, live: Mapping[str, int]) -> tuple[list[Target], list[Ended]]:
        """Those to dial now, and those that will not be. `live`: dials that others hold, by
        device."""
        while self._resting and self._resting[0][0] <= now:
            self._enqueue(self._devices[heapq.heappop(self._resting)[1]])
        go: list[Target] = []
        ended: list[Ended] = []
        self._due = None
        self._suspect_slots = (
            self._settings.suspect_slots if self._others_wait() else self._settings.slots
        )
        idle = 0
        while self._rotation and idle < len(self._rotation):
            if self.flying >= self._settings.slots:
                break
            name = self._rotation[0]
            self._rotation.rotate(-1)
            target = self._next_of(name, now, live, ended)
            if target is None:
                idle += 1
                if not self._subnets[name].lines:
                    self._rotation.remove(name)
                    idle = 0
                continue
            idle = 0
            go.append(target)
        return go, ended

    def landed(self, now: float, target: Target, code: str | None) -> list[Ended]:
        """A look is over, with a failure's code or None. Gives what has ended by it: the target
        itself unless it is tried again, and others of its device that need no dial any more."""
        device = self._devices[target.device_id]
        subnet = self._subnets[device.subnet]
        device.flying -= 1
        subnet.flying -= 1
        self.flying -= 1
        self._suspects.discard(target.number)
        tries = self._tries[target.number] = self._tries.get(target.number, 0) + 1
        if code == GONE:
            self._enqueue(device)
            return [Ended(target, None)]
        subnet.strikes += code in DEAD
        subnet.answered = subnet.answered or code not in DEAD
        if code in DEVICE_WIDE:
            return [Ended(target, None), *self._given_up(device, code)]
        if code not in DEAD and code not in BUSY:
            device.proven, device.failed = True, 0
            self._enqueue(device)
            return [Ended(target, None)]
        device.failed += 1
        if tries < self._settings.tries:
            device.waiting.appendleft(target)
            self.waiting += 1
            self._rest(device, now)
            return []
        if code in DEAD and device.failed >= self._settings.tries:
            return [Ended(target, None), *self._given_up(device, code)]
        self._enqueue(device)
        return [Ended(target, None)]

    def next_timeout(self) -> float | None:
        """When to poll although nothing landed; None: never."""
        times = [self._resting[0][0]] if self._resting else []
        if self._due is not None:
            times.append(self._due)
        return min(times, default=None)

    # --- inside -----------------------------------------------------------------------------------

    def _next_of(
        self, name: str, now: float, live: Mapping[str, int], ended: list[Ended]
    ) -> Target | None:
        """The next target of a subnet that may fly now."""
        settings, subnet = self._settings, self._subnets[name]
        if subnet.flying >= settings.subnet_slots:
            return None
        for _ in range(len(subnet.lines)):
            device = subnet.lines.popleft()
            device.queued = False
            if not device.waiting or device.not_before > now:
                continue  # a resting one comes back by itself
            suspect = self._is_suspect(device)
            if suspect and len(self._suspects) >= self._suspect_slots:
                self._enqueue(device)
                continue
            free = device.waiting[0].max_dials - live.get(device.id, 0) - device.flying
            if free <= 0 and device.flying == 0 and self._is_full(device, now, ended):
                continue
            if free <= 0 or (device.flying and not device.proven):
                self._enqueue(device)
                continue
            device.full_since = None
            target = device.waiting.popleft()
            self.waiting -= 1
            device.flying += 1
            subnet.flying += 1
            self.flying += 1
            if suspect:
                self._suspects.add(target.number)
            self._enqueue(device)
            return target
        return None

    def _is_suspect(self, device: _Device) -> bool:
        subnet = self._subnets[device.subnet]
        return device.failed > 0 or (
            not subnet.answered and subnet.strikes >= self._settings.subnet_strikes
        )

    def _others_wait(self) -> bool:
        """Whether somebody waits who is not suspect."""
        return any(
            device.waiting and not self._is_suspect(device)
            for name in self._rotation
            for device in self._subnets[name].lines
        )

    def _is_full(self, device: _Device, now: float, ended: list[Ended]) -> bool:
        """Viewers hold all its dials: asked again in a while, and given up after a longer one."""
        device.full_since = now if device.full_since is None else device.full_since
        if now - device.full_since >= self._settings.full_wait_s:
            ended += self._given_up(device, "dials_taken")
            return True
        due = now + self._settings.full_poll_s
        self._due = due if self._due is None else min(self._due, due)
        return False

    def _given_up(self, device: _Device, code: str | None) -> list[Ended]:
        """All that wait in its line. What flies lands by itself."""
        ended = [Ended(target, code) for target in device.waiting]
        self.waiting -= len(ended)
        device.waiting.clear()
        return ended

    def _rest(self, device: _Device, now: float) -> None:
        settings = self._settings
        pause_s = settings.retry_s * (1.0 + settings.jitter_share * self._jitter())
        device.not_before = now + pause_s
        heapq.heappush(self._resting, (device.not_before, device.id))

    def _enqueue(self, device: _Device) -> None:
        if device.queued or not device.waiting:
            return
        subnet = self._subnets.setdefault(device.subnet, _Subnet())
        if not subnet.lines and device.subnet not in self._rotation:
            self._rotation.append(device.subnet)
        subnet.lines.append(device)
        device.queued = True


def subnet_of(host: str) -> str:
    """The /24 of an IPv4 address, the /64 of an IPv6 one; a name stands for itself."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower()
    return str(ip_network(f"{address}/{24 if address.version == 4 else 64}", strict=False))
