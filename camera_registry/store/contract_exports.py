"""The store's interface to what tickets and exports were asked for. See `contract`."""

from __future__ import annotations

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
    async def newest(self, limit: int) -> list[ExportRequest]:
        """The newest first."""
        ...

    async def count_pending(self, subject_id: str | None, subject_name: str, now: datetime) -> int:
        """Of a person: an account by its id, a local operator by the name."""
        ...


class ExportRequestRepo(ExportRequestReader, Protocol):
    async def add(self, request: ExportRequest) -> None: ...
    async def update(self, request: ExportRequest) -> None: ...
    async def delete_ended(self, before: datetime) -> int: ...
