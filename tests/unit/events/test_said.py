"""What devices say: changes are told on, repetitions and floods are not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from camera_registry.channel_events import DeviceEvent, Said
from streamhub.events.said import (
    DEVICE_BURST,
    DEVICE_PER_S,
    MAX_STATES,
    REPEAT_S,
    Bucket,
    DeviceSayings,
)


def motion(active: bool, source: str = "VideoSource_1") -> DeviceEvent:
    return DeviceEvent(Said.MOTION, active, "VideoSource/MotionAlarm", {"Source": source}, "")


def sayings() -> DeviceSayings:
    return DeviceSayings(Bucket(1_000.0, 1_000.0))


def test_a_state_at_the_beginning_is_no_news_and_what_changes_is() -> None:
    one = sayings()
    assert not one.take(0.0, motion(True), is_state=True)
    assert one.take(1.0, motion(False), is_state=False)
    assert not one.take(2.0, motion(False), is_state=True), "subscribed again, nothing changed"
    assert one.take(3.0, motion(True), is_state=True), "it began while nobody listened"
    assert one.take(4.0, motion(True, "VideoSource_2"), is_state=False), "another picture"


def test_of_too_many_states_the_oldest_is_forgotten() -> None:
    one = sayings()
    one._own = one._everybody = Bucket(1e6, 0.0)
    for number in range(MAX_STATES + 1):
        one.take(0.0, motion(True, f"source {number}"), is_state=False)
    assert not one.take(1.0, motion(True, f"source {MAX_STATES}"), is_state=False), "the newest"
    assert not one.take(1.0, motion(True, "source 1"), is_state=False)
    assert one.take(1.0, motion(True, "source 0"), is_state=False), "the oldest"


def test_the_same_again_is_news_after_a_while_only() -> None:
    one = sayings()
    told = [at for at in range(100) if one.take(float(at), motion(True), is_state=False)]
    assert told == [0, int(REPEAT_S), 2 * int(REPEAT_S), 3 * int(REPEAT_S)]


def test_a_device_that_flickers_is_cut_to_its_share() -> None:
    one = sayings()
    told = sum(one.take(n / 10, motion(n % 2 == 0), is_state=False) for n in range(1_000))
    assert told == DEVICE_BURST + 100 * DEVICE_PER_S - 1
    assert one.dropped_total > 0


def test_all_devices_together_are_cut_too() -> None:
    everybody = Bucket(10.0, 1.0)
    ears = [DeviceSayings(everybody) for _ in range(50)]
    assert sum(each.take(0.0, motion(True), is_state=False) for each in ears) == 10
    assert sum(each.take(5.0, motion(True), is_state=False) for each in ears) == 5


@given(st.lists(st.tuples(st.integers(0, 9_999), st.booleans(), st.booleans()), max_size=600))
def test_what_is_remembered_is_bounded(said: list[tuple[int, bool, bool]]) -> None:
    one = sayings()
    for at, (source, active, is_state) in enumerate(said):
        one.take(float(at), motion(active, str(source)), is_state=is_state)
    assert len(one._last) <= MAX_STATES
