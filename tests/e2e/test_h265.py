"""A demo camera with H.265 on its main stream: who lacks it is told, and takes the sub stream."""

from __future__ import annotations

import time

import httpx

from support.aiortc_viewer import AiortcViewer
from support.district import Service
from support.watching import (
    PATIENCE_S,
    assert_unharmed,
    camera_of,
    channels_of,
    ended_views,
    view_of,
    watched,
)

H265_CAMERA = 55


async def h265_channel(client: httpx.AsyncClient) -> str:
    """The demo district's first camera that is set to H.265."""
    items = await channels_of(client, 1, q=f"{H265_CAMERA:06d}")
    [channel] = [item for item in items if camera_of(item) == H265_CAMERA]
    return str(channel["id"])


async def test_a_viewer_without_h265_is_told_and_plays_the_sub_stream(service: Service) -> None:
    async with service.client("admin") as client:
        channel_id = await h265_channel(client)
        # Not known before the first pull: the view is there, and ends with the cause.
        first = AiortcViewer(client, channel_id, profile="main")
        try:
            assert (await first.open()).status_code == httpx.codes.CREATED
            [row] = await ended_views(client, 1)
            assert row["detail"]["cause"] == "no_common_codec"
            assert row["detail"]["packets"] == 0
            assert first.packets == []
        finally:
            await first.close()
        # From then on it is the answer.
        second = AiortcViewer(client, channel_id, profile="main")
        try:
            answer = await second.open()
            assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
            problem = answer.json()
            assert (problem["code"], problem["codec"]) == ("no_common_codec", "H265")
            assert "other profile" in problem["detail"]
        finally:
            await second.close()
        async with watched(client, [channel_id]) as [viewer]:
            await viewer.wait_pictures(5, PATIENCE_S)
            # Nor is a view led there; it stays as it is.
            view_id = viewer.location.rpartition("/")[2]
            switched = await client.put(
                f"/api/v1/views/{view_id}/profile", json={"profile": "main"}
            )
            assert switched.status_code == httpx.codes.UNPROCESSABLE_ENTITY
            assert switched.json()["code"] == "no_common_codec"
            view = await view_of(client, viewer)
            assert view is not None
            assert (view["profile"], view["wanted_profile"]) == ("sub", "sub")
            await viewer.wait_pictures(viewer.pictures + 5, PATIENCE_S)
            assert_unharmed(viewer)


async def test_a_still_of_its_main_stream_is_taken(service: Service) -> None:
    async with service.client("admin") as client:
        channel_id = await h265_channel(client)
        began = time.monotonic()
        answer = await client.get(
            f"/api/v1/channels/{channel_id}/snapshot.jpg", params={"profile": "main"}
        )
        assert answer.status_code == httpx.codes.OK, answer.text
        assert answer.content.startswith(b"\xff\xd8\xff")
        assert time.monotonic() - began < PATIENCE_S
