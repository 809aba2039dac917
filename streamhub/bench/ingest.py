"""`ingest`: cameras pulled by the core alone; then a few of them watched, for the delay."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from .district import Workshop
from .load import Load, limit_ingest, watch
from .processes import BenchError, running

PASSWORD_VARIABLE = "STREAMHUB_FARM_PASSWORD"  # noqa: S105  (a name, not a password)
MEASURE_S = 10.0
# Enough units for a p99.9 in `MEASURE_S`, and about 1% of what 3,000 cameras send.
VIEWERS = 20
_Figures = dict[str, Any]


@dataclass(frozen=True)
class _Host:
    """The process with the core (`ingest_host`), at its door."""

    pid: int
    url: str
    live: int
    all_live_s: float | None

    def figures(self) -> _Figures:
        answer = httpx.get(f"{self.url}/figures", timeout=30)
        answer.raise_for_status()
        found: _Figures = answer.json()
        return found

    def whep(self, camera: int) -> str:
        return f"{self.url}/whep/{camera}"


@contextmanager
def _host(workshop: Workshop, farm: str, cameras: int, profile: str) -> Iterator[_Host]:
    words = [sys.executable, "-m", "streamhub.bench.ingest_host", farm, str(cameras), profile]
    environment = {PASSWORD_VARIABLE: workshop.farm_password()}
    core = workshop.cores.service
    with running(words, core, environment, stdout=subprocess.PIPE) as process:
        line = "" if process.stdout is None else process.stdout.readline()
        if not line:
            raise BenchError("The process with the core ended before its cameras were live.")
        yield _Host(process.pid, **json.loads(line))


def ingest_row(workshop: Workshop, cameras: int, profile: str) -> dict[str, Any]:
    """[`us_per_packet`, `share_of_limit`, `cores`, `bytes_per_camera`, `lost`, `all_live_s`,
    `added_ms`]. The delay is measured in a second window of the same run, with viewers of some of
    the cameras: `cores_watched` is that window's, `viewers_cores` what it is above the first. On
    loopback part of TCP's receive work is charged to the sender, for both loops alike."""
    watched = spread_over(cameras, VIEWERS)
    marks: dict[str, _Figures] = {}
    with (
        workshop.farm(send_log_cameras=watched) as farm,
        _host(workshop, farm.address, cameras, profile) as host,
    ):
        began = host.figures()
        time.sleep(MEASURE_S)
        ended = host.figures()
        seen = watch(
            Load(
                [host.whep(camera) for camera in watched],
                viewers=len(watched),
                measure_ms=int(MEASURE_S * 1000),
                kernel_times=True,
                send_log=farm.send_log,
                cameras=watched,
            ),
            workshop.cores,
            token=None,
            pid=host.pid,
            urls_file=workshop.scratch_file("urls"),
            on_phase=_marking(marks, host),
        )
    # The bare loop speaks no digest.
    with workshop.farm(locked=False) as farm:
        bare = limit_ingest(farm.address, cameras, profile, workshop.cores)
    alone = _window(began, ended)
    beside = _window(marks["measuring"], marks["measured"])
    last, us = marks["measured"], alone["us_per_packet"]
    return {
        "profile": profile,
        "cameras": cameras,
        "live": last["live"],
        "all_live_s": host.all_live_s,
        **alone,
        "lost": last["packets_lost"],
        "malformed": last["packets_malformed"],
        "units_dropped": last["units_dropped"],
        "bytes_per_camera": ended["rss_grown_bytes"] // cameras,
        "sources_lost": last["sources_lost"],
        **_watched_figures(seen, beside, alone),
        "limit_us_per_packet": bare["us_per_packet"],
        "limit_cores": bare["cores"],
        "share_of_limit": round(bare["us_per_packet"] / us, 3) if us else None,
        "limit": bare,
        "load": seen,
    }


def spread_over(cameras: int, viewers: int) -> list[int]:
    """Numbers of that many of the cameras (or of all, if there are fewer), evenly spread."""
    count = min(cameras, viewers)
    return [1 + place * cameras // count for place in range(count)]


def _marking(marks: dict[str, _Figures], host: _Host) -> Callable[[str], None]:
    def on_phase(phase: str) -> None:
        if phase in ("measuring", "measured"):
            marks[phase] = host.figures()

    return on_phase


def _window(began: _Figures, ended: _Figures) -> _Figures:
    """What the core did between two readings, their own cost left out."""
    seconds = ended["began_s"] - began["ended_s"]
    cpu_ms = ended["began_cpu_ms"] - began["ended_cpu_ms"]
    packets = ended["packets"] - began["packets"]
    return {
        "packets": packets,
        "packets_per_s": round(packets / seconds, 1),
        "bytes": ended["bytes"] - began["bytes"],
        "us_per_packet": round(cpu_ms * 1000 / max(packets, 1), 3),
        "cores": round(cpu_ms / 1000 / seconds, 4),
        "wakes_per_s": round((ended["wakes"] - began["wakes"]) / seconds, 1),
    }


def _watched_figures(seen: _Figures, beside: _Figures, alone: _Figures) -> _Figures:
    delay = seen["delay"]
    return {
        "added_ms": delay["added_ms"],
        "added_key_ms": delay["added_key_ms"],
        "units_unknown": delay["units_unknown"],
        "viewers_unplaced": delay["viewers_unplaced"],
        "viewers_playing": seen["playing"],
        "viewers_lost": seen["lost"],
        "viewers_packets_per_s": round(seen["steady"]["packets"] / seen["steady"]["seconds"], 1),
        "cores_watched": beside["cores"],
        "viewers_cores": round(beside["cores"] - alone["cores"], 4),
    }
