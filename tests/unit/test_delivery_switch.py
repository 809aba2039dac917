"""A view goes over between main and sub, in one picture."""

from __future__ import annotations

import pytest

from streamhub.delivery.errors import UnknownProfile, UnknownView
from streamhub.media.contract import NoCommonCodec
from streamhub.media.fake import FakeCore, Script
from support.delivery_kit import a_room, some_facts

NO_LIVE = frozenset({"list"})


async def test_a_view_goes_over_when_the_other_stream_is_live_and_lets_go_of_the_first() -> None:
    async with a_room() as kit:
        view_id = await kit.open_live()
        kit.core.script("ch_1/main", Script(goes_live=False))
        view = kit.delivery.views.switch(view_id, "main")
        assert (view.profile, view.wanted_profile, view.state) == ("sub", "main", "live")
        await kit.quiet()
        assert kit.core.dials == ["ch_1/sub", "ch_1/main"]
        kit.core.go_live("ch_1/main")
        await kit.quiet()
        now = kit.delivery.views.get(view_id)
        assert now is not None
        assert (now.profile, now.wanted_profile, now.state) == ("main", "main", "live")
        assert len(kit.core.viewers) == 1
        kit.pass_time(10.1)
        await kit.quiet()
        assert kit.core.hang_ups == ["ch_1/sub"], "nobody watches it any more"
        await kit.delivery.views.close(view_id, "closed_by_viewer")
        await kit.quiet()
        assert kit.store.last("view_end").detail["profiles"] == ["sub", "main"]
        kit.pass_time(10.1)
        await kit.quiet()
        assert kit.core.hang_ups == ["ch_1/sub", "ch_1/main"]


async def test_a_wish_that_is_taken_back_leaves_the_view_as_it_was() -> None:
    async with a_room() as kit:
        view_id = await kit.open_live()
        kit.core.script("ch_1/main", Script(fail=("connect_refused", True)))
        kit.delivery.views.switch(view_id, "main")
        await kit.quiet()
        watch = kit.delivery.views.watch(view_id)
        async for event in watch:
            if event.name == "state":
                break
        assert event.data["state"] == "live", "the picture stays"
        assert event.data["wanted_reason"] == "connect_refused"
        kit.delivery.views.switch(view_id, "sub")
        await kit.quiet()
        now = kit.delivery.views.get(view_id)
        assert now is not None
        assert (now.profile, now.wanted_profile) == ("sub", "sub")
        kit.pass_time(60)
        await kit.quiet()
        assert [route.stream_id for route in kit.router.routes()] == ["ch_1/sub"]


async def test_a_switch_needs_the_right_and_the_stream() -> None:
    async with a_room() as kit:
        with pytest.raises(UnknownView):
            kit.delivery.views.switch("0" * 32, "main")
        view_id = await kit.open(channel_id="ch_3", profile="main")
        with pytest.raises(UnknownProfile):
            kit.delivery.views.switch(view_id, "sub")
        kit.facts.set(some_facts(actions=NO_LIVE))
        with pytest.raises(UnknownView):
            kit.delivery.views.switch(view_id, "main")


async def test_a_view_that_ends_on_its_way_holds_neither_stream() -> None:
    async with a_room() as kit:
        view_id = await kit.open_live()
        kit.core.script("ch_1/main", Script(goes_live=False))
        kit.delivery.views.switch(view_id, "main")
        await kit.quiet()
        await kit.delivery.views.close(view_id, "closed_by_viewer")
        await kit.quiet()
        kit.pass_time(60)
        await kit.quiet()
        assert kit.router.routes() == []


async def test_a_viewer_is_not_sent_to_a_codec_that_it_does_not_take() -> None:
    async with a_room() as kit:
        view_id = await kit.open_live()
        kit.core.script("ch_1/main", Script(goes_live=False, codec="H265"))
        kit.delivery.views.switch(view_id, "main")
        await kit.quiet()
        kit.core.go_live("ch_1/main")
        await kit.quiet()
        watch = kit.delivery.views.watch(view_id)
        async for event in watch:
            if event.name == "state":
                break
        told = ("state", "profile", "wanted_profile", "wanted_reason")
        expected = ("live", "sub", "sub", "no_common_codec")
        assert tuple(event.data[key] for key in told) == expected
        kit.pass_time(10.1)
        await kit.quiet()
        assert kit.core.hang_ups == ["ch_1/main"], "nobody can watch it"
        # From here on it is known before the camera is dialled.
        with pytest.raises(NoCommonCodec) as refusal:
            kit.delivery.views.switch(view_id, "main")
        assert refusal.value.codec == "H265"
        now = kit.delivery.views.get(view_id)
        assert now is not None
        assert (now.profile, now.wanted_profile) == ("sub", "sub")
        assert kit.core.dials == ["ch_1/sub", "ch_1/main"]


async def test_a_switch_whose_event_was_lost_is_learnt_from_the_core() -> None:
    async with a_room() as kit:
        view_id = await kit.open_live()
        kit.core.script("ch_1/main", Script(goes_live=False))
        kit.delivery.views.switch(view_id, "main")
        await kit.quiet()
        kit.core.viewers[view_id].stream_id = "ch_1/main"
        kit.core.lose_events()
        await kit.quiet()
        now = kit.delivery.views.get(view_id)
        assert now is not None
        assert (now.profile, now.wanted_profile) == ("main", "main")


async def test_a_refusal_whose_event_was_lost_is_learnt_by_asking_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_room() as kit:
        view_id = await kit.open_live()
        kit.core.script("ch_1/main", Script(goes_live=False))
        kit.delivery.views.switch(view_id, "main")
        await kit.quiet()

        def refused(*_: object) -> None:
            raise NoCommonCodec("the camera sends H.265", codec="H265")

        monkeypatch.setattr(FakeCore, "switch_viewer", refused)
        kit.core.lose_events()
        await kit.quiet()
        now = kit.delivery.views.get(view_id)
        assert now is not None
        assert (now.profile, now.wanted_profile, now.state) == ("sub", "sub", "live")
        kit.pass_time(60)
        await kit.quiet()
        assert [route.stream_id for route in kit.router.routes()] == ["ch_1/sub"]
