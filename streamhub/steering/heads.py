"""Cameras that are ready to be steered: asked once who they are, kept while they are used."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from camera_registry.control import ControlAddress
from camera_registry.secret import Secret
from gateways.onvif import (
    AddressInvalid,
    CredentialSet,
    DeviceAddress,
    DeviceClient,
    HttpTransport,
    NoPtz,
    OnvifError,
    PtzControl,
    Timeouts,
    TryLedger,
    Unreachable,
    find_ptz,
)
from streamhub.steering.errors import (
    DeviceRefused,
    DeviceUnreachable,
    PtzUnsupported,
    SteeringBusy,
    SteeringError,
)

# Operators who steer at once, several times over; an open head is a task and no connection.
MAX_HEADS = 256
# Devices that are asked who they are at once: five requests each.
MAX_OPENING = 16
# Who presses a key waits no longer; a camera that is slower is not steered by hand.
OPEN_S = 8.0
TIMEOUTS = Timeouts(connect_s=2.0, total_s=4.0)
# Acts that wait for one camera, which takes one at a time; a person has one or two.
MAX_WAITING = 4
# Devices whose refused passwords are remembered, so that a key pressed again locks no account.
MAX_LEDGERS = 4_096
# As long as cameras lock an account; so a refused password costs it one try in that time.
TRY_AGAIN_S = 1_800.0


class AddressBook(Protocol):
    """The registry, as far as it is asked here."""

    async def control_for(self, channel_id: str) -> ControlAddress | None: ...


@dataclass(slots=True)
class Head:
    """One open head. `control` steers; `asking` reads, so that a stop never waits for a list."""

    channel_id: str
    device_id: str
    control: PtzControl
    asking: PtzControl
    waiting: int = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place among those who wait for this camera. Raises `SteeringBusy`."""
        if self.waiting >= MAX_WAITING:
            raise SteeringBusy
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    @property
    def is_used(self) -> bool:
        return self.waiting > 0 or self.control.moves


@dataclass(slots=True)
class _Tries:
    """What a device refused. Holds the address, and so a password, no longer than the ledger."""

    address: ControlAddress
    since: float
    ledger: TryLedger = field(default_factory=TryLedger)

    def are_of(self, other: ControlAddress) -> bool:
        return self._login(self.address) == self._login(other)

    @staticmethod
    def _login(address: ControlAddress) -> tuple[object, ...]:
        return address.host, address.port, address.username, address.password


class Heads:
    """Opens heads, one dialogue for however many ask; keeps the newest; `close()` at the end."""

    def __init__(
        self,
        book: AddressBook,
        make_http: Callable[[], HttpTransport],
        *,
        on_still: Callable[[Head], None],
        clock: Callable[[], float],
    ) -> None:
        # given
        self._book = book
        self._make_http = make_http
        self._on_still = on_still
        self._clock = clock
        # owned
        self._http: HttpTransport | None = None
        self._heads: OrderedDict[str, Head] = OrderedDict()
        self._opening: dict[str, asyncio.Task[Head]] = {}
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    def current(self, channel_id: str) -> Head | None:
        return self._heads.get(channel_id)

    async def get(self, channel_id: str) -> Head:
        """Raises `PtzUnsupported`, `DeviceUnreachable`, `DeviceRefused`, `SteeringBusy`, and
        `NotFound` of the registry."""
        head = self._heads.get(channel_id)
        if head is not None:
            self._heads.move_to_end(channel_id)
            return head
        opening = self._opening.get(channel_id)
        if opening is None:
            if len(self._opening) >= MAX_OPENING:
                raise SteeringBusy
            opening = asyncio.create_task(self._open(channel_id), name="ptz open")
            self._opening[channel_id] = opening
            opening.add_done_callback(lambda done: self._opened(channel_id, done))
        # Whoever goes away leaves the others' answer alone.
        return await asyncio.shield(opening)

    def drop(self, head: Head) -> None:
        """Forget it: it is stopped, and its device asked anew the next time."""
        if self._heads.get(head.channel_id) is head:
            del self._heads[head.channel_id]
            self._close(head)

    def of_changed(self, object_ids: Iterable[str] | None) -> list[Head]:
        """Those of channels and devices that changed; None: all."""
        ids = None if object_ids is None else frozenset(object_ids)
        return [
            head
            for head in self._heads.values()
            if ids is None or {head.channel_id, head.device_id} & ids
        ]

    async def close(self) -> None:
        """Every camera stands still, as far as it answers."""
        for opening in list(self._opening.values()):
            opening.cancel()
        for head in list(self._heads.values()):
            self.drop(head)
        await asyncio.gather(*self._closing, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    # --- inside -----------------------------------------------------------------------------------

    async def _open(self, channel_id: str) -> Head:
        self._make_room()
        address = await self._book.control_for(channel_id)
        if address is None:
            raise PtzUnsupported("no_onvif_address")
        with translated():
            client = self._client(address)
            async with asyncio.timeout(OPEN_S):
                found = await find_ptz(client, address.channel_number)
            asking = PtzControl(client.another(), found.url, found.token)
            control = PtzControl(
                client, found.url, found.token, on_still=lambda: self._on_still(head)
            )
            head = Head(channel_id, address.device_id, await control.__aenter__(), asking)
            return head

    def _opened(self, channel_id: str, done: asyncio.Task[Head]) -> None:
        del self._opening[channel_id]
        if not done.cancelled() and done.exception() is None:
            self._heads[channel_id] = done.result()

    def _client(self, address: ControlAddress) -> DeviceClient:
        if self._http is None:
            self._http = self._make_http()
        sets = []
        if address.username is not None:
            password = address.password or Secret("")
            sets = [CredentialSet("registry", address.username, password)]
        return DeviceClient(
            DeviceAddress(address.host, address.port),
            self._http,
            sets,
            ledger=self._ledger(address),
            timeouts=TIMEOUTS,
        )

    def _ledger(self, address: ControlAddress) -> TryLedger:
        """What was refused before, unless it was something else, or long ago."""
        now, tries = self._clock(), self._tries.get(address.device_id)
        if tries is None or not tries.are_of(address) or now - tries.since > TRY_AGAIN_S:
            tries = self._tries[address.device_id] = _Tries(address, now)
            if len(self._tries) > MAX_LEDGERS:
                self._tries.popitem(last=False)
        return tries.ledger

    def _make_room(self) -> None:
        if len(self._heads) + len(self._opening) <= MAX_HEADS:
            return
        for head in self._heads.values():
            if not head.is_used:
                self.drop(head)
                return
        raise SteeringBusy

    def _close(self, head: Head) -> None:
        closing = asyncio.create_task(head.control.__aexit__(None, None, None), name="ptz close")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


@contextmanager
def translated() -> Iterator[None]:
    """What the gateway raises, in this room's words."""
    try:
        yield
    except (NoPtz, OnvifError, TimeoutError) as error:
        raise _ours(error) from None


def _ours(error: NoPtz | OnvifError | TimeoutError) -> SteeringError:
    match error:
        case NoPtz():
            return PtzUnsupported(error.code)
        case TimeoutError():
            return DeviceUnreachable("no_answer", "The camera answers too slowly to be steered.")
        case Unreachable() | AddressInvalid():
            return DeviceUnreachable(error.code, str(error))
    return DeviceRefused(error.code, str(error))
