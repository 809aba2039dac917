"""Whose channel it is that a device says something of."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from camera_registry.area_tree import AreaTree
from camera_registry.channel_events import DeviceEvent
from camera_registry.control import EventAddress
from camera_registry.domain import Channel
from gateways.onvif import Event
from gateways.onvif.subscription import Notification
from streamhub.access.facts import Facts, StaticFacts
from streamhub.access.facts_cache import FactsChange
from streamhub.events.devices import DeviceEars, _Ear
from streamhub.events.said import Bucket, DeviceSayings
from support.http_kit import areas, channels

Numbered = tuple[tuple[str, int | None], ...]


class Book:
    """Of no device: nothing is asked here."""

    async def listened_devices(self) -> list[str]:
        return []

    async def events_of(self, device_id: str) -> EventAddress | None:
        return None


class Site:
    """`de_1`, a recorder of four pictures; `numbered`: its channels here, and their numbers."""

    def __init__(self, numbered: Numbered, rows: list[Channel] | None = None) -> None:
        self.told: list[str] = []
        by_id = {each.id: each for each in rows or channels()}
        facts = Facts(version=1, tree=AreaTree(areas()), channels=by_id, subjects={}, grants={})
        self.ears = DeviceEars(Book(), StaticFacts(facts), self._tell)
        self.address = EventAddress("de_1", "192.0.2.1", 80, None, None, numbered)
        pictures = {f"VideoSource_{place + 1}": place for place in range(4)}
        self.ear = _Ear(
            DeviceSayings(Bucket(100.0, 1.0)), self.address, pictures=pictures, state="listening"
        )
        self.ears._ears["de_1"] = self.ear

    def _tell(self, channel_id: str, said: DeviceEvent, at: datetime) -> None:
        self.told.append(channel_id)

    def moves(self, token: str) -> list[str]:
        """Whom it is told of that the picture moves."""
        return self._takes("VideoSource/MotionAlarm", {"Source": token}, {"State": "true"})

    def rings(self) -> list[str]:
        """Whom it is told of that an input closes."""
        topic = "Device/Trigger/DigitalInput"
        return self._takes(topic, {"InputToken": "1"}, {"LogicalState": "true"})

    def _takes(self, topic: str, source: dict[str, str], data: dict[str, str]) -> list[str]:
        self.told.clear()
        unplaced = self.ears.unplaced_total
        notification = Notification(topic, "Changed", source, {}, data, "")
        self.ears._take(self.ear, self.address, Event(datetime.now(UTC), notification))
        assert len(self.told) + self.ears.unplaced_total - unplaced == 1
        return self.told


def test_the_pictures_of_a_recorder_are_told_of_the_channels_of_their_numbers() -> None:
    site = Site((("ch_l1", 1), ("ch_l2", 3)))
    told = [list(site.moves(f"VideoSource_{number}")) for number in (1, 2, 3, 9)]
    assert told == [["ch_l1"], [], ["ch_l2"], []]


def test_the_only_channel_here_of_a_recorder_has_none_of_the_other_pictures() -> None:
    site = Site((("ch_l1", 3),))
    told = [list(site.moves(f"VideoSource_{number}")) for number in (1, 2, 3, 9)]
    assert told == [[], [], ["ch_l1"], []]
    assert Site((("ch_l1", 0),)).moves("VideoSource_9") == [], "no number is that of no picture"


def test_a_camera_that_says_no_number_has_all_its_device_says() -> None:
    site = Site((("ch_l1", None),))
    assert site.moves("VideoSource_1") == ["ch_l1"]
    assert site.moves("any name") == ["ch_l1"]
    assert site.rings() == ["ch_l1"]


@pytest.mark.parametrize(
    ("numbered", "told"),
    [
        ((("ch_l1", 1), ("ch_l2", 2)), ["ch_l1"]),
        ((("ch_l1", 1), ("ch_y1", 2)), []),
        ((("ch_l1", 1), ("ch_gone", 2)), []),
    ],
    ids=["in one area", "in two", "one that is no more"],
)
def test_an_input_is_told_of_the_first_channel_if_all_lie_together(
    numbered: Numbered, told: list[str]
) -> None:
    assert Site(numbered).rings() == told


def test_a_channel_that_has_gone_to_another_device_is_told_nothing_of_this_one() -> None:
    rows = [replace(e, device_id="de_2") if e.id == "ch_l1" else e for e in channels()]
    site = Site((("ch_l1", 1), ("ch_l2", 2)), rows)
    assert site.moves("VideoSource_1") == []
    assert site.moves("VideoSource_2") == ["ch_l2"]
    assert site.rings() == []
    assert Site((("ch_l1", None),), rows).moves("VideoSource_1") == []


async def test_the_device_that_a_channel_has_left_is_looked_at_anew() -> None:
    rows = [replace(e, device_id="de_2") if e.id == "ch_l1" else e for e in channels()]
    site = Site((("ch_l1", 1), ("ch_l2", 2)), rows)
    await site.ears.facts_changed(FactsChange(2, frozenset({"channel"}), frozenset({"ch_l1"})))
    assert site.ears._changed >= {"de_1", "de_2"}
