"""Foreign readers of the farm: ffprobe and ffmpeg over interleaved TCP and by UDP, with digest."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import av
import pytest

from streamhub import farm_scenes
from support.patience import KernelDrops

from .farm_process import PASSWORD, Farm, running_farm

SEI_UUID = b"streamHub-farm-1"


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    with running_farm("--cameras", "50", password=PASSWORD) as farm:
        yield farm


def _ffprobe(url: str, *options: str) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-of", "json", *options, url]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    shown: dict[str, Any] = json.loads(result.stdout)
    return shown


@pytest.mark.parametrize(
    ("path", "codec", "profile", "width", "height", "fps", "reordered"),
    [
        ("/cam/1/main", "h264", "Constrained Baseline", 1920, 1080, 25, 0),
        ("/cam/2/main", "h264", "Constrained Baseline", 1920, 1080, 25, 0),
        ("/cam/3/sub", "h264", "Constrained Baseline", 640, 360, 15, 0),
        ("/cam/50/sub", "h264", "Constrained Baseline", 640, 360, 15, 0),
        ("/hazard/slices4", "h264", "Constrained Baseline", 1920, 1080, 25, 0),
        ("/hazard/gop10", "h264", "Constrained Baseline", 640, 360, 15, 0),
        ("/hazard/bframes", "h264", "Main", 640, 360, 15, 2),
        ("/cam/7/main_h265", "hevc", "Main", 1920, 1080, 25, 0),
    ],
)
def test_ffprobe_names_what_is_sent(
    farm: Farm,
    path: str,
    codec: str,
    profile: str,
    width: int,
    height: int,
    fps: int,
    reordered: int,
) -> None:
    (stream,) = _ffprobe(farm.url(path), "-show_streams")["streams"]
    assert (stream["codec_name"], stream["profile"]) == (codec, profile)
    assert (stream["width"], stream["height"]) == (width, height)
    assert stream["r_frame_rate"] == f"{fps}/1"
    assert stream["has_b_frames"] == reordered


@pytest.mark.parametrize(
    ("path", "fps", "bitrate_bps", "keyframe_bytes"),
    [
        ("/cam/1/main", 25, 4_000_000, (120_000, 250_000)),
        ("/cam/3/sub", 15, 512_000, (10_000, 40_000)),
    ],
)
def test_groups_of_pictures_are_2_s_and_keyframes_of_a_camera_s_size(
    farm: Farm, path: str, fps: int, bitrate_bps: int, keyframe_bytes: tuple[int, int]
) -> None:
    shown = _ffprobe(farm.url(path), "-show_packets", "-read_intervals", "%+6.5")
    # The first group is cut short (PLAY starts with a keyframe at once), so look from the second.
    packets = shown["packets"]
    keyframes = [i for i, packet in enumerate(packets) if packet["flags"].startswith("K")]
    assert keyframes[0] == 0
    whole = keyframes[1:]
    assert len(whole) >= 2
    for first, second in pairwise(whole):
        assert second - first == 2 * fps
        group = packets[first:second]
        assert sum(int(packet["size"]) for packet in group) == pytest.approx(
            bitrate_bps / 4, rel=0.25
        )
        assert float(packets[second]["pts_time"]) - float(packets[first]["pts_time"]) == (
            pytest.approx(2, abs=0.001)
        )
    for index in keyframes:
        assert keyframe_bytes[0] <= int(packets[index]["size"]) <= keyframe_bytes[1]


def test_ffmpeg_decodes_two_seconds_without_a_complaint(farm: Farm) -> None:
    for path in ("/cam/9/main", "/cam/9/main_h265", "/hazard/slices4", "/hazard/bframes"):
        command = ["ffmpeg", "-v", "warning", "-rtsp_transport", "tcp", "-i", farm.url(path)]
        command += ["-t", "2", "-f", "null", "-"]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        assert result.stderr == ""


@pytest.mark.parametrize("path", ["/cam/9/sub", "/cam/9/main", "/fault/udp-only/cam/8/main"])
def test_ffmpeg_decodes_what_comes_by_udp_without_a_complaint(farm: Farm, path: str) -> None:
    command = ["ffmpeg", "-v", "warning", "-rtsp_transport", "udp", "-buffer_size", "8388608"]
    command += ["-i", farm.url(path), "-t", "2", "-f", "null", "-"]
    for _ in range(3):
        drops = KernelDrops()
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        if not drops.count():  # else it says what is true, and nothing of the farm
            break
    assert result.stderr == ""


def test_a_camera_that_sends_by_udp_only_refuses_tcp(farm: Farm) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        _ffprobe(farm.url("/fault/udp-only/cam/1/sub"))
    assert "461" in refused.value.stderr


def _nals(packet: bytes) -> list[bytes]:
    return [nal for nal in packet.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if nal]


def test_pictures_carry_numbers_in_a_row_and_units_their_camera_and_time(farm: Farm) -> None:
    camera, loop = 6, 150
    with av.open(farm.url(f"/cam/{camera}/sub"), options={"rtsp_transport": "tcp"}) as source:
        numbers = []
        for packet in source.demux(video=0):
            sei = [nal for nal in _nals(bytes(packet)) if nal[0] & 0x1F == 6]
            assert len(sei) == 1
            data = sei[0].replace(b"\0\0\3", b"\0\0")
            assert data[1:19] == b"\x05\x1c" + SEI_UUID
            assert int.from_bytes(data[19:23], "big") == camera
            sent_s = int.from_bytes(data[23:31], "big") / 1e6
            assert -1 < time.time() - sent_s < 30
            for picture in packet.decode():
                luma = picture.to_ndarray(format="gray")
                numbers.append(farm_scenes.read_bar(luma))
            if len(numbers) >= 50:
                break
    scenes, pictures = zip(*(number for number in numbers if number is not None), strict=True)
    assert len(pictures) == len(numbers), "every bar reads"
    assert set(scenes) == {camera % 4}
    breaks = [(a, b) for a, b in pairwise(pictures) if b != (a + 1) % loop]
    assert len(breaks) <= 1, "only the first group of pictures is cut short"
    assert all(after % 30 == 0 for _, after in breaks)


def test_four_slices_are_four(farm: Farm) -> None:
    with av.open(farm.url("/hazard/slices4"), options={"rtsp_transport": "tcp"}) as source:
        for packet in source.demux(video=0):
            slices = [nal for nal in _nals(bytes(packet)) if nal[0] & 0x1F in (1, 5)]
            assert len(slices) == 4
            if packet.pts is not None and packet.is_keyframe:
                break


def test_the_password_is_asked_for(farm: Farm) -> None:
    for url in (f"rtsp://127.0.0.1:{farm.port}/cam/1/sub", farm.url("/cam/1/sub", "wrong")):
        with pytest.raises(subprocess.CalledProcessError) as refused:
            _ffprobe(url)
        assert "401 Unauthorized" in refused.value.stderr


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/cam/51/sub", "404 Not Found"),
        ("/cam/0/sub", "404 Not Found"),
        ("/fault/not-found/cam/1/sub", "404 Not Found"),
        ("/fault/unauthorized/cam/1/sub", "401 Unauthorized"),
    ],
)
def test_what_is_refused_is_refused_by_its_status(farm: Farm, path: str, said: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        _ffprobe(farm.url(path))
    assert said in refused.value.stderr
