"""Listens to the devices that were switched on for it, and hands on what they say.

The driver: who is listened to follows the registry; `gateways.onvif` speaks, `said` decides what is
news. A device is asked again after a pause that doubles, and seldom where it refused the password.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

import structlog

from camera_registry.channel_events import DeviceEvent
from camera_registry.control import EventAddress
from camera_registry.errors import RegistryError, StoreError
from camera_registry.secret import Secret
from gateways.onvif import (
    AuthRefused,
    CredentialSet,
    DeviceAddress,
    DeviceClient,
    Event,
    HttpTransport,
    OnvifError,
    classify,
    find_services,
    list_sources,
    listen,
    picture_of,
)
from streamhub.access.facts import FactsSource
from streamhub.access.facts_cache import FactsChange

from .said import ALL_BURST, ALL_PER_S, Bucket, DeviceSayings

# Each holds a request open nearly always; the transport has so many connections and some to spare.
MAX_LISTENED: Final = 400
# After a restart the devices are asked one after the other: five requests each.
BEGIN_EVERY_S: Final = 0.05
RETRY_FIRST_S: Final = 5.0
RETRY_MAX_S: Final = 300.0
# As long as cameras lock an account.
AUTH_RETRY_S: Final = 1_800.0
REGISTRY_RETRY_S: Final = 2.0
# The service has 3 s to leave. A subscription that is not given back ends by itself.
FAREWELL_S: Final = 1.0

_ABOUT: Final = frozenset({"device", "channel", "everything"})

_log = structlog.get_logger(__name__)

Tell = Callable[[str, DeviceEvent, datetime], None]
"""(channel id, what was said, when it came)."""


class EventBook(Protocol):
    """The registry, as far as it is asked here."""

    async def listened_devices(self) -> list[str]: ...
    async def events_of(self, device_id: str) -> EventAddress | None: ...


@dataclass(slots=True)
class _Ear:
    """One device. `state`: `waiting`, `listening`, or the code of what is wrong."""

    sayings: DeviceSayings
    address: EventAddress | None = None
    task: asyncio.Task[None] | None = None
    state: str = "waiting"
    pictures: dict[str, int] = field(default_factory=dict)  # by token


class DeviceEars:
    """`start()` before use, `stop()` at the end."""

    def __init__(
        self,
        book: EventBook,
        facts: FactsSource,
        tell: Tell,
        *,
        make_http: Callable[[], HttpTransport] = lambda: HttpTransport(verify_tls=False),
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        # given
        self._book = book
        self._facts = facts
        self._tell = tell
        self._make_http = make_http
        self._clock = clock
        self._jitter = jitter
        # owned
        self._http: HttpTransport | None = None
        self._ears: dict[str, _Ear] = {}
        self._everybody = Bucket(ALL_BURST, ALL_PER_S)
        self._beginning = asyncio.Lock()
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._left_out = 0
        self.told_total = self.unplaced_total = self._dropped = 0

    async def start(self) -> None:
        self._wake.set()
        self._task = asyncio.create_task(self._run(), name="device-ears")

    async def stop(self) -> None:
        """Gives the subscriptions back, as far as the devices answer."""
        tasks = [self._task, *(each.task for each in self._ears.values())]
        going = [task for task in tasks if task is not None]
        for task in going:
            task.cancel()
        if going:
            await asyncio.wait(going, timeout=FAREWELL_S)
        if self._http is not None:
            await self._http.close()

    async def facts_changed(self, change: FactsChange) -> None:
        """Follower of the facts: who is listened to may be others, or elsewhere. Only wakes."""
        if not change.kinds & _ABOUT:
            return
        self._changed |= set(self._ears) if change.is_everything else set(change.object_ids)
        for device_id, ear in self._ears.items():
            # Also the device that a channel was of before.
            if ear.address and any(each in change.object_ids for each, _ in ear.address.channels):
                self._changed.add(device_id)
        for object_id in change.object_ids:
            channel = self._facts.current.channel(object_id)
            if channel is not None:
                self._changed.add(channel.device_id)
        self._wake.set()

    def state_of(self, device_id: str) -> str | None:
        """None: it is not listened to."""
        ear = self._ears.get(device_id)
        return None if ear is None else ear.state

    def figures(self) -> dict[str, float]:
        """For /metrics."""
        ears = self._ears.values()
        return {
            "device_listeners": sum(ear.state == "listening" for ear in ears),
            "device_listeners_wanted": len(ears) + self._left_out,
            "device_events_total": self.told_total,
            "device_events_dropped_total": self._dropped
            + sum(ear.sayings.dropped_total for ear in ears),
            "device_events_unplaced_total": self.unplaced_total,
        }

    # --- who is listened to -----------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._reconcile()
            except Exception:
                _log.exception("device_ears_failed")
                self._changed |= set(self._ears)
                await asyncio.sleep(REGISTRY_RETRY_S)
                self._wake.set()

    async def _reconcile(self) -> None:
        listed = await self._book.listened_devices()
        wanted, left_out = listed[:MAX_LISTENED], len(listed[MAX_LISTENED:])
        if left_out > self._left_out:
            _log.warning("device_events_over_capacity", devices=len(listed), most=MAX_LISTENED)
        self._left_out = left_out
        changed, self._changed = self._changed, set()
        await asyncio.gather(*(self._end(each) for each in self._ears.keys() - set(wanted)))
        doubted = []
        for device_id in wanted:
            ear = self._ears.get(device_id)
            if ear is None:
                self._ears[device_id] = ear = _Ear(DeviceSayings(self._everybody))
            elif device_id not in changed:
                continue
            doubted.append((ear, *await self._look_up(device_id)))
        # At once: one that does not answer is let go of only after seconds.
        await asyncio.gather(*(self._attend(*each) for each in doubted))

    async def _look_up(self, device_id: str) -> tuple[EventAddress | None, str]:
        """Where it is, or the code of why that is not known. Raises `StoreError`: ask again."""
        try:
            return await self._book.events_of(device_id), "no_onvif_address"
        except StoreError:
            raise
        except RegistryError as error:
            return None, error.code

    async def _attend(self, ear: _Ear, address: EventAddress | None, unknown: str) -> None:
        """Begins, or begins anew where the device is another than before."""
        if address is None:
            await self._hush(ear, unknown)
        elif address != ear.address:
            await self._hush(ear, "waiting")
            ear.address = address
            ear.task = asyncio.create_task(
                self._follow(ear, address), name=f"ear {address.device_id}"
            )

    async def _hush(self, ear: _Ear, state: str) -> None:
        task, ear.task, ear.address = ear.task, None, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        ear.state = state

    async def _end(self, device_id: str) -> None:
        ear = self._ears.pop(device_id)
        self._dropped += ear.sayings.dropped_total
        await self._hush(ear, "")

    # --- one device -------------------------------------------------------------------------------

    async def _follow(self, ear: _Ear, address: EventAddress) -> None:
        """Until it is cancelled."""
        failures = 0
        while True:
            async with self._beginning:
                await asyncio.sleep(BEGIN_EVERY_S)
            try:
                await self._hear(ear, address)
            except Exception as error:
                code = _logged(ear, address, error)
                failures = 0 if ear.state == "listening" else failures
                ear.state = code
                pause_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(failures, 10))
                if isinstance(error, AuthRefused):
                    pause_s = AUTH_RETRY_S
                failures += 1
                await asyncio.sleep(pause_s * (1.0 + self._jitter()) / 2.0)

    async def _hear(self, ear: _Ear, address: EventAddress) -> None:
        """Raises `OnvifError` where it can't begin, or the password is refused; `NoEvents`."""
        client = self._client(address)
        found = await find_services(client)
        url = found.url("events")
        if url is None:
            raise NoEvents
        ear.pictures = {}
        if address.asks_which:
            sources, _ = await list_sources(client, found)
            for place, source in enumerate(sources):
                ear.pictures |= dict.fromkeys({source.source_token, *source.config_tokens}, place)

        def failed(error: OnvifError) -> None:
            ear.state = error.code

        def began() -> None:
            ear.state = "listening"

        async with aclosing(listen(client, url, on_error=failed, on_begin=began)) as events:
            async for event in events:
                self._take(ear, address, event)

    def _take(self, ear: _Ear, address: EventAddress, event: Event) -> None:
        operation = event.notification.operation
        said = None if operation == "Deleted" else classify(event.notification)
        if said is None:
            return
        channel_id = self._channel_of(ear, address, picture_of(said))
        if channel_id is None:
            self.unplaced_total += 1
        elif ear.sayings.take(self._clock(), said, is_state=operation == "Initialized"):
            self.told_total += 1
            self._tell(channel_id, said, event.received_at)

    def _channel_of(self, ear: _Ear, address: EventAddress, picture: str | None) -> str | None:
        """Whose it is, as far as that is known and the channel is still the device's."""
        facts = self._facts.current
        if picture is not None:
            channel_id = address.channel_at(ear.pictures.get(picture))
        else:
            # An input: of none of the channels more than of another, so all must lie together.
            rows = [facts.channel(each) for each, _ in address.channels]
            areas = {None if row is None else row.area_id for row in rows}
            channel_id = address.channels[0][0] if len(areas) == 1 else None
        row = None if channel_id is None else facts.channel(channel_id)
        return row.id if row is not None and row.device_id == address.device_id else None

    def _client(self, address: EventAddress) -> DeviceClient:
        if self._http is None:
            self._http = self._make_http()
        sets = []
        if address.username is not None:
            sets = [CredentialSet("registry", address.username, address.password or Secret(""))]
        return DeviceClient(DeviceAddress(address.host, address.port), self._http, sets)


def _logged(ear: _Ear, address: EventAddress, error: Exception) -> str:
    """The code of why a device is not heard. What nobody thought of is a reason too: the device is
    asked again, and not unheard from then on."""
    if not isinstance(error, OnvifError | NoEvents):
        _log.error("device_listener_failed", device_id=address.device_id, exc_info=error)
        return "internal_error"
    if error.code != ear.state:
        _log.info("device_not_heard", device_id=address.device_id, code=error.code)
    return error.code


class NoEvents(Exception):
    """The device has no event service."""

    code: Final = "no_event_service"
