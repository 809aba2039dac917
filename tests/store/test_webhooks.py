"""Webhooks in the registry: what is kept, what is queued for whom, what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from camera_registry import webhooks as hooks
from camera_registry.channel_events import DeviceEvent, Said, of_device, of_state
from camera_registry.domain import Actor, Area, ChangeKind, Channel, Delivery, DeliveryState
from camera_registry.drafts import AreaDraft, ChannelDraft
from camera_registry.errors import Conflict, NotFound, ValidationFailed, VaultKeyMissing
from camera_registry.feed import ChangeFeed
from camera_registry.hook_targets import hook_target, refused_address
from camera_registry.secret import Secret
from camera_registry.service import Registry
from camera_registry.store import AuditQuery, SqlStore
from camera_registry.units import utc_now
from camera_registry.vault import Vault, open_vault
from camera_registry.webhooks import WebhookDraft, Webhooks

from .conftest import Place

URL = "https://192.0.2.9/hook?token=receivers-own"


@pytest.fixture
async def webhooks(store: SqlStore, vault: Vault, feed: ChangeFeed) -> Webhooks:
    return Webhooks(store, vault, feed)


async def place(registry: Registry, by: Actor) -> tuple[Area, Area]:
    district = await registry.create_area(AreaDraft(None, "district", "110112", "通州"), by)
    one = await registry.create_area(AreaDraft(district.id, "street", "110112001", "中仓"), by)
    two = await registry.create_area(AreaDraft(district.id, "street", "110112002", "梨园"), by)
    return one, two


async def camera(registry: Registry, area: Area, number: int, by: Actor) -> Channel:
    draft = ChannelDraft(
        code=f"1101120011131{number:07d}",
        name=f"路口{number}",
        area_id=area.id,
        device_class="police_hd",
        main_url=f"rtsp://ops:s3cret@192.0.2.10/cam/{number}",
        facts={"mac": "aa:bb:cc:dd:ee:ff"},
    )
    return await registry.create_channel(draft, by)


async def queue(webhooks: Webhooks, webhook_id: str) -> list[dict[str, Any]]:
    """The bodies that are queued, after all versions were taken."""
    while await webhooks.queue_versions(webhook_id):
        pass
    found = [await webhooks.delivery(each.seq) for each in await webhooks.waiting(webhook_id)]
    return [json.loads(each.body) for each in found if each is not None]


def brief(body: Mapping[str, Any]) -> tuple[str, str]:
    return body["type"], body["data"]["channel"]["name"]


async def test_every_change_of_a_channel_is_queued_once_and_says_no_secret(
    webhooks: Webhooks, registry: Registry, by: Actor
) -> None:
    one, _ = await place(registry, by)
    await camera(registry, one, 1, by)
    webhook, _ = await webhooks.create(WebhookDraft(URL), by)
    assert await queue(webhooks, webhook.id) == []  # what was before it is not told
    channel = await camera(registry, one, 2, by)
    await registry.update_channel(
        channel.id, {"name": "新名", "main_url": "rtsp://192.0.2.10/other", "facts": {}}, by
    )
    await registry.delete_channel(channel.id, by)
    bodies = await queue(webhooks, webhook.id)
    assert [brief(body) for body in bodies] == [
        ("channel.added", "路口2"),
        ("channel.changed", "新名"),
        ("channel.removed", "新名"),
    ]
    assert bodies[1]["data"]["changed"] == ["name", "main_url"]
    assert len({body["id"] for body in bodies}) == 3
    for text in ("rtsp", "s3cret", "192.0.2", "aa:bb"):
        assert text not in json.dumps(bodies)
    assert len(await queue(webhooks, webhook.id)) == 3


async def test_an_area_hears_what_comes_into_it_and_what_leaves_it(
    webhooks: Webhooks, registry: Registry, by: Actor
) -> None:
    one, two = await place(registry, by)
    here, _ = await webhooks.create(WebhookDraft(URL, area_id=one.id), by)
    there, _ = await webhooks.create(WebhookDraft(URL, area_id=two.id), by)
    removals, _ = await webhooks.create(WebhookDraft(URL, kinds=["channel.removed"]), by)
    channel = await camera(registry, one, 1, by)
    await registry.update_channel(channel.id, {"area_id": two.id, "name": "搬走"}, by)
    # What it is called where it went is not theirs to know.
    assert [brief(body) for body in await queue(webhooks, here.id)] == [
        ("channel.added", "路口1"),
        ("channel.removed", "路口1"),
    ]
    moved_in = await queue(webhooks, there.id)
    assert [brief(body) for body in moved_in] == [("channel.added", "搬走")]
    assert moved_in[0]["data"]["changed"] == []
    assert await queue(webhooks, removals.id) == []


async def test_versions_wait_where_they_are_when_a_queue_is_full(
    webhooks: Webhooks, registry: Registry, by: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "MAX_QUEUED_VERSIONS", 2)
    monkeypatch.setattr(hooks, "MAX_QUEUED", 3)
    monkeypatch.setattr(hooks, "VERSIONS_AT_ONCE", 1)
    one, _ = await place(registry, by)
    webhook, _ = await webhooks.create(WebhookDraft(URL), by)
    channels = [await camera(registry, one, number, by) for number in range(1, 5)]
    assert len(await queue(webhooks, webhook.id)) == 2
    down = [
        of_state(each, online=False, cause="connect_failed", at=utc_now()) for each in channels[:2]
    ]
    assert await webhooks.queue_events(down, registry.tree) == {webhook.id}
    assert (await webhooks.get(webhook.id)).webhook.dropped == 1
    seqs = [each.seq for each in await webhooks.waiting(webhook.id)]
    assert len(seqs) == 3
    await webhooks.settle(seqs, [])
    left = await queue(webhooks, webhook.id)
    assert [brief(body) for body in left] == [("channel.added", f"路口{n}") for n in (3, 4)]


async def test_what_a_device_says_goes_to_who_asked_for_it(
    webhooks: Webhooks, registry: Registry, by: Actor
) -> None:
    one, _ = await place(registry, by)
    channel = await camera(registry, one, 1, by)
    asked, _ = await webhooks.create(WebhookDraft(URL, kinds=["device_event"]), by)
    await webhooks.create(WebhookDraft(URL, kinds=["channel.offline"]), by)
    topic, source = "Device/Trigger/DigitalInput", {"InputToken": "1"}
    said = DeviceEvent(Said.DIGITAL_INPUT, True, topic, source, "2026-11-27T08:00:00Z")
    event = of_device(channel, said, utc_now())
    assert await webhooks.queue_events([event], registry.tree) == {asked.id}
    [body] = await queue(webhooks, asked.id)
    assert body["type"] == "device_event"
    assert body["data"]["channel"]["id"] == channel.id
    assert body["data"]["device_event"] == {
        "kind": "digital_input",
        "active": True,
        "topic": topic,
        "source": source,
        "device_time": "2026-11-27T08:00:00Z",
    }


async def test_what_a_device_says_of_a_sensitive_camera_or_one_switched_off_goes_to_no_webhook(
    webhooks: Webhooks, registry: Registry, by: Actor
) -> None:
    one, _ = await place(registry, by)
    channel = await camera(registry, one, 1, by)
    webhook, _ = await webhooks.create(WebhookDraft(URL), by)
    said = DeviceEvent(Said.MOTION, True, "VideoSource/MotionAlarm", {}, "")
    for row in (replace(channel, sensitive=True), replace(channel, enabled=False)):
        motion = of_device(row, said, utc_now())
        assert await webhooks.queue_events([motion], registry.tree) == set()
        state = of_state(row, online=True, cause=None, at=utc_now())
        assert await webhooks.queue_events([state], registry.tree) == {webhook.id}, "states are"


async def test_a_webhook_that_was_off_is_not_told_what_it_missed(
    webhooks: Webhooks, registry: Registry, by: Actor
) -> None:
    one, _ = await place(registry, by)
    webhook, _ = await webhooks.create(WebhookDraft(URL, enabled=False), by)
    channel = await camera(registry, one, 1, by)
    event = of_state(channel, online=True, cause=None, at=utc_now())
    assert await webhooks.queue_events([event], registry.tree) == set()
    assert not await webhooks.queue_versions(webhook.id)
    await webhooks.update(webhook.id, {"enabled": True}, by)
    assert await queue(webhooks, webhook.id) == []
    assert [each.id for each in await webhooks.all_enabled()] == [webhook.id]


async def test_the_dead_are_kept_up_to_a_number_and_sent_again(
    webhooks: Webhooks, registry: Registry, by: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "MAX_DEAD", 2)
    one, _ = await place(registry, by)
    webhook, _ = await webhooks.create(WebhookDraft(URL), by)
    for number in range(1, 4):
        await camera(registry, one, number, by)
    await queue(webhooks, webhook.id)

    async def dying(seq: int) -> Delivery:
        found = await webhooks.delivery(seq)
        assert found is not None
        return replace(found, state=DeliveryState.DEAD, attempts=20, last_error="It said 500.")

    waiting = await webhooks.waiting(webhook.id)
    await webhooks.settle([], [await dying(each.seq) for each in waiting])
    dead = (await webhooks.dead(webhook.id)).items
    assert [json.loads(each.body)["data"]["channel"]["name"] for each in dead] == ["路口2", "路口3"]
    assert (await webhooks.get(webhook.id)).dead == 2
    assert await webhooks.resend(webhook.id, [dead[1].seq, 999], by) == 1
    again = await webhooks.waiting(webhook.id)
    assert [(each.seq, each.attempts) for each in again] == [(dead[1].seq, 0)]
    assert await webhooks.resend(webhook.id, None, by) == 1
    assert (await webhooks.dead(webhook.id)).items == []


async def test_the_secret_is_sealed_and_told_once(
    webhooks: Webhooks, by: Actor, store: SqlStore, place: Place
) -> None:
    webhook, made = await webhooks.create(WebhookDraft(URL), by)
    assert made.reveal().startswith("whsec_")
    assert len(hooks.secret_bytes(made)) == 32
    own = Secret("whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    await webhooks.update(webhook.id, {"secret": own, "kinds": []}, by)
    assert (await webhooks.opened(webhook.id))[1] == own
    held = place.held()
    assert own.reveal().encode() not in held
    assert made.reveal().encode() not in held
    async with store.read() as tx:
        rows = (await tx.audit.page(AuditQuery(), limit=9, cursor=None)).items
    assert [row.act for row in rows] == ["webhook_update", "webhook_create"]
    assert "receivers-own" not in repr(rows)
    assert {each.kind for each in await store.changes_since(0)} == {ChangeKind.WEBHOOK}
    await webhooks.delete(webhook.id, by)
    with pytest.raises(NotFound):
        await webhooks.get(webhook.id)


async def test_a_lost_key_is_missed_for_a_webhook_alone(
    webhooks: Webhooks, by: Actor, store: SqlStore, tmp_path: Path
) -> None:
    await webhooks.create(WebhookDraft(URL), by)
    key = tmp_path / "data" / "secret.key"
    key.unlink()
    with pytest.raises(VaultKeyMissing, match="webhook secrets"):
        await open_vault(store, key)
    assert not key.exists()


async def test_there_are_not_more_than_so_many(
    webhooks: Webhooks, by: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "MAX_WEBHOOKS", 1)
    await webhooks.create(WebhookDraft(URL), by)
    with pytest.raises(Conflict) as caught:
        await webhooks.create(WebhookDraft(URL), by)
    assert caught.value.code == "too_many_webhooks"


@pytest.mark.parametrize(
    ("draft", "code"),
    [
        (WebhookDraft("ftp://192.0.2.1/x"), "url_not_http"),
        (WebhookDraft("https://me:pass@192.0.2.1/x"), "url_with_credentials"),
        (WebhookDraft("https://"), "url_malformed"),
        (WebhookDraft("https://192.0.2.1/a b"), "url_malformed"),
        (WebhookDraft("https://192.0.2.1:0/"), "url_malformed"),
        (WebhookDraft("https://[::1"), "url_malformed"),
        (WebhookDraft("https://192.0.2.1/" + "x" * 1024), "url_too_long"),
        (WebhookDraft("http://127.0.0.1:8080/"), "url_address_refused"),
        (WebhookDraft("http://LOCALHOST/"), "url_address_refused"),
        (WebhookDraft("http://[::1]/"), "url_address_refused"),
        (WebhookDraft("http://[::ffff:127.0.0.1]/"), "url_address_refused"),
        (WebhookDraft("http://169.254.169.254/latest"), "url_address_refused"),
        (WebhookDraft("http://0.0.0.0/"), "url_address_refused"),
        (WebhookDraft(URL, kinds=["channel.sneezed"]), "unknown_value"),
        (WebhookDraft(URL, area_id="ar_nowhere"), "unknown_area"),
        (WebhookDraft(URL, secret=Secret("hunter2")), "secret_malformed"),
        (WebhookDraft(URL, secret=Secret("whsec_c2hvcnQ=")), "secret_malformed"),
    ],
)
async def test_what_is_refused_has_a_code(
    webhooks: Webhooks, by: Actor, draft: WebhookDraft, code: str
) -> None:
    with pytest.raises(ValidationFailed) as caught:
        await webhooks.create(draft, by)
    assert caught.value.code == code
    assert "pass" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_private_addresses_are_the_rule_and_local_ones_a_setting() -> None:
    for address in ("10.1.2.3", "192.168.1.9", "172.16.0.1", "fd00::7", "8.8.8.8"):
        assert refused_address(address, allow_local=False) is None
    for address in ("127.9.9.9", "::1", "169.254.1.1", "fe80::1%eth0", "::ffff:169.254.1.1"):
        refused = refused_address(address, allow_local=False)
        assert refused
        assert "STREAMHUB_WEBHOOKS__ALLOW_LOCAL" in refused
        assert refused_address(address, allow_local=True) is None
    for address in ("0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1"):
        assert refused_address(address, allow_local=True)
    target = hook_target("http://[::1]:8080/x", allow_local=True)
    assert (target.scheme, target.host, target.port) == ("http", "::1", 8080)
