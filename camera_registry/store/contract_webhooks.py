"""The store's interface, the part about webhooks and their deliveries. No SQL here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ..domain import Delivery, DeliveryState, Page, Webhook


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is asked of a queued delivery to plan it; its body stays in the store until then."""

    seq: int
    channel_id: str
    attempts: int
    due_at: datetime


class WebhookReader(Protocol):
    async def get(self, webhook_id: str) -> Webhook | None: ...
    async def all(self) -> list[Webhook]:
        """Oldest first."""
        ...

    async def sealed_secret(self, webhook_id: str) -> bytes | None: ...
    async def counts(self) -> dict[tuple[str, DeliveryState], int]:
        """Deliveries by webhook and state; pairs without any are left out."""
        ...

    async def deliveries(
        self, webhook_id: str, state: DeliveryState, *, limit: int, cursor: str | None = None
    ) -> Page[Delivery]:
        """Oldest first."""
        ...

    async def waiting(self, webhook_id: str, *, after: int, limit: int) -> list[Waiting]:
        """Queued deliveries behind seq `after`, oldest first."""
        ...

    async def delivery(self, seq: int) -> Delivery | None: ...


class WebhookRepo(WebhookReader, Protocol):
    """Changes of a webhook write changes rows; deliveries coming and going write none."""

    async def add(self, webhook: Webhook, sealed_secret: bytes) -> None: ...
    async def update(self, webhook: Webhook, sealed_secret: bytes | None = None) -> None:
        """None keeps the secret."""
        ...

    async def touch(self, webhook_id: str) -> None:
        """Only the changes row: its queue has changed under whoever sends it."""
        ...

    async def advance(self, webhook_id: str, version_seq: int) -> None:
        """Moves its place among the versions, without a changes row."""
        ...

    async def count_dropped(self, webhook_id: str, dropped: int) -> None:
        """Adds to the number of events that found the queue full, without a changes row."""
        ...

    async def delete(self, webhook_id: str) -> None:
        """With its deliveries."""
        ...

    async def add_deliveries(self, deliveries: Sequence[Delivery]) -> None: ...
    async def update_delivery(self, delivery: Delivery) -> None:
        """Writes state, attempts, due time and error; the rest of it never changes."""
        ...

    async def delete_deliveries(self, seqs: Collection[int]) -> None: ...
    async def trim_dead(self, webhook_id: str, keep: int) -> None:
        """Lets go of the oldest dead ones, so that at most `keep` are left."""
        ...
