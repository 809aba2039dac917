"""Many viewers by one door, to whom something is done: when each one's last packet came."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from .district import HOST, Service, Workshop, free_port
from .load import Load, watch
from .rtsp_load import Stream, playing

# Of the district's cameras: viewers of several streams, on all shards.
CHANNELS: Final = 50
JOINS_PER_S: Final = 100.0
SETTLE_S: Final = 4.0


@dataclass(frozen=True)
class Crowd:
    """Who watches. `by`: "whep" or "rtsp"."""

    by: str
    viewers: int
    profile: str
    token: str


@dataclass
class Seen:
    """When each viewer's last packet came (Unix ms; of those that had one), and what the load says
    of itself."""

    last_ms: Sequence[float] = ()
    load: dict[str, Any] = field(default_factory=dict)


def environment_of(by: str) -> dict[str, str]:
    """What the service needs for the door."""
    if by != "rtsp":
        return {}
    return {
        "STREAMHUB_RTSP__LISTEN": f"{HOST}:{free_port()}",
        "STREAMHUB_RTSP__MAX_VIEWS_PER_SUBJECT": "4000",
    }


def watch_by(
    crowd: Crowd, workshop: Workshop, service: Service, act: Callable[[], None], watched_ms: int
) -> Seen:
    """Brings the viewers, does `act` when all have settled, and looks on until `watched_ms` after
    it began. By WHEP times are the kernel's, by RTSP the reader's. Raises BenchError."""
    channels = service.channels(min(CHANNELS, crowd.viewers))
    if crowd.by == "rtsp":
        return _by_rtsp(crowd, service, channels, act, watched_ms)
    return _by_whep(crowd, workshop, service, channels, act, watched_ms)


def spread_of(after: Sequence[float]) -> dict[str, float]:
    """Of sorted milliseconds."""
    return {
        "p50": round(after[len(after) // 2], 1),
        "p99": round(after[min(len(after) - 1, len(after) * 99 // 100)], 1),
        "max": round(after[-1], 1),
    }


def _by_whep(
    crowd: Crowd,
    workshop: Workshop,
    service: Service,
    channels: Sequence[str],
    act: Callable[[], None],
    watched_ms: int,
) -> Seen:
    def on_phase(phase: str) -> None:
        if phase == "measuring":
            act()

    load = Load(
        [service.whep(channel, crowd.profile) for channel in channels],
        crowd.viewers,
        rate=JOINS_PER_S,
        measure_ms=watched_ms,
        kernel_times=True,
        rows=True,
    )
    seen = watch(
        load,
        workshop.cores,
        token=crowd.token,
        pid=service.pid,
        urls_file=workshop.scratch_file("urls"),
        on_phase=on_phase,
    )
    last_ms = [row["last_packet"] for row in seen["rows"] if row["packets"] > 0]
    return Seen(last_ms, {key: value for key, value in seen.items() if key != "rows"})


def _by_rtsp(
    crowd: Crowd,
    service: Service,
    channels: Sequence[str],
    act: Callable[[], None],
    watched_ms: int,
) -> Seen:
    streams = [_ticket(service, channel, crowd) for channel in channels]
    with playing(streams, crowd.viewers) as viewers:
        time.sleep(SETTLE_S)
        began = time.monotonic()
        act()
        time.sleep(max(0.0, began + watched_ms / 1000 - time.monotonic()))
        load = {
            "bytes": sum(each.received for each in viewers),
            "connections_closed": sum(each.ended_ms is not None for each in viewers),
        }
        return Seen([each.last_ms for each in viewers], load)


def _ticket(service: Service, channel_id: str, crowd: Crowd) -> Stream:
    answer = httpx.post(
        f"{service.url}/api/v1/channels/{channel_id}/rtsp-tickets",
        json={"profiles": [crowd.profile]},
        headers={"Authorization": f"Bearer {crowd.token}"},
        timeout=10,
    )
    answer.raise_for_status()
    [stream] = answer.json()["streams"]
    return Stream(stream["address"], answer.json()["password"])
