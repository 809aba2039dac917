"""One view goes over between main and sub: a foreign viewer sees one RTP stream all the while."""

from __future__ import annotations

import time
from typing import Any

import httpx

from support.aiortc_viewer import AiortcViewer
from support.district import Service, eventually
from support.watching import PATIENCE_S, assert_unharmed, channels_of, ended_views, view_of, watched


async def switch(client: httpx.AsyncClient, viewer: AiortcViewer, profile: str) -> dict[str, Any]:
    view_id = viewer.location.rpartition("/")[2]
    answer = await client.put(f"/api/v1/views/{view_id}/profile", json={"profile": profile})
    assert answer.status_code == httpx.codes.OK, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def shown(client: httpx.AsyncClient, viewer: AiortcViewer, profile: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        view = await view_of(client, viewer)
        assert view is not None
        if view["profile"] == profile:
            return
        assert time.monotonic() < deadline, view


async def test_a_view_goes_to_main_and_back_in_one_rtp_stream(service: Service) -> None:
    async with service.client("yongshun") as client:
        [channel] = await channels_of(client, 1)
        async with watched(client, [channel["id"]]) as [viewer]:
            await viewer.wait_pictures(5, PATIENCE_S)
            small = viewer.size
            answered = await switch(client, viewer, "main")
            assert (answered["profile"], answered["wanted_profile"]) == ("sub", "main")
            await shown(client, viewer, "main")
            await eventually("the large picture", lambda: viewer.size > small, PATIENCE_S)
            await switch(client, viewer, "sub")
            await shown(client, viewer, "sub")
            await eventually("the small picture", lambda: viewer.size == small, PATIENCE_S)
            again = await switch(client, viewer, "sub")
            assert again["profile"] == "sub"
            pictures = viewer.pictures
            await viewer.wait_pictures(pictures + 20, PATIENCE_S)
            assert_unharmed(viewer)
            views = (await client.get("/api/v1/views")).json()["items"]
            assert len(views) == 1
            [going_on] = (await client.get("/api/v1/audit/mine/views")).json()["open"]
            assert (going_on["profile"], going_on["profiles"]) == ("sub", ["sub", "main"])
            await viewer.delete()
        async with service.client("admin") as admin:
            [row] = await ended_views(admin, 1)
            [look] = (await admin.get("/api/v1/audit/views")).json()["items"]
    assert row["detail"]["profiles"] == look["profiles"] == ["sub", "main"]


async def test_only_who_watches_switches(service: Service) -> None:
    async with service.client("yongshun") as client, service.client("admin") as admin:
        [channel] = await channels_of(client, 1)
        async with watched(client, [channel["id"]]) as [viewer]:
            path = f"/api/v1/views/{viewer.location.rpartition('/')[2]}/profile"
            body = {"profile": "main"}
            assert (await admin.put(path, json=body)).status_code == httpx.codes.FORBIDDEN
            async with service.client("liyuan") as stranger:
                answer = await stranger.put(path, json=body)
            assert answer.status_code == httpx.codes.NOT_FOUND
            wrong = await client.put(path, json={"profile": "third"})
            assert wrong.status_code == httpx.codes.UNPROCESSABLE_ENTITY
