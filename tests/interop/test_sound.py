"""A camera's G.711 reaches the viewers that asked for it, with the picture, and no others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from streamhub import _core
from support.aiortc_viewer import AiortcViewer, gaps, unwrap
from support.core_viewer import STREAM, CoreViewer
from support.patience import PATIENCE_S, HeldUp

from .farm_process import PASSWORD, Farm, running_farm

TONE_HZ, RATE_HZ = 500, 8000


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    with running_farm("--cameras", "3", password=PASSWORD) as farm:
        yield farm


@pytest.fixture
def core() -> Iterator[_core.Core]:
    core = _core.Core()
    try:
        yield core
    finally:
        core.shutdown(1000)


async def viewer_of(core: _core.Core, name: str, *, sound: bool = True) -> AiortcViewer:
    viewer = CoreViewer(core, name, time.time() + 600)
    viewer.viewer.sound, viewer.viewer.decode = sound, True
    await viewer.open()
    await viewer.viewer.wait_pictures(3, PATIENCE_S)
    return viewer.viewer


def share_of_tone(samples: list[int]) -> float:
    """Of the sound's power, the part within 40 Hz of the tone."""
    power = np.abs(np.fft.rfft(np.array(samples) * np.hanning(len(samples)))) ** 2
    pitch = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    return float(power[abs(pitch - TONE_HZ) < 40].sum() / power[1:].sum())


@pytest.mark.parametrize("law", ["pcma", "pcmu"])
async def test_a_tone_is_heard_by_who_asked_and_by_nobody_else(
    farm: Farm, core: _core.Core, law: str
) -> None:
    url = f"rtsp://127.0.0.1:{farm.port}/sound/{law}/cam/3/sub"
    core.open_source(STREAM, url, "admin", PASSWORD)
    hearing, deaf = await viewer_of(core, "hearing"), await viewer_of(core, "deaf")
    mute = await viewer_of(core, "mute", sound=False)
    try:
        assert hearing.sound_packets == [], "a view begins without sound"
        core.set_viewer_audio("hearing", True)
        core.set_viewer_audio("mute", True)
        core.set_viewer_audio("nobody", True)
        await hearing.wait_sound(150, PATIENCE_S)
        heard = hearing.samples[RATE_HZ // 4 :]
        assert len(heard) > RATE_HZ
        share = share_of_tone(heard[-RATE_HZ:])
        print(f"{law}: {share:.4f} of the power at {TONE_HZ} Hz")
        assert share > 0.98
        assert max(heard) == pytest.approx(6500, rel=0.1)

        packets = list(hearing.sound_packets)
        assert len({packet.ssrc for packet in packets}) == 1
        assert packets[0].ssrc not in {packet.ssrc for packet in hearing.packets}
        assert gaps(packets) == []
        times = unwrap([packet.rtp_ts for packet in packets], 32)
        assert {after - before for before, after in pairwise(times)} == {160}

        # Off: nothing more comes. On again: the numbers go on, and time has passed.
        held_up = HeldUp()
        core.set_viewer_audio("hearing", False)
        rows = core.viewer_stats(["hearing"])
        while rows[0]["audio_on"]:
            await asyncio.sleep(0.01)
            rows = core.viewer_stats(["hearing"])
        sent, pictures = rows[0]["audio_packets"], hearing.pictures
        await hearing.wait_pictures(pictures + 15, PATIENCE_S)
        assert core.viewer_stats(["hearing"])[0]["audio_packets"] == sent
        core.set_viewer_audio("hearing", True)
        await hearing.wait_sound(sent + 20, PATIENCE_S)
        assert gaps(hearing.sound_packets) == []
        before, after = hearing.sound_packets[sent - 1 : sent + 1]
        silent_s = (after.rtp_ts - before.rtp_ts) % 2**32 / RATE_HZ
        assert silent_s == pytest.approx(after.at - before.at, abs=0.3 + held_up.seconds())

        for other in ("deaf", "mute"):
            assert core.viewer_stats([other])[0]["audio_packets"] == 0
        assert deaf.sound_packets == []
        assert gaps(deaf.packets) == gaps(hearing.packets) == gaps(mute.packets) == []
    finally:
        for viewer in (hearing, deaf, mute):
            await viewer.close()


async def test_reports_of_picture_and_sound_name_the_same_moment(
    farm: Farm, core: _core.Core
) -> None:
    url = f"rtsp://127.0.0.1:{farm.port}/sound/pcma/cam/2/sub"
    core.open_source(STREAM, url, "admin", PASSWORD)
    viewer = await viewer_of(core, "hearing")
    try:
        core.set_viewer_audio("hearing", True)
        await viewer.wait_sound(20, PATIENCE_S)
        picture, sound = viewer.packets[-1].ssrc, viewer.sound_packets[-1].ssrc
        viewer.reports.clear()
        held_up = HeldUp()
        deadline = time.monotonic() + PATIENCE_S
        while not {picture, sound} <= set(viewer.reports):
            assert time.monotonic() < deadline, viewer.reports
            await asyncio.sleep(0.01)
        (picture_ntp, picture_ts), (sound_ntp, sound_ts) = (
            viewer.reports[picture],
            viewer.reports[sound],
        )
        assert picture_ntp == sound_ntp
        # What came last is of about that moment, on both clocks.
        for packets, rtp_ts, rate_hz in (
            (viewer.packets, picture_ts, 90_000),
            (viewer.sound_packets, sound_ts, RATE_HZ),
        ):
            off = (packets[-1].rtp_ts - rtp_ts + 2**31) % 2**32 - 2**31
            assert abs(off) / rate_hz < 0.5 + held_up.seconds()
    finally:
        await viewer.close()


def test_a_camera_that_refuses_its_sound_is_still_seen(core: _core.Core, farm: Farm) -> None:
    url = f"rtsp://127.0.0.1:{farm.port}/fault/udp-only/sound/pcma/cam/1/sub"
    core.open_source(STREAM, url, "admin", PASSWORD)
    deadline = time.monotonic() + PATIENCE_S
    while core.source_stats([STREAM])[0]["keyframes"] < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    row = core.source_stats([STREAM])[0]
    assert (row["transport"], row["audio_packets"]) == ("udp", 0)


async def test_a_listener_on_another_shard_hears_too(farm: Farm) -> None:
    core = _core.Core(shards=2)
    url = f"rtsp://127.0.0.1:{farm.port}/sound/pcma/cam/1/sub"
    core.open_source(STREAM, url, "admin", PASSWORD)
    names = [f"v{n}" for n in range(6)]
    viewers = {name: await viewer_of(core, name) for name in names}
    try:
        at = {row["viewer_id"]: row["shard"] for row in core.viewer_stats()}
        assert set(at.values()) == {0, 1}, at
        chosen = {at[name]: name for name in names}
        for name in chosen.values():
            core.set_viewer_audio(name, True)
        for name in chosen.values():
            await viewers[name].wait_sound(60, PATIENCE_S)
            assert gaps(viewers[name].sound_packets) == []
        for name in set(names) - set(chosen.values()):
            assert viewers[name].sound_packets == []
    finally:
        for viewer in viewers.values():
            await viewer.close()
        core.shutdown(1000)
