"""What is written down: sign-ins, refusals, changes, views, stills. The store chains the rows.

A change's row is appended inside the change's own unit of work; anything else is a row of its
own. Refusals are coalesced, so that a page that retries, or an attacker, can't fill the disk; those
of a credential, which need none, more so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import structlog

from camera_registry.domain import AuditEntry
from camera_registry.store.contract import Store, WriteTx

from .errors import Known
from .guard import Refusal
from .principal import Principal

# One row at once, then one a minute with a count, per subject, action and thing.
COALESCE_S = 60.0
# What is being counted at a time; beyond it one shared entry counts the rest.
MAX_COUNTED_REFUSALS = 1_000
# Who shows a bad credential need not have a good one: any address may. In each window
# two rows of each that is counted and one of the rest: about 1,550 an hour at most.
CREDENTIAL_COALESCE_S = 600.0
MAX_COUNTED_CREDENTIALS = 128
# Whoever asks wrote it; a host name has 253 at most.
MAX_ORIGIN_CHARS = 128
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
        subject_id=actor.subject_id or None,
        subject_name=actor.subject_name or None,
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


CameWith = Literal["cookie", "token", "key", "ticket"]


@dataclass(frozen=True, slots=True)
class BadCredential:
    """What the audit is told when somebody came with one that is not good, or not for this. Never
    the credential itself. `known`: whose it is, where that is known; `username`, theirs."""

    came_with: CameWith
    remote: str
    code: str  # what they were told
    known: Known | None = None
    username: str | None = None
    origin: str | None = None  # the page that it came from, as the browser said


@dataclass(slots=True)
class _Counted:
    entry: AuditEntry
    since: float
    more: int = 0


class _Kind:
    """What is counted of one kind: for how long, and how many at a time."""

    def __init__(self, act: str, *, window_s: float, at_most: int) -> None:
        self.act = act
        self.window_s = window_s
        self.at_most = at_most
        self.counted: OrderedDict[Hashable, _Counted] = OrderedDict()
        self.uncounted = 0
        self.uncounted_since = 0.0

    def leave_out(self, at: float) -> None:
        """One more that is only a number, told once in a window."""
        if not self.uncounted:
            self.uncounted_since = at
        self.uncounted += 1

    def over(self, at: float) -> list[AuditEntry]:
        """The rows of the windows that are over by then."""
        rows = []
        while self.counted:
            key, counted = next(iter(self.counted.items()))
            if at - counted.since < self.window_s:
                break
            del self.counted[key]
            if counted.more:
                detail = {**counted.entry.detail, "more": counted.more}
                rows.append(replace(counted.entry, detail=detail))
        if self.uncounted and at - self.uncounted_since >= self.window_s:
            detail = {"more": self.uncounted, "reason": "too_many_to_count"}
            rows.append(AuditEntry(self.act, "refused", subject_name="various", detail=detail))
            self.uncounted = 0
        return rows


class RefusalLog:
    """Coalesces refusals and writes them from one background task.

    The first of a kind is written at once; those that follow within a minute (ten, of a bad
    credential) become one row with their number. `clock` is monotonic seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._refused = _Kind("refused", window_s=COALESCE_S, at_most=MAX_COUNTED_REFUSALS)
        # Apart, so that strangers do not crowd out what is told of those who are known.
        self._credentials = _Kind(
            "credential_refused", window_s=CREDENTIAL_COALESCE_S, at_most=MAX_COUNTED_CREDENTIALS
        )
        self._waiting: list[AuditEntry] = []
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def note(self, refusal: Refusal) -> None:
        """Never waits: called on the way of a request."""
        self._note(self._refused, _key(refusal), lambda: _entry(refusal))

    def note_credential(self, bad: BadCredential) -> None:
        """As `note`, by address and cause, and by what it is where that is known."""
        key = (bad.remote, bad.came_with, bad.code, bad.known)
        self._note(self._credentials, key, lambda: _credential_entry(bad))

    def _note(self, kind: _Kind, key: Hashable, entry: Callable[[], AuditEntry]) -> None:
        counted = kind.counted.get(key)
        if counted is not None:
            counted.more += 1
        elif len(kind.counted) >= kind.at_most or len(self._waiting) >= MAX_WAITING_ROWS:
            kind.leave_out(self._clock())
        else:
            first = entry()
            kind.counted[key] = _Counted(first, self._clock())
            self._waiting.append(first)
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
        self.close_windows(at=float("inf"))
        await self.flush()

    def close_windows(self, *, at: float) -> None:
        """Turn what was counted in windows that are over at `at` into rows to write."""
        for kind in (self._refused, self._credentials):
            self._waiting += kind.over(at)

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
            self.close_windows(at=self._clock())
            try:
                await self.flush()
            except Exception:
                _log.exception("refusals_not_written", waiting=len(self._waiting))
                if not self._stopping:
                    await asyncio.sleep(1.0)


def _key(refusal: Refusal) -> Hashable:
    """Each code for itself: a full quota is no missing purpose."""
    resource = refusal.resource
    who = refusal.principal.subject_id or refusal.principal.credential_id
    asked = who, refusal.action.value, resource.kind, resource.id
    return *asked, refusal.as_code


def _entry(refusal: Refusal) -> AuditEntry:
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
    return entry_for(
        "refused",
        principal=refusal.principal,
        outcome="refused",
        channel_id=resource.id if known and resource.kind == "channel" else None,
        area_id=resource.id if known and resource.kind == "area" else None,
        detail=detail,
    )


def _credential_entry(bad: BadCredential) -> AuditEntry:
    detail = {"came_with": bad.came_with, "reason": bad.code, "code": bad.code}
    if bad.known is not None and bad.known.credential_id is not None:
        name = {"key": "key", "ticket": "ticket_id"}.get(bad.came_with, "sign_in")
        detail[name] = bad.known.credential_id
    if bad.known is not None and bad.known.key_id is not None:
        detail["key"] = bad.known.key_id
    if bad.origin is not None:
        detail["origin"] = bad.origin[:MAX_ORIGIN_CHARS]
    return AuditEntry(
        act="credential_refused",
        outcome="refused",
        subject_id=None if bad.known is None else bad.known.subject_id,
        subject_name=bad.username,
        remote=bad.remote,
        detail=detail,
    )
