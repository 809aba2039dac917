"""The store's interface to what tickets and exports were asked for. See `contract`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from ..domain import Stated
from ..export_requests import ExportRequest


class TicketPurposeReader(Protocol):
    async def get(self, ticket_id: str, channel_id: str) -> Stated | None:
        """None where nothing was said when it was asked for."""
        ...


class TicketPurposeRepo(TicketPurposeReader, Protocol):
    async def add(
        self, ticket_id: str, channel_id: str, stated: Stated, expires_at: datetime
    ) -> None: ...
    async def delete_expired(self, now: datetime) -> int: ...


class ExportRequestReader(Protocol):
    async def get(self, request_id: str) -> ExportRequest | None: ...
    async def kept(self, since: datetime) -> list[ExportRequest]:
        """Those that end or ended after `since`, the newest first."""
        ...

    async def of_person(self, subject_id: str | None, name: str) -> list[ExportRequest]:
        """An account's by its id, a local operator's by the name; the oldest first."""
        ...


class ExportRequestRepo(ExportRequestReader, Protocol):
    async def add(self, request: ExportRequest) -> None: ...
    async def update(self, request: ExportRequest) -> None: ...
    async def delete(self, request_ids: Collection[str]) -> None: ...
    async def delete_ended(self, before: datetime) -> int: ...
