"""Use cases about webhooks: who is told of what, and the queue of deliveries to each.

A webhook has a place among the versions of channels: those behind it are still to be told. So the
versions themselves are its queue, a full one waits without losing any, and nothing is lost over a
restart. Events online and offline have no versions; they are queued as they come.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypedDict

from . import validation as check
from .area_tree import AreaTree
from .audit.model import Segment
from .audit.segment import line_of
from .channel_events import ChannelEvent, of_version
from .domain import (
    OF_CHANNELS,
    Actor,
    Channel,
    Delivery,
    DeliveryState,
    EventKind,
    Page,
    Webhook,
    new_id,
)
from .errors import Conflict, NotFound, ValidationFailed
from .feed import ChangeFeed
from .hook_targets import hook_target
from .secret import Secret
from .store.contract import ReadTx, Store, WriteTx
from .store.contract_webhooks import Waiting
from .units import Clock, Units, utc_now
from .vault import Vault

# Each is a task and up to four connections of the service.
MAX_WEBHOOKS: Final = 32
# Of one webhook: a district of 3,000 cameras may lose and find all of them once.
MAX_QUEUED: Final = 10_000
# What is made of versions stops here: they can wait where they are, online and offline can't.
MAX_QUEUED_VERSIONS: Final = 5_000
# Of one webhook, to be looked at and sent again; beyond it the oldest go.
MAX_DEAD: Final = 1_000
VERSIONS_AT_ONCE: Final = 500  # bounds one transaction
# 256 bits, as many as the hash that signs has (RFC 2104 section 3).
SECRET_BYTES: Final = 32
MIN_SECRET_BYTES: Final = 24
MAX_SECRET_BYTES: Final = 64
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - how such secrets begin, not one


@dataclass(frozen=True, slots=True)
class WebhookDraft:
    url: str
    kinds: Collection[str] = ()  # none: all of channels
    area_id: str | None = None
    enabled: bool = True
    secret: Secret | None = None  # None: one is made


class WebhookChanges(TypedDict, total=False):
    url: str
    kinds: Collection[str]
    area_id: str | None
    enabled: bool
    secret: Secret


@dataclass(frozen=True, slots=True)
class WebhookState:
    """A webhook and how its queue stands."""

    webhook: Webhook
    queued: int
    dead: int


class Webhooks:
    """The use cases. `allow_local`: whether loopback and link-local addresses may be told."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        feed: ChangeFeed | None = None,
        *,
        allow_local: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        self._store = store
        self._vault = vault
        self._units = Units(store, feed)
        self._allow_local = allow_local
        self._clock = clock

    async def list_webhooks(self) -> list[WebhookState]:
        """Oldest first; there are at most MAX_WEBHOOKS."""
        async with self._store.read() as tx:
            counts = await tx.webhooks.counts()
            return [_state(each, counts) for each in await tx.webhooks.all()]

    async def get(self, webhook_id: str) -> WebhookState:
        async with self._store.read() as tx:
            return _state(await _webhook(tx, webhook_id), await tx.webhooks.counts())

    async def create(self, draft: WebhookDraft, by: Actor) -> tuple[Webhook, Secret]:
        """A new webhook and its secret, which is told this once.

        It is told of what happens from now on. Raises ValidationFailed, Conflict
        ("too_many_webhooks").
        """
        target = hook_target(draft.url, allow_local=self._allow_local)
        secret = Secret(_new_secret()) if draft.secret is None else draft.secret
        secret_bytes(secret)
        async with self._units.begin(by) as unit:
            tx = unit.tx
            if len(await tx.webhooks.all()) >= MAX_WEBHOOKS:
                raise Conflict(
                    "url",
                    "too_many_webhooks",
                    f"There are {MAX_WEBHOOKS} webhooks already; remove one first.",
                )
            webhook = Webhook(
                id=new_id("wh"),
                url=target.url,
                kinds=_kinds(draft.kinds),
                area_id=await _area(tx, draft.area_id),
                enabled=draft.enabled,
                created_at=self._clock(),
                version_seq=await tx.versions.latest_seq(),
            )
            sealed = self._vault.seal(webhook.id, secret)
            await tx.webhooks.add(webhook, sealed)
            # The host alone: what comes behind it may be a token of the receiver's.
            await unit.record(
                "webhook_create", area_id=webhook.area_id, id=webhook.id, host=target.host
            )
        return webhook, secret

    async def update(self, webhook_id: str, changes: WebhookChanges, by: Actor) -> Webhook:
        """Changes the fields given. What happened while it was switched off is not told later."""
        check.only_known(changes, WebhookChanges.__annotations__)
        async with self._units.begin(by) as unit:
            tx = unit.tx
            before = await _webhook(tx, webhook_id)
            url = changes.get("url", before.url)
            webhook = replace(
                before,
                url=hook_target(url, allow_local=self._allow_local).url,
                kinds=_kinds(changes["kinds"]) if "kinds" in changes else before.kinds,
                area_id=await _area(tx, changes.get("area_id", before.area_id)),
                enabled=changes.get("enabled", before.enabled),
            )
            if webhook.enabled and not before.enabled:
                webhook = replace(webhook, version_seq=await tx.versions.latest_seq())
            sealed = None
            if "secret" in changes:
                secret_bytes(changes["secret"])
                sealed = self._vault.seal(webhook_id, changes["secret"])
            await tx.webhooks.update(webhook, sealed)
            await unit.record(
                "webhook_update", area_id=webhook.area_id, id=webhook_id, changed=sorted(changes)
            )
        return webhook

    async def delete(self, webhook_id: str, by: Actor) -> None:
        """What is queued to it goes too."""
        async with self._units.begin(by) as unit:
            webhook = await _webhook(unit.tx, webhook_id)
            await unit.tx.webhooks.delete(webhook_id)
            await unit.record("webhook_delete", area_id=webhook.area_id, id=webhook_id)

    async def dead(
        self, webhook_id: str, *, limit: int = 50, cursor: str | None = None
    ) -> Page[Delivery]:
        """Deliveries that were given up, oldest first."""
        limit = check.integer("limit", limit, 1, check.MAX_PAGE)
        async with self._store.read() as tx:
            await _webhook(tx, webhook_id)
            return await tx.webhooks.deliveries(
                webhook_id, DeliveryState.DEAD, limit=limit, cursor=cursor
            )

    async def resend(self, webhook_id: str, seqs: Collection[int] | None, by: Actor) -> int:
        """Queues dead deliveries again, all (None) or these; gives their number. They keep their
        event's id and their place, but what their channel has sent since went before them."""
        now = self._clock()
        async with self._units.begin(by) as unit:
            tx = unit.tx
            webhook = await _webhook(tx, webhook_id)
            found = await tx.webhooks.deliveries(webhook_id, DeliveryState.DEAD, limit=MAX_DEAD)
            chosen = [each for each in found.items if seqs is None or each.seq in seqs]
            for each in chosen:
                await tx.webhooks.update_delivery(
                    replace(each, state=DeliveryState.QUEUED, attempts=0, due_at=now)
                )
            if chosen:
                await tx.webhooks.touch(webhook_id)
            await unit.record(
                "webhook_resend", area_id=webhook.area_id, id=webhook_id, deliveries=len(chosen)
            )
        return len(chosen)

    # --- for whoever sends ------------------------------------------------------------------------

    async def opened(self, webhook_id: str) -> tuple[Webhook, Secret]:
        """The webhook and its secret. Raises NotFound, SealBroken."""
        async with self._store.read() as tx:
            webhook = await _webhook(tx, webhook_id)
            sealed = await tx.webhooks.sealed_secret(webhook_id)
        return webhook, self._vault.open(webhook_id, sealed or b"")

    async def all_enabled(self) -> list[Webhook]:
        async with self._store.read() as tx:
            return [each for each in await tx.webhooks.all() if each.enabled]

    async def waiting(self, webhook_id: str, *, after: int = 0) -> list[Waiting]:
        """What is queued behind seq `after`, oldest first: all of it."""
        async with self._store.read() as tx:
            most = MAX_QUEUED + MAX_DEAD  # the dead may have been queued again
            return await tx.webhooks.waiting(webhook_id, after=after, limit=most)

    async def delivery(self, seq: int) -> Delivery | None:
        async with self._store.read() as tx:
            return await tx.webhooks.delivery(seq)

    async def queue_versions(self, webhook_id: str) -> bool:
        """Makes deliveries of the versions that this webhook has not had, at most
        VERSIONS_AT_ONCE; True: there may be more, and there is room for them."""
        async with self._store.read() as tx:
            webhook = await tx.webhooks.get(webhook_id)
            if webhook is None or not webhook.enabled:
                return False
            if await tx.versions.latest_seq() <= webhook.version_seq:
                return False  # the common case: nothing to write
        async with self._store.write() as tx:
            webhook = await tx.webhooks.get(webhook_id)
            queued = (await tx.webhooks.counts()).get((webhook_id, DeliveryState.QUEUED), 0)
            if webhook is None or queued >= MAX_QUEUED_VERSIONS:
                return False
            versions = await tx.versions.after(webhook.version_seq, VERSIONS_AT_ONCE)
            if not versions:
                return False
            events = [of_version(each) for each in versions]
            tree = AreaTree(await tx.areas.all())
            await tx.webhooks.add_deliveries(self._deliveries(webhook, events, tree))
            await tx.webhooks.advance(webhook_id, versions[-1].seq)
        return len(versions) == VERSIONS_AT_ONCE

    async def queue_events(self, events: Sequence[ChannelEvent], tree: AreaTree) -> set[str]:
        """Queues events that have no version for every webhook they are for; gives those ids.

        What finds a queue full is dropped and counted.
        """
        told: set[str] = set()
        async with self._store.write() as tx:
            counts = await tx.webhooks.counts()
            for webhook in await tx.webhooks.all():
                deliveries = self._deliveries(webhook, events, tree) if webhook.enabled else []
                if not deliveries:
                    continue
                room = max(0, MAX_QUEUED - counts.get((webhook.id, DeliveryState.QUEUED), 0))
                if deliveries[room:]:
                    await tx.webhooks.count_dropped(webhook.id, len(deliveries[room:]))
                await tx.webhooks.add_deliveries(deliveries[:room])
                told.add(webhook.id)
        return told

    async def queue_root(self, tx: WriteTx, segment: Segment) -> None:
        """Queues the signed root of a segment for every webhook that asked for such, in the
        transaction that adds it: the line that stands in the root file, too."""
        now = self._clock()
        event_id = f"ev_root_{segment.number}"
        body = {
            "type": EventKind.AUDIT_ROOT.value,
            "id": event_id,
            "timestamp": segment.sealed_at.isoformat(timespec="milliseconds"),
            "data": {"day": segment.day, "number": segment.number, "line": line_of(segment)},
        }
        for webhook in await tx.webhooks.all():
            if not webhook.enabled or EventKind.AUDIT_ROOT not in webhook.kinds:
                continue
            delivery = Delivery(
                seq=0,
                webhook_id=webhook.id,
                event_id=event_id,
                kind=EventKind.AUDIT_ROOT.value,
                channel_id="",
                body=json_text(body),
                created_at=now,
                due_at=now,
            )
            await tx.webhooks.add_deliveries([delivery])
            await tx.webhooks.touch(webhook.id)

    async def settle(self, delivered: Collection[int], failed: Sequence[Delivery]) -> None:
        """Writes how attempts ended: what arrived goes, what failed waits or is dead."""
        async with self._store.write() as tx:
            await tx.webhooks.delete_deliveries(delivered)
            for each in failed:
                await tx.webhooks.update_delivery(each)
            for webhook_id in {e.webhook_id for e in failed if e.state is DeliveryState.DEAD}:
                await tx.webhooks.trim_dead(webhook_id, MAX_DEAD)

    def _deliveries(
        self, webhook: Webhook, events: Iterable[ChannelEvent], tree: AreaTree
    ) -> list[Delivery]:
        within = None if webhook.area_id is None else tree.descendants(webhook.area_id)

        def told(channel: Channel) -> bool:
            # Whoever runs the receiver need not manage the cameras: drafts are not theirs to know.
            return channel.is_filed and (within is None or channel.area_id in within)

        def watched(channel: Channel) -> bool:
            # What a device says is as the picture; a receiver can't say what it wants it for.
            return told(channel) and channel.enabled and not channel.sensitive

        seen = (
            each.seen_by(watched if each.kind is EventKind.DEVICE_EVENT else told)
            for each in events
        )
        now = self._clock()
        return [
            Delivery(
                seq=0,
                webhook_id=webhook.id,
                event_id=event.id,
                kind=event.kind.value,
                channel_id=event.channel.id,
                body=json_text(event.body()),
                created_at=now,
                due_at=now,
            )
            for event in seen
            if event is not None and event.kind in webhook.kinds
        ]


def json_text(body: Mapping[str, Any]) -> str:
    """As it is sent and signed: compact, UTF-8."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def secret_bytes(secret: Secret) -> bytes:
    """The key that a webhook's secret stands for: base64 behind `whsec_` (Standard Webhooks,
    "Signature scheme"). Raises ValidationFailed."""
    text = secret.reveal()
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(SECRET_PREFIX) or not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise ValidationFailed(
            "secret",
            "secret_malformed",
            f"A secret is {SECRET_PREFIX} and {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} random "
            "bytes in base64; leave it out and one is made.",
        )
    return key


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def _kinds(given: Collection[str]) -> frozenset[EventKind]:
    """None are all of channels; of the log nothing is told but where it is asked for."""
    return frozenset(check.one_of("kinds", each, EventKind) for each in given) or OF_CHANNELS


async def _area(tx: WriteTx, area_id: str | None) -> str | None:
    if area_id is not None and await tx.areas.get(area_id) is None:
        raise ValidationFailed(
            "area_id", "unknown_area", "There is no such area; choose one that exists."
        )
    return area_id


async def _webhook(tx: ReadTx | WriteTx, webhook_id: str) -> Webhook:
    webhook = await tx.webhooks.get(webhook_id)
    if webhook is None:
        raise NotFound("webhook", webhook_id)
    return webhook


def _state(webhook: Webhook, counts: Mapping[tuple[str, DeliveryState], int]) -> WebhookState:
    return WebhookState(
        webhook,
        queued=counts.get((webhook.id, DeliveryState.QUEUED), 0),
        dead=counts.get((webhook.id, DeliveryState.DEAD), 0),
    )
