"""The farm's clips: the bar survives encoding, the cache is keyed by the recipe."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamhub import farm_scenes
from streamhub.farm_clips import Recipe, cache_key, ensure_clips, read_index, recipes

TINY = Recipe("tiny", 2, 320, 180, 10, 200_000, 10, loop_s=2)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_clips(tmp_path_factory.mktemp("clips"), [TINY])


def _packets(clips: Path) -> list[av.Packet]:
    stream = (clips / "tiny.h264").read_bytes()
    packets = []
    for unit in read_index(clips / "tiny.index"):
        packet = av.Packet(stream[unit.offset_bytes : unit.offset_bytes + unit.size_bytes])
        packet.pts = packet.dts = unit.picture
        packet.time_base = Fraction(1, TINY.fps)
        packets.append(packet)
    return packets


def test_every_picture_number_reads_back_after_decoding(clips: Path) -> None:
    decoder = av.CodecContext.create("h264", "r")
    pictures = [picture for packet in _packets(clips) for picture in decoder.decode(packet)]
    pictures += decoder.decode(None)
    bars = [
        farm_scenes.read_bar(picture.to_ndarray(format="gray")[: TINY.height])
        for picture in pictures
    ]
    assert bars == [(TINY.scene, number) for number in range(TINY.pictures)]


def test_the_index_covers_the_stream_and_its_groups_of_pictures(clips: Path) -> None:
    units = read_index(clips / "tiny.index")
    end = 0
    for unit in units:
        assert unit.offset_bytes == end
        end += unit.size_bytes
    assert end == (clips / "tiny.h264").stat().st_size
    assert [unit.picture for unit in units if unit.keyframe] == [0, 10]
    assert len(units) == TINY.pictures


def test_a_second_call_finds_the_clips_and_another_recipe_does_not(clips: Path) -> None:
    def on_progress(done: int, total: int) -> None:
        raise AssertionError("encoded again")

    assert ensure_clips(clips.parent, [TINY], on_progress) == clips
    assert cache_key([replace(TINY, bitrate_bps=1)]) != cache_key([TINY])


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    recipe = replace(TINY, loop_s=1)
    ensure_clips(tmp_path, [recipe], lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == recipe.pictures + recipe.lead_in_pictures
    assert [path.suffix for path in tmp_path.iterdir()] == [""], "nothing half-made is left"


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.index"
    path.write_text("something else\n")
    with pytest.raises(ValueError, match="not a clip index"):
        read_index(path)


def test_the_recipes_are_those_the_farm_serves() -> None:
    by_name = {recipe.name: recipe for recipe in recipes()}
    assert len(by_name) == len(recipes())
    main, sub = by_name["main3"], by_name["sub3"]
    assert (main.width, main.height, main.fps, main.bitrate_bps) == (1920, 1080, 25, 4_000_000)
    assert (sub.width, sub.height, sub.fps, sub.bitrate_bps) == (640, 360, 15, 512_000)
    assert main.gop_pictures / main.fps == sub.gop_pictures / sub.fps == 2
    assert by_name["gop10"].gop_pictures / by_name["gop10"].fps == 10
    assert all(90_000 % recipe.fps == 0 for recipe in recipes()), "whole ticks a picture"


@pytest.mark.parametrize("level", [16, 128, 235])
def test_a_plain_picture_has_no_number(level: int) -> None:
    assert farm_scenes.read_bar(np.full((360, 640), level, np.uint8)) is None


def test_a_single_wrong_cell_is_noticed() -> None:
    canvas = farm_scenes.Canvas(640, 360)
    word = farm_scenes.bar_word(3, 149)
    canvas.bar(word)
    assert farm_scenes.read_bar(canvas.y) == (3, 149)
    for cell in range(farm_scenes.BAR_CELLS):
        canvas.bar(word ^ 1 << cell)
        assert farm_scenes.read_bar(canvas.y) is None
