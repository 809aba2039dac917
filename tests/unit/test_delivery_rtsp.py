"""The RTSP door's decisions, with a fake core: who may, what is answered, what is written first."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from camera_registry.domain import Purpose, Stated
from streamhub.access.facts_cache import FactsChange
from streamhub.delivery import DeliverySettings
from streamhub.delivery.errors import OneStreamOnly
from streamhub.media.contract import RtspAsked
from support.delivery_kit import START, FakeStore, Kit, a_room, some_facts

EXPIRES = START.timestamp() + 3600


def asked(number: int = 1, **fields: Any) -> RtspAsked:
    given: dict[str, Any] = {
        "connection_id": f"rtsp-{number}",
        "channel_id": "ch_1",
        "profile": "sub",
        "subject_id": "su_op",
        "subject_version": 1,
        "ticket_id": "aaaabbbb",
        "expires": EXPIRES,
        "remote": "192.0.2.7",
    }
    return RtspAsked(**(given | fields))


async def ask(kit: Kit, number: int = 1, **fields: Any) -> None:
    kit.core.ask_by_rtsp(asked(number, **fields))
    await kit.quiet()


async def test_a_client_that_may_is_a_view_whose_row_is_written_first() -> None:
    async with a_room() as kit:
        kit.store.gate = asyncio.Event()
        await ask(kit)
        assert kit.core.dials == ["ch_1/sub"], "the camera is dialled meanwhile"
        assert not kit.core.viewers, "the core hears of it when the row is down"
        kit.store.gate.set()
        await kit.quiet()
        [viewer] = kit.core.viewers.values()
        assert (viewer.stream_id, viewer.subject_id, viewer.by_rtsp) == ("ch_1/sub", "su_op", True)
        assert viewer.until == START.timestamp() + 60
        row = kit.store.last("view_start")
        assert row.remote == "192.0.2.7"
        assert row.detail == {
            "view_id": viewer.viewer_id,
            "profile": "sub",
            "ticket_id": "aaaabbbb",
            "grant_ids": ["gr_1"],
        }
        [view] = kit.delivery.views.list()
        assert view.reception.transport == "rtsp"
        assert kit.core.rtsp_answers == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"channel_id": "ch_9"}, 404),
        ({"channel_id": "ch_3"}, 404),
        ({"subject_id": "su_gone"}, 401),
        ({"subject_version": 2}, 401),
    ],
    ids=["no_channel", "no_such_profile", "no_subject", "another_password"],
)
async def test_a_genuine_ticket_alone_opens_nothing(fields: dict[str, Any], status: int) -> None:
    async with a_room() as kit:
        await ask(kit, **fields)
        assert kit.core.rtsp_answers == [("rtsp-1", status, 0)]
        assert not kit.core.viewers
        assert kit.core.dials == []


async def test_what_its_ticket_was_asked_for_is_held_to_and_written() -> None:
    duty = Purpose("duty", "值守", "Duty")
    facts = some_facts(purpose_required=True, purposes=[duty])
    async with a_room(facts=facts) as kit:
        said = kit.store.ticket_purposes.said
        said["aaaabbbb", "ch_2"] = Stated("duty")  # another channel's
        await ask(kit)
        assert kit.core.rtsp_answers == [("rtsp-1", 403, 0)]
        said["aaaabbbb", "ch_1"] = Stated("duty", "案件17")
        await ask(kit, 2)
        [viewer] = kit.core.viewers
        assert kit.store.last("view_start").detail["purpose_note"] == "案件17"
        kit.facts.set(some_facts(purpose_required=True))
        await kit.delivery.facts_changed(FactsChange(2, frozenset({"purpose"}), frozenset()))
        await kit.quiet()
        assert viewer not in kit.core.viewers
        assert kit.store.last("view_end").detail["purpose"] == "duty"


async def test_its_view_does_not_go_over_to_another_stream() -> None:
    async with a_room() as kit:
        await ask(kit)
        [view] = kit.delivery.views.list()
        with pytest.raises(OneStreamOnly):
            kit.delivery.views.switch(view.id, "main")
        [viewer] = kit.core.viewers.values()
        assert viewer.stream_id == "ch_1/sub"


async def test_a_grant_that_is_gone_is_404_and_what_may_be_seen_but_not_watched_403() -> None:
    for facts, status in (
        (some_facts(actions=frozenset({"list"})), 403),
        (some_facts(valid_until=START - timedelta(seconds=1)), 404),
        (some_facts(enabled=False), 403),
    ):
        async with a_room(facts=facts) as kit:
            await ask(kit)
            assert [answer[1] for answer in kit.core.rtsp_answers] == [status]


async def test_a_row_that_cannot_be_written_opens_nothing() -> None:
    store = FakeStore()
    async with a_room(store=store) as kit:
        store.broken = True
        await ask(kit)
        assert kit.core.rtsp_answers == [("rtsp-1", 503, 5)]
        assert not kit.core.viewers
        store.broken = False


async def test_one_subject_has_so_many_and_the_core_only_so_much_room() -> None:
    settings = DeliverySettings(max_rtsp_views_per_subject=2)
    async with a_room(settings=settings) as kit:
        for number in range(1, 4):
            await ask(kit, number)
        assert len(kit.core.viewers) == 2
        assert kit.core.rtsp_answers == [("rtsp-3", 453, 15)]
    async with a_room() as kit:
        kit.core.max_viewers = 0
        await ask(kit)
        assert kit.core.rtsp_answers == [("rtsp-1", 503, 5)]
        assert kit.delivery.views.list() == []


async def test_a_client_that_left_while_it_was_decided_is_a_view_that_ended() -> None:
    async with a_room() as kit:
        kit.store.gate = asyncio.Event()
        await ask(kit)
        kit.core.rtsp_waiting.clear()
        kit.store.gate.set()
        await kit.quiet()
        assert kit.delivery.views.list() == []
        assert kit.store.last("view_end").detail["cause"] == "client_gone"


async def test_a_revocation_while_the_row_is_written_is_a_404() -> None:
    async with a_room() as kit:
        kit.store.gate = asyncio.Event()
        await ask(kit)
        await kit.delivery.facts_changed(kit.change(actions=frozenset()))
        kit.store.gate.set()
        await kit.quiet()
        assert kit.core.rtsp_answers == [("rtsp-1", 404, 0)]
        assert not kit.core.viewers


async def test_it_is_renewed_up_to_its_ticket_and_ends_with_it() -> None:
    async with a_room() as kit:
        await ask(kit, expires=START.timestamp() + 70)
        kit.pass_time(50)
        await kit.delivery.views.renew()
        [viewer] = kit.core.viewers.values()
        assert viewer.until == START.timestamp() + 70
        kit.pass_time(21)
        await kit.quiet()
        assert kit.store.last("view_end").detail["cause"] == "ticket_expired"


async def test_a_revocation_ends_it() -> None:
    async with a_room() as kit:
        await ask(kit)
        await kit.delivery.facts_changed(kit.change(actions=frozenset()))
        await kit.quiet()
        assert not kit.core.viewers
        detail = kit.store.last("view_end").detail
        assert (detail["cause"], detail["ticket_id"]) == ("revoked", "aaaabbbb")
