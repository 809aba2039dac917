"""Which delivery of one webhook is sent next, and when again if it failed. Sans-IO.

Deliveries come in by `add`; `poll` says what to send now, `delivered` and `failed` how that ended,
`poll_timeout` when to ask again. Times are seconds of one clock, given by the caller. It owns no
clock, no task and no store.

- Of one channel one delivery is under way at a time, in order of `seq`: the next waits until the
  one before has arrived or was given up.
- A delivery that failed is tried again after a pause that doubles; after `max_attempts` it is dead.
- When several failed in a row it is the receiver that is ill, not the delivery: then everything
  pauses, and one at a time tries whether it is well again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

# Enough to keep a receiver 50 ms away busy with 80 a second; it must not feel like an attack.
MAX_IN_FLIGHT: Final = 4
# Failures in a row that speak against the receiver.
ILL_AFTER: Final = 3


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Times in seconds. As they stand, a delivery is tried for about eleven hours: over a night."""

    first_s: float = 5.0
    max_s: float = 3_600.0
    max_attempts: int = 24
    ill_first_s: float = 5.0
    ill_max_s: float = 300.0

    def pause_s(self, failures: int, jitter: float) -> float:
        """Before attempt `failures` + 1; `jitter` in [0, 1) spreads it over its upper half."""
        return _doubled(self.first_s, failures, self.max_s) * (0.5 + 0.5 * jitter)

    def ill_pause_s(self, failures: int, jitter: float) -> float:
        beyond = failures - ILL_AFTER + 1
        return _doubled(self.ill_first_s, beyond, self.ill_max_s) * (0.5 + 0.5 * jitter)


def _doubled(first_s: float, times: int, max_s: float) -> float:
    return min(first_s * 2.0 ** min(times - 1, 32), max_s)


@dataclass(frozen=True, slots=True)
class Failed:
    """What becomes of a failed delivery: `due` is None when it is given up."""

    attempts: int
    due: float | None


@dataclass(slots=True)
class _Item:
    seq: int
    channel_id: str
    attempts: int
    due: float


class Outbox:
    """The queue of one webhook."""

    def __init__(self, policy: RetryPolicy, jitter: Callable[[], float]) -> None:
        # given
        self._policy = policy
        self._jitter = jitter
        # owned
        self._items: dict[int, _Item] = {}
        self._lines: dict[str, list[int]] = {}  # of each channel, a heap of seqs
        self._in_flight: dict[str, int] = {}  # by channel
        self._ready: list[tuple[float, int]] = []  # heap of (due, seq): heads of lines, some stale
        self._failures = 0  # in a row, of the receiver
        self._ill_until = 0.0
        self._asked_until = 0.0  # by the receiver

    def __len__(self) -> int:
        return len(self._items)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def is_ill(self) -> bool:
        """The receiver has failed several times in a row."""
        return self._failures >= ILL_AFTER

    @property
    def _paused_until(self) -> float:
        return max(self._ill_until, self._asked_until)

    def add(self, seq: int, channel_id: str, *, attempts: int, due: float) -> None:
        """A queued delivery; the same seq twice is one."""
        if seq in self._items:
            return
        self._items[seq] = _Item(seq, channel_id, attempts, due)
        line = self._lines.setdefault(channel_id, [])
        heapq.heappush(line, seq)
        self._offer(line)

    def poll(self, now: float) -> int | None:
        """The seq to send now, which is under way from then on; None when there is none."""
        if len(self._in_flight) >= (1 if self.is_ill else MAX_IN_FLIGHT):
            return None
        if now < self._paused_until:
            return None
        while self._drop_stale() and self._ready[0][0] <= now:
            _, seq = heapq.heappop(self._ready)
            self._in_flight[self._items[seq].channel_id] = seq
            return seq
        return None

    def poll_timeout(self) -> float | None:
        """When `poll` may have something; None: not before something is added or ends."""
        if len(self._in_flight) >= (1 if self.is_ill else MAX_IN_FLIGHT):
            return None
        if not self._drop_stale():
            return None
        return max(self._ready[0][0], self._paused_until)

    def delivered(self, seq: int) -> None:
        """It arrived: the receiver is well. A pause that it asked for stands all the same."""
        self._failures = 0
        self._ill_until = 0.0
        self._remove(seq)

    def failed(self, now: float, seq: int, *, retry_after_s: float | None = None) -> Failed:
        """It did not. `retry_after_s`: the receiver asked for a pause (at most `max_s` is kept)."""
        item = self._items[seq]
        item.attempts += 1
        self._failures += 1
        if self.is_ill:
            pause_s = self._policy.ill_pause_s(self._failures, self._jitter())
            self._ill_until = max(self._ill_until, now + pause_s)
        if retry_after_s is not None:
            asked_s = min(max(retry_after_s, 0.0), self._policy.max_s)
            self._asked_until = max(self._asked_until, now + asked_s)
        if item.attempts >= self._policy.max_attempts:
            self._remove(seq)
            return Failed(item.attempts, None)
        item.due = now + self._policy.pause_s(item.attempts, self._jitter())
        self.unsent(seq)
        return Failed(item.attempts, item.due)

    def unsent(self, seq: int) -> None:
        """It is not under way any more, and due as before: nothing is known of the receiver."""
        item = self._items[seq]
        del self._in_flight[item.channel_id]
        self._offer(self._lines[item.channel_id])

    def gone(self, seq: int) -> None:
        """It is not in the store any more: nothing is known of the receiver by that."""
        self._remove(seq)

    # --- inside -----------------------------------------------------------------------------------

    def _remove(self, seq: int) -> None:
        item = self._items.pop(seq)
        del self._in_flight[item.channel_id]
        line = self._lines[item.channel_id]
        if line[0] == seq:
            heapq.heappop(line)
        else:
            line.remove(seq)
            heapq.heapify(line)
        if line:
            self._offer(line)
        else:
            del self._lines[item.channel_id]

    def _offer(self, line: list[int]) -> None:
        """Puts the head of a line where it can be polled, unless one of the line is under way."""
        head = self._items[line[0]]
        if head.channel_id not in self._in_flight:
            heapq.heappush(self._ready, (head.due, head.seq))

    def _drop_stale(self) -> bool:
        """Clears what was overtaken off the top; True when something is left."""
        while self._ready:
            due, seq = self._ready[0]
            item = self._items.get(seq)
            if (
                item is not None
                and item.due == due
                and item.channel_id not in self._in_flight
                and self._lines[item.channel_id][0] == seq
            ):
                return True
            heapq.heappop(self._ready)
        return False
