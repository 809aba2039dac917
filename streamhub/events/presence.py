"""Whether a channel is online, as far as that is known: from the states of its routes, and from
inspections. Sans-IO.

A channel is online while one of its streams is live, offline while one is wanted and can't be had.
**Of a channel that nobody pulls only an inspection knows**: it has looked, so what it found is told
at once. Else nothing is told of it, and nothing is found out. A route's state is told when it has
lasted a while, and only when it is another than what was told last. States come in with `now`
(monotonic seconds); out come tellings (`poll`) and the next time it wants to be woken
(`poll_timeout`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from dataclasses import dataclass, field

from streamhub.router import RouteView
from streamhub.router.route import RouteState


@dataclass(frozen=True, slots=True)
class Debounce:
    """How long a state must last before it is told, in seconds."""

    # A camera that answers and hangs up again is not back.
    online_s: float = 2.0
    # A lost camera is dialled again after 2 s and then 4: what is back by then was a hiccup.
    offline_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Telling:
    """`cause`: why it is offline, as the route says it."""

    channel_id: str
    online: bool
    cause: str | None


@dataclass(slots=True)
class _Channel:
    live: set[str] = field(default_factory=set)  # profiles
    lost: dict[str, str | None] = field(default_factory=dict)  # profile -> cause
    told: bool | None = None
    turning: bool | None = None
    due: float = 0.0


class Presence:
    """All channels that were ever pulled or looked at, since the start of this process."""

    def __init__(self, debounce: Debounce | None = None) -> None:
        self._debounce = debounce or Debounce()
        self._channels: dict[str, _Channel] = {}
        self._turning: set[str] = set()
        self._tellings: deque[Telling] = deque()

    def route_changed(self, now: float, route: RouteView) -> None:
        """How it stands with one stream of a channel."""
        channel_id, _, profile = route.stream_id.rpartition("/")
        channel = self._channels.setdefault(channel_id, _Channel())
        channel.live.discard(profile)
        channel.lost.pop(profile, None)
        if route.state is RouteState.LIVE:
            channel.live.add(profile)
        elif route.state is RouteState.BACKOFF or (
            # Dialled again: lost until it is live.
            route.state is RouteState.OPENING and route.cause is not None
        ):
            channel.lost[profile] = route.cause
        self._turn(now, channel_id, channel)

    def looked_at(self, channel_id: str, *, online: bool, cause: str | None) -> None:
        """An inspection has seen it, or not. Of a channel that is being pulled its routes tell."""
        channel = self._channels.setdefault(channel_id, _Channel())
        if not channel.live and not channel.lost and channel.told != online:
            channel.told = online
            self._tellings.append(Telling(channel_id, online, None if online else cause))

    def keep(self, channel_ids: Container[str]) -> None:
        """Forgets all channels but these: the others are no more."""
        for channel_id in [each for each in self._channels if each not in channel_ids]:
            del self._channels[channel_id]
            self._turning.discard(channel_id)

    def poll_timeout(self) -> float | None:
        return min((self._channels[each].due for each in self._turning), default=None)

    def handle_timeout(self, now: float) -> None:
        """Tells what has lasted long enough; early calls do nothing."""
        for channel_id in sorted(self._turning):
            channel = self._channels[channel_id]
            if channel.turning is None or channel.due > now:
                continue
            channel.told, channel.turning = channel.turning, None
            self._turning.discard(channel_id)
            cause = None if channel.told else next(iter(channel.lost.values()), None)
            self._tellings.append(Telling(channel_id, channel.told, cause))

    def poll(self) -> Telling | None:
        """The next thing to tell, oldest first."""
        return self._tellings.popleft() if self._tellings else None

    def _turn(self, now: float, channel_id: str, channel: _Channel) -> None:
        state = True if channel.live else False if channel.lost else None
        if state is None or state == channel.told:
            channel.turning = None
            self._turning.discard(channel_id)
        elif state != channel.turning:
            channel.turning = state
            channel.due = now + (self._debounce.online_s if state else self._debounce.offline_s)
            self._turning.add(channel_id)
