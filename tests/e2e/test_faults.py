"""Cameras that fail while they are watched: each tile says why, the others go on, and when the
camera heals the viewer goes on in the same view."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from support.aiortc_viewer import AiortcViewer
from support.district import Farm, Service, copy_of, eventually, free_port, running_service
from support.patience import HeldUp
from support.scripted_camera import scripted_camera
from support.view_events import ViewEvents, events_of
from support.watching import (
    PATIENCE_S,
    add_camera,
    assert_unharmed,
    camera_of,
    channels_of,
    view_of,
    watched,
)

# What the tile must say of each fault, in this order.
FAULTS: dict[str, list[tuple[str, str]]] = {
    "reset": [("lost", "closed_by_peer")],
    "unauthorized": [("lost", "auth_failed")],
    "not-found": [("lost", "not_found")],
    # Its connection stands and nothing comes: stale, then given up, then dialled in vain.
    "silent": [("stale", "no_packets"), ("lost", "stalled")],
    "mute-accept": [("stale", "no_packets"), ("lost", "stalled"), ("lost", "options_timeout")],
}


@pytest.fixture
def service(farm: Farm, template: Path, tmp_path: Path) -> Iterator[Service]:
    """Pauses between dials cut to what a test can wait for; the deadlines are the product's."""
    environment = {
        "STREAMHUB_DIAL__RETRY_FIRST_S": "0.5",
        "STREAMHUB_DIAL__RETRY_MAX_S": "1",
        "STREAMHUB_DIAL__AUTH_RETRY_FIRST_S": "0.5",
        "STREAMHUB_DIAL__REFUSED_RETRY_S": "0.5",
    }
    with running_service(copy_of(template, tmp_path / "data"), environment) as service:
        yield service


def is_state(name: str, reason: str) -> Callable[[dict[str, Any]], bool]:
    return lambda state: (state["state"], state["reason"]) == (name, reason)


async def heals(viewer: AiortcViewer, events: ViewEvents, held_up: HeldUp) -> None:
    """After the camera is well again: live in the same view, packets and pictures go on."""
    told, packets, pictures = len(events.states), len(viewer.packets), viewer.pictures
    await events.until("live again", lambda s: s["state"] == "live", PATIENCE_S, since=told)
    await viewer.wait_packets(packets + 50, PATIENCE_S)
    await viewer.wait_pictures(pictures + 10, PATIENCE_S)
    assert_unharmed(viewer)
    # The picture's clock has gone on as long as the wall's (a join is up to one GOP ahead).
    first, last = viewer.packets[0], viewer.packets[-1]
    shown_s = ((last.rtp_ts - first.rtp_ts) & 0xFFFF_FFFF) / 90_000
    assert abs(shown_s - (last.at - first.at)) < 3.0 + held_up.seconds()


async def test_each_fault_is_named_the_rest_is_undisturbed_and_healing_is_seen(
    service: Service, farm: Farm
) -> None:
    async with service.client("yongshun") as client, AsyncExitStack() as stack:
        channels = await channels_of(client, len(FAULTS) + 1)
        cameras = [camera_of(channel) for channel in channels]
        ids = [channel["id"] for channel in channels]
        viewers = await stack.enter_async_context(watched(client, ids))
        *ill, bystander = viewers
        held_up = HeldUp(*service.pids, farm.process.pid)
        follows = [
            await stack.enter_async_context(events_of(client, viewer.location)) for viewer in ill
        ]
        for events in follows:
            await events.until("live", lambda s: s["state"] == "live", PATIENCE_S)
        broken = list(zip(FAULTS.items(), cameras, ill, follows, strict=False))
        try:
            for (kind, _), camera, _, events in broken:
                events.states.clear()
                farm.fault(camera, kind)
            for (kind, told), _, viewer, events in broken:
                seen = 0
                for name, reason in told:
                    state = await events.until(
                        f"{kind}: {name}", is_state(name, reason), PATIENCE_S, since=seen
                    )
                    seen = events.states.index(state)
                view = await view_of(client, viewer)
                assert view is not None, kind
                assert view["state"] in ("lost", "opening"), kind
                assert view["reason"] is not None, kind
            # Six seconds and more have gone by: the bystander's pictures came all the while.
            before = len(bystander.packets)
            await bystander.wait_packets(before + 50, PATIENCE_S)
            assert_unharmed(bystander)
            pauses = [b.at - a.at for a, b in pairwise(bystander.packets)]
            assert max(pauses) < 2.0 + held_up.seconds(), "another camera's fault stopped this one"
        finally:
            for (_, _), camera, _, _ in broken:
                farm.fault(camera, "none")
        for _, _, viewer, events in broken:
            await heals(viewer, events, held_up)
        views = (await client.get("/api/v1/views")).json()["items"]
        assert [view["state"] for view in views] == ["live"] * len(viewers)
        # The same views as in the beginning: nobody had to come again.
        locations = {viewer.location.rpartition("/")[2] for viewer in viewers}
        assert {view["id"] for view in views} == locations


# What the tile of a camera says that is ill when it is opened.
ILL_AT_FIRST = {
    "reset": "closed_by_peer",
    "unauthorized": "auth_failed",
    "not-found": "not_found",
    "mjpeg": "codec_unsupported",
    "mute-accept": "options_timeout",
    "silent": "stalled",
}


async def test_a_camera_that_is_ill_when_opened_comes_up_in_the_same_view(
    service: Service, farm: Farm
) -> None:
    async with service.client("yongshun") as client, AsyncExitStack() as stack:
        channels = await channels_of(client, len(ILL_AT_FIRST))
        opened: list[tuple[str, AiortcViewer, ViewEvents]] = []
        held_up = HeldUp(*service.pids, farm.process.pid)
        try:
            for kind, channel in zip(ILL_AT_FIRST, channels, strict=True):
                farm.fault(camera_of(channel), kind)
                viewer = AiortcViewer(client, channel["id"])
                stack.push_async_callback(viewer.close)
                # The answer does not wait for the camera.
                assert (await viewer.open()).status_code == 201
                events = await stack.enter_async_context(events_of(client, viewer.location))
                opened.append((kind, viewer, events))
            for kind, viewer, events in opened:
                reason = ILL_AT_FIRST[kind]
                lost = await events.until(kind, is_state("lost", reason), PATIENCE_S)
                assert lost["detail"], kind
                assert lost["retry_in_ms"] is not None, kind
                assert viewer.packets == [], kind
        finally:
            for channel in channels:
                farm.fault(camera_of(channel), "none")
        for _, viewer, events in opened:
            await heals(viewer, events, held_up)


async def test_a_camera_that_was_switched_off_is_found_when_it_is_on(service: Service) -> None:
    port = free_port()
    async with service.client("admin") as admin, service.client("yongshun") as client:
        [neighbour] = await channels_of(client, 1)
        url = f"rtsp://127.0.0.1:{port}/scripted"
        channel = await add_camera(admin, url, neighbour["area_id"])
        viewer, held_up = AiortcViewer(client, channel["id"]), HeldUp(*service.pids)
        try:
            assert (await viewer.open()).status_code == 201
            async with events_of(client, viewer.location) as events:
                await events.until("refused", is_state("lost", "connect_refused"), PATIENCE_S)
                async with scripted_camera(port):
                    await heals(viewer, events, held_up)
                seen = len(events.states)
                await events.until(
                    "off again", lambda s: s["state"] == "lost", PATIENCE_S, since=seen
                )
                async with scripted_camera(port):
                    await heals(viewer, events, held_up)
        finally:
            await viewer.close()


async def test_viewers_of_one_camera_share_its_one_connection(service: Service, farm: Farm) -> None:
    async with service.client("yongshun") as client:
        [channel] = await channels_of(client, 1)
        await eventually("the farm is idle", lambda: farm.stats()["connections"] == 0, PATIENCE_S)
        accepted = farm.stats()["accepted"]
        async with watched(client, [channel["id"]] * 3, decode=False) as viewers:
            assert farm.stats()["connections"] == 1
            farm.fault(camera_of(channel), "reset")
            farm.fault(camera_of(channel), "none")
            for viewer in viewers:
                await viewer.wait_packets(len(viewer.packets) + 50, PATIENCE_S)
                assert_unharmed(viewer)
            await eventually("one is left", lambda: farm.stats()["connections"] == 1)
        assert farm.stats()["accepted"] - accepted <= 4, "dialled once per loss, not per viewer"
