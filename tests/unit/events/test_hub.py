"""What the hub hands to its follower, the webhooks: only what has no room is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from camera_registry.area_tree import AreaTree
from camera_registry.channel_events import ChannelEvent, DeviceEvent, Said
from camera_registry.domain import EventKind
from camera_registry.errors import StoreError
from camera_registry.inspection.card import Card, Verdict
from camera_registry.inspection.card import Facts as InspectionFacts
from camera_registry.store import open_store
from camera_registry.units import utc_now
from streamhub.access.facts import Facts, StaticFacts
from streamhub.events import hub as hubs
from streamhub.events.hub import EventHub
from support.http_kit import areas, channels
from support.patience import PATIENCE_S

ROOM = 4


class Follower:
    """Takes its time: before it has told the first ones, three more come. `fails`: and then its
    store does not take them."""

    def __init__(self, hub: EventHub, *, fails: bool) -> None:
        self.told: list[str] = []
        self._hub = hub
        self._fails = fails
        self._came = 0

    def say(self, count: int) -> None:
        for _ in range(count):
            self._came += 1
            said = DeviceEvent(Said.MOTION, True, f"topic {self._came}", {}, "")
            self._hub.device_said("ch_l1", said, utc_now())

    async def __call__(self, events: Sequence[ChannelEvent]) -> None:
        is_first = bool(events) and not self.told and self._came == ROOM
        if is_first:
            self.say(3)
            if self._fails:
                raise StoreError("The registry could not be written.")
        self.told += [each.said.topic for each in events if each.said is not None]


async def test_a_camera_that_sent_pictures_to_an_inspection_is_online(tmp_path: Path) -> None:
    by_id = {each.id: each for each in channels()}
    facts = Facts(version=1, tree=AreaTree(areas()), channels=by_id, subjects={}, grants={})
    store = await open_store(tmp_path / "registry.db")
    hub = EventHub(store, StaticFacts(facts))
    listener = hub.listen("su_1")
    looks = {
        "ch_y1": InspectionFacts(connected=True, packets=900),
        "ch_y2": InspectionFacts(failed_step="connect", failure="connect_timeout"),
        "ch_l1": InspectionFacts(connected=True, failed_step="describe", failure="auth_failed"),
        "ch_off": InspectionFacts(connected=True, packets=900),
        "ch_gone": InspectionFacts(connected=True, packets=900),
    }
    for channel_id, seen in looks.items():
        hub.inspected(Card(channel_id, "main", utc_now(), None, Verdict.PLAYS, (), seen))
    told = [each.event for each in await listener.take(PATIENCE_S)]
    assert [(each.kind, each.channel.id, each.cause) for each in told] == [
        (EventKind.ONLINE, "ch_y1", None),
        (EventKind.OFFLINE, "ch_y2", "connect_timeout"),
    ]
    await store.close()


@pytest.mark.parametrize(("fails", "told"), [(False, range(1, 8)), (True, range(4, 8))])
async def test_what_comes_while_the_follower_is_told_is_told_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool, told: range
) -> None:
    monkeypatch.setattr(hubs, "RECENT", ROOM)
    monkeypatch.setattr(hubs, "RETRY_S", 0.0)
    by_id = {each.id: each for each in channels()}
    facts = Facts(version=1, tree=AreaTree(areas()), channels=by_id, subjects={}, grants={})
    store = await open_store(tmp_path / "registry.db")
    hub = EventHub(store, StaticFacts(facts))
    follower = Follower(hub, fails=fails)
    hub.follow(follower)
    follower.say(ROOM)
    await hub.start()
    async with asyncio.timeout(PATIENCE_S):
        while "topic 7" not in follower.told:
            await asyncio.sleep(0)
    assert follower.told == [f"topic {number}" for number in told]
    await hub.stop()
    await store.close()
