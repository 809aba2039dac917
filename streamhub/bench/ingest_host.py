"""A process with nothing but the core in it, pulling cameras, for `streamhub bench ingest`:
`python -m streamhub.bench.ingest_host HOST:PORT CAMERAS PROFILE`.

The cameras' password comes from STREAMHUB_FARM_PASSWORD. Prints one JSON object."""

from __future__ import annotations

import json
import os
import resource
import select
import sys
import time
from typing import Any

from streamhub import _core

from .ingest import PASSWORD_VARIABLE
from .machine import cpu_ms, rss_bytes

USERNAME = "admin"
ALL_LIVE_TIMEOUT_S = 60.0
# Every camera begins with a keyframe: two groups of pictures later all is even.
SETTLE_S = 4.0
MEASURE_S = 10.0
EVENTS_AT_ONCE = 1024


class _Host:
    def __init__(self, core: _core.Core) -> None:
        self._core = core
        self.live: set[str] = set()
        self.lost_sources: dict[str, int] = {}

    def hear(self, timeout_s: float) -> None:
        """Take the events that come within the time."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            readable, _, _ = select.select([self._core.event_fd], [], [], left)
            if not readable:
                return
            os.eventfd_read(self._core.event_fd)
            while events := self._core.drain_events(EVENTS_AT_ONCE):
                for kind, owner, fields in events:
                    if kind == "source_live":
                        self.live.add(owner)
                    elif kind == "source_lost":
                        self.live.discard(owner)
                        cause = str(fields["cause"])
                        self.lost_sources[cause] = self.lost_sources.get(cause, 0) + 1

    def totals(self) -> dict[str, int]:
        rows = self._core.source_stats()
        names = ("packets", "packets_lost", "packets_malformed", "bytes", "units_dropped")
        return {name: sum(row[name] for row in rows) for name in names}


def run(farm: str, cameras: int, profile: str, password: str | None) -> dict[str, Any]:
    """Open that many sources, wait until all are live, and measure 10 s of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    core = _core.Core()
    host = _Host(core)
    pid = os.getpid()
    rss = rss_bytes(pid)
    began = time.monotonic()
    for number in range(1, cameras + 1):
        url = f"rtsp://{farm}/cam/{number}/{profile}"
        core.open_source(f"camera{number}/{profile}", url, USERNAME, password)
    while len(host.live) < cameras and time.monotonic() - began < ALL_LIVE_TIMEOUT_S:
        host.hear(0.02)
    all_live_s = time.monotonic() - began
    host.hear(SETTLE_S)
    before, cpu, wakes = host.totals(), cpu_ms(pid), core.stats()["counters"]["wakes"]
    start = time.monotonic()
    time.sleep(MEASURE_S)
    seconds = time.monotonic() - start
    cpu, after = cpu_ms(pid) - cpu, host.totals()
    wakes = core.stats()["counters"]["wakes"] - wakes
    grown = rss_bytes(pid) - rss
    packets = after["packets"] - before["packets"]
    result = {
        "cameras": cameras,
        "live": len(host.live),
        "all_live_s": round(all_live_s, 3) if len(host.live) == cameras else None,
        "packets": packets,
        "packets_per_s": round(packets / seconds, 1),
        "bytes": after["bytes"] - before["bytes"],
        "lost": after["packets_lost"],
        "malformed": after["packets_malformed"],
        "units_dropped": after["units_dropped"],
        "us_per_packet": round(cpu * 1000 / max(packets, 1), 3),
        "cores": round(cpu / 1000 / seconds, 4),
        "bytes_per_camera": grown // cameras,
        "wakes_per_s": round(wakes / seconds, 1),
        "sources_lost": host.lost_sources,
    }
    core.shutdown(1000)
    return result


if __name__ == "__main__":
    _, _farm, _cameras, _profile = sys.argv
    _password = os.environ.get(PASSWORD_VARIABLE) or None
    json.dump(run(_farm, int(_cameras), _profile, _password), sys.stdout)
