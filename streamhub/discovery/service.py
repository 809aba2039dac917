"""Sweeps as jobs: found devices and the place reached are in the store, so a restart goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from camera_registry.domain import Actor, Page, new_id
from camera_registry.errors import Conflict, NotFound, ValidationFailed
from camera_registry.imports import Imports
from camera_registry.jobs import FoundDevice, ImportJob, Sweep, SweepState
from camera_registry.secret import Secret
from camera_registry.store.contract import ReadTx, Store, WriteTx
from camera_registry.units import Units
from camera_registry.vault import Vault
from gateways.onvif import (
    MAX_DEVICES,
    CredentialSet,
    DeviceAddress,
    HttpTransport,
    OnvifError,
    SweepCursor,
    SweepPlan,
    SweepProgress,
    TryLedger,
    describe,
    discover,
    sweep,
)
from streamhub.discovery import found
from streamhub.discovery.interfaces import require_ours
from streamhub.discovery.settings import SweepOrder

log = structlog.get_logger(__name__)

# Devices that are being asked at once: a dozen requests each, a few seconds.
DESCRIBING: Final = 32
# A busy subnet is one sweep's; several would ask the same switch twice as fast.
MAX_RUNNING: Final = 1
FOUND_PAGE: Final = 500


class Discovery:
    """All sweeps. `start()` once before use, `stop()` at the end."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        imports: Imports,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        # given
        self._store = store
        self._units = Units(store, None)
        self._vault = vault
        self._imports = imports
        self._now = now
        # owned
        self._http: HttpTransport | None = None
        # Shared and kept: a second sweep must not lock what the first tried.
        self.ledger = TryLedger(key=vault.derive("streamhub tried passwords"))
        self._running: dict[str, asyncio.Task[None]] = {}
        self._beginning = asyncio.Lock()  # so that two at once are not both the only one

    async def start(self) -> None:
        """Goes on with what a restart cut short."""
        async with self._store.read() as tx:
            left = await tx.sweeps.in_state(SweepState.RUNNING)
            tries = await tx.sweeps.tries()
        if len(tries) > MAX_DEVICES:
            async with self._store.write() as write_tx:
                await write_tx.sweeps.delete_tries([host for host, _ in tries[:-MAX_DEVICES]])
        for host, told in tries[-MAX_DEVICES:]:
            self.ledger.restore(host, told)
        for each in left:
            self._run(each)

    async def stop(self) -> None:
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        await self._keep_tries()
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def create(
        self, order: SweepOrder, credentials: Sequence[CredentialSet], by: Actor
    ) -> Sweep:
        """Begin a sweep. Raises ValidationFailed, Conflict("sweep_running")."""
        order.check(credentials)
        require_ours(order.interfaces)
        async with self._beginning:
            self._require_room()
            return await self._create(order, credentials, by)

    async def _create(
        self, order: SweepOrder, credentials: Sequence[CredentialSet], by: Actor
    ) -> Sweep:
        job = Sweep(
            id=new_id("sw"),
            created_at=self._now(),
            subject_id=by.subject_id,
            subject_name=by.subject_name,
            options=order.as_json(),
        )
        sealed = self._vault.seal(job.id, _as_secret(credentials))
        async with self._units.begin(by) as unit:
            await unit.tx.sweeps.add(job, sealed)
            await unit.record(
                "sweep_create", sweep_id=job.id, **order.as_json(), sets=len(credentials)
            )
        self._run(job)
        return job

    async def get(self, sweep_id: str) -> Sweep:
        async with self._store.read() as tx:
            return await _sweep(tx, sweep_id)

    async def list_sweeps(self, *, limit: int, cursor: str | None) -> Page[Sweep]:
        """Newest first."""
        async with self._store.read() as tx:
            return await tx.sweeps.page(limit=limit, cursor=cursor)

    async def found(
        self, sweep_id: str, *, after: tuple[str, int] = ("", 0), limit: int = FOUND_PAGE
    ) -> list[FoundDevice]:
        """What it found so far, by address, behind `after`."""
        async with self._store.read() as tx:
            await _sweep(tx, sweep_id)
            return await tx.sweeps.found(sweep_id, after=after, limit=limit)

    async def end(self, sweep_id: str, by: Actor) -> Sweep:
        """Stop a sweep where it is. What it found stays."""
        async with self._units.begin(by) as unit:
            await self._cancel(sweep_id)
            job = await _sweep(unit.tx, sweep_id)
            if job.state is SweepState.RUNNING:
                job = replace(job, state=SweepState.STOPPED, finished_at=self._now())
                await unit.tx.sweeps.update(job)
                await unit.record("sweep_stop", sweep_id=job.id)
        await self._keep_tries()
        return job

    async def go_on(self, sweep_id: str, by: Actor) -> Sweep:
        """Take a stopped sweep up where it was. Raises Conflict("sweep_running")."""
        async with self._beginning:
            self._require_room()
            async with self._units.begin(by) as unit:
                job = await _sweep(unit.tx, sweep_id)
                if job.state is not SweepState.STOPPED:
                    return job
                job = replace(job, state=SweepState.RUNNING, finished_at=None)
                await unit.tx.sweeps.update(job)
                await unit.record("sweep_go_on", sweep_id=job.id)
            self._run(job)
        return job

    async def discard(self, sweep_id: str, by: Actor) -> None:
        """Forget a sweep, what it found and the passwords it tried."""
        async with self._units.begin(by) as unit:
            await self._cancel(sweep_id)
            await _sweep(unit.tx, sweep_id)
            await unit.tx.sweeps.delete(sweep_id)
            await unit.record("sweep_discard", sweep_id=sweep_id)
        await self._keep_tries()

    async def ended(self, sweep_id: str) -> Sweep:
        """Waits for a sweep that runs here."""
        task = self._running.get(sweep_id)
        if task is not None:
            await asyncio.wait([task])
        return await self.get(sweep_id)

    async def import_found(
        self, sweep_id: str, options: Mapping[str, Any], by: Actor, *, registered_too: bool = False
    ) -> ImportJob:
        """An import of what was found, with the passwords that served; it is still to be applied.

        Raises ValidationFailed("nothing_found", and what `Imports.create` raises).
        """
        devices: list[FoundDevice] = []
        after = ("", 0)
        while part := await self.found(sweep_id, after=after):
            after = (part[-1].host, part[-1].port)
            devices += [d for d in part if registered_too or not d.payload["registered"]]
        if not any(device.payload["channels"] for device in devices):
            raise ValidationFailed(
                "sweep",
                "nothing_found",
                "The sweep found no new camera that told its stream addresses; look at what "
                "each device answered.",
            )
        sets = {each.name: each for each in await self._credentials(sweep_id)}
        # Codes are minted in this order.
        devices.sort(key=lambda each: found.by_address(each.host, each.port))
        file = found.rows(devices, sets)
        name = _file_name(await self.get(sweep_id))
        return await self._imports.create(file, name, {**options, "template": "full"}, by)

    # --- inside -----------------------------------------------------------------------------------

    def _require_room(self) -> None:
        if len(self._running) >= MAX_RUNNING:
            raise Conflict(
                "state", "sweep_running", "A sweep is under way; wait for its end, or stop it."
            )

    def _run(self, job: Sweep) -> None:
        task = asyncio.create_task(self._sweeping(job), name=f"sweep-{job.id}")
        self._running[job.id] = task
        task.add_done_callback(lambda _: self._running.pop(job.id, None))

    async def _cancel(self, sweep_id: str) -> None:
        task = self._running.get(sweep_id)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _sweeping(self, job: Sweep) -> None:
        try:
            progress = await self._walk(job)
        except Exception:
            log.exception("sweep_failed", sweep_id=job.id)
            job = replace(await self.get(job.id), state=SweepState.STOPPED)
        else:
            job = replace(job, state=SweepState.DONE, progress=progress)
        async with self._store.write() as tx:
            await tx.sweeps.update(replace(job, finished_at=self._now()))

    async def _walk(self, job: Sweep) -> dict[str, Any]:
        order = SweepOrder.of(job.options)
        plan = order.plan()
        if self._http is None:
            self._http = HttpTransport(verify_tls=False)
        async with self._store.read() as tx:
            hosts = {device.host for device in await tx.devices.all()}
        asking = _Asking(self, job, await self._credentials(job.id), self._http, hosts)
        progress: dict[str, Any] = dict(job.progress)
        try:
            for match in await discover(order.interfaces) if order.interfaces else ():
                for address in match.addresses[:1]:
                    await asking.ask(address)
                    asking.heard.add((address.host, address.port))
            if plan is None:
                progress["found"] = len(asking.heard)
                await self._keep_progress(job, progress)
            else:
                progress = await self._addresses(job, plan, asking, progress)
            await asking.settled()
        finally:
            await asking.stop()
        return {**progress, "described": asking.described}

    async def _addresses(
        self, job: Sweep, plan: SweepPlan, asking: _Asking, progress: dict[str, Any]
    ) -> dict[str, Any]:
        told: list[SweepProgress] = []
        reached = job.progress.get("cursor")
        cursor = None if reached is None else SweepCursor.from_json(reached)
        async for hit in sweep(plan, asking.http, cursor=cursor, on_progress=told.append):
            at = (hit.address.host, hit.address.port)
            if at in asking.heard:
                asking.heard.remove(at)  # it is counted by the sweep, and has been asked
            else:
                await asking.ask(hit.address)
            if told:
                progress = _progress(told[-1], asking.heard)
                told.clear()
                # What lies before the cursor is written down: a restart asks nothing twice, and
                # misses nothing.
                await asking.settled()
                await self._keep_progress(job, {**progress, "described": asking.described})
        return _progress(told[-1], asking.heard) if told else progress

    async def _keep_progress(self, job: Sweep, progress: dict[str, Any]) -> None:
        async with self._store.write() as tx:
            await tx.sweeps.update(replace(job, progress=progress))

    async def keep(self, sweep_id: str, device: FoundDevice, *, forgotten: bool) -> None:
        """Write down what a device told, and what was tried on its host if that is news."""
        tries = self.ledger.unsaved(device.host)
        async with self._store.write() as tx:
            await tx.sweeps.put_found(sweep_id, [device])
            if tries is not None:
                await tx.sweeps.put_tries(device.host, tries, self._now())
            elif forgotten:
                await tx.sweeps.delete_tries([device.host])
        self.ledger.saved(device.host)

    async def _keep_tries(self) -> None:
        """Of devices that were being asked when a sweep was stopped: those tries count, too."""
        told = {host: self.ledger.unsaved(host) for host in self.ledger.unsaved_hosts()}
        async with self._store.write() as tx:
            for host, tries in told.items():
                if tries is not None:
                    await tx.sweeps.put_tries(host, tries, self._now())
        for host in told:
            self.ledger.saved(host)

    async def _credentials(self, sweep_id: str) -> list[CredentialSet]:
        async with self._store.read() as tx:
            sealed = await tx.sweeps.sealed(sweep_id)
        if sealed is None:
            return []
        kept = json.loads(self._vault.open(sweep_id, sealed).reveal())
        return [CredentialSet(name, user, Secret(word)) for name, user, word in kept]


class _Asking:
    """Describes the devices of one sweep, some at a time."""

    def __init__(
        self,
        owner: Discovery,
        job: Sweep,
        sets: Sequence[CredentialSet],
        http: HttpTransport,
        hosts: set[str],
    ) -> None:
        self.http = http
        self.heard: set[tuple[str, int]] = set()  # by multicast, and not met by the sweep so far
        self.described = 0
        self._owner = owner
        self._job = job
        self._sets = sets
        self._hosts = hosts
        self._room = asyncio.Semaphore(DESCRIBING)
        self._tasks: set[asyncio.Task[None]] = set()
        # A host is asked by one at a time: two of its ports have one lock.
        self._turns: dict[str, asyncio.Lock] = {}

    async def ask(self, address: DeviceAddress) -> None:
        """Waits for room, not for the answer."""
        await self._room.acquire()
        task = asyncio.create_task(self._one(address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._room.release())

    async def settled(self) -> None:
        if self._tasks:
            await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _one(self, address: DeviceAddress) -> None:
        host, ledger = address.host, self._owner.ledger
        registered = host in self._hosts
        async with self._turns.setdefault(host, asyncio.Lock()):
            begun = self._job.created_at.timestamp()
            forgotten = self._job.options.get("try_again", False) and ledger.forget(host, begun)
            try:
                told = await describe(address, self._sets, http=self.http, ledger=ledger)
                device = found.described(told, registered=registered)
            except OnvifError as error:
                device = found.refused(address, error, registered=registered)
            await self._owner.keep(self._job.id, device, forgotten=forgotten)
        self.described += 1


def _progress(told: SweepProgress, heard: Collection[tuple[str, int]]) -> dict[str, Any]:
    return {
        "total": told.total,
        "done": told.done,
        "found": told.found + len(heard),
        "cursor": told.cursor.as_json(),
    }


def _file_name(sweep: Sweep) -> str:
    """What an import of it is called: by where it looked, without what no file's name may hold."""
    first, *others = [*sweep.options["networks"], *sweep.options["interfaces"]] or [sweep.id]
    more = f" +{len(others)}" if others else ""
    return f"sweep {first}{more}.json".replace("/", "_")


def _as_secret(credentials: Sequence[CredentialSet]) -> Secret:
    return Secret(
        json.dumps([(each.name, each.username, each.password.reveal()) for each in credentials])
    )


async def _sweep(tx: ReadTx | WriteTx, sweep_id: str) -> Sweep:
    job = await tx.sweeps.get(sweep_id)
    if job is None:
        raise NotFound("sweep", sweep_id)
    return job
