"""Live views: opened with a row, renewed while allowed, ended at once when not."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from streamhub.access.principal import Action
from streamhub.delivery import DeliverySettings
from streamhub.delivery.errors import (
    AuditUnavailable,
    ShuttingDown,
    UnknownProfile,
    UnknownView,
)
from streamhub.media.contract import MalformedOffer, NoCommonCodec, OverCapacity
from streamhub.media.fake import FakeCore, Script
from support.delivery_kit import OFFER, START, FakeStore, a_room, some_facts

NO_LIVE = frozenset({"list"})


async def test_a_view_answers_at_once_while_the_camera_is_dialled() -> None:
    async with a_room() as kit:
        opened = await kit.delivery.whep.open(kit.permit(), OFFER, "sub")
        assert opened.answer.startswith("v=0")
        assert len(opened.view_id) == 32
        await kit.quiet()
        assert kit.core.dials == ["ch_1/sub"]
        assert kit.core.viewers[opened.view_id].until == START.timestamp() + 60
        row = kit.store.last("view_start")
        assert (row.channel_id, row.area_id, row.subject_id) == ("ch_1", "ar_1", "su_op")
        grounds = {"grant_ids": ["gr_1"]}
        assert row.detail == {"view_id": opened.view_id, "profile": "sub", **grounds}
        assert row.remote == "192.0.2.9"


async def test_a_viewer_that_leaves_closes_its_row_and_after_a_while_the_camera() -> None:
    async with a_room() as kit:
        view_id = await kit.open_live()
        kit.time.elapsed_s += 90
        assert await kit.delivery.views.close(view_id, "closed_by_viewer")
        await kit.quiet()
        detail = kit.store.last("view_end").detail
        assert detail["view_id"] == view_id
        assert detail["cause"] == "closed_by_viewer"
        assert (detail["sent_bytes"], detail["packets"]) == (1000, 10)
        assert detail["duration_ms"] == 90_000
        assert detail["srtp_cipher"] == "AEAD_AES_256_GCM"
        steps = [step for step, _ in detail["steps"]]
        assert steps[:3] == ["permit", "dial", "connected"]
        assert steps[-3:] == ["ice", "dtls", "first_sent"]
        assert not await kit.delivery.views.close(view_id, "closed_by_viewer")
        kit.pass_time(10.1)
        assert kit.core.hang_ups == ["ch_1/sub"]


@pytest.mark.parametrize(
    ("offer", "error"),
    [("nonsense", MalformedOffer), ("v=0\r\nm=video 9 X 96\r\n", NoCommonCodec)],
)
async def test_a_bad_offer_opens_nothing(offer: str, error: type[Exception]) -> None:
    async with a_room() as kit:
        with pytest.raises(error):
            await kit.delivery.whep.open(kit.permit(), offer, "sub")
        await kit.quiet()
        assert (kit.core.dials, kit.store.acts(), kit.delivery.views.list()) == ([], [], [])


async def test_a_viewer_without_the_camera_s_codec_is_closed_and_the_next_refused() -> None:
    async with a_room() as kit:
        kit.core.default_script = Script(codec="H265", goes_live=False)
        view_id = await kit.open()
        await kit.quiet()
        watch = kit.delivery.views.watch(view_id)
        kit.core.go_live("ch_1/sub")
        await kit.quiet()
        assert kit.store.last("view_end").detail["cause"] == "no_common_codec"
        told = [event.data async for event in watch if event.name == "state"]
        assert (told[-1]["state"], told[-1]["reason"]) == ("ended", "no_common_codec")
        with pytest.raises(NoCommonCodec) as refusal:
            await kit.open()
        assert refusal.value.codec == "H265"
        # One that takes it is welcome.
        both = OFFER + "a=rtpmap:49 H265/90000\r\n"
        await kit.delivery.whep.open(kit.permit(), both, "sub")


async def test_a_profile_that_the_channel_has_not_is_not_found() -> None:
    async with a_room() as kit:
        with pytest.raises(UnknownProfile):
            await kit.delivery.whep.open(kit.permit("ch_3"), OFFER, "sub")
        with pytest.raises(UnknownProfile):
            await kit.delivery.whep.open(kit.permit("ch_1"), OFFER, "third")


async def test_a_permit_for_a_still_opens_no_view() -> None:
    async with a_room() as kit:
        with pytest.raises(ValueError, match="not for live"):
            await kit.delivery.whep.open(kit.permit(action=Action.SNAPSHOT), OFFER, "sub")


async def test_without_an_audit_row_there_is_no_view() -> None:
    async with a_room() as kit:
        kit.store.broken = True
        with pytest.raises(AuditUnavailable):
            await kit.open()
        assert kit.core.viewers == {}
        assert kit.delivery.views.list() == []
        kit.pass_time(11)
        await kit.quiet()
        assert kit.router.routes() == []


async def test_a_store_that_hangs_is_not_waited_for() -> None:
    async with a_room(settings=DeliverySettings(audit_timeout_s=0.01)) as kit:
        kit.store.gate = asyncio.Event()
        with pytest.raises(AuditUnavailable):
            await kit.open()
        assert kit.core.viewers == {}


async def test_a_caller_that_goes_away_while_opening_leaves_nothing_open() -> None:
    async with a_room() as kit:
        kit.store.gate = asyncio.Event()
        opening = asyncio.create_task(kit.open())
        await kit.quiet()
        assert len(kit.core.viewers) == 1
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        assert kit.core.viewers == {}


async def test_the_number_of_views_is_bounded() -> None:
    async with a_room(settings=DeliverySettings(max_views=2)) as kit:
        await kit.open()
        first = await kit.open()
        with pytest.raises(OverCapacity) as refusal:
            await kit.open()
        assert refusal.value.retry_after_s > 0
        await kit.delivery.views.close(first, "closed_by_viewer")
        await kit.quiet()
        await kit.open()


async def test_revocation_ends_the_views_at_once_and_writes_it_down() -> None:
    async with a_room() as kit:
        view_ids = [await kit.open_live() for _ in range(3)]
        change = kit.change(actions=NO_LIVE)
        await kit.delivery.facts_changed(change)
        assert kit.core.viewers == {}
        await kit.quiet()
        ends = [row for row in kit.store.rows if row.act == "view_end"]
        assert {row.detail["view_id"] for row in ends} == set(view_ids)
        assert {row.detail["cause"] for row in ends} == {"revoked"}


async def test_revocation_during_the_opening_lets_no_answer_out() -> None:
    async with a_room() as kit:
        kit.store.gate = asyncio.Event()
        opening = asyncio.create_task(kit.open())
        await kit.quiet()
        await kit.delivery.facts_changed(kit.change(actions=NO_LIVE))
        kit.store.gate.set()
        with pytest.raises(UnknownView):
            await opening
        assert kit.core.viewers == {}
        await kit.quiet()
        assert sorted(kit.store.acts()) == ["view_end", "view_start"]


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        (some_facts(enabled=False), "channel_disabled"),
        (some_facts(channels=0), "channel_removed"),
        (some_facts(actions=NO_LIVE), "revoked"),
    ],
)
async def test_the_cause_of_the_end_is_named(facts: object, cause: str) -> None:
    async with a_room() as kit:
        await kit.open()
        kit.facts.set(facts)  # type: ignore[arg-type]
        await kit.delivery.views.recheck()
        await kit.quiet()
        assert kit.store.last("view_end").detail["cause"] == cause


async def test_leases_are_renewed_in_bulk_while_the_facts_hold() -> None:
    async with a_room() as kit:
        one, two = await kit.open("ch_1"), await kit.open("ch_2")
        kit.time.elapsed_s = 20
        await kit.delivery.views.renew()
        expected = START.timestamp() + 80
        assert [kit.core.viewers[v].until for v in (one, two)] == [expected, expected]
        kit.facts.set(some_facts(actions=NO_LIVE))
        await kit.delivery.views.renew()
        assert kit.core.viewers == {}


async def test_leases_are_not_renewed_while_a_revocation_could_not_be_heard_of() -> None:
    async with a_room() as kit:
        view_id = await kit.open()
        kit.time.elapsed_s = 20
        kit.facts.deaf_s = 11
        await kit.delivery.views.renew()
        assert kit.core.viewers[view_id].until == START.timestamp() + 60
        kit.time.elapsed_s = 40
        kit.facts.deaf_s = 9  # the database was away for a moment
        await kit.delivery.views.renew()
        assert kit.core.viewers[view_id].until == START.timestamp() + 100


async def test_a_lease_never_outlives_its_grant() -> None:
    end = START + timedelta(seconds=30)
    async with a_room(facts=some_facts(valid_until=end)) as kit:
        view_id = await kit.open()
        assert kit.core.viewers[view_id].until == end.timestamp()
        kit.time.elapsed_s = 20
        await kit.delivery.views.renew()
        assert kit.core.viewers[view_id].until == end.timestamp()
        kit.pass_time(10)
        await kit.quiet()
        assert kit.store.last("view_end").detail["cause"] == "grant_ended"


async def test_a_lease_that_nobody_renewed_is_closed_by_the_core_alone() -> None:
    async with a_room() as kit:
        await kit.open()
        kit.pass_time(60)
        await kit.quiet()
        assert kit.store.last("view_end").detail["cause"] == "lease_expired"
        assert kit.delivery.views.list() == []


async def test_the_row_of_an_end_is_tried_until_the_store_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streamhub.delivery.view_log.RETRY_FIRST_S", 0.0)
    async with a_room() as kit:
        view_id = await kit.open_live()
        kit.store.broken = True
        await kit.delivery.views.close(view_id, "closed_by_viewer")
        await kit.quiet()
        assert kit.store.acts() == ["view_start"]
        kit.store.broken = False
        await kit.quiet()
        assert kit.store.acts() == ["view_start", "view_end"]


async def test_a_core_that_never_says_goodbye_does_not_keep_the_books_open() -> None:
    async with a_room() as kit:
        view_id = await kit.open_live()
        kit.core.viewers.pop(view_id)  # no ViewerClosed will come
        await kit.delivery.views.close(view_id, "closed_by_operator")
        kit.delivery.views.tick(100.0)
        await kit.quiet()
        assert "view_end" not in kit.store.acts()
        kit.delivery.views.tick(101.1)
        await kit.quiet()
        assert kit.store.last("view_end").detail["cause"] == "closed_by_operator"


async def test_after_lost_events_views_that_the_core_has_not_are_closed() -> None:
    async with a_room() as kit:
        gone, stays = await kit.open_live("ch_1"), await kit.open_live("ch_2")
        kit.core.drop_viewer(gone, "consent_lost")
        kit.core.lose_events()
        await kit.quiet()
        assert [view.id for view in kit.delivery.views.list()] == [stays]
        assert kit.store.last("view_end").detail["cause"] == "unknown"


async def test_shutdown_ends_views_writes_rows_and_refuses_new_ones() -> None:
    async with a_room() as kit:
        await kit.open_live()
        watch = kit.delivery.views.watch(await kit.open("ch_2"))
        await kit.delivery.shutdown(1000)
        assert [row.detail["cause"] for row in kit.store.rows if row.act == "view_end"] == [
            "shutdown",
            "shutdown",
        ]
        events = [event async for event in watch]
        assert events[-1].data["state"] == "ended"
        with pytest.raises(ShuttingDown):
            await kit.open()


async def test_what_a_killed_process_left_open_is_closed_at_the_next_start() -> None:
    store = FakeStore()
    async with a_room(store=store) as kit:
        left = await kit.open_live("ch_1")
        closed = await kit.open_live("ch_2")
        await kit.delivery.views.close(closed, "closed_by_viewer")
        await kit.quiet()
        killed_at = list(store.rows)
    store.rows = killed_at  # kill -9: the farewell of the first process never came
    async with a_room(store=store):
        ends = [row for row in store.rows if row.act == "view_end"]
        assert [(row.detail["view_id"], row.detail["cause"]) for row in ends] == [
            (closed, "closed_by_viewer"),
            (left, "service_restarted"),
        ]
        assert (ends[1].subject_id, ends[1].channel_id) == ("su_op", "ch_1")
    rows = len(store.rows)
    async with a_room(store=store):
        assert [row.act for row in store.rows[rows:]] == ["service_started"]


async def test_the_list_shows_what_is_open() -> None:
    async with a_room() as kit:
        view_id = await kit.open_live()
        (view,) = kit.delivery.views.list()
        assert (view.id, view.channel_id, view.profile) == (view_id, "ch_1", "sub")
        assert (view.subject_id, view.subject_name) == ("su_op", "su_op")
        assert (view.state, view.last_packet_age_ms, view.sent_bytes) == ("live", 0, 1000)
        assert view.until == START + timedelta(seconds=60)
        assert kit.delivery.views.get("nothing") is None
        figures = kit.delivery.figures()
        assert (figures["views"], figures["routes.live"]) == (1, 1)


async def test_nobody_watches_what_is_not_there() -> None:
    async with a_room() as kit:
        with pytest.raises(UnknownView):
            kit.delivery.views.watch("nothing")


async def test_a_close_that_a_busy_core_did_not_take_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_room() as kit:
        first, second = await kit.open_live(), await kit.open("ch_2")

        def busy(*_: object, **__: object) -> None:
            raise OverCapacity("too many commands wait")

        with monkeypatch.context() as patch:
            patch.setattr(FakeCore, "close_viewers", busy)
            await kit.delivery.facts_changed(kit.change(actions=NO_LIVE))
            assert kit.delivery.views.list() == [], "nobody is told that it goes on"
            assert set(kit.core.viewers) == {first, second}
        for clock_s in (100.0, 101.0):
            kit.delivery.views.tick(clock_s)
        await kit.quiet()
        assert kit.core.viewers == {}
        assert kit.store.acts().count("view_end") == 2
