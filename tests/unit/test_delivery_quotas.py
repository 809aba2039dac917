"""Quotas at the doors: what is answered to whom, what ends when one is lowered, measured rates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from camera_registry.domain import Area, AreaKind, Grant, Quota, Subject, SubjectKind
from streamhub.access.facts import Facts
from streamhub.access.facts_cache import FactsChange
from streamhub.access.principal import Action
from streamhub.delivery import DeliverySettings
from streamhub.delivery.errors import QuotaExceeded
from streamhub.delivery.limits import SERVICE, Meter
from streamhub.delivery.rates import ASSUMED_BPS, WINDOW_S
from streamhub.media.contract import OverCapacity, RtspAsked, SourceStats
from support.delivery_kit import OFFER, START, Kit, a_room, some_facts

LIVE = frozenset({"list", "live"})
# Who, of which area, with what, where.
PEOPLE = (
    ("su_zhang", "ar_a", LIVE, "ar_1"),
    ("su_li", "ar_a", LIVE, "ar_a"),
    ("su_wang", "ar_b", LIVE, "ar_1"),
    ("su_chief", "ar_1", LIVE | {"manage"}, "ar_1"),
    ("su_free", None, LIVE, "ar_1"),
)
HOMES = {subject: home for subject, home, _, _ in PEOPLE if home is not None}


def facts_with(quotas: Iterable[Quota], homes: Mapping[str, str] = HOMES) -> Facts:
    plain = some_facts()
    areas = [
        Area("ar_1", None, AreaKind.DISTRICT, "110112", "District"),
        Area("ar_a", "ar_1", AreaKind.STREET, "110112001", "A town"),
        Area("ar_b", "ar_1", AreaKind.STREET, "110112002", "B town"),
    ]
    long_ago = START.replace(year=2020)
    return Facts.build(
        version=2,
        areas=areas,
        channels=[replace(each, area_id="ar_a") for each in plain.channels.values()],
        subjects=[Subject(each[0], each[0], each[0], SubjectKind.PERSON) for each in PEOPLE],
        grants=[
            Grant(f"gr_{who}", who, actions, area, None, long_ago, None, long_ago)
            for who, _, actions, area in PEOPLE
        ],
        quotas=quotas,
        homes=homes,
    )


async def watch(kit: Kit, subject: str, profile: str = "sub", channel_id: str = "ch_1") -> str:
    permit = kit.permit(channel_id, Action.LIVE, subject)
    return (await kit.delivery.whep.open(permit, OFFER, profile)).view_id


async def change(kit: Kit, *quotas: Quota, homes: Mapping[str, str] = HOMES) -> None:
    kit.facts.set(facts_with(quotas, homes))
    await kit.delivery.facts_changed(FactsChange(3, frozenset({"quota"}), frozenset()))
    await kit.quiet()


async def refused(kit: Kit, subject: str, **asked: Any) -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as refusal:
        await watch(kit, subject, **asked)
    return refusal.value


async def test_who_holds_it_is_said_as_far_as_one_may_know() -> None:
    quota = Quota("ar_1", None, max_views=4)
    async with a_room(facts=facts_with([quota])) as kit:
        for subject in ("su_zhang", "su_zhang", "su_li", "su_wang"):
            await watch(kit, subject)
        to_li = await refused(kit, "su_li")
        assert str(to_li) == (
            "District may have 4 views at once and has 4: su_zhang 2, su_li 1, others 1. "
            "Close some, or ask for a larger quota."
        )
        assert to_li.quota == {
            "of": "area",
            "name": "District",
            "what": "views",
            "limit": 4,
            "used": 4,
            "asked": 1,
            "held_by": [
                {"of": "subject", "name": "su_zhang", "used": 2},
                {"of": "subject", "name": "su_li", "used": 1},
                {"of": "others", "name": None, "used": 1},
            ],
        }
        to_wang = await refused(kit, "su_wang")
        assert [(row["of"], row["name"]) for row in to_wang.quota["held_by"]] == [
            ("area", "A town"),  # which may be listed, but is not theirs
            ("subject", "su_wang"),
        ]
        to_chief = await refused(kit, "su_chief")
        names = [row["name"] for row in to_chief.quota["held_by"]]
        assert names == ["su_zhang", "su_li", "su_wang"]
        await watch(kit, "su_free")  # is of no area


async def test_a_refusal_opens_nothing_and_is_noted_for_the_audit() -> None:
    quota = Quota(None, "su_li", max_bps=ASSUMED_BPS["sub"])
    async with a_room(facts=facts_with([quota])) as kit:
        noted: list[tuple[str, str]] = []
        kit.guard._on_refusal = lambda each: noted.append((each.principal.username, each.reason))
        await refused(kit, "su_li", profile="main")
        assert (kit.core.viewers, kit.core.dials, kit.store.acts()) == ({}, [], [])
        assert noted == [("su_li", "quota_exceeded")]
        await watch(kit, "su_li")
        assert kit.delivery.figures()["views_over_limit_total.subject_bit_rate"] == 1


async def test_a_view_that_did_not_open_takes_no_room() -> None:
    async with a_room(facts=facts_with([Quota("ar_a", None, max_views=1)])) as kit:
        kit.store.broken = True
        with pytest.raises(Exception, match="audit row"):
            await watch(kit, "su_li")
        kit.store.broken = False
        kit.core.max_viewers = 0
        with pytest.raises(OverCapacity):
            await watch(kit, "su_li")
        kit.core.max_viewers = 9
        view_id = await watch(kit, "su_li")
        await refused(kit, "su_zhang")
        kit.core.drop_viewer(view_id, "consent_lost")
        await kit.quiet()
        await watch(kit, "su_zhang")


async def test_lowering_a_quota_ends_the_newest_views_and_says_so() -> None:
    async with a_room(facts=facts_with([])) as kit:
        views = [await watch(kit, "su_li") for _ in range(3)]
        other = await watch(kit, "su_wang")
        followed = kit.delivery.views.watch(views[2])
        await change(kit, Quota("ar_a", None, max_views=1))
        assert {*kit.core.viewers} == {views[0], other}
        ends = [row for row in kit.store.rows if row.act == "view_end"]
        assert {(row.detail["view_id"], row.detail["cause"]) for row in ends} == {
            (views[2], "quota_lowered"),
            (views[1], "quota_lowered"),
        }
        last = [event.data async for event in followed if event.name == "state"][-1]
        assert (last["state"], last["reason"]) == ("ended", "quota_lowered")
        await change(kit)
        await watch(kit, "su_li")


async def test_what_is_kept_ends_others_when_it_is_set_and_lets_the_centre_in() -> None:
    async with a_room(facts=facts_with([]), settings=DeliverySettings(max_views=3)) as kit:
        for subject in ("su_li", "su_wang", "su_zhang"):
            await watch(kit, subject)
        with pytest.raises(OverCapacity, match=r"carries 3 views; in use: 3 \(su_li 1, su_w"):
            await watch(kit, "su_chief")
        await change(kit, Quota(None, "su_chief", kept_views=2))
        assert len(kit.core.viewers) == 1
        with pytest.raises(OverCapacity, match="1 view besides what is kept for the command"):
            await watch(kit, "su_wang")
        for _ in range(2):
            await watch(kit, "su_chief")
        assert kit.delivery.figures()["views_kept"] == 2


async def test_a_switch_to_the_main_stream_asks_for_its_bit_rate() -> None:
    most = ASSUMED_BPS["main"] + ASSUMED_BPS["sub"]
    async with a_room(facts=facts_with([Quota("ar_a", None, max_bps=most)])) as kit:
        first, second = await watch(kit, "su_li"), await watch(kit, "su_zhang", channel_id="ch_2")
        kit.delivery.views.switch(first, "main")
        await kit.quiet()
        with pytest.raises(QuotaExceeded, match=r"has 4\.6 Mbit/s; this takes 3\.4 Mbit"):
            kit.delivery.views.switch(second, "main")
        view = kit.delivery.views.get(second)
        assert view is not None
        assert view.wanted_profile == "sub", "the picture stays as it was"
        kit.delivery.views.switch(first, "sub")
        await kit.quiet()
        kit.delivery.views.switch(second, "main")


async def test_a_client_by_rtsp_is_under_the_same_quota() -> None:
    async with a_room(facts=facts_with([Quota("ar_a", None, max_views=1)])) as kit:
        await watch(kit, "su_li")
        kit.core.ask_by_rtsp(
            RtspAsked("rtsp-1", "ch_1", "sub", "su_zhang", 1, "aa", START.timestamp() + 60, "::1")
        )
        await kit.quiet()
        assert kit.core.rtsp_answers == [("rtsp-1", 453, 15)]


class Flow:
    """Sources that have received what a test says."""

    def __init__(self) -> None:
        self.received: dict[str, int] = {}

    def __call__(self, stream_ids: Iterable[str]) -> dict[str, SourceStats]:
        return {
            each: SourceStats(each, "live", 0, self.received[each], 0)
            for each in stream_ids
            if each in self.received
        }


async def test_a_stream_counts_with_what_it_was_measured_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_room(facts=facts_with([Quota("ar_a", None, max_bps=3_000_000)])) as kit:
        flow = Flow()
        monkeypatch.setattr(type(kit.core), "source_stats", lambda _, ids: flow(ids))
        meter = Meter("area", "ar_a")

        def after(windows: int, received: int) -> int:
            flow.received["ch_1/sub"] = received
            kit.delivery.views.tick(windows * WINDOW_S)
            return kit.delivery.views.admission.use_of(meter).bps

        await watch(kit, "su_li")
        assert after(1, 0) == ASSUMED_BPS["sub"]
        assert after(2, round(2_000_000 / 8 * WINDOW_S)) == 2_000_000
        await refused(kit, "su_zhang")
        assert after(3, flow.received["ch_1/sub"]) == 2_000_000, "a stall is no small stream"
        assert after(4, 100) == 2_000_000, "it was dialled anew"
        assert after(5, 100 + round(1_000_000 / 8 * WINDOW_S)) == 1_500_000
        await watch(kit, "su_zhang")
        assert kit.delivery.views.admission.use_of(SERVICE).views == 2
