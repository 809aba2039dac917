"""The supervisor: wanted and actual brought together, with the core that reports and forgets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from camera_registry.secret import Secret
from gateways.rtsp import prepare
from streamhub.media.contract import EventsLost, SourceLive
from streamhub.media.fake import FakeSource, Script
from streamhub.router import RouterSettings
from streamhub.router.route import RouteState
from support.delivery_kit import FakeAddress, a_room

STREAM = "ch_1/sub"


async def test_many_viewers_are_one_dial_with_the_registrys_address() -> None:
    async with a_room() as kit:
        for n in range(20):
            kit.router.ensure_live(kit.permit(), "ch_1", "sub", f"lease-{n}")
        await kit.quiet()
        assert kit.core.dials == [STREAM]
        assert kit.addresses.lookups == 1
        spec = kit.core.sources[STREAM].spec
        assert (spec.url, spec.username) == ("rtsp://camera.example/sub", "admin")
        assert spec.password == Secret("letmein")
        assert kit.router.route(STREAM).state is RouteState.LIVE


async def test_a_permit_for_another_channel_opens_nothing() -> None:
    async with a_room() as kit:
        with pytest.raises(ValueError, match="another channel"):
            kit.router.ensure_live(kit.permit("ch_1"), "ch_2", "sub", "lease")
        assert kit.router.routes() == []


async def test_the_last_release_closes_after_the_idle_time_and_forgets() -> None:
    async with a_room() as kit:
        kit.router.ensure_live(kit.permit(), "ch_1", "sub", "a")
        await kit.quiet()
        kit.router.release("a")
        kit.pass_time(9.9)
        assert kit.core.hang_ups == []
        kit.pass_time(0.2)
        assert kit.core.hang_ups == [STREAM]
        assert kit.router.routes() == []


async def test_a_release_before_the_lookup_is_done_dials_nobody() -> None:
    async with a_room(router_settings=RouterSettings(idle_close_s=0.0)) as kit:
        kit.router.ensure_live(kit.permit(), "ch_1", "sub", "a")
        kit.router.release("a")
        kit.router.tick()
        await kit.quiet()
        assert kit.core.dials == []


async def test_a_lost_source_is_dialled_again_and_says_in_how_long() -> None:
    async with a_room() as kit:
        kit.router.ensure_live(kit.permit(), "ch_1", "sub", "a")
        await kit.quiet()
        kit.core.lose(STREAM, "stalled")
        await kit.quiet()
        route = kit.router.route(STREAM)
        assert (route.state, route.cause, route.retry_in_ms) == (
            RouteState.BACKOFF,
            "stalled",
            2000,
        )
        kit.pass_time(2.0)
        await kit.quiet()
        assert kit.core.dials == [STREAM, STREAM]
        assert kit.router.route(STREAM).state is RouteState.LIVE
        assert [step.step for step in kit.router.route(STREAM).steps][:2] == ["dial", "connected"]


async def test_a_wrong_password_is_not_tried_again_before_a_minute() -> None:
    async with a_room() as kit:
        kit.core.script(STREAM, Script(fail=("auth_failed", False)))
        kit.router.ensure_live(kit.permit(), "ch_1", "sub", "a")
        await kit.quiet()
        for _ in range(59):
            kit.pass_time(1.0)
            await kit.quiet()
        assert kit.core.dials == [STREAM]
        kit.pass_time(1.0)
        await kit.quiet()
        assert len(kit.core.dials) == 2


async def test_a_corrected_password_is_tried_at_once_and_a_new_name_changes_nothing() -> None:
    async with a_room() as kit:
        kit.core.script(STREAM, Script(fail=("auth_failed", False)))
        kit.router.ensure_live(kit.permit(), "ch_1", "sub", "a")
        await kit.quiet()
        kit.core.script(STREAM, Script())
        kit.addresses.address = FakeAddress(password=Secret("right"))
        await kit.router.addresses_changed({"ch_1"})
        await kit.quiet()
        assert kit.router.route(STREAM).state is RouteState.LIVE
        await kit.router.addresses_changed({"ch_1"})  # nothing about the address is new
        await kit.quiet()
        assert len(kit.core.dials) == 2
        kit.addresses.address = replace(kit.addresses.address, url="rtsp://other.example/sub")
        await kit.router.addresses_changed()
        await kit.quiet()
        assert kit.core.sources[STREAM].spec.url == "rtsp://other.example/sub"


async def test_an_address_that_is_not_there_ends_in_a_reason() -> None:
    async with a_room() as kit:
        kit.addresses.address = None
        kit.router.ensure_live(kit.permit(), "ch_1", "sub", "a")
        await kit.quiet()
        route = kit.router.route(STREAM)
        assert (route.state, route.cause) == (RouteState.BACKOFF, "not_found")
        kit.addresses.address = FakeAddress(url="http://camera.example/")
        await kit.router.addresses_changed()
        await kit.quiet()
        assert kit.router.route(STREAM).cause == "bad_address"


async def test_after_lost_events_the_cores_rows_are_believed() -> None:
    async with a_room() as kit:
        kit.core.script("ch_1/sub", Script(goes_live=False))
        kit.core.script("ch_2/sub", Script(goes_live=False))
        for n in (1, 2):
            kit.router.ensure_live(kit.permit(f"ch_{n}"), f"ch_{n}", "sub", f"lease-{n}")
        await kit.quiet()
        kit.core.go_live("ch_1/sub")
        kit.core.lose("ch_2/sub", "no_video", retryable=False)
        kit.core.lose_events()
        await kit.quiet()
        assert kit.router.route("ch_1/sub").state is RouteState.LIVE
        assert kit.router.route("ch_2/sub").cause == "no_video"


async def test_a_source_that_nobody_knows_is_hung_up() -> None:
    async with a_room() as kit:
        kit.core.sources["ch_9/sub"] = FakeSource(prepare(FakeAddress(), "sub"))
        kit.router.handle_event(SourceLive("ch_9/sub", "h264", 640, 360, "42e01f"))
        assert kit.core.hang_ups == ["ch_9/sub"]


async def test_after_close_nothing_is_dialled() -> None:
    async with a_room() as kit:
        kit.router.ensure_live(kit.permit(), "ch_1", "sub", "a")
        await kit.router.close()
        kit.router.ensure_live(kit.permit("ch_2"), "ch_2", "sub", "b")
        kit.router.handle_event(EventsLost())
        await kit.quiet()
        assert kit.core.dials == []
