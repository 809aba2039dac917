"""A webhook's courier over a real store: order, retries, a restart, the dead."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from camera_registry.domain import Actor, Area, AreaKind, Delivery
from camera_registry.drafts import AreaDraft, ChannelDraft
from camera_registry.errors import StoreError
from camera_registry.secret import Secret
from camera_registry.service import Registry
from camera_registry.store import open_store
from camera_registry.vault import open_vault
from camera_registry.webhooks import WebhookDraft, Webhooks
from streamhub.access.facts import Facts, StaticFacts
from streamhub.access.facts_cache import FactsChange
from streamhub.events import courier as driving
from streamhub.events.courier import Courier
from streamhub.events.couriers import Couriers
from streamhub.events.outbox import RetryPolicy
from streamhub.events.sender import Outcome, Sender
from support.patience import PATIENCE_S

BY = Actor(None, "local:test", "127.0.0.1")
URL = "http://192.0.2.9/hook"
QUICK = RetryPolicy(first_s=0.001, max_s=0.002, max_attempts=4, ill_first_s=0.001, ill_max_s=0.002)
OK = Outcome(True, 204, None)
BAD = Outcome(False, 500, "The receiver answered 500.")


class Receiver(Sender):
    """In place of the network: says what `answer` says, and can be waited for."""

    def __init__(self, answer: Callable[[str], Outcome] = lambda _: OK) -> None:
        self.answer = answer
        self.arrived: list[tuple[str, str]] = []  # (type, channel name)
        self.ids: list[str] = []
        self.attempts = 0
        self.hold: asyncio.Event | None = None
        self.moved = asyncio.Event()

    async def close(self) -> None:
        pass

    async def send(self, event_id: str, body: str, unix_s: int) -> Outcome:
        self.attempts += 1
        self.moved.set()
        if self.hold is not None:
            await self.hold.wait()
        value = json.loads(body)
        outcome = self.answer(event_id)
        if outcome.ok:
            self.ids.append(event_id)
            self.arrived.append((value["type"], value["data"]["channel"]["name"]))
        return outcome

    async def until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not check():
                self.moved.clear()
                await self.moved.wait()


class District:
    def __init__(self, registry: Registry, webhooks: Webhooks, area: Area) -> None:
        self.registry = registry
        self.webhooks = webhooks
        self.area = area
        self._number = 0

    async def camera(self, name: str) -> str:
        self._number += 1
        draft = ChannelDraft(
            code=f"1101120011131{self._number:07d}",
            name=name,
            area_id=self.area.id,
            device_class="police_hd",
            main_url=f"rtsp://192.0.2.10/cam/{self._number}",
        )
        return (await self.registry.create_channel(draft, BY)).id

    async def rename(self, channel_id: str, *names: str) -> None:
        for name in names:
            await self.registry.update_channel(channel_id, {"name": name}, BY)

    async def emptied(self, webhook_id: str) -> None:
        """Until nothing is queued: what arrived is written a moment after it arrived."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self.webhooks.get(webhook_id)).queued:
                await asyncio.sleep(0)


@pytest.fixture
async def district(tmp_path: Path) -> AsyncIterator[District]:
    store = await open_store(tmp_path / "registry.db")
    vault = await open_vault(store, tmp_path / "secret.key")
    registry = Registry(store, vault)
    await registry.start()
    area = await registry.create_area(AreaDraft(None, AreaKind.DISTRICT, "110112", "通州"), BY)
    yield District(registry, Webhooks(store, vault), area)
    await registry.stop()
    await store.close()


def courier(district: District, webhook_id: str, receiver: Receiver) -> Courier:
    return Courier(webhook_id, district.webhooks, receiver, policy=QUICK, jitter=lambda: 0.0)


async def test_of_each_channel_everything_arrives_in_order_though_much_fails(
    district: District,
) -> None:
    webhook, _ = await district.webhooks.create(WebhookDraft(URL), BY)
    for camera in "ABC":
        await district.rename(await district.camera(f"{camera}0"), f"{camera}1", f"{camera}2")
    tried: dict[str, int] = {}

    def every_other(event_id: str) -> Outcome:
        tried[event_id] = tried.get(event_id, 0) + 1
        return BAD if tried[event_id] % 2 else OK

    receiver = Receiver(every_other)
    one = courier(district, webhook.id, receiver)
    one.start()
    await receiver.until(lambda: len(receiver.arrived) == 9)
    await district.emptied(webhook.id)
    await one.stop()
    for camera in "ABC":
        names = [name for _, name in receiver.arrived if name.startswith(camera)]
        assert names == [f"{camera}{n}" for n in range(3)]
    assert (one.delivered_total, one.failed_total) == (9, 9)


async def test_what_was_queued_is_sent_after_a_restart_under_the_same_ids(
    district: District,
) -> None:
    webhook, _ = await district.webhooks.create(WebhookDraft(URL), BY)
    channel = await district.camera("A0")
    down = Receiver(lambda _: BAD)
    before = courier(district, webhook.id, down)
    before.start()
    await down.until(lambda: down.attempts >= 1)
    await before.stop()
    await district.rename(channel, "A1")  # while no service runs
    up = Receiver()
    after = courier(district, webhook.id, up)
    after.start()
    await up.until(lambda: len(up.arrived) == 2)
    await district.emptied(webhook.id)
    await after.stop()
    assert up.arrived == [("channel.added", "A0"), ("channel.changed", "A1")]
    assert up.ids == ["ev_1", "ev_2"]


async def test_a_stop_in_the_middle_of_a_request_loses_nothing(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driving, "FAREWELL_S", 0.01)
    webhook, _ = await district.webhooks.create(WebhookDraft(URL), BY)
    await district.camera("A0")
    slow = Receiver()
    slow.hold = asyncio.Event()
    before = courier(district, webhook.id, slow)
    before.start()
    await slow.until(lambda: slow.attempts == 1)
    await before.stop()
    assert slow.arrived == []
    assert (await district.webhooks.get(webhook.id)).queued == 1


class ForgetfulWebhooks(Webhooks):
    """The store is ill when the first deliveries are looked up."""

    failing = 5

    async def delivery(self, seq: int) -> Delivery | None:
        if self.failing:
            self.failing -= 1
            raise StoreError("The disk is full.")
        return await super().delivery(seq)


async def test_a_store_that_fails_in_between_leaves_no_delivery_behind(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driving, "STORE_PAUSE_S", 0.0)
    webhook, _ = await district.webhooks.create(WebhookDraft(URL), BY)
    for camera in "ABCDE":  # more than may be under way at once
        await district.camera(camera)
    receiver = Receiver()
    ill = ForgetfulWebhooks(district.webhooks._store, district.webhooks._vault)
    one = Courier(webhook.id, ill, receiver, policy=QUICK, jitter=lambda: 0.0)
    one.start()
    await receiver.until(lambda: len(receiver.arrived) == 5)
    await district.emptied(webhook.id)
    await one.stop()
    assert sorted(name for _, name in receiver.arrived) == list("ABCDE")
    assert one.failed_total == 0, "nothing is known of the receiver by that"


async def test_what_is_refused_too_often_is_dead_and_frees_its_channel(district: District) -> None:
    webhook, _ = await district.webhooks.create(WebhookDraft(URL), BY)
    await district.rename(await district.camera("A0"), "A1")
    receiver = Receiver(lambda event_id: BAD if event_id == "ev_1" else OK)
    one = courier(district, webhook.id, receiver)
    one.start()
    await receiver.until(lambda: receiver.arrived == [("channel.changed", "A1")])
    await district.emptied(webhook.id)
    await one.stop()
    dead = (await district.webhooks.dead(webhook.id)).items
    assert [(each.event_id, each.attempts, each.last_error) for each in dead] == [
        ("ev_1", QUICK.max_attempts, "The receiver answered 500.")
    ]
    assert one.dead_total == 1


async def test_couriers_come_and_go_with_their_webhooks(district: District) -> None:
    made: list[Receiver] = []

    def make(url: str, secret: Secret) -> Receiver:
        made.append(Receiver())
        return made[-1]

    couriers = Couriers(district.webhooks, StaticFacts(Facts.build()), make, policy=QUICK)
    await couriers.start()
    webhook, _ = await district.webhooks.create(WebhookDraft(URL), BY)
    change = FactsChange(1, frozenset({"webhook"}), frozenset({webhook.id}))
    await district.camera("A0")
    await couriers.facts_changed(change)
    async with asyncio.timeout(PATIENCE_S):
        while not (made and made[0].arrived):
            await asyncio.sleep(0)
    assert made[0].arrived == [("channel.added", "A0")]
    await district.emptied(webhook.id)
    await district.webhooks.update(webhook.id, {"enabled": False}, BY)
    await couriers.facts_changed(change)
    async with asyncio.timeout(PATIENCE_S):
        while couriers.figures()["webhooks"]:
            await asyncio.sleep(0)
    assert couriers.figures()["webhook_deliveries_total"] == 1
    await couriers.stop()
