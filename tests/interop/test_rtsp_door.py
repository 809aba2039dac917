"""Foreign players at the RTSP door of a bare core, and clients that misbehave."""

from __future__ import annotations

import asyncio
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

import av
import numpy as np
import pytest

from streamhub import _core, farm_scenes
from streamhub.access.tickets import MAC_BYTES, PREFIX
from support.certificates import MadeCertificate, make_certificate
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

    @property
    def place(self) -> str:
        core = self.core
        by_tls = core.rtsps_port is not None
        return (
            f"rtsps://127.0.0.1:{core.rtsps_port}"
            if by_tls
            else (f"rtsp://127.0.0.1:{core.rtsp_port}")
        )

    def pull(self, stream_id: str, farm: Farm, path: str) -> None:
        url = f"rtsp://127.0.0.1:{farm.port}{path}"
        self.core.open_source(stream_id, url, "admin", PASSWORD)

    def address(self, stream_id: str) -> str:
        return f"{self.place}/{stream_id}"

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
def a_door(
    *, tls: MadeCertificate | None = None, shards: int = 1, **settings: Any
) -> Iterator[Door]:
    """In the clear, or by TLS alone."""
    where = "127.0.0.1:0"
    core = _core.Core(
        rtsp_key=KEY,
        shards=shards,
        rtsp_listen=where if tls is None else None,
        rtsps_listen=None if tls is None else where,
        rtsps_identity=None if tls is None else (tls.certificate, tls.key),
    )
    door = Door(core, **settings)
    over = threading.Event()
    thread = threading.Thread(target=door.answer, args=(over,))
    thread.start()
    try:
        yield door
    finally:
        over.set()
        thread.join()
        door.core.shutdown(1000)


def running_numbers(pictures: list[np.ndarray[Any, Any]]) -> int:
    """How many there are: each bar reads, and but for the camera's first group of pictures, which
    is cut short, each follows the one before."""
    bars = [farm_scenes.read_bar(picture) for picture in pictures]
    numbers = [bar[1] for bar in bars if bar]
    assert len(numbers) == len(bars), "every bar reads"
    breaks = [(a, b) for a, b in pairwise(numbers) if b != (a + 1) % 250]
    assert len(breaks) <= 1, breaks
    return len(numbers)


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
    assert running_numbers(list(pictures)) == 60


def by_s_client(port: int, *options: str) -> str:
    """What OpenSSL's client says of a handshake."""
    place = f"127.0.0.1:{port}"
    command = ["openssl", "s_client", "-connect", place, "-brief", *options]
    shaken = subprocess.run(
        command, input="", capture_output=True, text=True, timeout=60, check=False
    )
    return shaken.stdout + shaken.stderr


def test_by_tls_players_decode_from_every_shard(farm: Farm) -> None:
    made = make_certificate()
    with a_door(tls=made, shards=2) as door:
        assert door.core.rtsp_port is None
        streams = ["ch_a/sub", "ch_b/sub", "ch_c/sub", "ch_d/sub"]
        shards = set()
        for number, stream_id in enumerate(streams):
            door.pull(stream_id, farm, f"/cam/{number + 1}/sub")
            url = door.url(stream_id)
            options = {"rtsp_transport": "tcp"}
            with av.open(url, options=options, timeout=60) as container:
                decoded = container.decode(video=0)
                pictures = [next(decoded).to_ndarray(format="gray")[:360] for _ in range(30)]
                [row] = door.core.viewer_stats([f"viewer-{number + 1}"])
            assert running_numbers(pictures) == 30
            assert row["transport"] == "rtsps"
            shards.add(row["shard"])
        assert shards == {0, 1}, "a connection that was handed over brings its TLS with it"
        command = ["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", door.url("ch_a/sub")]
        command += ["-frames:v", "60", "-fps_mode", "passthrough"]
        command += ["-f", "rawvideo", "-pix_fmt", "gray", "-"]
        played = subprocess.run(command, capture_output=True, timeout=120, check=False)
        assert played.returncode == 0, played.stderr.decode()
        pictures = list(np.frombuffer(played.stdout, np.uint8).reshape(-1, 360, 640))
        assert running_numbers(pictures) == 60
        assert door.core.stats()["counters"]["rtsps_handshakes_failed"] == 0


async def test_a_new_certificate_is_shown_and_who_plays_goes_on(farm: Farm, tmp_path: Path) -> None:
    first, second = make_certificate(), make_certificate()
    trusted = tmp_path / "second.crt"
    trusted.write_bytes(second.certificate)
    wanted = ("-CAfile", str(trusted), "-verify_return_error")
    with a_door(tls=first) as door:
        door.pull("ch_a/sub", farm, "/cam/7/sub")
        viewer = door.viewer("ch_a/sub")
        await viewer.play()
        port = door.core.rtsps_port
        assert port is not None
        assert "verify error" in await asyncio.to_thread(by_s_client, port, *wanted)
        with pytest.raises(_core.BadIdentity, match="can't be used together"):
            door.core.set_rtsp_identity(second.certificate, first.key)
        door.core.set_rtsp_identity(second.certificate, second.key)
        for version in ("-tls1_2", "-tls1_3"):
            said = await asyncio.to_thread(by_s_client, port, version, *wanted)
            assert "Verification: OK" in said, said
        before = len(viewer.packets)
        await eventually("the picture goes on", lambda: len(viewer.packets) > before + 30, 30)
        await viewer.close()


async def test_who_speaks_no_tls_is_closed_and_harms_nobody(farm: Farm) -> None:
    with a_door(tls=make_certificate()) as door:
        door.pull("ch_a/sub", farm, "/cam/7/sub")
        viewer = door.viewer("ch_a/sub")
        await viewer.play()
        address = ("127.0.0.1", door.core.rtsps_port)
        others = [socket.create_connection(address) for _ in range(20)]
        for each in others:
            each.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        counters = lambda: door.core.stats()["counters"]  # noqa: E731
        await eventually("they are closed", lambda: counters()["rtsps_handshakes_failed"] == 20)
        before = len(viewer.packets)
        await eventually("the picture goes on", lambda: len(viewer.packets) > before + 30, 30)
        assert counters()["worker_faults"] == 0
        for each in others:
            each.close()
        await viewer.close()


@pytest.mark.parametrize("by_tls", [False, True])
async def test_who_reads_nothing_loses_whole_pictures_and_the_others_none(
    farm: Farm, by_tls: bool
) -> None:
    with a_door(tls=make_certificate() if by_tls else None) as door:
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
    with a_door(lease_s=8.0) as door:  # the camera's first packet comes within it
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
