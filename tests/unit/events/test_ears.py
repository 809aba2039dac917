"""Whose channel it is that a device says something of, and who is listened to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from camera_registry.area_tree import AreaTree
from camera_registry.channel_events import DeviceEvent
from camera_registry.control import EventAddress
from camera_registry.domain import Channel
from camera_registry.errors import StoreError
from gateways.onvif import AuthRefused, Event, HttpTransport, Unreachable
from gateways.onvif.subscription import Notification
from gateways.onvif.transport import HttpReply, Timeouts
from streamhub.access.facts import Facts, StaticFacts
from streamhub.access.facts_cache import FactsChange
from streamhub.events import devices
from streamhub.events.devices import DeviceEars, _Ear
from streamhub.events.said import Bucket, DeviceSayings
from support.http_kit import areas, channels
from support.patience import PATIENCE_S

Numbered = tuple[tuple[str, int | None], ...]


class Book:
    """Of the devices that are given. `failing`: so many answers are failures of the store."""

    def __init__(self, *addresses: EventAddress) -> None:
        self.addresses = {each.device_id: each for each in addresses}
        self.failing = 0

    async def listened_devices(self) -> list[str]:
        return sorted(self.addresses)

    async def events_of(self, device_id: str) -> EventAddress | None:
        if self.failing:
            self.failing -= 1
            raise StoreError("The registry could not be asked.")
        return self.addresses[device_id]


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


def test_a_property_that_is_deleted_says_nothing_of_a_channel() -> None:
    site = Site((("ch_l1", None),))
    assert site.moves("VideoSource_1") == ["ch_l1"]
    for operation, told in (("Deleted", []), ("Changed", ["ch_l1"])):
        site.told.clear()
        source, data = {"Source": "VideoSource_1"}, {"State": "false"}
        gone = Notification("VideoSource/MotionAlarm", operation, source, {}, data, "")
        site.ears._take(site.ear, site.address, Event(datetime.now(UTC), gone))
        assert site.told == told


async def test_after_a_restore_every_device_is_looked_at_anew() -> None:
    site = Site((("ch_l1", None),))
    await site.ears.facts_changed(FactsChange(2, frozenset({"everything"}), frozenset()))
    assert site.ears._changed == {"de_1"}


async def test_the_device_that_a_channel_has_left_is_looked_at_anew() -> None:
    rows = [replace(e, device_id="de_2") if e.id == "ch_l1" else e for e in channels()]
    site = Site((("ch_l1", 1), ("ch_l2", 2)), rows)
    await site.ears.facts_changed(FactsChange(2, frozenset({"channel"}), frozenset({"ch_l1"})))
    assert site.ears._changed >= {"de_1", "de_2"}


# --- who is listened to ---------------------------------------------------------------------------


def address(number: int) -> EventAddress:
    return EventAddress(f"de_{number}", "192.0.2.1", number, None, None, (("ch_l1", None),))


class Line(HttpTransport):
    """In place of the network: raises what `answers` gives, and can be waited for."""

    def __init__(self, answers: Callable[[str], Exception]) -> None:
        self.answers = answers
        self.asked: Counter[str] = Counter()  # by port
        self.moved = asyncio.Event()

    async def close(self) -> None:
        pass

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        *,
        max_bytes: int = 0,
    ) -> HttpReply:
        port = url.split("/")[2].split(":")[1]
        self.asked[port] += 1
        self.moved.set()
        raise self.answers(port)

    async def until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not check():
                self.moved.clear()
                await self.moved.wait()


def listening(book: Book, line: Line) -> DeviceEars:
    facts = Facts.build()
    return DeviceEars(
        book, StaticFacts(facts), lambda *_: None, make_http=lambda: line, jitter=lambda: 0.0
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "RETRY_FIRST_S", 0.001)
    monkeypatch.setattr(devices, "BEGIN_EVERY_S", 0.0)
    monkeypatch.setattr(devices, "REGISTRY_RETRY_S", 0.0)


async def test_a_device_that_met_a_fault_of_ours_is_asked_again() -> None:
    def fault_first(port: str) -> Exception:
        return RuntimeError("not thought of") if line.asked[port] == 1 else Unreachable("no_answer")

    line = Line(fault_first)
    ears = listening(Book(address(1)), line)
    await ears.start()
    await line.until(lambda: line.asked["1"] >= 3)
    assert ears.state_of("de_1") == "no_answer"
    await ears.stop()


async def test_a_store_that_fails_leaves_no_device_unheard() -> None:
    line = Line(lambda _: Unreachable("no_answer"))
    book = Book(address(1), address(2))
    book.failing = 1
    ears = listening(book, line)
    await ears.start()
    await line.until(lambda: line.asked.keys() == {"1", "2"})
    await ears.stop()


async def test_no_more_are_listened_to_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "MAX_LISTENED", 2)
    line = Line(lambda _: Unreachable("no_answer"))
    ears = listening(Book(*map(address, (1, 2, 3))), line)
    await ears.start()
    await line.until(lambda: line.asked["1"] >= 3 and line.asked["2"] >= 3)
    assert line.asked.keys() == {"1", "2"}
    assert ears.state_of("de_3") is None
    assert ears.figures()["device_listeners_wanted"] == 3
    await ears.stop()


async def test_a_password_that_was_refused_is_not_tried_again_soon() -> None:
    def answers(port: str) -> Exception:
        return AuthRefused("auth_failed") if port == "1" else Unreachable("no_answer")

    line = Line(answers)
    ears = listening(Book(address(1), address(2)), line)
    await ears.start()
    await line.until(lambda: line.asked["1"] >= 1 and line.asked["2"] >= 8)
    assert line.asked["1"] == 1
    assert ears.state_of("de_1") == "auth_failed"
    await ears.stop()


async def test_one_that_is_slow_to_let_go_of_holds_up_neither_the_others_nor_the_end() -> None:
    line = Line(lambda _: Unreachable("no_answer"))
    book = Book(address(1), address(2))
    ears = listening(book, line)
    await ears.start()
    await line.until(lambda: line.asked.keys() == {"1", "2"})
    going, gone = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            going.set()
            await gone.wait()

    slow_ear = ears._ears["de_1"]
    assert slow_ear.task is not None
    slow_ear.task.cancel()
    slow_ear.task = asyncio.create_task(slow())
    book.addresses |= {"de_1": address(3), "de_2": address(4)}
    changed = frozenset({"de_1", "de_2"})
    await ears.facts_changed(FactsChange(2, frozenset({"device"}), changed))
    await line.until(lambda: "4" in line.asked)
    assert going.is_set()
    assert "3" not in line.asked
    reconciling = ears._task
    assert reconciling is not None
    reconciling.cancel()
    gone.set()
    await asyncio.wait({reconciling}, timeout=PATIENCE_S)
    assert reconciling.cancelled()
    await ears.stop()
