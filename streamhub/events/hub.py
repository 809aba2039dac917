"""Gathers what is told outward of channels, and hands it to listeners and to the webhooks.

Changes of channels come from their versions in the store, online and offline from the routes and
the inspections of this process, and what devices say from those that are listened to. A place in
the stream (`Place`) is the last version told, and the number of the last of the others told by this
process: what came after it can be found again, the versions in the store, online and offline among
the newest RECENT of this process; what devices said is told once.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from camera_registry.channel_events import (
    ChannelEvent,
    DeviceEvent,
    of_device,
    of_state,
    of_version,
)
from camera_registry.domain import EventKind
from camera_registry.inspection.card import Card
from camera_registry.store.contract import Store
from streamhub.access.facts import FactsSource
from streamhub.access.facts_cache import FactsChange
from streamhub.access.guard import utc_now
from streamhub.router import RouteView

from .presence import Presence, Telling

VERSIONS_AT_ONCE: Final = 500
# A district that loses and finds its 3,000 cameras is within it; about 1 MB.
RECENT: Final = 6_000
# Beyond it reading the lists anew costs a listener less than being told each change.
MAX_RESUMED: Final = 2_000
# What a listener may be behind; an import of 1,000 cameras comes at once.
MAX_WAITING: Final = 2_000
MAX_LISTENERS: Final = 256
MAX_LISTENERS_OF_ONE: Final = 16  # a page's tabs, or a platform's processes
RETRY_S: Final = 2.0  # the store was busy or ill

_PLACE = re.compile(r"(\d{1,18})-([0-9a-f]{8})-(\d{1,18})")
_CHANNELS: Final = frozenset({"channel", "everything"})

_log = structlog.get_logger(__name__)

Follower = Callable[[Sequence[ChannelEvent]], Awaitable[None]]
"""Is told online and offline, and by an empty sequence that there may be new versions. What it
raises on is told again."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a listener is; `str()` is the id of a server-sent event."""

    version: int
    epoch: str  # of this process: numbers of another one mean nothing here
    number: int

    def __str__(self) -> str:
        return f"{self.version}-{self.epoch}-{self.number}"

    @staticmethod
    def parse(text: str) -> Place | None:
        """None for what is no place."""
        found = _PLACE.fullmatch(text)
        return Place(int(found[1]), found[2], int(found[3])) if found else None


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and the place just behind it."""

    event: ChannelEvent
    place: Place


class Listener:
    """One who listens: `take` gives what has come since. Close it at the end."""

    def __init__(self, hub: EventHub, subject_id: str, place: Place) -> None:
        self.subject_id = subject_id
        self.place = place  # the newest when it began
        self.fell_behind = False
        self._hub = hub
        self._waiting: deque[Told] = deque()
        self._wake = asyncio.Event()

    async def take(self, timeout_s: float) -> list[Told]:
        """All that waits, oldest first; waits for it up to `timeout_s`, then gives nothing. Once
        `fell_behind` is set nothing more comes."""
        if not self._waiting and not self.fell_behind:
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
            except TimeoutError:
                return []
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    def close(self) -> None:
        self._hub._leave(self)

    def _put(self, told: Sequence[Told]) -> None:
        if len(self._waiting) + len(told) > MAX_WAITING:
            self.fell_behind = True
            self._waiting.clear()
        if not self.fell_behind:
            self._waiting.extend(told)
        self._wake.set()


class EventHub:
    """`start()` before use, `stop()` at the end. `clock` is monotonic seconds."""

    def __init__(
        self,
        store: Store,
        facts: FactsSource,
        *,
        presence: Presence | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        # given
        self._store = store
        self._facts = facts
        self._clock = clock
        self._now = now
        # owned
        self._presence = presence or Presence()
        self._place = Place(0, secrets.token_hex(4), 0)
        self._recent: deque[Told] = deque(maxlen=RECENT)  # what has no version
        self._listeners: set[Listener] = set()
        self._follower: Follower | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._untold: deque[ChannelEvent] = deque(maxlen=RECENT)  # to the follower
        self._wake = asyncio.Event()
        self._reading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.closed = False

    async def start(self) -> None:
        """Tells what comes from now on."""
        async with self._store.read() as tx:
            self._place = Place(await tx.versions.latest_seq(), self._place.epoch, 0)
        self._task = asyncio.create_task(self._run(), name="event-hub")

    async def stop(self) -> None:
        """Listeners' streams end."""
        self.close_listeners()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def close_listeners(self) -> None:
        """The service leaves: what listeners wait for does not come any more."""
        self.closed = True
        for listener in self._listeners:
            listener._wake.set()

    def follow(self, follower: Follower) -> None:
        """There is one: the webhooks."""
        self._follower = follower

    # --- what comes in ----------------------------------------------------------------------------

    async def facts_changed(self, change: FactsChange) -> None:
        """Follower of the facts, so that rights are asked of facts that have the change already.
        Only wakes: a long import must not keep a revocation waiting."""
        if change.kinds & _CHANNELS:
            self._wake.set()

    def route_changed(self, route: RouteView) -> None:
        """How it stands with a stream now."""
        self._presence.route_changed(self._clock(), route)
        self._tell_states()

    def inspected(self, card: Card) -> None:
        """A channel was looked at: it sent pictures, or did not even answer. What is between the
        two (another password, no such stream) is for the card to tell."""
        channel = self._facts.current.channel(card.channel_id)
        unanswered = card.facts.failed_step == "connect"
        if channel is None or not channel.enabled or not (card.facts.packets or unanswered):
            return
        self._presence.looked_at(
            channel.id, online=not unanswered, cause=card.facts.failure if unanswered else None
        )
        self._tell_states()

    def device_said(self, channel_id: str, said: DeviceEvent, at: datetime) -> None:
        """A channel's device has said something of it, which came at `at`. Of a channel that is
        switched off nothing is told."""
        channel = self._facts.current.channel(channel_id)
        if channel is not None and channel.enabled:
            self._tell_now([of_device(channel, said, at)])

    # --- listeners --------------------------------------------------------------------------------

    def has_room_for(self, subject_id: str) -> bool:
        """Whether one more may listen, of all and of this subject."""
        own = sum(each.subject_id == subject_id for each in self._listeners)
        return len(self._listeners) < MAX_LISTENERS and own < MAX_LISTENERS_OF_ONE

    def listen(self, subject_id: str) -> Listener:
        """From now on. Close it at the end. Several that come at once may all have been told that
        there is room: those beyond it fall behind at once."""
        listener = Listener(self, subject_id, self._place)
        listener.fell_behind = not self.has_room_for(subject_id)
        if not listener.fell_behind:
            self._listeners.add(listener)
        return listener

    async def catch_up(self) -> None:
        """Tells all that is committed by now; then who listens begins there."""
        async with self._reading:
            while await self._read_versions():
                pass

    async def missed(self, since: str, until: Place) -> list[Told] | None:
        """What was told between two places; None when that can't be said any more.

        Of another process the versions are told, and all states that this one has told: it began
        without any. What devices said is left out: it is the alarm of a moment, and who may watch
        now, as by a loan, might not have then.
        """
        place = Place.parse(since)
        if place is None or place.version > until.version:
            return None
        if place.epoch != until.epoch:
            place = Place(place.version, until.epoch, 0)
        states = [each for each in self._recent if place.number < each.place.number <= until.number]
        if len(states) != until.number - place.number:
            return None
        async with self._store.read() as tx:
            versions = await tx.versions.after(place.version, MAX_RESUMED + 1)
        if len(versions) > MAX_RESUMED:
            return None
        told = [
            Told(of_version(each), Place(each.seq, until.epoch, place.number))
            for each in versions
            if each.seq <= until.version
        ]
        told += [
            Told(each.event, Place(until.version, until.epoch, each.place.number))
            for each in states
            if each.event.kind is not EventKind.DEVICE_EVENT
        ]
        return told

    def _leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    # --- inside -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                self._presence.keep(self._facts.current.channels)
                await self.catch_up()
                await self._tell_follower()
            except Exception:
                _log.exception("event_hub_failed")
                await asyncio.sleep(RETRY_S)
                self._wake.set()

    async def _read_versions(self) -> bool:
        """The next batch; True when there may be more. Without listeners nothing is read: they
        begin at the newest, and webhooks have places of their own."""
        async with self._store.read() as tx:
            if self._listeners:
                versions = await tx.versions.after(self._place.version, VERSIONS_AT_ONCE)
            else:
                versions = []
                self._move_to(await tx.versions.latest_seq())
        told = []
        for version in versions:
            self._move_to(version.seq)
            told.append(Told(of_version(version), self._place))
        self._tell(told)
        return len(versions) == VERSIONS_AT_ONCE

    async def _tell_follower(self) -> None:
        """Events leave when they were taken."""
        if self._follower is not None:
            events = list(self._untold)
            self._untold.clear()
            try:
                await self._follower(events)
            except BaseException:
                # In front of what came meanwhile; where there is no room, the oldest go.
                self._untold = deque([*events, *self._untold], maxlen=RECENT)
                raise

    def _move_to(self, version: int) -> None:
        self._place = Place(version, self._place.epoch, self._place.number)

    def _due(self) -> None:
        self._presence.handle_timeout(self._clock())
        self._tell_states()

    def _tell_states(self) -> None:
        events = []
        while (telling := self._presence.poll()) is not None:
            event = self._event_of(telling)
            if event is not None:
                events.append(event)
        self._tell_now(events)
        self._set_timer()

    def _tell_now(self, events: Sequence[ChannelEvent]) -> None:
        """What has no version."""
        told = []
        for event in events:
            place = self._place
            self._place = Place(place.version, place.epoch, place.number + 1)
            told.append(Told(event, self._place))
        if told:
            self._recent.extend(told)
            self._tell(told)
            self._untold.extend(events)
            self._wake.set()

    def _event_of(self, telling: Telling) -> ChannelEvent | None:
        channel = self._facts.current.channel(telling.channel_id)
        if channel is None:
            return None
        return of_state(channel, online=telling.online, cause=telling.cause, at=self._now())

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._presence.poll_timeout()
        if due is not None and not self.closed:
            delay_s = max(0.0, due - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._due)

    def _tell(self, told: Sequence[Told]) -> None:
        if told:
            for listener in self._listeners:
                listener._put(told)
