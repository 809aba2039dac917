"""What a tile is told: the trace of steps, the state, and how it changes."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from streamhub.delivery.view import TRACE_STEPS, LiveView, Watch, state_of
from streamhub.media.contract import OverCapacity, StepTaken
from streamhub.media.fake import Script
from streamhub.router import RouteView
from streamhub.router.route import RouteState
from support.delivery_kit import Kit, a_room


async def told(watch: Watch) -> list[tuple[str, Any]]:
    """Everything that waits for a watcher now: (step, name) or (state, name)."""
    events = []
    while True:
        try:
            async with asyncio.timeout(0.01):
                event = await anext(watch)
        except (TimeoutError, StopAsyncIteration):
            return events
        events.append((event.name, event.data[event.name]))


async def state_data(kit: Kit, view_id: str) -> dict[str, Any]:
    watch = kit.delivery.views.watch(view_id)
    data = [event async for event in _until_state(watch)][-1]
    return data


async def _until_state(watch: Watch) -> Any:
    async for event in watch:
        if event.name == "state":
            yield event.data
            return


async def test_the_trace_so_far_comes_first_then_what_happens_until_the_end() -> None:
    async with a_room() as kit:
        kit.core.default_script = Script(goes_live=False)
        view_id = await kit.open()
        await kit.quiet()
        watch = kit.delivery.views.watch(view_id)
        assert await told(watch) == [("step", "permit"), ("step", "dial"), ("state", "opening")]
        kit.core.go_live("ch_1/sub")
        kit.core.connect_viewer(view_id)
        await kit.quiet()
        events = await told(watch)
        assert [name for kind, name in events if kind == "step"] == [
            "connected",
            "describe",
            "setup",
            "play",
            "first_packet",
            "first_keyframe",
            "ice",
            "dtls",
            "first_sent",
        ]
        assert events[-1] == ("state", "live")
        await kit.delivery.views.close(view_id, "closed_by_viewer")
        assert [event.data["reason"] async for event in watch] == ["closed_by_viewer"]


async def test_who_joins_a_running_dial_sees_its_steps() -> None:
    async with a_room() as kit:
        kit.core.default_script = Script(goes_live=False)
        await kit.open()
        await kit.quiet()
        watch = kit.delivery.views.watch(await kit.open())
        assert await told(watch) == [("step", "permit"), ("step", "dial"), ("state", "opening")]


async def test_a_silent_camera_is_stale_and_one_call_serves_all_tiles() -> None:
    async with a_room() as kit:
        views = [await kit.open_live(f"ch_{n}") for n in (1, 2)]
        unwatched = await kit.open_live("ch_1")
        watches = [kit.delivery.views.watch(view_id) for view_id in views]
        for watch in watches:
            await told(watch)
        kit.core.viewers[views[0]].last_packet_age_ms = 2001
        kit.core.viewers[unwatched].last_packet_age_ms = 9999
        calls = kit.core.stats_calls
        kit.delivery.views.tick(1.0)
        assert kit.core.stats_calls == calls + 1
        assert await told(watches[0]) == [("state", "stale")]
        assert await told(watches[1]) == [("state", "live")]


async def test_nobody_watching_costs_no_call() -> None:
    async with a_room() as kit:
        await kit.open_live()
        calls = kit.core.stats_calls
        kit.delivery.views.tick(1.0)
        assert kit.core.stats_calls == calls


async def test_a_lost_camera_says_why_and_when_it_is_tried_again_and_heals() -> None:
    async with a_room() as kit:
        view_id = await kit.open_live()
        kit.core.lose("ch_1/sub", "closed_by_peer")
        await kit.quiet()
        lost = await state_data(kit, view_id)
        assert (lost["state"], lost["reason"], lost["retry_in_ms"]) == (
            "lost",
            "closed_by_peer",
            2000,
        )
        kit.core.default_script = Script(goes_live=False)
        kit.pass_time(2.0)
        await kit.quiet()
        again = await state_data(kit, view_id)
        assert (again["state"], again["step"], again["reason"]) == (
            "opening",
            "dial",
            "closed_by_peer",
        )
        kit.core.go_live("ch_1/sub")
        await kit.quiet()
        assert (await state_data(kit, view_id))["state"] == "live"
        assert view_id in kit.core.viewers  # the same view all the while


async def test_watchers_are_bounded_and_forgotten_when_they_go() -> None:
    async with a_room() as kit:
        view_id = await kit.open()
        watches = [kit.delivery.views.watch(view_id) for _ in range(4)]
        with pytest.raises(OverCapacity):
            kit.delivery.views.watch(view_id)
        watches.pop()
        gc.collect()
        kit.delivery.views.watch(view_id)


async def test_a_watcher_that_does_not_read_costs_a_bounded_memory() -> None:
    async with a_room() as kit:
        view_id = await kit.open()
        await kit.quiet()
        watch = kit.delivery.views.watch(view_id)
        for n in range(1000):
            kit.delivery.views.hearing.handle_event(StepTaken("ch_1/sub", f"step-{n}", 0))
        events = await told(watch)
        assert len(events) == TRACE_STEPS + 1
        assert events[-2:] == [("step", "step-999"), ("state", "opening")]


@pytest.mark.parametrize(
    ("route_state", "connected", "age_ms", "ended", "expected"),
    [
        (RouteState.OPENING, False, None, None, "opening"),
        (RouteState.LIVE, False, None, None, "opening"),
        (RouteState.LIVE, True, None, None, "opening"),
        (RouteState.LIVE, True, 2000, None, "live"),
        (RouteState.LIVE, True, 2001, None, "stale"),
        (RouteState.OPENING, True, 10, None, "opening"),
        (RouteState.BACKOFF, True, 10, None, "lost"),
        (RouteState.BACKOFF, True, 10, "revoked", "ended"),
        (RouteState.IDLE, False, None, "shutdown", "ended"),
    ],
)
async def test_the_state_follows_from_route_and_core(
    route_state: RouteState, connected: bool, age_ms: int | None, ended: str | None, expected: str
) -> None:
    async with a_room() as kit:
        view = LiveView(
            id="v",
            channel_id="ch_1",
            area_id=None,
            profile="sub",
            started_at=kit.time.wall(),
            permit=kit.permit(),
            until=0.0,
            connected=connected,
            last_packet_age_ms=age_ms,
            ended_cause=ended,
        )
        route = RouteView("ch_1/sub", route_state, "stalled", "", None, 1, True, ())
        state = state_of(view, route, 2000)
        assert state.name == expected
        assert state.warning == ("b_frames" if expected == "live" else None)
