"""The checks of imports: one at a time, each by a worker, and no two of one job.

A check is an `Attempt`, numbered with its job. While it is under way, whoever made it says so in
the store each `RENEW`; another process begins the next attempt only when that ended or lapsed.
What makes this sure is not the clock: a worker writes where its attempt is still the job's newest,
and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from .errors import StoreError
from .jobs import Attempt, JobState, Superseded
from .secret import Secret
from .store.contract import Store
from .units import utc_now

# After a process that was killed its checks lie for so long. Renewed often enough that a writer
# that is held for some seconds, by an import that is applied, costs no check.
HOLD: Final = timedelta(seconds=10)
RENEW: Final = timedelta(seconds=2)
LOOK: Final = timedelta(seconds=1)  # at a check that another process makes

_log = logging.getLogger(__name__)

T = TypeVar("T")

Checker = Callable[[Attempt], Awaitable[None]]
"""Makes this check; it is `check.check_job` in a process of its own."""


@dataclass(frozen=True, slots=True)
class WorkerChecker:
    """Checks in a process of its own: the interpreter that serves stays free."""

    registry: Path | Secret  # as `open_store` takes it
    vault_key: Path
    site_dir: Path | None

    async def __call__(self, attempt: Attempt) -> None:
        place = self.registry
        order = {
            "registry": place.reveal() if isinstance(place, Secret) else str(place),
            "is_url": isinstance(place, Secret),
            "vault_key": str(self.vault_key),
            "site_dir": None if self.site_dir is None else str(self.site_dir),
            "job_id": attempt.job_id,
            "attempt": attempt.number,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "camera_registry.importers.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            said = await _told(process, json.dumps(order))
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        if process.returncode:
            # Where it broke, but not the words of the fault: they might repeat a cell.
            trace = said.decode(errors="replace").strip().splitlines()
            where = " / ".join(line.strip() for line in trace if line.startswith("  File"))[-600:]
            fault = trace[-1].partition(":")[0][:80] if trace else "no trace"
            raise RuntimeError(f"the check ended with {process.returncode}: {fault} in {where}")


async def _told(process: asyncio.subprocess.Process, order: str) -> bytes:
    """Gives the order, and waits for the end: what it said. Its input stays open, as the worker
    ends when that does: by it, it knows that we are there."""
    stdin, stderr = process.stdin, process.stderr
    assert stdin is not None  # noqa: S101  (both are PIPE)
    assert stderr is not None  # noqa: S101
    with suppress(ConnectionError):  # it is gone already; its trace says why
        stdin.write(f"{order}\n".encode())
        await stdin.drain()
    said = await stderr.read()
    await process.wait()
    stdin.close()
    return said


class Checks:
    """The checks that this process makes or waits for."""

    def __init__(self, store: Store, checker: Checker) -> None:
        # given
        self._store = store
        self._checker = checker
        # owned
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._one_at_a_time = asyncio.Lock()  # a check fills a core
        self._newest: Attempt | None = None  # that was begun here

    def begin(self, job_id: str) -> None:
        """See to it that a job in the state `checking` is checked, be it by another process."""
        task = asyncio.create_task(self._see_to(job_id), name=f"import-{job_id}")
        self._tasks[job_id] = task
        task.add_done_callback(lambda done: self._ended(job_id, done))

    async def wait(self, job_id: str) -> None:
        """Until a check that is under way is over."""
        task = self._tasks.get(job_id)
        if task is not None:
            await asyncio.wait([task])

    async def cancel(self, job_id: str) -> None:
        """Of a job that is gone. Waits for what is being written: call it outside of a unit."""
        task = self._tasks.get(job_id)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def stop(self) -> None:
        """What was under way may be taken up by others at once."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if self._newest is not None:
            with suppress(StoreError):  # then it lapses
                async with self._store.write() as tx:
                    await tx.jobs.hold(self._newest, None)

    # --- inside -----------------------------------------------------------------------------------

    def _ended(self, job_id: str, done: asyncio.Task[None]) -> None:
        # A check anew may have begun while this one was still on its way out.
        if self._tasks.get(job_id) is done:
            del self._tasks[job_id]

    async def _see_to(self, job_id: str) -> None:
        while True:
            try:
                if not await _whole(self._is_under_way(job_id)):
                    return
                async with self._one_at_a_time:
                    attempt = await _whole(self._attempt(job_id))
                    if attempt is not None:
                        await self._make(attempt)
                        continue
            except StoreError as error:  # busy, or away: it is looked at again
                _log.warning("the check of import %s waits: %s", job_id, error)
            await asyncio.sleep(LOOK.total_seconds())

    async def _is_under_way(self, job_id: str) -> bool:
        async with self._store.read() as tx:
            job = await tx.jobs.get(job_id)
        return job is not None and job.state is JobState.CHECKING

    async def _attempt(self, job_id: str) -> Attempt | None:
        """The next attempt, begun; None while another one is under way, or if the job is over."""
        async with self._store.write() as tx:
            job, now = await tx.jobs.get(job_id), utc_now()
            if job is None or job.state is not JobState.CHECKING:
                return None
            if job.held_until is not None and job.held_until > now:
                return None
            begun = replace(
                job, attempt=job.attempt + 1, held_until=now + HOLD, rows_done=0, counts={}
            )
            await tx.jobs.update(begun)
            await tx.jobs.delete_rows(job_id)  # of a check that was cut short
        self._newest = Attempt(job_id, begun.attempt)
        return self._newest

    async def _make(self, attempt: Attempt) -> None:
        """One attempt, from its beginning to its end: by itself, or as it is superseded."""
        making = asyncio.ensure_future(self._checker(attempt))
        holding = asyncio.create_task(self._hold(attempt))
        try:
            await asyncio.wait((making, holding), return_when=asyncio.FIRST_COMPLETED)
        finally:
            making.cancel()
            holding.cancel()
            ended, _ = await asyncio.gather(making, holding, return_exceptions=True)
        if isinstance(ended, Exception) and not isinstance(ended, Superseded):
            _log.error("the check of import %s failed", attempt.job_id, exc_info=ended)
        await _whole(self._break_off(attempt))

    async def _hold(self, attempt: Attempt) -> None:
        """Returns when the attempt is not the job's any more."""
        while True:
            await asyncio.sleep(RENEW.total_seconds())
            try:
                if not await _whole(self._renewed(attempt)):
                    return
            except StoreError as error:  # busy, or away: the check finds out for itself
                _log.warning("the check of import %s is not renewed: %s", attempt.job_id, error)

    async def _renewed(self, attempt: Attempt) -> bool:
        async with self._store.write() as tx:
            return await tx.jobs.hold(attempt, utc_now() + HOLD)

    async def _break_off(self, attempt: Attempt) -> None:
        """A check that ended without a verdict, unless it is another's by now."""
        async with self._store.write() as tx:
            job = await tx.jobs.get(attempt.job_id)
            if job is None:
                return
            refused = replace(
                job,
                state=JobState.REFUSED,
                attempt=attempt.number,
                code="check_broke_off",
                sentence="The check broke off; the log says why. Check it again.",
                counts={},
            )
            if await tx.jobs.conclude(refused):
                await tx.jobs.delete_rows(attempt.job_id)


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """Cancelled in the middle, it is cancelled behind it: no connection is left in a statement."""
    doing = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.gather(doing, return_exceptions=True)
        raise
