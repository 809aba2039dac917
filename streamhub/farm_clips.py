"""The clips the camera simulator plays: encoded once by libx264 or libx265, then cached by recipe.

Belongs here: recipes, encoding, the cache and its index files. Does not: what the pictures show
(`streamhub.farm_scenes`) and how they are sent (`core/farm`). Called by `streamhub farm`, by
`make demo` and by tests.

A clip is two files in one directory: `<name>.h264` or `<name>.h265`, an Annex-B byte stream, and
`<name>.index`, lines of text (see docs/farm.md, "The clip files"), one for each access unit.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from streamhub import farm_scenes

INDEX_HEADER = "streamhub-clip 1"
LOOP_S = 10


@dataclass(frozen=True)
class Recipe:
    """How one clip is made; every field takes part in the cache's key."""

    name: str
    scene: int
    width: int
    height: int
    fps: int
    bitrate_bps: int
    gop_pictures: int
    loop_s: int = LOOP_S
    profile: str = "baseline"  # libx264's baseline sets constraint_set1: Constrained Baseline
    slices: int = 1
    b_pictures: int = 0
    codec: str = "h264"  # or h265

    @property
    def pictures(self) -> int:
        return self.loop_s * self.fps

    @property
    def lead_in_pictures(self) -> int:
        """Pictures encoded before the loop and thrown away: rate control starts with a guess,
        and two groups of pictures later all keyframes are of a kind."""
        return 2 * self.gop_pictures


@dataclass(frozen=True)
class ClipUnit:
    """One access unit of an index: its bytes in the file and its place in display order."""

    offset_bytes: int
    size_bytes: int
    keyframe: bool
    picture: int


def recipes() -> tuple[Recipe, ...]:
    """Every clip of the farm: four scenes as main and sub, and the hazard clips."""
    scenes = range(len(farm_scenes.SCENE_NAMES))
    return (
        *(Recipe(f"main{s}", s, 1920, 1080, 25, 4_000_000, 50) for s in scenes),
        *(Recipe(f"sub{s}", s, 640, 360, 15, 512_000, 30) for s in scenes),
        Recipe("slices4", 0, 1920, 1080, 25, 4_000_000, 50, loop_s=4, slices=4),
        Recipe("gop10", 1, 640, 360, 15, 512_000, 150, loop_s=20),
        Recipe("main_h265", 3, 1920, 1080, 25, 3_000_000, 50, profile="main", codec="h265"),
        Recipe("bframes", 2, 640, 360, 15, 512_000, 30, profile="main", b_pictures=2),
    )


def cache_key(wanted: Iterable[Recipe]) -> str:
    """A hash over the recipes and the code that draws and encodes them."""
    digest = hashlib.sha256(json.dumps([asdict(r) for r in wanted], sort_keys=True).encode())
    for module_file in (__file__, farm_scenes.__file__):
        # The syntax tree, so that a comment costs nobody a minute of encoding.
        tree = ast.parse(Path(module_file).read_text(encoding="utf-8"))
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()[:16]


def read_index(path: Path) -> list[ClipUnit]:
    """Read the access units of `<name>.index`, in the order in which they are sent."""
    lines = path.read_text(encoding="ascii").splitlines()
    if not lines or lines[0] != INDEX_HEADER:
        raise ValueError(f"{path} is not a clip index")
    units = []
    for line in lines[1:]:
        key, *values = line.split()
        if key == "unit":
            offset, size, keyframe, picture = map(int, values)
            units.append(ClipUnit(offset, size, bool(keyframe), picture))
    return units


def _open_encoder(recipe: Recipe) -> av.VideoCodecContext:
    encoder = av.CodecContext.create("libx265" if recipe.codec == "h265" else "libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = recipe.width, recipe.height, "yuv420p"
    encoder.framerate = Fraction(recipe.fps)
    encoder.time_base = Fraction(1, recipe.fps)
    encoder.bit_rate = recipe.bitrate_bps
    encoder.gop_size = recipe.gop_pictures
    encoder.thread_count = 1  # one clip a core; also makes the same clip each time
    x264: dict[str, object] = {
        "keyint": recipe.gop_pictures,
        "min-keyint": recipe.gop_pictures,
        "scenecut": 0,
        "open-gop": 0,
        "bframes": recipe.b_pictures,
        "b-adapt": 0,
        "slices": recipe.slices,
        "sliced-threads": 0,
        "force-cfr": 1,
        # A camera's rate control: no look-ahead, and a tight buffer (0.75 s) that
        # bounds what a keyframe takes: at 4 Mbit/s, 120 to 250 kB (tests measure them).
        "rc-lookahead": 0,
        "mbtree": 0,
        "vbv-maxrate": recipe.bitrate_bps // 1000,
        "vbv-bufsize": recipe.bitrate_bps * 75 // 100_000,
    }
    encoder.options = {"preset": "superfast", "profile": recipe.profile}
    if recipe.codec == "h265":
        x265 = {key: value for key, value in x264.items() if key in _X265_TAKES}
        # Without frame threads: the same clip each time, and no pictures held back.
        x265 |= {"frame-threads": 1, "pools": "none", "wpp": 0, "log-level": "none"}
        encoder.options |= {"x265-params": _joined(x265)}
    else:
        encoder.options |= {"x264-params": _joined(x264)}
    return encoder


_X265_TAKES = {"keyint", "min-keyint", "scenecut", "open-gop", "bframes", "b-adapt", "slices"}
_X265_TAKES |= {"rc-lookahead", "vbv-maxrate", "vbv-bufsize"}


def _joined(params: Mapping[str, object]) -> str:
    return ":".join(f"{key}={value}" for key, value in params.items())


def _encode(recipe: Recipe, directory: Path, on_picture: Callable[[], None]) -> None:
    scene = farm_scenes.Scene(
        recipe.scene, recipe.width, recipe.height, recipe.fps, recipe.pictures
    )
    encoder = _open_encoder(recipe)
    index = [
        INDEX_HEADER,
        f"codec {recipe.codec}",
        f"size {recipe.width} {recipe.height}",
        f"fps {recipe.fps}",
        f"pictures {recipe.pictures}",
    ]
    offset = 0
    with (directory / f"{recipe.name}.{recipe.codec}").open("wb") as stream:

        def keep(packets: Iterable[Any]) -> None:
            nonlocal offset
            for packet in packets:
                if packet.pts < 0:
                    continue
                data = bytes(packet)
                stream.write(data)
                index.append(f"unit {offset} {len(data)} {int(packet.is_keyframe)} {packet.pts}")
                offset += len(data)

        for number in range(-recipe.lead_in_pictures, recipe.pictures):
            planes = scene.picture(number % recipe.pictures)
            picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            picture.pts, picture.time_base = number, encoder.time_base
            keep(encoder.encode(picture))
            on_picture()
        keep(encoder.encode(None))
    (directory / f"{recipe.name}.index").write_text("\n".join(index) + "\n", encoding="ascii")


def ensure_clips(
    cache_dir: Path,
    wanted: Iterable[Recipe] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Return the directory that holds the clips, encoding them first when it is not there.

    `on_progress(done, total)` counts encoded pictures and is called from worker threads. Two
    processes may do this at once: the directory appears whole, by one rename. Raises OSError
    when the cache cannot be written.
    """
    wanted = tuple(recipes() if wanted is None else wanted)
    ready = cache_dir / cache_key(wanted)
    if ready.is_dir():
        return ready
    making = cache_dir / f"{ready.name}.{os.getpid()}.making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    total, done = sum(recipe.pictures + recipe.lead_in_pictures for recipe in wanted), 0

    def count() -> None:
        nonlocal done
        done += 1  # A display: a count lost between two threads does no harm.
        if on_progress is not None:
            on_progress(min(done, total), total)

    try:
        with ThreadPoolExecutor(max_workers=max(os.cpu_count() or 1, 1)) as pool:
            # The long ones first, so that the cores finish together.
            order = sorted(wanted, key=lambda r: -r.pictures * r.width * r.height)
            for job in as_completed([pool.submit(_encode, r, making, count) for r in order]):
                job.result()
        try:
            making.rename(ready)
        except OSError:
            if not ready.is_dir():
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return ready
