"""Many viewers by one door or by both, to whom something is done: when each one's last packet
came."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from .district import HOST, Service, Workshop, free_port
from .load import Load, watch
from .processes import BenchError
from .rtsp_load import Stream, playing

# Of the district's cameras: viewers of several streams, on all shards.
CHANNELS: Final = 50
JOINS_PER_S: Final = 100.0
SETTLE_S: Final = 4.0
DOORS: Final = {"whep": ("whep",), "rtsp": ("rtsp",), "both": ("whep", "rtsp")}


@dataclass(frozen=True)
class Crowd:
    """Who watches. `by`: "whep", "rtsp", or "both": so many viewers by each."""

    by: str
    viewers: int
    profile: str
    token: str


@dataclass
class Seen:
    """By door: when each viewer's last packet came (Unix ms; of those that had one), and what the
    load says of itself."""

    last_ms: dict[str, Sequence[float]] = field(default_factory=dict)
    load: dict[str, Any] = field(default_factory=dict)

    def require_all(self, viewers: int) -> None:
        """Raises BenchError where some by a door had no packet."""
        for door, times in self.last_ms.items():
            if len(times) < viewers:
                lacking = viewers - len(times)
                raise BenchError(f"{lacking} of {viewers} viewers by {door} got no picture.")

    def spreads(self, name: str, since_ms: float, unit_ms: float = 1.0) -> dict[str, Any]:
        """[`name` {p50, p99, max}]: from `since_ms` to the last packet of each, in units of
        `unit_ms`; with both doors each apart, too, as `name_by_whep` and `name_by_rtsp`."""
        after = {
            door: sorted((at - since_ms) / unit_ms for at in times)
            for door, times in self.last_ms.items()
        }
        found = {name: spread_of(sorted(at for times in after.values() for at in times))}
        if len(after) > 1:
            found |= {f"{name}_by_{door}": spread_of(times) for door, times in after.items()}
        return found

    def all_ms(self) -> list[float]:
        return [at for times in self.last_ms.values() for at in times]


def environment_of(by: str) -> dict[str, str]:
    """What the service needs for the door."""
    if "rtsp" not in DOORS[by]:
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
    seen = Seen()
    with _rtsp_viewers(crowd, service, channels, seen):
        if "whep" in DOORS[crowd.by]:
            _whep_viewers(crowd, workshop, service, channels, seen, act, watched_ms)
        else:
            time.sleep(SETTLE_S)
            began = time.monotonic()
            act()
            time.sleep(max(0.0, began + watched_ms / 1000 - time.monotonic()))
    return seen


def spread_of(after: Sequence[float]) -> dict[str, float]:
    """Of sorted milliseconds."""
    return {
        "p50": round(after[len(after) // 2], 1),
        "p99": round(after[min(len(after) - 1, len(after) * 99 // 100)], 1),
        "max": round(after[-1], 1),
    }


def _whep_viewers(
    crowd: Crowd,
    workshop: Workshop,
    service: Service,
    channels: Sequence[str],
    seen: Seen,
    act: Callable[[], None],
    watched_ms: int,
) -> None:
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
    found = watch(
        load,
        workshop.cores,
        token=crowd.token,
        pid=service.pid,
        urls_file=workshop.scratch_file("urls"),
        on_phase=on_phase,
    )
    seen.last_ms["whep"] = [row["last_packet"] for row in found["rows"] if row["packets"] > 0]
    seen.load.update({key: value for key, value in found.items() if key != "rows"})


@contextmanager
def _rtsp_viewers(
    crowd: Crowd, service: Service, channels: Sequence[str], seen: Seen
) -> Iterator[None]:
    """Those by RTSP, if any, for as long as the block lasts; at its end what they saw."""
    if "rtsp" not in DOORS[crowd.by]:
        yield
        return
    streams = [_ticket(service, channel, crowd) for channel in channels]
    with playing(streams, crowd.viewers) as viewers:
        yield
        seen.last_ms["rtsp"] = [each.last_ms for each in viewers]
        seen.load |= {
            "bytes": sum(each.received for each in viewers),
            "connections_closed": sum(each.ended_ms is not None for each in viewers),
        }


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
