"""The pace of an inspection, on a virtual clock: caps hold, all end, and the dead do not
starve the good."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry.inspection.card import Target
from streamhub.inspection.pace import GONE, Pace, PaceSettings, subnet_of

LOOK_S, CONNECT_S = 5.0, 5.0


@dataclass
class Box:
    """A device: where it is, how many channels, and what each look of it comes to."""

    subnet: int
    channels: int = 1
    code: str | None = None  # None: it is well
    look_s: float = LOOK_S
    max_dials: int = 4


@dataclass
class Sim:
    """Dials, lands and counts until nothing is left."""

    boxes: list[Box]
    settings: PaceSettings = field(default_factory=PaceSettings)
    live: Mapping[str, int] = field(default_factory=dict)
    seed: int = 1
    now: float = 0.0
    most: Counter[str] = field(default_factory=Counter)
    dials: Counter[str] = field(default_factory=Counter)  # by device
    ended: dict[int, tuple[float, str | None]] = field(default_factory=dict)
    last_good_s: float = 0.0

    def run(self) -> Sim:
        pace = Pace(self.settings, random.Random(self.seed).random)
        box_of: dict[int, Box] = {}
        numbers = itertools.count(1)
        for index, box in enumerate(self.boxes):
            for _ in range(box.channels):
                number = next(numbers)
                box_of[number] = box
                host = f"10.{box.subnet // 250}.{box.subnet % 250}.{index % 250}"
                pace.add(Target(number, f"ch_{number}", "main", f"de_{index}", host, box.max_dials))
        good_left = sum(box.code is None for box in box_of.values())
        flying: list[tuple[float, int, Target]] = []
        by_device: Counter[str] = Counter()
        by_subnet: Counter[int] = Counter()
        while pace.waiting or flying:
            go, ended = pace.poll(self.now, self.live)
            self._note(ended)
            for target in go:
                box = box_of[target.number]
                heapq.heappush(flying, (self.now + box.look_s, target.number, target))
                by_device[target.device_id] += 1
                by_subnet[box.subnet] += 1
                self.dials[target.device_id] += 1
                held = by_device[target.device_id] + self.live.get(target.device_id, 0)
                assert held <= target.max_dials
            self._most("flying", len(flying))
            good_left -= sum(box_of[target.number].code is None for target in go)
            if good_left:
                self._most("suspects while good ones wait", pace.suspects_flying)
            self._most("subnet", max(by_subnet.values(), default=0))
            times = [flying[0][0]] if flying else []
            if (due := pace.next_timeout()) is not None:
                times.append(due)
            assert times or not pace.waiting, "it waits for nothing"
            if not times:
                break
            self.now = max(self.now, min(times))
            while flying and flying[0][0] <= self.now:
                _, number, target = heapq.heappop(flying)
                box = box_of[number]
                by_device[target.device_id] -= 1
                by_subnet[box.subnet] -= 1
                if box.code is None:
                    self.last_good_s = self.now
                self._note(pace.landed(self.now, target, box.code), box.code)
        assert self.ended.keys() == box_of.keys()
        assert (pace.flying, pace.waiting, pace.suspects_flying) == (0, 0, 0)
        return self

    def _note(self, ended: list[object], own: str | None = None) -> None:
        for each in ended:
            number = each.target.number  # type: ignore[attr-defined]
            assert number not in self.ended, "it ended twice"
            self.ended[number] = (self.now, each.code or own)  # type: ignore[attr-defined]

    def _most(self, what: str, count: int) -> None:
        self.most[what] = max(self.most[what], count)


def good(count: int, subnets: int = 60) -> list[Box]:
    return [Box(index % subnets) for index in range(count)]


def dead(count: int, subnets: int = 60, first: int = 0) -> list[Box]:
    return [
        Box(first + index % subnets, code="connect_timeout", look_s=CONNECT_S)
        for index in range(count)
    ]


ARRANGEMENTS = {
    "mixed": lambda: random.Random(7).sample([*good(2400), *dead(600)], 3000),
    "first in line": lambda: [*dead(600), *good(2400)],
    "subnets of their own, first": lambda: [*dead(600, 6, 200), *good(2400)],
    "two whole subnets": lambda: [*dead(600, 2, 200), *good(2400)],
    "many small subnets": lambda: [*dead(600, 200, 200), *good(2400, 30)],
}


def bound_s(settings: PaceSettings) -> float:
    """When the last good one is done. The good have the slots that suspects may not, but for the
    first dial of each dead one, which nobody can know to be dead; the rest is the line's ends."""
    usable = settings.slots - settings.suspect_slots
    return 2400 * LOOK_S / usable + 600 * CONNECT_S / settings.slots + 3 * (LOOK_S + CONNECT_S)


@pytest.mark.parametrize("tries", [2, 8])
@pytest.mark.parametrize("name", sorted(ARRANGEMENTS))
def test_a_fifth_of_3000_being_dead_does_not_starve_the_good(name: str, tries: int) -> None:
    settings = PaceSettings(tries=tries)
    sim = Sim(ARRANGEMENTS[name](), settings).run()
    assert sim.last_good_s <= bound_s(settings)
    if name != "first in line":  # there nothing tells the good ones before their first dial
        assert sim.most["suspects while good ones wait"] <= settings.suspect_slots
    assert sim.most["subnet"] <= settings.subnet_slots
    assert sim.most["flying"] == settings.slots
    assert Counter(code for _, code in sim.ended.values()) == {None: 2400, "connect_timeout": 600}
    if tries == PaceSettings().tries:
        assert sim.now < 450  # of the 600 s that are asked for


def test_without_the_share_for_suspects_the_good_would_starve() -> None:
    """The test above can fail."""
    greedy = PaceSettings(suspect_share=1.0, tries=8, retry_s=0.1)
    sim = Sim(ARRANGEMENTS["many small subnets"](), greedy).run()
    assert sim.last_good_s > 1.7 * bound_s(PaceSettings())


def test_a_dead_recorder_is_dialled_twice_and_takes_its_channels_along() -> None:
    sim = Sim([Box(1, channels=64, code="connect_timeout"), *good(10)]).run()
    assert sim.dials["de_0"] == 2
    assert [sim.ended[number][1] for number in range(1, 65)] == ["connect_timeout"] * 64


def test_a_wrong_password_is_tried_once_on_each_device() -> None:
    sim = Sim([Box(1, channels=16, code="auth_failed", max_dials=8)]).run()
    assert sim.dials["de_0"] == 1
    assert {code for _, code in sim.ended.values()} == {"auth_failed"}


def test_a_device_is_dialled_alone_until_it_has_answered_and_then_within_its_dials() -> None:
    sim = Sim([Box(1, channels=9, max_dials=4)]).run()
    assert sim.now == LOOK_S * 3  # one, then two times four
    busy = Sim([Box(1, channels=9, max_dials=4)], live={"de_0": 3}).run()
    assert busy.now == LOOK_S * 9


def test_viewers_that_hold_all_dials_are_waited_for_and_then_it_is_said() -> None:
    settings = PaceSettings()
    sim = Sim([Box(1, channels=3), Box(1)], live={"de_0": 4}).run()
    assert sim.dials["de_0"] == 0
    at, code = sim.ended[1]
    assert code == "dials_taken"
    assert settings.full_wait_s <= at <= settings.full_wait_s + settings.full_poll_s


def test_a_busy_camera_is_asked_again_later_and_a_refusal_is_not() -> None:
    sim = Sim([Box(1, code="busy"), Box(1, code="not_found"), Box(1, code=GONE)]).run()
    assert (sim.dials["de_0"], sim.dials["de_1"], sim.dials["de_2"]) == (2, 1, 1)
    settings = PaceSettings()
    assert sim.ended[1][0] >= 2 * LOOK_S + settings.retry_s


def test_retries_of_one_switch_do_not_come_together() -> None:
    times: defaultdict[float, int] = defaultdict(int)
    for at, _ in Sim(dead(16, 1)).run().ended.values():
        times[at] += 1
    assert max(times.values()) <= 4


def test_a_subnet_is_a_24_a_64_or_a_name() -> None:
    assert subnet_of("10.1.2.3") == subnet_of("10.1.2.250") == "10.1.2.0/24"
    assert subnet_of("2001:db8::1:2") == "2001:db8::/64"
    assert subnet_of("Camera.Local") == "camera.local"


CODES = st.sampled_from(
    [None, None, None, "connect_timeout", "unreachable", "busy", "no_answer", "auth_failed",
     "not_found", "connect_refused", "no_keyframe", "not_inspected", GONE]
)  # fmt: skip
BOXES = st.lists(
    st.builds(
        Box,
        subnet=st.integers(0, 5),
        channels=st.integers(1, 6),
        code=CODES,
        look_s=st.floats(0.1, 12),
        max_dials=st.integers(1, 5),
    ),
    max_size=30,
)


@given(
    boxes=BOXES,
    slots=st.integers(1, 12),
    subnet_slots=st.integers(1, 6),
    share=st.floats(0, 1),
    live=st.dictionaries(st.sampled_from(["de_0", "de_1", "de_2"]), st.integers(0, 6)),
    seed=st.integers(0, 99),
)
def test_whatever_the_devices_do_all_end_once_and_the_caps_hold(
    boxes: list[Box],
    slots: int,
    subnet_slots: int,
    share: float,
    live: dict[str, int],
    seed: int,
) -> None:
    settings = PaceSettings(slots=slots, subnet_slots=subnet_slots, suspect_share=share)
    # What is held already is within the dials, as the service sees to it.
    held = {f"de_{i}": min(live.get(f"de_{i}", 0), box.max_dials) for i, box in enumerate(boxes)}
    sim = Sim(boxes, settings, live=held, seed=seed).run()
    assert sim.most["flying"] <= slots
    assert sim.most["subnet"] <= subnet_slots
    for index, box in enumerate(boxes):
        if box.code in ("auth_failed",):
            assert sim.dials[f"de_{index}"] <= 1
        elif box.code in ("connect_timeout", "unreachable"):
            assert sim.dials[f"de_{index}"] <= settings.tries
    # Nobody waits longer than for all the work there is, in the narrowest lane, with all pauses.
    work_s = sum(box.channels * box.look_s * settings.tries for box in boxes)
    pauses_s = sum(box.channels for box in boxes) * settings.retry_s * 2
    assert sim.now <= work_s + pauses_s + settings.full_wait_s + settings.full_poll_s
