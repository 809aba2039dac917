"""Pull points of one device (ONVIF Core section 9): subscriptions, their queues and their end.

Two topics: motion, which comes and goes by a timetable that is worked out when somebody looks, and
a digital input, which is switched from outside.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

# Devices allow 1 to 10; a client that forgets to unsubscribe must notice.
MAX_SUBSCRIPTIONS = 5
# A device keeps a few dozen messages; the oldest are lost first.
MAX_QUEUED = 100
MAX_MESSAGES = 100
MAX_PULL_S = 60.0
MAX_LIFE_S = 86_400.0
DEFAULT_LIFE_S = 600.0

MOTION_PERIOD_S = 60
MOTION_LASTS_S = 10
MOTION = "tns1:VideoSource/MotionAlarm"
INPUT = "tns1:Device/Trigger/DigitalInput"


@dataclass(frozen=True, slots=True)
class Event:
    """One property's state; `at` is Unix seconds, `operation` `Initialized` or `Changed`."""

    topic: str
    source: str
    value: bool
    at: float
    operation: str


@dataclass(slots=True)
class Subscription:
    """One client's pull point."""

    token: str
    ends_at: float
    seen: float  # motion up to here is in the queue
    queue: deque[Event] = field(default_factory=lambda: deque(maxlen=MAX_QUEUED))
    pulls: int = 0  # a newer pull ends the one that waits


def _place_s(camera: int, now: float) -> int:
    """Where a camera stands in its minute, so that thousands do not move together. Whole seconds,
    so that a change is at the same moment however it is asked for."""
    return (math.floor(now) + camera * 7) % MOTION_PERIOD_S


def is_motion(camera: int, now: float) -> bool:
    return _place_s(camera, now) < MOTION_LASTS_S


def next_change(camera: int, now: float) -> float:
    """When its motion next begins or ends, later than `now`."""
    ahead = MOTION_LASTS_S if is_motion(camera, now) else MOTION_PERIOD_S
    return float(math.floor(now) + ahead - _place_s(camera, now))


def changes(camera: int, after: float, upto: float) -> Iterator[tuple[float, bool]]:
    """`(when, whether motion began)` in `(after, upto]`, the last `MAX_QUEUED` at most."""
    after = max(after, upto - MAX_QUEUED * MOTION_PERIOD_S / 2)
    while (after := next_change(camera, after)) <= upto:
        yield after, is_motion(camera, after)


@dataclass(slots=True)
class PullPoints:
    """A device's subscriptions. `sources` are its video sources: token to camera number."""

    sources: dict[str, int]
    input_on: bool = False
    created: int = 0
    _subscriptions: dict[str, Subscription] = field(default_factory=dict)

    def open(self, now: float) -> int:
        """How many there are, without those that have run out."""
        for token in [t for t, each in self._subscriptions.items() if each.ends_at <= now]:
            del self._subscriptions[token]
        return len(self._subscriptions)

    def create(self, now: float, ends_at: float) -> Subscription | None:
        """A new one, whose queue begins with every property's state; None at the limit."""
        if self.open(now) >= MAX_SUBSCRIPTIONS:
            return None
        self.created += 1
        made = Subscription(f"sub{self.created}", ends_at, now)
        for token, camera in self.sources.items():
            made.queue.append(Event(MOTION, token, is_motion(camera, now), now, "Initialized"))
        made.queue.append(Event(INPUT, "1", self.input_on, now, "Initialized"))
        self._subscriptions[made.token] = made
        return made

    def get(self, token: str, now: float) -> Subscription | None:
        self.open(now)
        return self._subscriptions.get(token)

    def remove(self, token: str) -> None:
        self._subscriptions.pop(token, None)

    def switch_input(self, on: bool, now: float) -> None:
        """Set the digital input; those who subscribed hear of a change."""
        if on == self.input_on:
            return
        self.input_on = on
        for each in self._subscriptions.values():
            self._look(each, now)
            each.queue.append(Event(INPUT, "1", on, now, "Changed"))

    def take(self, subscription: Subscription, limit: int, now: float) -> list[Event]:
        """Up to `limit` of the oldest events, which then are gone from the queue."""
        self._look(subscription, now)
        queue = subscription.queue
        return [queue.popleft() for _ in range(min(limit, len(queue)))]

    def next_change(self, now: float) -> float:
        """When the timetable has something new for a pull that waits."""
        return min(next_change(camera, now) for camera in self.sources.values())

    def _look(self, subscription: Subscription, now: float) -> None:
        found = [
            Event(MOTION, token, began, at, "Changed")
            for token, camera in self.sources.items()
            for at, began in changes(camera, subscription.seen, now)
        ]
        subscription.queue.extend(sorted(found, key=lambda event: event.at))
        subscription.seen = max(subscription.seen, now)
