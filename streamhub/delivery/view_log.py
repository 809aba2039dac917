"""Views and stills in the audit: a row when one starts, a row when it ends, none left open.

A row that ends a view is tried again until the store takes it; what a killed process left open is
closed at the next start.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog

from camera_registry.domain import AuditEntry, AuditRow
from camera_registry.store.contract_audit import AuditQuery
from streamhub.delivery.errors import AuditUnavailable
from streamhub.delivery.view import LiveView

if TYPE_CHECKING:
    from camera_registry.store.contract import Store
    from streamhub.access.audit import AuditLog
    from streamhub.access.permit import Permit

log = structlog.get_logger(__name__)

VIEW_START = "view_start"
VIEW_END = "view_end"
SNAPSHOT = "snapshot"
# Written when a start has closed what an earlier process left: nothing before it is open.
SERVICE_STARTED = "service_started"
RECOVERY_PAGE_ROWS = 500
RETRY_FIRST_S = 0.1
RETRY_MAX_S = 5.0


class ViewLog:
    """The audit rows of this room."""

    def __init__(self, audit: AuditLog, store: Store, *, timeout_s: float) -> None:
        self._audit = audit
        self._store = store
        self._timeout_s = timeout_s
        self._ending: set[asyncio.Task[None]] = set()

    async def started(self, view: LiveView) -> None:
        """The row of a view's start. Raises `AuditUnavailable` when it could not be written."""
        await self._must(
            VIEW_START,
            view.permit,
            area_id=view.area_id,
            outcome="ok",
            detail={
                "view_id": view.id,
                "profile": view.profile,
                **_by_ticket(view),
                **view.permit.what_for(),
                **view.permit.grounds(),
            },
        )

    async def still(
        self,
        permit: Permit,
        *,
        area_id: str | None,
        outcome: str,
        detail: dict[str, Any],
    ) -> None:
        """The row of a still. Raises `AuditUnavailable` when it could not be written."""
        detail = detail | permit.what_for() | permit.grounds()
        await self._must(SNAPSHOT, permit, area_id=area_id, outcome=outcome, detail=detail)

    def ended(self, view: LiveView, now: datetime) -> None:
        """Write the row of a view's end in the background, until the store takes it.

        Bounded without a queue: while the store refuses, no view is opened either.
        """
        task = asyncio.create_task(self._write_end(view, end_detail(view, now)))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def settled(self) -> None:
        """Wait until every row is down that is being written now."""
        while self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)

    async def give_up(self) -> None:
        """Leave the rows that are still not down to the next start's recovery."""
        for task in self._ending:
            task.cancel()
        await self.settled()

    async def recover(self) -> int:
        """Close the views that an earlier process left open. Returns how many there were."""
        left_open = await self._left_open()
        for row in left_open:
            await self._store.append_audit(
                AuditEntry(
                    act=VIEW_END,
                    outcome="ok",
                    subject_id=row.subject_id,
                    subject_name=row.subject_name,
                    as_role=row.as_role,
                    remote=row.remote,
                    channel_id=row.channel_id,
                    area_id=row.area_id,
                    detail={
                        "view_id": row.detail.get("view_id"),
                        "profile": row.detail.get("profile"),
                        "cause": "service_restarted",
                        "started_at": row.at.isoformat(),
                        "ended_at": None,  # nobody saw it; at the latest now
                    },
                )
            )
        await self._store.append_audit(
            AuditEntry(
                act=SERVICE_STARTED,
                outcome="ok",
                subject_name="system",
                detail={"views_closed": len(left_open)},
            )
        )
        return len(left_open)

    async def _left_open(self) -> list[AuditRow]:
        """View starts without an end since the last `service_started`, oldest first."""
        ended: set[object] = set()
        left_open: list[AuditRow] = []
        cursor: str | None = None
        while True:
            async with self._store.read() as tx:
                page = await tx.audit.page(AuditQuery(), limit=RECOVERY_PAGE_ROWS, cursor=cursor)
            for row in page.items:
                if row.act == SERVICE_STARTED:
                    return left_open[::-1]
                view_id = row.detail.get("view_id")
                if row.act == VIEW_END:
                    ended.add(view_id)
                elif row.act == VIEW_START and view_id not in ended:
                    left_open.append(row)
            if page.next_cursor is None:
                return left_open[::-1]
            cursor = page.next_cursor

    async def _must(
        self, act: str, permit: Permit, *, area_id: str | None, outcome: str, detail: dict[str, Any]
    ) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._audit.record(
                    act,
                    principal=permit.principal,
                    outcome=outcome,
                    channel_id=permit.channel_id,
                    area_id=area_id,
                    detail=detail,
                )
        except Exception as error:
            log.error(
                "audit_row_not_written",
                act=act,
                channel_id=permit.channel_id,
                error=f"{type(error).__name__}: {error}",
            )
            raise AuditUnavailable from error

    async def _write_end(self, view: LiveView, detail: dict[str, Any]) -> None:
        delay_s = RETRY_FIRST_S
        while True:
            try:
                await self._audit.record(
                    VIEW_END,
                    principal=view.permit.principal,
                    channel_id=view.channel_id,
                    area_id=view.area_id,
                    detail=detail,
                )
            except Exception as error:
                log.error(
                    "view_end_not_written",
                    view_id=view.id,
                    error=f"{type(error).__name__}: {error}",
                    retry_in_s=delay_s,
                )
            else:
                return
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_MAX_S)


def end_detail(view: LiveView, now: datetime) -> dict[str, Any]:
    """What the end row keeps of a view."""
    return {
        "view_id": view.id,
        "profile": view.profile,
        "profiles": view.profiles_shown,
        "cause": view.ended_cause,
        **view.permit.what_for(),
        "started_at": view.started_at.isoformat(),
        "ended_at": now.isoformat(),
        "duration_ms": round((now - view.started_at).total_seconds() * 1000),
        "sent_bytes": view.sent_bytes,
        "packets": view.packets,
        "lagged": view.lagged,
        "transport": view.reception.transport,
        "lost_packets": view.reception.lost_packets,
        "retransmitted": view.reception.retransmitted,
        "srtp_cipher": view.srtp_cipher,
        **_by_ticket(view),
        "steps": [[taken.step, taken.elapsed_ms] for taken in view.trace],
    }


def _by_ticket(view: LiveView) -> dict[str, Any]:
    return {} if view.ticket_id is None else {"ticket_id": view.ticket_id}
