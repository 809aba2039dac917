"""SQL about webhooks and their deliveries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import func, select

from ..domain import (
    ChangeKind,
    ChangeOp,
    Delivery,
    DeliveryState,
    EventKind,
    Page,
    Webhook,
)
from . import schema
from .contract_webhooks import Waiting
from .repos_base import Repo, first, parts
from .rows import AnyRow, cursor_of, keys_of

_W, _D = schema.webhooks.c, schema.webhook_deliveries.c


class SqlWebhooks(Repo):
    async def get(self, webhook_id: str) -> Webhook | None:
        row = await self._tx.one(select(schema.webhooks).where(_W.id == webhook_id))
        return _webhook(row) if row else None

    async def all(self) -> list[Webhook]:
        rows = await self._tx.rows(select(schema.webhooks).order_by(_W.created_at, _W.id))
        return [_webhook(row) for row in rows]

    async def sealed_secret(self, webhook_id: str) -> bytes | None:
        row = await self._tx.one(select(_W.secret_sealed).where(_W.id == webhook_id))
        return row.secret_sealed if row else None

    async def counts(self) -> dict[tuple[str, DeliveryState], int]:
        rows = await self._tx.rows(
            select(_D.webhook_id, _D.state, func.count().label("n")).group_by(
                _D.webhook_id, _D.state
            )
        )
        return {(row.webhook_id, DeliveryState(row.state)): row.n for row in rows}

    async def deliveries(
        self, webhook_id: str, state: DeliveryState, *, limit: int, cursor: str | None = None
    ) -> Page[Delivery]:
        where = [_D.webhook_id == webhook_id, _D.state == state.value]
        statement = select(schema.webhook_deliveries).where(*where).order_by(_D.seq)
        if cursor is not None:
            statement = statement.where(_D.seq > keys_of(cursor, int)[0])
        items = [_delivery(row) for row in await self._tx.rows(first(statement, limit))]
        more, items = len(items) > limit, items[:limit]
        total = await self._tx.count(schema.webhook_deliveries, *where)
        return Page(items, cursor_of(items[-1].seq) if more else None, total)

    async def waiting(self, webhook_id: str, *, after: int, limit: int) -> list[Waiting]:
        rows = await self._tx.rows(
            select(_D.seq, _D.channel_id, _D.attempts, _D.due_at)
            .where(
                _D.webhook_id == webhook_id,
                _D.state == DeliveryState.QUEUED.value,
                _D.seq > after,
            )
            .order_by(_D.seq)
            .limit(limit)
        )
        return [Waiting(row.seq, row.channel_id, row.attempts, row.due_at) for row in rows]

    async def delivery(self, seq: int) -> Delivery | None:
        row = await self._tx.one(select(schema.webhook_deliveries).where(_D.seq == seq))
        return _delivery(row) if row else None

    async def add(self, webhook: Webhook, sealed_secret: bytes) -> None:
        values = _values(webhook) | {"secret_sealed": sealed_secret}
        await self._tx.run(schema.webhooks.insert().values(values))
        await self._tx.changed(ChangeKind.WEBHOOK, webhook.id, ChangeOp.CREATED)

    async def update(self, webhook: Webhook, sealed_secret: bytes | None = None) -> None:
        values = _values(webhook)
        if sealed_secret is not None:
            values["secret_sealed"] = sealed_secret
        await self._tx.run(schema.webhooks.update().where(_W.id == webhook.id).values(values))
        await self.touch(webhook.id)

    async def touch(self, webhook_id: str) -> None:
        await self._tx.changed(ChangeKind.WEBHOOK, webhook_id, ChangeOp.UPDATED)

    async def advance(self, webhook_id: str, version_seq: int) -> None:
        await self._tx.run(
            schema.webhooks.update().where(_W.id == webhook_id).values(version_seq=version_seq)
        )

    async def count_dropped(self, webhook_id: str, dropped: int) -> None:
        await self._tx.run(
            schema.webhooks.update().where(_W.id == webhook_id).values(dropped=_W.dropped + dropped)
        )

    async def delete(self, webhook_id: str) -> None:
        if await self._tx.run(schema.webhooks.delete().where(_W.id == webhook_id)):
            await self._tx.changed(ChangeKind.WEBHOOK, webhook_id, ChangeOp.DELETED)

    async def add_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        values = [
            {
                "webhook_id": each.webhook_id,
                "event_id": each.event_id,
                "kind": each.kind,
                "channel_id": each.channel_id,
                "body": each.body,
                "created_at": each.created_at,
                "due_at": each.due_at,
                "state": each.state.value,
                "attempts": each.attempts,
                "last_error": each.last_error,
            }
            for each in deliveries
        ]
        if values:
            await self._tx.run(schema.webhook_deliveries.insert(), values)

    async def update_delivery(self, delivery: Delivery) -> None:
        await self._tx.run(
            schema.webhook_deliveries.update()
            .where(_D.seq == delivery.seq)
            .values(
                state=delivery.state.value,
                attempts=delivery.attempts,
                due_at=delivery.due_at,
                last_error=delivery.last_error,
            )
        )

    async def delete_deliveries(self, seqs: Collection[int]) -> None:
        for part in parts(sorted(seqs)):
            await self._tx.run(
                schema.webhook_deliveries.delete().where(_D.seq.in_(part)),
            )

    async def trim_dead(self, webhook_id: str, keep: int) -> None:
        dead = (_D.webhook_id == webhook_id, _D.state == DeliveryState.DEAD.value)
        row = await self._tx.one(
            select(_D.seq).where(*dead).order_by(_D.seq.desc()).offset(keep).limit(1)
        )
        if row is not None:
            await self._tx.run(
                schema.webhook_deliveries.delete().where(*dead, _D.seq <= row.seq),
            )


def _webhook(row: AnyRow) -> Webhook:
    return Webhook(
        id=row.id,
        url=row.url,
        kinds=frozenset(EventKind(each) for each in row.kinds.split(",")),
        area_id=row.area_id,
        enabled=row.enabled,
        created_at=row.created_at,
        version_seq=row.version_seq,
        dropped=row.dropped,
    )


def _values(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "url": webhook.url,
        "kinds": ",".join(sorted(kind.value for kind in webhook.kinds)),
        "area_id": webhook.area_id,
        "enabled": webhook.enabled,
        "created_at": webhook.created_at,
        "version_seq": webhook.version_seq,
        "dropped": webhook.dropped,
    }


def _delivery(row: AnyRow) -> Delivery:
    return Delivery(
        seq=row.seq,
        webhook_id=row.webhook_id,
        event_id=row.event_id,
        kind=row.kind,
        channel_id=row.channel_id,
        body=row.body,
        created_at=row.created_at,
        due_at=row.due_at,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        last_error=row.last_error,
    )
