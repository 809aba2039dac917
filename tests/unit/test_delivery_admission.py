"""Admission, held against a count by hand: in whatever order views are opened, switched and closed,
and quotas and homes are changed, no limit is exceeded, and what is kept is free."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_registry.domain import (
    Area,
    AreaKind,
    Channel,
    DeviceClass,
    Grant,
    Quota,
    Subject,
    SubjectKind,
)
from streamhub.access.facts import Facts, StaticFacts
from streamhub.access.guard import Guard
from streamhub.access.permit import Permit
from streamhub.access.principal import Action, Principal, channel
from streamhub.delivery import DeliverySettings
from streamhub.delivery.admission import Admission, LimitReached
from streamhub.delivery.limits import GENERAL, SERVICE, Meter
from streamhub.delivery.view import LiveView
from streamhub.media.contract import stream_id_of

START: Final = datetime(2026, 11, 24, 8, tzinfo=UTC)
AREAS: Final = (
    Area("ar_d", None, AreaKind.DISTRICT, "110112", "District"),
    Area("ar_a", "ar_d", AreaKind.STREET, "110112001", "A"),
    Area("ar_a1", "ar_a", AreaKind.COMMUNITY, "110112001001", "A1"),
    Area("ar_b", "ar_d", AreaKind.STREET, "110112002", "B"),
)
ABOVE: Final[Mapping[str | None, tuple[str, ...]]] = {
    None: (),
    "ar_d": ("ar_d",),
    "ar_a": ("ar_a", "ar_d"),
    "ar_a1": ("ar_a1", "ar_a", "ar_d"),
    "ar_b": ("ar_b", "ar_d"),
}
HOMES: Final = {"su_chief": "ar_d", "su_a": "ar_a", "su_a1": "ar_a1", "su_b": "ar_b"}
SUBJECTS: Final = (*HOMES, "su_none")
CHANNELS: Final = ("ch_1", "ch_2", "ch_3")
USUAL_BPS: Final = {
    stream_id_of(each, profile): bps
    for each in CHANNELS
    for profile, bps in (("main", 4_000_000), ("sub", 1_000_000))
}


def facts_of(quotas: Mapping[str, Quota], homes: Mapping[str, str]) -> Facts:
    return Facts.build(
        areas=AREAS,
        channels=[
            Channel(each, "de_1", "ar_d", each, each, DeviceClass.ALLEY, "rtsp://c/m", "rtsp://c/s")
            for each in CHANNELS
        ],
        subjects=[Subject(each, each, each, SubjectKind.PERSON) for each in SUBJECTS],
        grants=[
            Grant(f"gr_{each}", each, frozenset({"live"}), "ar_d", None, START, None, START)
            for each in SUBJECTS
        ],
        quotas=quotas.values(),
        homes=homes,
    )


PLAIN: Final = Guard(StaticFacts(facts_of({}, {})), now=lambda: START)


def permit_of(subject_id: str, channel_id: str) -> Permit:
    who = Principal(subject_id, subject_id, "192.0.2.9", "bearer", 1)
    return PLAIN.require(who, Action.LIVE, channel(channel_id))


class World:
    """An `Admission`, and the same by hand: everything is added up anew at each look."""

    def __init__(self, rates: Mapping[str, int], capacity: DeliverySettings) -> None:
        self.rates, self.capacity = dict(rates), capacity
        self.quotas: dict[str, Quota] = {}
        self.homes: dict[str, str] = dict(HOMES)
        self.facts = StaticFacts(facts_of({}, self.homes))
        self.admission = Admission(capacity, self.facts, self.rates.__getitem__)
        self.open: list[LiveView] = []
        self._made = 0

    # --- what may happen ---

    def enter(self, subject_id: str, channel_id: str, profile: str, by_rtsp: bool) -> LiveView:
        """Raises LimitReached."""
        stream_id = stream_id_of(channel_id, profile)
        self.admission.admit(subject_id, stream_id, by_rtsp=by_rtsp)
        self._made += 1
        view = LiveView(
            id=f"view-{self._made}",
            channel_id=channel_id,
            area_id="ar_d",
            profile=profile,
            started_at=START,
            permit=permit_of(subject_id, channel_id),
            until=0.0,
            ticket_id="ticket" if by_rtsp else None,
        )
        self.admission.add(view)
        self.open.append(view)
        return view

    def switch(self, view: LiveView, profile: str) -> None:
        """Raises LimitReached."""
        self.admission.admit_switch(view, profile)
        view.wanted_profile = profile
        self.admission.rebook([view])

    def settle(self, view: LiveView, *, over: bool) -> None:
        """The core says that it went over, or that it stays."""
        view.profile = view.wanted_profile = view.wanted_profile if over else view.profile
        self.admission.rebook([view])

    def leave(self, view: LiveView) -> None:
        self.open.remove(view)
        self.admission.remove(view)

    def change(self) -> list[LiveView]:
        """Quotas or homes are others. Gives those that had to go."""
        self.facts.set(facts_of(self.quotas, self.homes))
        gone = self.admission.facts_changed()
        for view in gone:
            self.open.remove(view)
        return gone

    # --- by hand ---

    def holders(self, view: LiveView) -> tuple[str, ...]:
        subject_id = view.permit.subject_id
        return (subject_id, *ABOVE[self.homes.get(subject_id)])

    def takes(self, view: LiveView) -> int:
        profiles = {view.profile, view.wanted_profile}
        return max(self.rates[stream_id_of(view.channel_id, each)] for each in profiles)

    def sums(self, counts: Callable[[LiveView], bool]) -> tuple[int, int]:
        views = [view for view in self.open if counts(view)]
        return len(views), sum(map(self.takes, views))

    def has_kept(self, view: LiveView) -> bool:
        return any(each in self.quotas and self.quotas[each].keeps for each in self.holders(view))

    def meters(self) -> dict[Meter, tuple[Callable[[LiveView], bool], int | None, int | None]]:
        """All there are: what counts, and the two limits."""
        whole, most = self.capacity.max_views, self.capacity.max_bps
        found: dict[Meter, tuple[Callable[[LiveView], bool], int | None, int | None]] = {
            SERVICE: (lambda view: True, whole, most)
        }
        for subject_id in SUBJECTS:

            def is_its(view: LiveView, subject_id: str = subject_id) -> bool:
                return view.ticket_id is not None and view.permit.subject_id == subject_id

            most_by_rtsp = self.capacity.max_rtsp_views_per_subject
            found[Meter("rtsp", subject_id)] = (is_its, most_by_rtsp, None)
        for holder, quota in self.quotas.items():

            def is_of(view: LiveView, holder: str = holder) -> bool:
                return holder in self.holders(view)

            meter = Meter("area" if holder.startswith("ar_") else "subject", holder)
            found[meter] = (is_of, quota.max_views, quota.max_bps)
        if any(each.keeps for each in self.quotas.values()):
            views = sum(each.kept_views for each in self.quotas.values())
            bps = sum(each.kept_bps for each in self.quotas.values())
            found[GENERAL] = (
                lambda view: not self.has_kept(view),
                max(0, whole - views),
                None if most is None else max(0, most - bps),
            )
        return found

    def check(self) -> None:
        for meter, (counts, max_views, max_bps) in self.meters().items():
            views, bps = self.sums(counts)
            use = self.admission.use_of(meter)
            assert (use.views, use.bps) == (views, bps), meter
            assert max_views is None or views <= max_views, meter
            assert max_bps is None or bps <= max_bps, meter

    def check_refusal(self, reached: LimitReached) -> None:
        """It says what is so, and one more would have been over it."""
        counts, max_views, max_bps = self.meters()[reached.meter]
        views, bps = self.sums(counts)
        is_views = reached.what == "views"
        assert (reached.limit, reached.used) == ((max_views, views) if is_views else (max_bps, bps))
        assert reached.used + reached.asked > reached.limit
        assert sum(reached.held_by.values()) == reached.used


limits = st.none() | st.integers(0, 5)
rates = st.integers(1, 4).map(lambda n: n * 1_000_000)
bit_rates = st.none() | st.integers(0, 12).map(lambda n: n * 1_000_000)
holders = st.sampled_from([*SUBJECTS, *(each.id for each in AREAS)])


@st.composite
def some_quotas(draw: st.DrawFn) -> tuple[str, Quota]:
    holder = draw(holders)
    is_area = holder.startswith("ar_")
    kept = st.sampled_from([0, 0, 0, 1, 2])
    quota = Quota(
        holder if is_area else None,
        None if is_area else holder,
        draw(limits),
        draw(bit_rates),
        draw(kept),
        draw(kept) * 1_000_000,
    )
    return holder, quota


profiles = st.sampled_from(["main", "sub"])
acts = st.one_of(
    st.tuples(
        st.just("open"),
        st.sampled_from(SUBJECTS),
        st.sampled_from(CHANNELS),
        profiles,
        st.booleans(),
    ),
    st.tuples(st.just("close"), st.integers(0, 20)),
    st.tuples(st.just("switch"), st.integers(0, 20), profiles),
    st.tuples(st.just("settle"), st.integers(0, 20), st.booleans()),
    st.tuples(st.just("quota"), some_quotas()),
    st.tuples(st.just("unquota"), holders),
    st.tuples(
        st.just("home"),
        st.sampled_from(SUBJECTS),
        st.none() | st.sampled_from([each.id for each in AREAS]),
    ),
)


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(
        {stream_id_of(each, profile): rates for each in CHANNELS for profile in ("main", "sub")}
    ),
    st.builds(
        DeliverySettings,
        max_views=st.integers(1, 8),
        max_bps=st.none() | st.integers(1, 20).map(lambda n: n * 1_000_000),
        max_rtsp_views_per_subject=st.integers(1, 3),
    ),
    st.lists(acts, max_size=40),
)
def test_no_order_of_events_exceeds_a_limit(
    rate_of: dict[str, int], capacity: DeliverySettings, script: list[Any]
) -> None:
    world = World(rate_of, capacity)
    for act, *given_ in script:
        try:
            if act == "open":
                world.enter(*given_)
            elif act == "quota":
                [(holder, quota)] = given_
                world.quotas[holder] = quota
                world.change()
            elif act == "unquota":
                removed = world.quotas.pop(given_[0], None)
                gone = world.change()
                is_of_all = removed is not None and removed.keeps
                assert is_of_all or gone == [], "what is allowed more ends nobody"
            elif act == "home":
                subject_id, home = given_
                world.homes = {k: v for k, v in world.homes.items() if k != subject_id}
                if home is not None:
                    world.homes[subject_id] = home
                world.change()
            elif world.open:
                view = world.open[given_[0] % len(world.open)]
                if act == "close":
                    world.leave(view)
                elif act == "switch":
                    world.switch(view, given_[1])
                else:
                    world.settle(view, over=given_[1])
        except LimitReached as reached:
            world.check_refusal(reached)
        world.check()


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 6),
    st.lists(st.sampled_from(["su_a", "su_b", "su_none", "su_chief"]), max_size=30),
)
def test_what_is_kept_is_free_whoever_came_before(kept: int, comers: list[str]) -> None:
    world = World(USUAL_BPS, DeliverySettings(max_views=8))
    world.quotas["su_chief"] = Quota(None, "su_chief", kept_views=kept)
    world.change()
    for subject_id in comers:
        with suppress(LimitReached):
            world.enter(subject_id, "ch_1", "sub", by_rtsp=False)
    mine = sum(view.permit.subject_id == "su_chief" for view in world.open)
    for _ in range(kept - mine):
        world.enter("su_chief", "ch_1", "sub", by_rtsp=False)
    world.check()


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(holders, st.integers(1, 12).map(lambda n: n * 1_000_000), min_size=1),
    st.lists(st.tuples(st.sampled_from(SUBJECTS), st.sampled_from(CHANNELS)), max_size=12),
    st.dictionaries(st.sampled_from(sorted(USUAL_BPS)), rates),
    st.dictionaries(
        st.sampled_from(SUBJECTS), st.none() | st.sampled_from([each.id for each in AREAS])
    ),
)
def test_a_move_takes_back_what_it_added_and_nothing_more(
    max_bps: dict[str, int],
    comers: list[tuple[str, str]],
    drift: dict[str, int],
    moves: dict[str, str | None],
) -> None:
    world = World(USUAL_BPS, DeliverySettings(max_views=20))
    for holder, bps in max_bps.items():
        is_area = holder.startswith("ar_")
        ids = (holder, None) if is_area else (None, holder)
        world.quotas[holder] = Quota(*ids, max_bps=bps)
    world.change()
    for subject_id, channel_id in comers:
        with suppress(LimitReached):
            world.enter(subject_id, channel_id, "sub", by_rtsp=False)
    world.rates.update(drift)
    world.admission.rebook()
    most = {
        meter: max(bps or 0, world.admission.use_of(meter).bps)
        for meter, (_, _, bps) in world.meters().items()
        if bps is not None
    }
    homes = world.homes | moves
    world.homes = {who: home for who, home in homes.items() if home is not None}
    gone = world.change()

    def is_beyond() -> bool:
        return any(
            world.sums(counts)[1] > most[meter]
            for meter, (counts, _, _) in world.meters().items()
            if meter in most
        )

    assert not is_beyond()
    if gone:
        world.open.append(gone[-1])
        assert is_beyond(), "the last of them had to go, too"


@pytest.fixture
def world() -> World:
    return World(USUAL_BPS, DeliverySettings(max_views=20))


def test_a_lowered_quota_ends_the_newest_and_only_of_its_people(world: World) -> None:
    first, second, third = (world.enter("su_a", "ch_1", "sub", by_rtsp=False) for _ in range(3))
    other = world.enter("su_b", "ch_1", "sub", by_rtsp=False)
    beneath = world.enter("su_a1", "ch_1", "sub", by_rtsp=False)
    world.quotas["ar_a"] = Quota("ar_a", None, max_views=2)
    assert world.change() == [beneath, third]
    assert world.open == [first, second, other]


def test_a_lowered_bit_rate_ends_as_few_as_it_takes(world: World) -> None:
    world.enter("su_a", "ch_1", "sub", by_rtsp=False)
    world.enter("su_a", "ch_2", "main", by_rtsp=False)
    last = world.enter("su_a", "ch_3", "sub", by_rtsp=False)
    world.quotas["ar_a"] = Quota("ar_a", None, max_bps=5_000_000)
    assert world.change() == [last]


def test_a_stream_that_takes_more_by_itself_ends_nobody_but_lets_nobody_in(world: World) -> None:
    world.quotas["ar_a"] = Quota("ar_a", None, max_bps=3_000_000)
    world.change()
    for _ in range(2):
        world.enter("su_a", "ch_1", "sub", by_rtsp=False)
    world.rates["ch_1/sub"] = 2_000_000
    world.admission.rebook()
    assert world.admission.use_of(Meter("area", "ar_a")).bps == 4_000_000
    world.quotas["ar_b"] = Quota("ar_b", None, max_views=1)
    assert world.change() == [], "a change elsewhere is not about them"
    with pytest.raises(LimitReached) as refusal:
        world.enter("su_a", "ch_2", "sub", by_rtsp=False)
    assert (refusal.value.what, refusal.value.limit) == ("bit_rate", 3_000_000)
    world.quotas["ar_a"] = replace(world.quotas["ar_a"], max_views=9)
    assert world.change() == [], "nor one of the other limit"


def test_a_switch_needs_room_for_what_it_adds_and_takes_the_larger_until_it_is_over(
    world: World,
) -> None:
    world.quotas["su_a"] = Quota(None, "su_a", max_bps=5_000_000)
    world.change()
    view = world.enter("su_a", "ch_1", "sub", by_rtsp=False)
    other = world.enter("su_a", "ch_2", "sub", by_rtsp=False)
    meter = Meter("subject", "su_a")
    world.switch(view, "main")
    assert world.admission.use_of(meter).bps == 5_000_000
    with pytest.raises(LimitReached) as refusal:
        world.switch(other, "main")
    assert (refusal.value.used, refusal.value.asked) == (5_000_000, 3_000_000)
    world.settle(view, over=True)
    world.switch(view, "sub")
    assert world.admission.use_of(meter).bps == 5_000_000, "the main stream still flows"
    world.settle(view, over=True)
    world.switch(other, "main")


def test_who_moves_in_counts_there_and_the_newest_gives_way(world: World) -> None:
    world.quotas["ar_b"] = Quota("ar_b", None, max_views=1)
    world.change()
    world.enter("su_b", "ch_1", "sub", by_rtsp=False)
    moved = world.enter("su_none", "ch_1", "sub", by_rtsp=False)
    world.homes["su_none"] = "ar_b"
    assert world.change() == [moved]


def test_who_moves_in_ends_nobody_for_what_streams_take_by_themselves(world: World) -> None:
    world.quotas["ar_a"] = Quota("ar_a", None, max_bps=2_000_000)
    world.change()
    for channel_id in ("ch_1", "ch_2"):
        world.enter("su_a", channel_id, "sub", by_rtsp=False)
    moved = world.enter("su_b", "ch_3", "sub", by_rtsp=False)
    world.rates["ch_1/sub"] = 2_000_000
    world.admission.rebook()
    world.homes["su_b"] = "ar_a"
    assert world.change() == [moved], "3 Mbit/s were there before"
