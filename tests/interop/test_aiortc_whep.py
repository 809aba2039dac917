"""aiortc views a camera of the demo district through WHEP."""

from __future__ import annotations

from support.aiortc_viewer import AiortcViewer, gaps, unwrap
from support.district import Service


async def test_aiortc_decodes_pictures_and_sees_no_gap(service: Service) -> None:
    async with service.client("yongshun") as client:
        channel = (await client.get("/api/v1/channels?limit=1")).json()["items"][0]
        viewer = AiortcViewer(client, channel["id"])
        try:
            answer = await viewer.open()
            assert answer.status_code == 201
            assert answer.headers["Content-Type"].startswith("application/sdp")
            await viewer.wait_pictures(20)
            assert gaps(viewer.packets) == []
            times = unwrap([p.rtp_ts for p in viewer.packets], 32)
            assert times == sorted(times)
            views = (await client.get("/api/v1/views")).json()["items"]
            assert [v["state"] for v in views] == ["live"]
            assert (await viewer.delete()).status_code == 200
            assert (await viewer.delete()).status_code == 404
        finally:
            await viewer.close()
