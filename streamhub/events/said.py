"""Which of the things that devices say are told on: changes, and not too many. Sans-IO.

Firmwares say "motion" again each second while it lasts, some ten times a second, and some never
say that it is over. Times are seconds of one clock, given by the caller.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from camera_registry.channel_events import DeviceEvent

# The same again is news after this: firmwares that only say that something began.
REPEAT_S: Final = 30.0
# Of one device: so many at once, and then one each two seconds.
DEVICE_BURST: Final = 20.0
DEVICE_PER_S: Final = 0.5
# Of all: what the listeners and webhooks of a district take beside everything else.
ALL_BURST: Final = 500.0
ALL_PER_S: Final = 100.0
# Inputs and pictures of one device, by topic.
MAX_STATES: Final = 512


@dataclass(slots=True)
class Bucket:
    """A token bucket; full at first."""

    burst: float
    per_s: float
    left: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.left = self.burst

    def take(self, now: float) -> bool:
        self.left = min(self.burst, self.left + max(0.0, now - self.at) * self.per_s)
        self.at = now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


class DeviceSayings:
    """What one device has said last. Keep it over its subscriptions."""

    def __init__(self, everybody: Bucket) -> None:
        self._everybody = everybody
        self._own = Bucket(DEVICE_BURST, DEVICE_PER_S)
        self._last: OrderedDict[tuple[object, ...], tuple[bool, float]] = OrderedDict()
        self.dropped_total = 0

    def take(self, now: float, said: DeviceEvent, *, is_state: bool) -> bool:
        """Whether it is told on. `is_state`: how things are when a subscription begins, which is
        news only if it differs from what was known before."""
        key = (said.topic, *sorted(said.source.items()))
        known = self._last.get(key)
        if known is None and is_state:
            self._keep(key, said.active, float("-inf"))
            return False
        changed = known is None or known[0] != said.active
        told_at = float("-inf") if known is None else known[1]
        if not changed and (is_state or now - told_at < REPEAT_S):
            return False
        if not (self._own.take(now) and self._everybody.take(now)):
            self.dropped_total += 1
            return False
        self._keep(key, said.active, now)
        return True

    def _keep(self, key: tuple[object, ...], active: bool, at: float) -> None:
        self._last[key] = (active, at)
        self._last.move_to_end(key)
        if len(self._last) > MAX_STATES:
            self._last.popitem(last=False)
