"""What is written down: sign-ins, refusals, changes, views, stills. The store chains the rows.

A change's row is appended inside the change's own unit of work; anything else is a row of its
own. Refusals are coalesced, so that a page that retries, or an attacker, can't fill the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from camera_registry.domain import AuditEntry
from camera_registry.store.contract import Store, WriteTx

from .guard import Refusal
from .principal import Principal

# One row at once, then one a minute with a count, per subject, action and thing.
COALESCE_S = 60.0
# What is being counted at a time; beyond it one shared entry counts the rest.
MAX_COUNTED_REFUSALS = 1_000
# Rows that wait for the disk; beyond it they are counted in the shared entry too.
MAX_WAITING_ROWS = 1_000

_log = structlog.get_logger("streamhub.access.audit")


def entry_for(
    act: str,
    *,
    principal: Principal,
    outcome: str = "ok",
    channel_id: str | None = None,
    area_id: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """An audit entry in the name of a principal."""
    actor = principal.actor()
    return AuditEntry(
        act=act,
        outcome=outcome,
        subject_id=actor.subject_id,
        subject_name=actor.subject_name,
        as_role=actor.as_role,
        remote=actor.remote,
        channel_id=channel_id,
        area_id=area_id,
        detail=dict(detail or {}),
    )


class AuditLog:
    """Writes audit rows through the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def record(
        self,
        act: str,
        *,
        principal: Principal,
        outcome: str = "ok",
        channel_id: str | None = None,
        area_id: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """A row of its own; durable when it returns."""
        await self._store.append_audit(
            entry_for(
                act,
                principal=principal,
                outcome=outcome,
                channel_id=channel_id,
                area_id=area_id,
                detail=detail,
            )
        )

    async def append(
        self,
        tx: WriteTx,
        act: str,
        *,
        principal: Principal,
        outcome: str = "ok",
        channel_id: str | None = None,
        area_id: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """A row inside the caller's unit of work: it commits with the change or not at all."""
        await tx.audit.append(
            entry_for(
                act,
                principal=principal,
                outcome=outcome,
                channel_id=channel_id,
                area_id=area_id,
                detail=detail,
            )
        )


@dataclass(slots=True)
class _Counted:
    refusal: Refusal
    since: float
    more: int = 0


_Key = tuple[str, str, str, str, str]


class RefusalLog:
    """Coalesces refusals and writes them from one background task.

    The first of a kind is written at once; those that follow within a minute become one row with
    their number. `clock` is monotonic seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._counted: OrderedDict[_Key, _Counted] = OrderedDict()
        self._waiting: list[AuditEntry] = []
        self._uncounted = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def note(self, refusal: Refusal) -> None:
        """Never waits: called on the way of a request."""
        key = _key(refusal)
        counted = self._counted.get(key)
        if counted is not None:
            counted.more += 1
        elif len(self._counted) >= MAX_COUNTED_REFUSALS or len(self._waiting) >= MAX_WAITING_ROWS:
            self._uncounted += 1
        else:
            self._counted[key] = _Counted(refusal, self._clock())
            self._waiting.append(_entry(refusal, more=0))
            self._wake.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="refusal-log")

    async def stop(self) -> None:
        """Write what is still counted, and end."""
        if self._task is not None:
            # Asked, not cancelled: a cancel in the middle of a write would write its row twice.
            self._stopping = True
            self._wake.set()
            await self._task
            self._task = None
        self.close_windows(before=float("inf"))
        await self.flush()

    def close_windows(self, *, before: float) -> None:
        """Turn what was counted in windows that began before `before` into rows to write."""
        while self._counted:
            key, counted = next(iter(self._counted.items()))
            if counted.since >= before:
                break
            del self._counted[key]
            if counted.more:
                self._waiting.append(_entry(counted.refusal, more=counted.more))
        if self._uncounted:
            self._waiting.append(
                AuditEntry(
                    act="refused",
                    outcome="refused",
                    subject_name="various",
                    detail={"more": self._uncounted, "reason": "too_many_to_count"},
                )
            )
            self._uncounted = 0

    async def flush(self) -> None:
        """Write the rows that wait. What can't be written stays for the next time."""
        while self._waiting:
            await self._store.append_audit(self._waiting[0])
            del self._waiting[0]

    async def _run(self) -> None:
        while not self._stopping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(COALESCE_S / 4):
                    await self._wake.wait()
            self._wake.clear()
            self.close_windows(before=self._clock() - COALESCE_S)
            try:
                await self.flush()
            except Exception:
                _log.exception("refusals_not_written", waiting=len(self._waiting))
                if not self._stopping:
                    await asyncio.sleep(1.0)


def _key(refusal: Refusal) -> _Key:
    """Each code for itself: a full quota is no missing purpose."""
    resource = refusal.resource
    asked = refusal.principal.subject_id, refusal.action.value, resource.kind, resource.id
    return *asked, refusal.as_code


def _entry(refusal: Refusal, *, more: int) -> AuditEntry:
    resource = refusal.resource
    # An id that does not exist is whatever the caller typed: clipped, and not an object's id.
    known = refusal.reason != "not_there"
    detail: dict[str, Any] = {
        "action": refusal.action.value,
        "resource": resource.kind,
        "reason": refusal.reason,
        "code": refusal.as_code,
    }
    if resource.id and not known:
        # Half a character (a lone surrogate) could not be written, now or at any later try.
        detail["asked_id"] = resource.id[:64].encode(errors="replace").decode()
    if more:
        detail["more"] = more
    return entry_for(
        "refused",
        principal=refusal.principal,
        outcome="refused",
        channel_id=resource.id if known and resource.kind == "channel" else None,
        area_id=resource.id if known and resource.kind == "area" else None,
        detail=detail,
    )
