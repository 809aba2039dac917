"""Live views under grants with hours, denials, roles, rules and purposes: they end when it does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from camera_registry.domain import Condition, Effect, Grant, Op, Purpose, Role, Stated, WeeklyWindow
from streamhub.access.errors import NotVisible, PurposeRequired
from streamhub.access.facts import Facts
from streamhub.access.facts_cache import FactsChange
from streamhub.access.principal import Action, Principal, channel
from streamhub.media.contract import OverCapacity
from streamhub.media.fake import FakeCore
from support.delivery_kit import OFFER, START, Kit, a_room, some_facts

WEEKDAYS = (0, 1, 2, 3, 4)


def a_grant(grant_id: str, **fields: Any) -> Grant:
    long_ago = START - timedelta(days=30)
    row = Grant(grant_id, "su_op", frozenset({"live"}), "ar_1", None, long_ago, None, long_ago)
    return replace(row, **fields)


def facts_of(*grants: Grant, **fields: Any) -> Facts:
    base = some_facts()
    return Facts(
        version=2,
        tree=base.tree,
        channels=fields.pop("channels", base.channels),
        subjects=base.subjects,
        grants={row.id: row for row in grants},
        **fields,
    )


async def after(kit: Kit, facts: Facts) -> None:
    kit.facts.set(facts)
    await kit.delivery.facts_changed(FactsChange(2, frozenset({"grant"}), frozenset()))
    await kit.quiet()


async def test_a_view_ends_when_the_shift_does() -> None:
    """START is a Tuesday, 16:00 in Shanghai."""
    shift = a_grant("gr_shift", windows=(WeeklyWindow(WEEKDAYS, 8 * 60, 16 * 60 + 1),))
    async with a_room(facts=facts_of(shift)) as kit:
        view_id = await kit.open_live()
        assert kit.core.viewers[view_id].until == START.timestamp() + 60
        kit.time.elapsed_s = 20
        await kit.delivery.views.renew()
        assert kit.core.viewers[view_id].until == START.timestamp() + 60
        kit.pass_time(40)
        await kit.quiet()
        assert kit.store.last("view_end").detail["cause"] == "grant_ended"
        with pytest.raises(NotVisible):
            kit.permit()


async def test_shifts_that_meet_are_one() -> None:
    first = a_grant("gr_1", windows=(WeeklyWindow(WEEKDAYS, 8 * 60, 16 * 60 + 1),))
    second = a_grant("gr_2", windows=(WeeklyWindow(WEEKDAYS, 16 * 60 + 1, 24 * 60),))
    async with a_room(facts=facts_of(first, second)) as kit:
        view_id = await kit.open_live()
        kit.time.elapsed_s = 50
        await kit.delivery.views.renew()
        assert kit.core.viewers[view_id].until == START.timestamp() + 110


async def test_a_denial_that_begins_later_shortens_the_lease_at_once() -> None:
    """Not at the next renewal, which may come after it has begun."""
    allow = a_grant("gr_1")
    soon = START + timedelta(seconds=7)
    async with a_room(facts=facts_of(allow)) as kit:
        view_id = await kit.open_live()
        await after(kit, facts_of(allow, a_grant("gr_2", effect=Effect.DENY, valid_from=soon)))
        assert kit.core.viewers[view_id].until == soon.timestamp()
        kit.pass_time(7)
        await kit.quiet()
        assert kit.store.last("view_end").detail["cause"] == "grant_ended"


async def test_a_denial_ends_what_it_is_about_and_no_more() -> None:
    allow = a_grant("gr_1")
    deny = a_grant("gr_2", effect=Effect.DENY, area_id=None, channel_id="ch_1")
    async with a_room(facts=facts_of(allow)) as kit:
        one, two = await kit.open_live("ch_1"), await kit.open_live("ch_2")
        await after(kit, facts_of(allow, deny))
        assert one not in kit.core.viewers
        assert two in kit.core.viewers
        assert kit.store.last("view_end").detail["cause"] == "revoked"


async def test_who_leaves_a_role_sees_nothing_by_it_any_more() -> None:
    grant = a_grant("gr_1", subject_id=None, role_id="ro_1")
    roles = {"ro_1": Role("ro_1", "duty", "Duty")}
    members = {"ro_1": frozenset({"su_op"})}
    async with a_room(facts=facts_of(grant, roles=roles, members=members)) as kit:
        view_id = await kit.open_live()
        await after(kit, facts_of(grant, roles=roles))
        assert view_id not in kit.core.viewers


async def test_a_camera_that_no_longer_fits_the_rule_is_gone() -> None:
    rule = a_grant("gr_1", area_id=None, conditions=(Condition("owner", Op.EQ, ("人防办",)),))
    before = some_facts().channels
    ours = {key: replace(row, facts={"owner": "人防办"}) for key, row in before.items()}
    async with a_room(facts=facts_of(rule, channels=ours)) as kit:
        one, two = await kit.open_live("ch_1"), await kit.open_live("ch_2")
        await after(kit, facts_of(rule, channels={**ours, "ch_1": before["ch_1"]}))
        assert one not in kit.core.viewers
        assert two in kit.core.viewers


async def test_what_it_is_for_is_asked_kept_and_held_to() -> None:
    grant = a_grant("gr_1", purpose_required=True)
    purposes = {"duty": Purpose("duty", "值守", "Duty")}
    words = {"duty": Purpose("duty", "值守", "Duty", needs_note=True)}
    who = Principal("su_op", "su_op", "192.0.2.9", "bearer", 1)
    async with a_room(facts=facts_of(grant, purposes=purposes)) as kit:
        for stated in (None, Stated("nosy")):
            with pytest.raises(PurposeRequired) as caught:
                kit.guard.require(who, Action.LIVE, channel("ch_1"), stated=stated)
            assert [each.code for each in caught.value.purposes] == ["duty"]
            assert caught.value.code == "purpose_required"
        # The district wants more said with it; then it accepts it no longer.
        for stated, then in ((Stated("duty"), words), (Stated("duty", "案件17"), {})):
            permit = kit.guard.require(who, Action.LIVE, channel("ch_1"), stated=stated)
            view_id = (await kit.delivery.whep.open(permit, OFFER, "sub")).view_id
            started = kit.store.last("view_start").detail
            assert (started["purpose"], started.get("purpose_note")) == ("duty", stated.note)
            await kit.delivery.views.renew()
            assert view_id in kit.core.viewers
            await after(kit, facts_of(grant, purposes=then))
            assert view_id not in kit.core.viewers
            assert kit.store.last("view_end").detail.items() >= stated.detail().items()
            await after(kit, facts_of(grant, purposes=words))
        with pytest.raises(PurposeRequired) as caught:
            kit.guard.require(who, Action.LIVE, channel("ch_1"), stated=Stated("duty"))
        assert caught.value.code == "purpose_note_required"


async def test_shortening_that_the_core_does_not_take_ends_the_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    allow = a_grant("gr_1")
    soon = START + timedelta(seconds=7)
    async with a_room(facts=facts_of(allow)) as kit:
        view_id = await kit.open_live()

        def full(core: FakeCore, leases: object) -> None:
            raise OverCapacity("the queue is full")

        monkeypatch.setattr(FakeCore, "renew_viewers", full)
        await after(kit, facts_of(allow, a_grant("gr_2", effect=Effect.DENY, valid_from=soon)))
        assert view_id not in kit.core.viewers
