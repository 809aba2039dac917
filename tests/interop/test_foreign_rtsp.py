"""GStreamer's RTSP server is pulled as a camera, over TCP and where it sends by UDP only:
registered, granted, watched, and dialled again when its stream has come to its end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from support.aiortc_viewer import AiortcViewer
from support.district import Service, copy_of, running_service
from support.view_events import events_of
from support.watching import PATIENCE_S, add_camera, assert_unharmed, audit_rows, channels_of

# GStreamer's bindings are Debian packages for Debian's own interpreter (scripts/bootstrap media).
DEBIAN_PYTHON = "/usr/bin/python3"
CLIP_S, FPS, WIDTH, HEIGHT = 6, 20, 480, 272


def make_clip(path: Path, encoder: str = "libx264") -> None:
    """A bright bar that moves; H.264 by libx264 (H.265 by libx265), 1 s GOPs."""
    with av.open(str(path), "w") as clip:
        stream = clip.add_stream(encoder, rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = FPS
        stream.codec_context.time_base = Fraction(1, FPS)
        profile = {"libx264": "baseline", "libx265": "main"}[encoder]
        stream.options = {"tune": "zerolatency", "preset": "ultrafast", "profile": profile}
        if encoder == "libx265":
            stream.codec_context.codec_tag = "hvc1"
            stream.options |= {"x265-params": "log-level=none"}
        for number in range(CLIP_S * FPS):
            picture = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
            left = number * 4 % (WIDTH - 40)
            picture[:, left : left + 40] = 230
            clip.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        clip.mux(stream.encode())


@contextmanager
def foreign_server(clip: Path, *options: str, payloader: str = "rtph264pay") -> Iterator[int]:
    script = Path(__file__).with_name("gst_rtsp_server.py")
    with subprocess.Popen(
        [DEBIAN_PYTHON, str(script), str(clip), payloader, *options],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("listening "), said
            yield int(said.split()[1])
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


@pytest.fixture
def service(farm: object, template: Path, tmp_path: Path) -> Iterator[Service]:
    environment = {"STREAMHUB_DIAL__RETRY_FIRST_S": "0.5", "STREAMHUB_DIAL__RETRY_MAX_S": "1"}
    with running_service(copy_of(template, tmp_path / "data"), environment) as service:
        yield service


@pytest.mark.parametrize("options", [[], ["udp"]], ids=["tcp", "udp"])
async def test_gstreamers_server_is_pulled_and_dialled_again_at_its_end(
    service: Service, tmp_path: Path, options: list[str]
) -> None:
    clip = tmp_path / "clip.mp4"
    make_clip(clip)
    with foreign_server(clip, *options) as port:
        async with service.client("admin") as admin, service.client("yongshun") as client:
            # In another township; the operator gets this one camera alone.
            [elsewhere] = await channels_of(admin, 1, q="11011207")
            url = f"rtsp://127.0.0.1:{port}/camera"
            channel = await add_camera(admin, url, elsewhere["area_id"])
            assert (await client.get(f"/api/v1/channels/{channel['id']}")).status_code == 404
            me = (await client.get("/api/v1/me")).json()
            grant = {
                "subject_id": me["id"],
                "actions": ["list", "live"],
                "channel_id": channel["id"],
            }
            assert (await admin.post("/api/v1/grants", json=grant)).status_code == 201

            viewer = AiortcViewer(client, channel["id"])
            try:
                assert (await viewer.open()).status_code == 201
                async with events_of(client, viewer.location) as events:
                    await viewer.wait_pictures(2 * FPS, PATIENCE_S)
                    live = len(events.states)
                    lost = await events.until("its end", lambda s: s["state"] == "lost", PATIENCE_S)
                    assert lost["reason"] == "closed_by_peer", lost
                    packets, pictures = len(viewer.packets), viewer.pictures
                    await events.until(
                        "again", lambda s: s["state"] == "live", PATIENCE_S, since=live + 1
                    )
                    await viewer.wait_packets(packets + 20, PATIENCE_S)
                    await viewer.wait_pictures(pictures + FPS, PATIENCE_S)
                    assert_unharmed(viewer)
                    steps = [step["step"] for step in events.steps]
                    assert steps.count("play") >= 2
                    assert steps.count("permit") == 1
                assert viewer.size == (WIDTH, HEIGHT)
            finally:
                await viewer.close()
            starts = await audit_rows(admin, "view_start")
            assert [row["channel_id"] for row in starts] == [channel["id"]]
