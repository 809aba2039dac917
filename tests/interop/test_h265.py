"""H.265: the farm's camera and GStreamer's, to a viewer that offers it, and to nobody else."""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateways.decode import DecodePool
from streamhub import _core, farm_scenes
from support.aiortc_viewer import Packet, gaps, unwrap
from support.h265_viewer import access_units, h264_viewer, h265_viewer, pictures_of
from support.patience import PATIENCE_S

from .farm_process import PASSWORD, Farm, running_farm
from .test_foreign_rtsp import foreign_server, make_clip

MAIN, SUB = "ch_1/main", "ch_1/sub"


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    with running_farm("--cameras", "3", password=PASSWORD) as farm:
        yield farm


class Core:
    """A packet core whose events are kept."""

    def __init__(self, shards: int) -> None:
        self.native = _core.Core(shards=shards)
        self.events: list[tuple[str, str, dict[str, Any]]] = []

    def pull(self, stream_id: str, url: str, *, is_ours: bool = True) -> None:
        credentials = ("admin", PASSWORD) if is_ours else (None, None)
        self.native.open_source(stream_id, url, *credentials)

    def answered(self, viewer_id: str, stream_id: str) -> Any:
        """Answers offers by opening this viewer."""

        def answer(offer: str) -> str:
            until = time.time() + 600
            return self.native.open_viewer(viewer_id, stream_id, "ch_1", "su_test", offer, until)

        return answer

    async def until(self, kind: str, owner: str) -> dict[str, Any]:
        """The next event of a kind that has come for `owner`, or comes."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for index, (told, of, fields) in enumerate(self.events):
                if (told, of) == (kind, owner):
                    del self.events[index]
                    return fields
            left = deadline - time.monotonic()
            assert left > 0, f"no {kind} of {owner}: {self.events}"
            await _readable(self.native.event_fd, left)
            self.events += self.native.drain_events(100)


async def _readable(fd: int, timeout_s: float) -> None:
    await asyncio.to_thread(select.select, [fd], [], [], min(timeout_s, 0.5))
    if select.select([fd], [], [], 0)[0]:
        os.eventfd_read(fd)


@contextmanager
def a_core(shards: int = 1) -> Iterator[Core]:
    core = Core(shards)
    try:
        yield core
    finally:
        core.native.shutdown(1000)


def url(farm: Farm, path: str) -> str:
    return f"rtsp://127.0.0.1:{farm.port}/{path}"


def whole_units(packets: list[Packet]) -> list[bytes]:
    """The last one may be cut."""
    last = max(at for at, packet in enumerate(packets) if packet.marker)
    return access_units(packets[: last + 1])


async def test_a_viewer_that_offers_h265_is_sent_what_the_camera_sends(farm: Farm) -> None:
    with a_core() as core:
        core.pull(MAIN, url(farm, "cam/3/main_h265"))
        viewer, names = h265_viewer(core.answered("v", MAIN))
        try:
            await viewer.open()
            live = await core.until("source_live", MAIN)
            assert (live["codec"], live["width"], live["height"]) == ("H265", 1920, 1080)
            assert live["profile"] == 1
            await viewer.wait_packets(1_000, PATIENCE_S)
        finally:
            await viewer.close()
        [row] = core.native.source_stats([MAIN])
        assert row["codec"] == "H265"
        assert row["units_with_b_slices"] == row["packets_lost"] == 0
    packets = viewer.packets
    assert gaps(packets) == []
    assert {packet.payload_type for packet in packets} <= names.numbers
    units = whole_units(packets)
    assert units[0][4] >> 1 == 32, "the VPS comes first"
    pictures = pictures_of(units)
    assert len(pictures) == len(units) > 25
    assert {(picture.width, picture.height) for picture in pictures} == {(1920, 1080)}
    bars = [farm_scenes.read_bar(p.to_ndarray(format="gray")[:1080]) for p in pictures]
    assert None not in bars, "every bar reads"
    assert {bar[0] for bar in bars if bar} == {3}
    numbers = [bar[1] for bar in bars if bar]
    breaks = [(a, b) for a, b in pairwise(numbers) if b != (a + 1) % 250]
    assert len(breaks) <= 1, "only the camera's first group of pictures is cut short"


async def test_a_viewer_without_h265_is_closed_with_the_reason_and_the_next_one_refused(
    farm: Farm,
) -> None:
    with a_core() as core:
        # Both are answered before the camera is known.
        viewer, names = h265_viewer(core.answered("v", MAIN), keep_h264=True)
        offers: list[str] = []

        def answered(offer: str) -> str:
            offers.append(offer)
            return str(core.answered("plain", MAIN)(offer))

        plain = h264_viewer(answered)
        try:
            await viewer.open()
            await plain.open()
            core.pull(MAIN, url(farm, "cam/3/main_h265"))
            closed = await core.until("viewer_closed", "plain")
            assert (closed["cause"], closed["packets"]) == ("no_common_codec", 0)
            assert plain.packets == []
            # Who offers both is sent the camera's, under its own number.
            await viewer.wait_packets(100, PATIENCE_S)
            assert {packet.payload_type for packet in viewer.packets} <= names.numbers
            with pytest.raises(_core.NoCommonCodec) as refused:
                core.answered("again", MAIN)(offers[0])
            sentence, codec = refused.value.args
            assert codec == "H265"
            assert "sends H.265" in sentence
            # After the camera was hung up too.
            core.native.close_source(MAIN)
            with pytest.raises(_core.NoCommonCodec):
                core.answered("later", MAIN)(offers[0])
        finally:
            await viewer.close()
            await plain.close()


async def test_viewers_that_another_shard_serves_are_told_the_same(farm: Farm) -> None:
    with a_core(shards=2) as core:
        offers: list[str] = []

        def answered(offer: str) -> str:
            offers.append(offer)
            return str(core.answered("first", MAIN)(offer))

        first, _ = h265_viewer(answered)
        both, names = h265_viewer(core.answered("both", MAIN))
        plain = h264_viewer(core.answered("plain", MAIN))
        try:
            # The camera's shard has four, so the next viewer goes to the other one; then so again.
            await first.open()
            for name in ("second", "third", "fourth"):
                core.answered(name, MAIN)(offers[0])
            await plain.open()
            core.answered("fifth", MAIN)(offers[0])
            await both.open()
            served_by = {row["viewer_id"]: row["shard"] for row in core.native.viewer_stats()}
            assert served_by["plain"] == served_by["both"] != served_by["first"]
            core.pull(MAIN, url(farm, "cam/3/main_h265"))
            closed = await core.until("viewer_closed", "plain")
            assert (closed["cause"], closed["packets"]) == ("no_common_codec", 0)
            await both.wait_packets(300, PATIENCE_S)
            assert {packet.payload_type for packet in both.packets} <= names.numbers
        finally:
            for viewer in (first, both, plain):
                await viewer.close()


async def test_a_view_goes_over_between_h264_and_h265_and_stays_where_it_may_not(
    farm: Farm,
) -> None:
    with a_core() as core:
        core.pull(SUB, url(farm, "cam/3/sub"))
        both, names = h265_viewer(core.answered("both", SUB), keep_h264=True)
        plain = h264_viewer(core.answered("plain", SUB))
        try:
            await both.open()
            await plain.open()
            await both.wait_packets(20, PATIENCE_S)
            await plain.wait_packets(20, PATIENCE_S)
            for viewer_id in ("both", "plain"):
                core.native.switch_viewer(viewer_id, MAIN)
            core.pull(MAIN, url(farm, "cam/3/main_h265"))
            assert (await core.until("viewer_switched", "both"))["stream_id"] == MAIN
            refused = await core.until("switch_refused", "plain")
            assert (refused["stream_id"], refused["cause"]) == (MAIN, "no_common_codec")
            with pytest.raises(_core.NoCommonCodec):
                core.native.switch_viewer("plain", MAIN)
            seen = len(plain.packets)
            await plain.wait_packets(seen + 40, PATIENCE_S)
            await both.wait_packets(len(both.packets) + 300, PATIENCE_S)
            core.native.switch_viewer("both", SUB)
            assert (await core.until("viewer_switched", "both"))["stream_id"] == SUB
            await both.wait_packets(len(both.packets) + 40, PATIENCE_S)
        finally:
            await both.close()
            await plain.close()
    assert len({packet.payload_type for packet in plain.packets}) == 1
    assert gaps(plain.packets) == gaps(both.packets) == []
    ordered = sorted(both.packets, key=lambda packet: packet.seq)
    assert len({packet.ssrc for packet in ordered}) == 1
    is_h265 = [packet.payload_type in names.numbers for packet in both.packets]
    changes = [at for at, (a, b) in enumerate(pairwise(is_h265), 1) if a != b]
    assert len(changes) == 2, "H.264, H.265, H.264"
    times = unwrap([packet.rtp_ts for packet in both.packets], 32)
    assert times == sorted(times)
    pictures = pictures_of(access_units(both.packets[changes[0] : changes[1]]))
    assert len(pictures) > 10
    assert (pictures[0].width, pictures[0].height) == (1920, 1080)


async def test_a_still_of_an_h265_camera_is_decoded(farm: Farm) -> None:
    pool = DecodePool()
    with a_core() as core:
        core.pull(MAIN, url(farm, "cam/3/main_h265"))
        core.native.take_keyframe("r", MAIN)
        taken = await core.until("keyframe_taken", MAIN)
    assert (taken["codec"], taken["width"], taken["height"]) == ("H265", 1920, 1080)
    try:
        picture = await pool.decode(taken["annexb"], codec=taken["codec"], timeout_s=PATIENCE_S)
    finally:
        await pool.close()
    assert (picture.width, picture.height) == (1920, 1080)


async def test_gstreamers_h265_is_passed_on_too(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    make_clip(clip, encoder="libx265")
    with foreign_server(clip, payloader="rtph265pay") as port, a_core() as core:
        core.pull(MAIN, f"rtsp://127.0.0.1:{port}/camera", is_ours=False)
        viewer, _ = h265_viewer(core.answered("v", MAIN))
        try:
            await viewer.open()
            await viewer.wait_packets(60, PATIENCE_S)
        finally:
            await viewer.close()
    packets = viewer.packets
    assert gaps(packets) == []
    units = whole_units(packets)
    pictures = pictures_of(units)
    assert len(pictures) == len(units) > 10
    assert {(picture.width, picture.height) for picture in pictures} == {(480, 272)}
