"""The soak's plan and its arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamhub.bench.soak import (
    LONG_FAULTS,
    MAX_SLOPE_BYTES_PER_MINUTE,
    SHORT_FAULTS,
    WELL_AFTER_SHORT_S,
    Change,
    Sample,
    complaints,
    percentiles_ms,
    recoveries_ms,
    schedule,
    slope_bytes_per_minute,
)

CAMERAS = range(100, 120)
ROOT = Path(__file__).resolve().parents[2]


def test_the_farm_knows_every_fault_of_the_plan() -> None:
    known = (ROOT / "core" / "farm" / "src" / "fault.rs").read_text(encoding="utf-8")
    for fault in (*SHORT_FAULTS, *LONG_FAULTS, "none"):
        assert fault == "none" or f'"{fault}"' in known


def test_a_seed_makes_the_same_faults_and_all_cameras_are_well_at_the_end() -> None:
    changes = schedule(1, CAMERAS, 600)
    assert changes == schedule(1, CAMERAS, 600)
    assert changes != schedule(2, CAMERAS, 600)
    assert {change.fault for change in changes} > {"none", "silent", "reset", "mute-accept"}
    for camera in CAMERAS:
        course = [change for change in changes if change.camera == camera]
        assert [change.heals for change in course] == [False, True] * (len(course) // 2)
        assert course[-1].at_s <= 600 - WELL_AFTER_SHORT_S[0]


def test_recovery_runs_from_the_healing_to_the_first_packet_of_each_viewer() -> None:
    changes = [
        Change(10, 1, "silent"),
        Change(12, 1, "none"),
        Change(20, 2, "reset"),
        Change(22, 2, "none"),
        Change(40, 1, "reset"),
        Change(45, 1, "none"),
        Change(60, 2, "silent"),
    ]
    silences = {
        1: [(10_000, 13_000), (10_010, 12_500), (40_000, 47_000), (5_000, 6_500)],
        2: [(20_100, 24_000)],
    }
    both = ("silent", "reset")
    assert recoveries_ms(changes, silences, both) == ([1_000, 500, 2_000, 2_000], 0)
    assert recoveries_ms(changes, silences, ("reset",)) == ([2_000, 2_000], 0)
    # Still without a packet when the camera falls ill again.
    assert recoveries_ms(changes, {1: [(10_000, 46_000)]}, both) == ([1_000], 1)


def test_percentiles_are_nearest_ranks() -> None:
    assert percentiles_ms([]) is None
    assert percentiles_ms([float(n) for n in range(100, 0, -1)]) == {
        "n": 100,
        "p50": 50.0,
        "p99": 99.0,
        "max": 100.0,
    }


def test_the_slope_is_of_the_second_half() -> None:
    course = [min(n, 30) * 1_000_000 + n * 1_000 for n in range(61)]
    samples = [Sample(n * 10.0, rss, 9, 9) for n, rss in enumerate(course)]
    assert slope_bytes_per_minute(samples) == 6_000
    assert slope_bytes_per_minute(samples[:3]) is None


GOOD = {
    "rss_slope_bytes_per_minute": MAX_SLOPE_BYTES_PER_MINUTE,
    "dropped_at_viewer": 0,
    "lost": 0,
    "silences": 0,
    "viewers": 100,
    "playing": 100,
    "worker_faults": 0,
}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rss_slope_bytes_per_minute": MAX_SLOPE_BYTES_PER_MINUTE + 1}, "not flat"),
        ({"rss_slope_bytes_per_minute": None}, "--minutes 1"),
        ({"lost": 3}, "lost 3 packets"),
        ({"lost": 3, "dropped_at_viewer": 3}, "quieter machine"),
        ({"silences": 2}, "2 times"),
        ({"playing": 99}, "99 play"),
        ({"worker_faults": 1}, "1 panics"),
    ],
)
def test_what_is_wrong_is_said(wrong: dict[str, Any], said: str) -> None:
    assert complaints(GOOD) == []
    [sentence] = complaints({**GOOD, **wrong})
    assert said in sentence
