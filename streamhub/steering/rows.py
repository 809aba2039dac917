"""The audit rows of steering: before anything moves, and when a move ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from streamhub.access.permit import Permit
from streamhub.steering.errors import NotWritten
from streamhub.steering.lease import Lease

if TYPE_CHECKING:
    from streamhub.access.audit import AuditLog
    from streamhub.access.facts import FactsSource

log = structlog.get_logger(__name__)

# Longer, and whoever presses the key has let it go.
AUDIT_S = 3.0


class Rows:
    """Writes them."""

    def __init__(self, audit: AuditLog, facts: FactsSource) -> None:
        self._audit = audit
        self._facts = facts

    async def write(
        self,
        act: str,
        permit: Permit,
        detail: dict[str, Any],
        taken_from: Lease | None = None,
        *,
        outcome: str = "ok",
    ) -> None:
        """Durable when it returns. `taken_from`: whose the camera was until now. Raises
        `NotWritten`."""
        if taken_from is not None:
            detail = detail | {"taken_from": taken_from.permit.principal.username}
        detail = detail | permit.what_for() | permit.grounds()
        row = self._facts.current.channel(permit.channel_id)
        try:
            async with asyncio.timeout(AUDIT_S):
                await self._audit.record(
                    act,
                    principal=permit.principal,
                    outcome=outcome,
                    channel_id=permit.channel_id,
                    area_id=None if row is None else row.area_id,
                    detail=detail,
                )
        except Exception:
            log.exception("ptz_row_not_written", act=act, channel_id=permit.channel_id)
            raise NotWritten from None
