"""Decode workers: real keyframes become JPEGs, and nothing that is fed to them hurts us."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext

from gateways.decode import (
    Busy,
    DecodePool,
    DecodeSettings,
    DecodeTimedOut,
    TooLarge,
    Undecodable,
    WorkerDied,
)
from support.patience import PATIENCE_S


def encoded_keyframe(width: int = 320, height: int = 180, encoder_name: str = "libx264") -> bytes:
    """One IDR access unit with its parameter sets, Annex-B, of a picture brighter to the right."""
    encoder = av.CodecContext.create(encoder_name, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    if encoder_name == "libx264":
        encoder.options |= {"profile": "baseline"}
    else:
        encoder.options |= {"x265-params": "log-level=none"}
    ramp = np.linspace(20, 235, width, dtype=np.uint8)
    pixels = np.repeat(np.tile(ramp, (height, 1))[:, :, None], 3, axis=2)
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    picture.pts = 0
    packets = encoder.encode(picture.reformat(format="yuv420p")) + encoder.encode(None)
    return b"".join(bytes(packet) for packet in packets)


KEYFRAME = encoded_keyframe()


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


@pytest.fixture
async def pool() -> AsyncIterator[DecodePool]:
    pool = DecodePool()
    yield pool
    await pool.close()


@pytest.mark.parametrize(
    ("codec", "encoder"), [("H264", "libx264"), ("H265", "libx265")], ids=["H264", "H265"]
)
async def test_a_keyframe_becomes_a_jpeg_of_the_same_picture(
    pool: DecodePool, codec: str, encoder: str
) -> None:
    keyframe = encoded_keyframe(encoder_name=encoder)
    picture = await pool.decode(keyframe, codec=codec, timeout_s=PATIENCE_S)
    assert (picture.width, picture.height) == (320, 180)
    assert picture.jpeg[:2] == b"\xff\xd8"
    assert picture.jpeg[-2:] == b"\xff\xd9"
    with av.open(io.BytesIO(picture.jpeg)) as container:
        luma = next(container.decode(video=0)).to_ndarray(format="gray")
    assert luma[:, :32].mean() < 60 < 190 < luma[:, -32:].mean()


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00",
        b"not a keyframe at all",
        KEYFRAME[:20],
        b"\x00\x00\x00\x01\x65" + b"\xff" * 999,
    ],
    ids=["nothing", "a zero", "text", "cut off", "a slice without parameter sets"],
)
async def test_garbage_is_refused_and_the_worker_lives(pool: DecodePool, garbage: bytes) -> None:
    await pool.start()
    before = pool.pids
    with pytest.raises(Undecodable):
        await pool.decode(garbage, timeout_s=PATIENCE_S)
    assert pool.pids == before
    assert (await pool.decode(KEYFRAME, timeout_s=PATIENCE_S)).width == 320


async def test_a_killed_worker_is_replaced(pool: DecodePool) -> None:
    await pool.decode(KEYFRAME, timeout_s=PATIENCE_S)
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)
    decoding = asyncio.create_task(pool.decode(KEYFRAME, timeout_s=PATIENCE_S))
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerDied):
        await decoding
    assert (await pool.decode(KEYFRAME, timeout_s=PATIENCE_S)).width == 320
    assert pool.pids != [pid]
    assert pool.replaced_total == 1


async def test_a_worker_that_hangs_is_killed_at_the_deadline(pool: DecodePool) -> None:
    await pool.decode(KEYFRAME, timeout_s=PATIENCE_S)
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(DecodeTimedOut):
        await pool.decode(KEYFRAME, timeout_s=0.2)
    assert not runs(pid)
    assert (await pool.decode(KEYFRAME, timeout_s=PATIENCE_S)).width == 320


async def test_a_full_queue_says_busy_and_too_much_input_says_too_large() -> None:
    pool = DecodePool(DecodeSettings(max_waiting=1, max_input_bytes=len(KEYFRAME)))
    try:
        await pool.decode(KEYFRAME, timeout_s=PATIENCE_S)
        os.kill(pool.pids[0], signal.SIGSTOP)
        first = asyncio.create_task(pool.decode(KEYFRAME, timeout_s=PATIENCE_S))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await pool.decode(KEYFRAME, timeout_s=PATIENCE_S)
        os.kill(pool.pids[0], signal.SIGCONT)
        assert (await first).width == 320
        with pytest.raises(TooLarge):
            await pool.decode(KEYFRAME + b"\x00", timeout_s=PATIENCE_S)
    finally:
        await pool.close()


async def test_workers_are_gone_after_close_and_take_no_secrets_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STREAMHUB_TEST_SECRET", "do not inherit")
    pool = DecodePool()
    await pool.decode(KEYFRAME, timeout_s=PATIENCE_S)
    (pid,) = pool.pids
    assert b"STREAMHUB_TEST_SECRET" not in environment_of(pid)
    assert os.getpriority(os.PRIO_PROCESS, pid) >= 10
    await pool.close()
    assert not runs(pid)
    with pytest.raises(Busy):
        await pool.decode(KEYFRAME, timeout_s=PATIENCE_S)


async def test_a_codec_without_a_decoder_is_undecodable(pool: DecodePool) -> None:
    with pytest.raises(Undecodable):
        await pool.decode(KEYFRAME, codec="MJPEG", timeout_s=PATIENCE_S)
    with pytest.raises(Undecodable):
        await pool.decode(KEYFRAME, codec="H265", timeout_s=PATIENCE_S)
