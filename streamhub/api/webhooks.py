"""Webhooks: who is told of what happens to channels. For whoever manages the district."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, Field, SecretStr

from camera_registry.domain import Delivery, EventKind
from camera_registry.secret import Secret
from camera_registry.webhooks import (
    MAX_DEAD,
    WebhookChanges,
    WebhookDraft,
    WebhookState,
)
from streamhub.access.permit import Permit
from streamhub.access.principal import DISTRICT, Action

from .newest import ByNewestRights
from .paging import DEFAULT_LIMIT, Cursor, Limit
from .rights import requires, the_district
from .services import Provided, Services

router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"], route_class=ByNewestRights)

Manages = Annotated[Permit, requires(Action.MANAGE, the_district)]


class WebhookOut(BaseModel):
    id: str
    url: str
    kinds: list[EventKind]
    area_id: str | None = Field(description="With all below; null: the whole district.")
    enabled: bool
    created_at: datetime
    queued: int = Field(description="Deliveries that wait to be sent, or sent again.")
    dead: int = Field(description="Deliveries that were given up.")
    dropped: int = Field(description="Events online and offline that found the queue full.")


class WebhookMade(WebhookOut):
    secret: str = Field(description="Told this once. Deliveries are signed with it.")


class WebhookList(BaseModel):
    items: list[WebhookOut]
    next_cursor: str | None
    total: int


class WebhookCreate(BaseModel):
    url: str = Field(description="http:// or https://, without credentials.")
    kinds: list[EventKind] = Field(default=[], description="None: all but `audit.root`.")
    area_id: str | None = None
    enabled: bool = True
    secret: SecretStr | None = Field(
        default=None, description="`whsec_` and 24 to 64 bytes in base64; one is made if left out."
    )


class WebhookPatch(BaseModel):
    url: str | None = None
    kinds: list[EventKind] | None = None
    area_id: str | None = Field(default=None, description="null is the whole district.")
    enabled: bool | None = None
    secret: SecretStr | None = None


class TestOut(BaseModel):
    ok: bool
    status: int | None = Field(description="What the receiver answered.")
    error: str | None


class DeadOut(BaseModel):
    id: int
    event_id: str
    kind: str
    channel_id: str | None = Field(description="None of `audit.root`.")
    created_at: datetime
    attempts: int
    last_error: str | None
    body: dict[str, Any] = Field(description="What was sent.")


class DeadList(BaseModel):
    items: list[DeadOut]
    next_cursor: str | None
    total: int


class ResendIn(BaseModel):
    ids: list[int] | None = Field(default=None, max_length=MAX_DEAD, description="null: all.")


class ResendOut(BaseModel):
    queued: int


@router.get("")
async def list_webhooks(services: Provided, permit: Manages) -> WebhookList:
    """All of them; there are few."""
    items = [_out(each) for each in await services.webhooks.list_webhooks()]
    return WebhookList(items=items, next_cursor=None, total=len(items))


@router.post("", status_code=201)
async def create_webhook(
    services: Provided,
    permit: Manages,
    body: WebhookCreate,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> WebhookMade:
    """Told of what happens from now on. The answer has the secret, and no later one does. For
    `audit.root` one has the right `audit` on the district, too."""
    _require_audit(services, permit, body.kinds)
    draft = WebhookDraft(
        url=body.url,
        kinds=[kind.value for kind in body.kinds],
        area_id=body.area_id,
        enabled=body.enabled,
        secret=_secret(body.secret),
    )

    async def create() -> WebhookMade:
        webhook, secret = await services.webhooks.create(draft, permit.principal.actor())
        out = _out(WebhookState(webhook, queued=0, dead=0))
        return WebhookMade(**out.model_dump(), secret=secret.reveal())

    return await services.idempotency.once(
        idempotency_key, subject_id=permit.subject_id, route="webhooks", body=body, create=create
    )


@router.get("/{webhook_id}")
async def get_webhook(services: Provided, permit: Manages, webhook_id: str) -> WebhookOut:
    return _out(await services.webhooks.get(webhook_id))


@router.patch("/{webhook_id}")
async def update_webhook(
    services: Provided, permit: Manages, webhook_id: str, body: WebhookPatch
) -> WebhookOut:
    """What happened while it was switched off is not told later. Of one that has `audit.root`, or
    gets it, by whoever has the right `audit` on the district."""
    before = await services.webhooks.get(webhook_id)
    _require_audit(services, permit, [*before.webhook.kinds, *(body.kinds or ())])
    changes: WebhookChanges = {}
    if body.url is not None:
        changes["url"] = body.url
    if body.kinds is not None:
        changes["kinds"] = [kind.value for kind in body.kinds]
    if "area_id" in body.model_fields_set:
        changes["area_id"] = body.area_id
    if body.enabled is not None:
        changes["enabled"] = body.enabled
    if body.secret is not None:
        changes["secret"] = Secret(body.secret.get_secret_value())
    await services.webhooks.update(webhook_id, changes, permit.principal.actor())
    return _out(await services.webhooks.get(webhook_id))


@router.delete("/{webhook_id}", status_code=204)
async def delete_webhook(services: Provided, permit: Manages, webhook_id: str) -> Response:
    """With what is queued to it."""
    await services.webhooks.delete(webhook_id, permit.principal.actor())
    return Response(status_code=204)


@router.post("/{webhook_id}/test")
async def test_webhook(services: Provided, permit: Manages, webhook_id: str) -> TestOut:
    """Sends a `webhook.test` once, now, and says how that went."""
    outcome = await services.couriers.test(webhook_id)
    await services.audit.record(
        "webhook_test",
        principal=permit.principal,
        outcome="ok" if outcome.ok else "failed",
        detail={"id": webhook_id, "status": outcome.status},
    )
    return TestOut(ok=outcome.ok, status=outcome.status, error=outcome.error)


@router.get("/{webhook_id}/dead")
async def list_dead(
    services: Provided,
    permit: Manages,
    webhook_id: str,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> DeadList:
    """Deliveries that were given up, oldest first; the newest thousand are kept."""
    page = await services.webhooks.dead(webhook_id, limit=limit, cursor=cursor)
    return DeadList(
        items=[_dead(each) for each in page.items], next_cursor=page.next_cursor, total=page.total
    )


@router.post("/{webhook_id}/dead/resend")
async def resend_dead(
    services: Provided, permit: Manages, webhook_id: str, body: ResendIn
) -> ResendOut:
    """Queues them again, with the ids that their events had."""
    queued = await services.webhooks.resend(
        webhook_id, None if body.ids is None else set(body.ids), permit.principal.actor()
    )
    return ResendOut(queued=queued)


def _require_audit(services: Services, permit: Permit, kinds: Iterable[EventKind]) -> None:
    """What is told of the log goes where its reader may send it. Raises Forbidden."""
    if EventKind.AUDIT_ROOT in kinds:
        services.guard.require(permit.principal, Action.AUDIT, DISTRICT)


def _secret(given: SecretStr | None) -> Secret | None:
    return None if given is None else Secret(given.get_secret_value())


def _out(state: WebhookState) -> WebhookOut:
    webhook = state.webhook
    return WebhookOut(
        id=webhook.id,
        url=webhook.url,
        kinds=sorted(webhook.kinds),
        area_id=webhook.area_id,
        enabled=webhook.enabled,
        created_at=webhook.created_at,
        queued=state.queued,
        dead=state.dead,
        dropped=webhook.dropped,
    )


def _dead(delivery: Delivery) -> DeadOut:
    return DeadOut(
        id=delivery.seq,
        event_id=delivery.event_id,
        kind=delivery.kind,
        channel_id=delivery.channel_id or None,
        created_at=delivery.created_at,
        attempts=delivery.attempts,
        last_error=delivery.last_error,
        body=json.loads(delivery.body),
    )
