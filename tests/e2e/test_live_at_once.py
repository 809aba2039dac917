"""Live at once: a viewer who joins in the middle of a group of pictures sees, a second later, the
same picture as one who has watched for long.

The other has watched for 15 s in the ordinary suite; STREAMHUB_SETTLED_S=60 takes a minute.
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
from playwright.async_api import Browser

from support.district import Service
from support.logged_farm import logged_farm
from support.page import Wall
from support.patience import HeldUp
from support.side_by_side import SideBySide, watch_a_join
from support.watching import add_camera, channels_of

SETTLED_S = float(os.environ.get("STREAMHUB_SETTLED_S", "15"))
PLACES_IN_GOP = (0.1, 0.5, 0.9)
WATCH_MS = 3_500
WINDOW_MS = 400
"""About an instant, a reading per animation frame."""
READINGS_NEEDED = 5
PICTURES_NEEDED = 4
"""Of the six that the slowest stream has in that time."""
BUSY_S = 0.5
"""Of a join's five seconds, what the service waits for a core when others have the machine."""
TRIES = 4
"""A join is judged again only where others had the machine: the service waited for a core, or the
browser did not draw one of the two viewers. One that failed with all of it, or each time, is a
failure."""


@dataclass(frozen=True)
class Stream:
    path: str
    camera: int
    """By the farm's number; 0 for a hazard stream."""
    clip: str
    gop_pictures: int
    loop_pictures: int


STREAMS = {
    "360p": Stream("cam/1/sub", 1, "sub1", 30, 150),
    "1080p": Stream("cam/1/main", 1, "main1", 50, 250),
    "360p, a keyframe in 10 s": Stream("hazard/gop10", 0, "gop10", 150, 300),
}


@pytest.mark.parametrize("name", STREAMS)
async def test_a_second_after_joining_the_picture_is_that_of_a_settled_viewer(
    service: Service, browser: Browser, tmp_path: Path, name: str
) -> None:
    stream = STREAMS[name]
    page = await browser.new_page()
    wall = Wall(page, service)
    with logged_farm(stream.camera, tmp_path / "send.log") as farm:
        async with service.client("admin") as admin:
            [neighbour] = await channels_of(admin, 1)
            channel = await add_camera(admin, farm.url(stream.path), neighbour["area_id"])
        await wall.sign_in("admin")
        await wall.open_channel(channel)
        await wall.wait_decoding()
        await asyncio.sleep(SETTLED_S)  # what is meant: somebody watches for so long
        joins: list[SideBySide] = []
        for place in PLACES_IN_GOP:
            for _ in range(TRIES):
                held_up = HeldUp(*service.pids)
                join = await watch_a_join(
                    page,
                    place_in_gop=place,
                    gop_pictures=stream.gop_pictures,
                    loop_pictures=stream.loop_pictures,
                    watch_ms=WATCH_MS,
                )
                if is_live(join) or (is_drawn(join) and held_up.seconds() <= BUSY_S):
                    break
            joins.append(join)
        sent = farm.sent_unix_ms(stream.clip)
    for place, join in zip(PLACES_IN_GOP, joins, strict=True):
        print(f"\n{name}, joined at {place:.0%} of a GOP: {words(join, sent)}")
        assert is_live(join), join.behind(1_000, 1_000 + WINDOW_MS)


def is_live(join: SideBySide) -> bool:
    """Whether both show the same picture a second after the join. The two are drawn by one busy
    browser: now and then a picture is shown a turn late."""
    second = join.behind(1_000, 1_000 + WINDOW_MS)
    if len(second) < READINGS_NEEDED:
        return False
    timely = sum(abs(behind) <= 1 for behind in second)
    return abs(median(second)) <= 1 and timely >= 0.8 * len(second)


def is_drawn(join: SideBySide) -> bool:
    """Whether the browser drew what either viewer had to show."""
    for drawn in join.drawn.values():
        numbers = [n for after_ms, n in drawn if 1_000 <= after_ms < 1_000 + WINDOW_MS]
        if len(numbers) < READINGS_NEEDED or len(set(numbers)) < PICTURES_NEEDED:
            return False
    return True


def words(join: SideBySide, sent: dict[int, list[float]]) -> str:
    """What was seen, in a line for the record."""
    behind = {
        at: join.behind(at, at + (WINDOW_MS if at >= 1_000 else 100))
        for at in (0, 300, 1_000, 3_000)
    }
    spans = {at: f"{min(b)}..{max(b)}" if b else "-" for at, b in behind.items()}
    late = [r for r in join.readings if r.after_ms >= 1_000]
    settled = glass_delays_ms([(r.at_unix_ms, r.settled) for r in late], sent)
    joined = glass_delays_ms([(r.at_unix_ms, r.joined) for r in late], sent)
    return (
        f"first picture after {join.first_picture_ms:.0f} ms; behind by {spans} pictures; "
        f"glass to glass from 1 s on {median(joined):.0f} ms, settled {median(settled):.0f} ms; "
        f"decode {join.joined['decodeMs']:.1f} ms, dropped {join.joined['dropped']}, "
        f"freezes {join.joined['freezes']}"
    )


def glass_delays_ms(seen: list[tuple[float, int]], sent: dict[int, list[float]]) -> list[float]:
    """Of each picture, from the farm's write to the animation frame that first showed it."""
    delays = []
    for (_, before), (at_unix_ms, number) in pairwise(seen):
        if number != before:
            times = sent[number]
            delays.append(at_unix_ms - times[bisect_right(times, at_unix_ms) - 1])
    return delays
