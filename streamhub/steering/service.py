"""Steering as one object: what `app` builds and the api calls.

Each act asks again: who holds the camera, what it answers, and for a row in the audit before it
moves. A move goes on while it is repeated; silence, a release, a revocation, somebody who takes
over and the service's end all stop it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from gateways.onvif import Faulted, HttpTransport, Position, Preset, PtzStatus, Velocity
from streamhub.access.guard import utc_now
from streamhub.access.permit import Permit
from streamhub.access.principal import Action, channel
from streamhub.steering.errors import (
    DeviceRefused,
    DeviceUnreachable,
    PtzHeld,
    SteeringError,
)
from streamhub.steering.heads import AddressBook, Head, Heads, translated
from streamhub.steering.holds import Holds
from streamhub.steering.lease import Held, Lease, Leases
from streamhub.steering.rows import Rows

if TYPE_CHECKING:
    from streamhub.access.audit import AuditLog
    from streamhub.access.facts import FactsSource
    from streamhub.access.facts_cache import FactsChange
    from streamhub.access.guard import Guard

log = structlog.get_logger(__name__)

# A stop before it (five tries at most) and the act itself.
ACT_S = 10.0
# Of the 3 s in which the service leaves; a camera that does not answer stops by its own timeout.
GOODBYE_S = 1.0
# Who may take over from whom: whoever manages the camera from whoever may only steer it.
OPERATOR, MANAGER = 1, 2


@dataclass(frozen=True, slots=True)
class Steered:
    """Who steers, as it is told to people. `until`: unless they act before."""

    held_by: str
    is_mine: bool
    until: datetime


class Steering:
    """Use cases of cameras' heads. `stop_all()` at the end."""

    def __init__(
        self,
        *,
        book: AddressBook,
        guard: Guard,
        facts: FactsSource,
        audit: AuditLog,
        make_http: Callable[[], HttpTransport] = lambda: HttpTransport(verify_tls=False),
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        # given
        self._guard = guard
        self._facts = facts
        self._clock = clock
        self._now = now
        # owned
        self._rows = Rows(audit, facts)
        self._holds = Holds(self._rows, clock)
        self._heads = Heads(book, make_http, on_still=self._holds.ended, clock=clock)
        self._leases = Leases()
        self._tasks: set[asyncio.Task[None]] = set()

    async def move(self, permit: Permit, velocity: Velocity, *, take_over: bool = False) -> Steered:
        """Move like this for `HOLD_S`; repeated, it goes on. The first waits for the camera.

        Raises `SteeringError`, and as the guard does when the right has gone meanwhile.
        """
        head = await self._heads.get(permit.channel_id)
        hold = self._holds.get(permit.channel_id)
        taken_from = self._take(permit, take_over)
        if taken_from is None and hold is not None and hold.goes_on_for(permit, head):
            with self._telling(head):
                head.control.raise_refused()
            hold.renew(permit, velocity)
            return self._steered(permit)
        async with head.place():
            detail = {"pan": velocity.pan, "tilt": velocity.tilt, "zoom": velocity.zoom}
            await self._rows.write("ptz_move", permit, detail, taken_from)
            with self._telling(head):
                async with asyncio.timeout(ACT_S):
                    if head.control.moves:
                        await head.control.settle()
                    self._refuse_others(permit)
                    self._holds.begin(permit, head)
                    await head.control.begin(velocity)
        return self._steered(permit)

    async def take(self, permit: Permit, *, take_over: bool = False) -> Steered:
        """Have the camera without moving it. Raises as `move`."""
        head = await self._heads.get(permit.channel_id)
        taken_from = self._take(permit, take_over)
        async with head.place():
            await self._rows.write("ptz_take", permit, {}, taken_from)
            if taken_from is not None:
                with self._telling(head):
                    async with asyncio.timeout(ACT_S):
                        await head.control.stop()
        return self._steered(permit)

    async def absolute(
        self, permit: Permit, position: Position, *, take_over: bool = False
    ) -> Steered:
        """Go to a position. Raises as `move`."""
        detail = {"pan": position.pan, "tilt": position.tilt, "zoom": position.zoom}
        async with self._acting(permit, "ptz_absolute", detail, take_over) as head:
            await head.control.absolute(position)
        return self._steered(permit)

    async def go_to_preset(self, permit: Permit, token: str, *, take_over: bool = False) -> Steered:
        """Raises as `move`."""
        async with self._acting(permit, "ptz_go_to_preset", {"preset": token}, take_over) as head:
            await head.control.goto_preset(token)
        return self._steered(permit)

    async def set_preset(
        self, permit: Permit, name: str, token: str | None, *, take_over: bool = False
    ) -> str:
        """Keep the present position, as a new preset or in place of one; its token. Raises as
        `move`."""
        detail = {"name": name, "preset": token}
        async with self._acting(permit, "ptz_set_preset", detail, take_over) as head:
            return await head.control.set_preset(name, token)

    async def stop(self, permit: Permit) -> None:
        """Stop whatever moves it, if nobody else steers. Raises as `move`."""
        self._refuse_others(permit)
        head = await self._heads.get(permit.channel_id)
        self._refuse_others(permit)
        self._holds.end(permit.channel_id, "stopped")
        async with head.place():
            await self._rows.write("ptz_stop", permit, {}, None)
            with self._telling(head):
                async with asyncio.timeout(ACT_S):
                    await head.control.stop()

    def release(self, permit: Permit) -> None:
        """Let others steer; a move ends. Nothing, if somebody else steers."""
        lease = self._leases.holder(self._clock(), permit.channel_id)
        if lease is not None and lease.is_of(permit):
            self._holds.end(permit.channel_id, "released")
            self._leases.release(permit.channel_id)

    def steered(self, permit: Permit) -> Steered | None:
        """Who steers now."""
        lease = self._leases.holder(self._clock(), permit.channel_id)
        return None if lease is None else self._told(lease, permit)

    async def status(self, permit: Permit) -> PtzStatus:
        """Where it looks; of a camera that does not tell, nothing. Raises as `move`."""
        head = await self._heads.get(permit.channel_id)
        async with head.place():
            with self._telling(head, steers=False):
                try:
                    return await head.asking.status()
                except Faulted:
                    return PtzStatus(Position(), None)

    async def presets(self, permit: Permit) -> list[Preset]:
        """Raises as `move`."""
        head = await self._heads.get(permit.channel_id)
        async with head.place():
            with self._telling(head, steers=False):
                return await head.asking.presets()

    async def facts_changed(self, change: FactsChange) -> None:
        """Follower of the facts cache: who may no longer steer is stopped now."""
        for channel_id, lease in list(self._leases.all(self._clock())):
            if self._guard.recheck(lease.permit) is None:
                self._holds.end(channel_id, "revoked")
                self._leases.release(channel_id)
                head = self._heads.current(channel_id)
                if head is not None:
                    # An absolute move under way is stopped, too.
                    task = asyncio.create_task(self._stop_head(head), name="ptz stop")
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        kinds = {kind.partition(".")[0] for kind in change.kinds}
        if kinds & {"channel", "device", "everything"}:
            ids = None if "everything" in kinds else change.object_ids
            for head in self._heads.of_changed(ids):  # it may be another camera by now
                self._holds.end(head.channel_id, "changed")
                self._heads.drop(head)

    async def stop_all(self) -> None:
        """Every camera stands still, as far as it answers, and every row is written."""
        self._holds.end_all("shutdown")
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._heads.close()
                await self._holds.settled()

    # --- inside -----------------------------------------------------------------------------------

    @asynccontextmanager
    async def _acting(
        self, permit: Permit, act: str, detail: dict[str, Any], take_over: bool
    ) -> AsyncIterator[Head]:
        """One act that ends by itself: held by whoever asks, written, and after a stop."""
        head = await self._heads.get(permit.channel_id)
        taken_from = self._take(permit, take_over)
        async with head.place():
            await self._rows.write(act, permit, detail, taken_from)
            # While the row was written another may have taken over, or the right gone.
            self._refuse_others(permit)
            self._holds.end(permit.channel_id, "other_act")
            try:
                with self._telling(head):
                    async with asyncio.timeout(ACT_S):
                        await head.control.settle()
                        # It may have taken a while to come to a stop.
                        self._refuse_others(permit)
                        yield head
            except SteeringError as error:
                failed = detail | {"code": error.code, "reason": error.reason}
                await self._rows.write(act, permit, failed, None, outcome="failed")
                raise

    def _take(self, permit: Permit, take_over: bool) -> Lease | None:
        self._recheck(permit)
        target = channel(permit.channel_id)
        manages = self._guard.allows(permit.principal, Action.MANAGE, target)
        try:
            taken_from = self._leases.take(
                self._clock(), permit, MANAGER if manages else OPERATOR, take_over=take_over
            )
        except Held as held:
            raise self._held(held.lease, permit) from None
        if taken_from is not None:
            self._holds.end(permit.channel_id, "taken_over")
        return taken_from

    def _refuse_others(self, permit: Permit) -> None:
        self._recheck(permit)
        try:
            self._leases.refuse_others(self._clock(), permit)
        except Held as held:
            raise self._held(held.lease, permit) from None

    def _recheck(self, permit: Permit) -> None:
        self._guard.require(permit.principal, permit.action, permit.resource)

    async def _stop_head(self, head: Head) -> None:
        try:
            with translated():
                await head.control.stop()
        except SteeringError as error:
            log.warning("ptz_not_stopped", channel_id=head.channel_id, code=error.code)

    @contextmanager
    def _telling(self, head: Head, *, steers: bool = True) -> Iterator[None]:
        """A camera that fails is asked anew who it is: it may have been started anew."""
        try:
            with translated():
                yield
        except (DeviceRefused, DeviceUnreachable):
            if steers:
                self._holds.end(head.channel_id, "device_failed")
            if steers or not head.is_used:
                self._heads.drop(head)
            raise

    def _steered(self, permit: Permit) -> Steered:
        lease = self._leases.holder(self._clock(), permit.channel_id)
        if lease is None:
            return Steered(self._name(permit), True, self._now())
        return self._told(lease, permit)

    def _held(self, lease: Lease, permit: Permit) -> PtzHeld:
        told = self._told(lease, permit)
        return PtzHeld(told.held_by, told.until)

    def _told(self, lease: Lease, permit: Permit) -> Steered:
        until = self._now() + timedelta(seconds=lease.until - self._clock())
        return Steered(self._name(lease.permit), lease.is_of(permit), until)

    def _name(self, permit: Permit) -> str:
        subject = self._facts.current.subject(permit.subject_id)
        return permit.principal.username if subject is None else subject.display_name
