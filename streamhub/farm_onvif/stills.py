"""The pictures behind GetSnapshotUri: one JPEG of each of the farm's scenes, made at start."""

from __future__ import annotations

from fractions import Fraction

import av

from streamhub import farm_scenes

WIDTH, HEIGHT, FPS = 640, 360, 15


def make_stills() -> tuple[bytes, ...]:
    """JPEG by scene (640x360); a camera shows scene `camera % 4`, as its streams do."""
    return tuple(_jpeg(scene) for scene in range(len(farm_scenes.SCENE_NAMES)))


def _jpeg(scene: int) -> bytes:
    planes = farm_scenes.Scene(scene, WIDTH, HEIGHT, FPS, FPS).picture(0)
    picture = av.VideoFrame.from_ndarray(planes, format="yuv420p").reformat(format="yuvj420p")
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
    encoder.time_base = Fraction(1, FPS)
    # In this order: the picture leaves with the flush.
    return b"".join(bytes(packet) for part in (picture, None) for packet in encoder.encode(part))
