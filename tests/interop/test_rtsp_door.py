"""Foreign players at the RTSP door of a bare core, and clients that misbehave."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamhub import _core, farm_scenes
from streamhub.access.tickets import MAC_BYTES, PREFIX
from support.district import eventually
from support.patience import PATIENCE_S
from support.rtsp_viewer import RtspViewer

from .farm_process import PASSWORD, Farm, running_farm

DEBIAN_PYTHON = "/usr/bin/python3"
KEY = bytes(range(32))
LEASE_S = 300.0
STUCK_S = 4.0


def ticket(channel_id: str, profile: str) -> str:
    claims = f"{PREFIX}.{int(time.time()) + 600}.aaaabbbb.{profile}.{channel_id}.su_x.1"
    mac = hmac.digest(KEY, claims.encode(), hashlib.sha256)[:MAC_BYTES]
    return f"{claims}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@dataclass
class Door:
    """A core whose every client is let in, by a thread that stands for the control plane."""

    core: _core.Core
    lets_in: bool = True
    lease_s: float = LEASE_S
    asked: int = 0
    events: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def pull(self, stream_id: str, farm: Farm, path: str) -> None:
        url = f"rtsp://127.0.0.1:{farm.port}{path}"
        self.core.open_source(stream_id, url, "admin", PASSWORD)

    def address(self, stream_id: str) -> str:
        return f"rtsp://127.0.0.1:{self.core.rtsp_port}/{stream_id}"

    def viewer(self, stream_id: str) -> RtspViewer:
        return RtspViewer(self.address(stream_id), ticket(*stream_id.split("/")))

    def url(self, stream_id: str) -> str:
        return f"{self.address(stream_id)}?ticket={ticket(*stream_id.split('/'))}"

    def answer(self, over: threading.Event) -> None:
        while not over.wait(0.01):
            for kind, owner, fields in self.core.drain_events(256):
                self.events.append((kind, owner, fields))
                if kind == "rtsp_asked" and self.lets_in:
                    self.asked += 1
                    stream_id = f"{fields['channel_id']}/{fields['profile']}"
                    until = time.time() + self.lease_s
                    viewer_id = f"viewer-{self.asked}"
                    self.core.accept_rtsp(
                        owner, viewer_id, stream_id, fields["channel_id"], "su_x", until
                    )

    def causes(self) -> list[str]:
        return [fields["cause"] for kind, _, fields in self.events if kind == "viewer_closed"]


@contextmanager
def a_door(**settings: Any) -> Iterator[Door]:
    door = Door(_core.Core(rtsp_listen="127.0.0.1:0", rtsp_key=KEY), **settings)
    over = threading.Event()
    thread = threading.Thread(target=door.answer, args=(over,))
    thread.start()
    try:
        yield door
    finally:
        over.set()
        thread.join()
        door.core.shutdown(1000)


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    with running_farm("--cameras", "20", password=PASSWORD) as farm:
        yield farm


def test_gstreamer_asks_for_udp_and_is_content_with_tcp(farm: Farm) -> None:
    script = Path(__file__).with_name("gst_rtsp_client.py")
    with a_door() as door:
        door.pull("ch_a/sub", farm, "/cam/7/sub")
        command = [DEBIAN_PYTHON, str(script), door.url("ch_a/sub"), "60"]
        played = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert played.returncode == 0, played.stderr
        seen = json.loads(played.stdout)
    assert seen["error"] == ""
    assert seen["units"] >= 60
    assert seen["keyframes"] >= 2
    assert "profile=(string)constrained-baseline" in seen["caps"], seen["caps"]
    assert seen["times"] == sorted(seen["times"])


def test_ffmpeg_decodes_h265(farm: Farm) -> None:
    with a_door() as door:
        door.pull("ch_a/main", farm, "/cam/3/main_h265")
        command = ["ffmpeg", "-v", "error", "-i", door.url("ch_a/main"), "-frames:v", "60"]
        command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
        played = subprocess.run(command, capture_output=True, timeout=120, check=False)
        assert played.returncode == 0, played.stderr.decode()
    pictures = np.frombuffer(played.stdout, np.uint8).reshape(-1, 1080, 1920)
    bars = [farm_scenes.read_bar(picture) for picture in pictures]
    numbers = [bar[1] for bar in bars if bar]
    assert len(numbers) == len(bars) == 60, "every bar reads"
    breaks = [(a, b) for a, b in pairwise(numbers) if b != (a + 1) % 250]
    assert len(breaks) <= 1, "only the camera's first group of pictures is cut short"


async def test_who_reads_nothing_loses_whole_pictures_and_the_others_none(farm: Farm) -> None:
    with a_door() as door:
        door.pull("ch_a/main", farm, "/cam/7/main")
        stuck, good = door.viewer("ch_a/main"), door.viewer("ch_a/main")
        stuck.receive_buffer_bytes = 64 << 10
        await stuck.play()
        await good.play()
        assert stuck.transport is not None
        stuck.transport.pause_reading()

        last, since = 0, time.monotonic()

        def stands_still() -> bool:
            """Nothing more is made for it, for longer than a group of pictures."""
            nonlocal last, since
            [row] = door.core.viewer_stats(["viewer-1"])
            if row["packets"] != last:
                last, since = row["packets"], time.monotonic()
            return time.monotonic() > since + STUCK_S

        await eventually("nothing more is made for the stuck one", stands_still, 50)
        before = len(stuck.packets)
        stuck.transport.resume_reading()
        await eventually("it goes on", lambda: len(stuck.packets) > before + 900, 50)
        [row] = door.core.viewer_stats(["viewer-1"])
        assert row["dropped_units"] > 0
        [row] = door.core.viewer_stats(["viewer-2"])
        assert row["dropped_units"] == 0
        await stuck.close()
        await good.close()
    for viewer in (stuck, good):
        seqs = [int.from_bytes(packet[2:4], "big") for _, packet in viewer.packets]
        assert {(b - a) % 65536 for a, b in pairwise(seqs)} == {1}, "drops come before the number"


async def test_no_word_is_504_and_a_lease_that_nobody_renews_ends(farm: Farm) -> None:
    with a_door(lets_in=False) as door:
        door.pull("ch_a/sub", farm, "/cam/7/sub")
        viewer = door.viewer("ch_a/sub")
        await viewer.connect()
        assert (await viewer.describe()).status == 504
        await viewer.close()
    with a_door(lease_s=4.0) as door:
        door.pull("ch_a/sub", farm, "/cam/7/sub")
        viewer = door.viewer("ch_a/sub")
        await viewer.play()
        await viewer.wait_end()
        await eventually("it is said", lambda: door.causes() == ["lease_expired"])
        await viewer.close()


async def test_half_requests_garbage_and_a_hundred_silent_ones_do_no_harm(farm: Farm) -> None:
    with a_door() as door:
        door.pull("ch_a/sub", farm, "/cam/7/sub")
        viewer = door.viewer("ch_a/sub")
        await viewer.play()
        address = ("127.0.0.1", door.core.rtsp_port)
        sockets = [socket.create_connection(address) for _ in range(100)]
        for number, each in enumerate(sockets):
            if number % 3 == 0:
                each.sendall(b"DESCRIBE rtsp://x/ch_a/sub RTSP/1.0\r\nCSe")
            elif number % 3 == 1:
                each.sendall(bytes(range(256)) * 8)
        # Of one address 64 may be there without a ticket: garbage ends some, others are refused.
        ended = lambda: door.core.stats()["counters"]["rtsp_refused"]  # noqa: E731
        await eventually("some are refused", lambda: ended() > 0)
        before = len(viewer.packets)
        await eventually("the picture goes on", lambda: len(viewer.packets) > before + 30)
        for each in sockets:
            each.close()
        assert door.core.stats()["counters"]["worker_faults"] == 0
        await viewer.close()
