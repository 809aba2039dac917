"""A process with nothing but the core in it, pulling cameras, for `streamhub bench ingest`:
`python -m streamhub.bench.ingest_host HOST:PORT CAMERAS PROFILE`.

The cameras' password comes from STREAMHUB_FARM_PASSWORD. When all are live it prints one JSON line
with its door's URL, and serves until SIGTERM: `POST /whep/CAMERA` is answered by the core itself,
without any decision, and `GET /figures` tells what it did."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from streamhub import _core

from .district import HOST
from .ingest import PASSWORD_VARIABLE
from .machine import cpu_ms, rss_bytes

USERNAME = "admin"
ALL_LIVE_TIMEOUT_S = 60.0
# Every camera begins with a keyframe: two groups of pictures later all is even.
SETTLE_S = 4.0
EVENTS_AT_ONCE = 1024
MAX_OFFER_BYTES = 64 * 1024
VIEW_S = 3600.0


class _Host:
    def __init__(self, core: _core.Core, profile: str) -> None:
        self._core = core
        self._profile = profile
        self._rss_bytes = rss_bytes(os.getpid())
        self._views = 0
        self.live: set[str] = set()
        self.lost_sources: dict[str, int] = {}

    def stream_id(self, camera: int) -> str:
        return f"camera{camera}/{self._profile}"

    def hear(self, timeout_s: float) -> None:
        """Take the events that come within the time."""
        deadline = time.monotonic() + timeout_s
        while True:
            left = max(deadline - time.monotonic(), 0.0)
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

    def figures(self) -> dict[str, Any]:
        """Totals, and time and CPU time before and after they were read."""
        pid = os.getpid()
        began = {"began_s": time.monotonic(), "began_cpu_ms": cpu_ms(pid)}
        self.hear(0)
        rows = self._core.source_stats()
        names = ("packets", "packets_lost", "packets_malformed", "bytes", "units_dropped")
        return {
            **began,
            **{name: sum(row[name] for row in rows) for name in names},
            "wakes": self._core.stats()["counters"]["wakes"],
            "live": len(self.live),
            "sources_lost": self.lost_sources,
            "rss_grown_bytes": rss_bytes(pid) - self._rss_bytes,
            "ended_cpu_ms": cpu_ms(pid),
            "ended_s": time.monotonic(),
        }

    def open_viewer(self, camera: int, offer: str) -> str:
        self._views += 1
        until = time.time() + VIEW_S
        channel = f"camera{camera}"
        return self._core.open_viewer(
            f"view{self._views}", self.stream_id(camera), channel, "bench", offer, until
        )


def _door(host: _Host) -> HTTPServer:
    """Where viewers are opened and figures are read, one request after the other."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/figures":
                self._answer(200, "application/json", json.dumps(host.figures()))
            else:
                self._answer(404, "text/plain", "there is only /figures")

        def do_POST(self) -> None:
            number = self.path.removeprefix("/whep/")
            size = int(self.headers.get("Content-Length", "0"))
            if not number.isdecimal() or size > MAX_OFFER_BYTES:
                self._answer(400, "text/plain", "POST an offer to /whep/CAMERA")
                return
            try:
                answer = host.open_viewer(int(number), self.rfile.read(size).decode())
            except (ValueError, RuntimeError) as error:
                self._answer(422, "text/plain", str(error))
            else:
                self._answer(201, "application/sdp", answer)

        def _answer(self, status: int, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: standard error is the bench's."""

    class Waiting(HTTPServer):
        request_queue_size = 128  # all viewers knock at once

    return Waiting((HOST, 0), Door)


def run(farm: str, cameras: int, profile: str, password: str | None) -> None:
    """Open that many sources, wait until all are live, say so, and serve until SIGTERM."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    core = _core.Core()
    host = _Host(core, profile)
    began = time.monotonic()
    for number in range(1, cameras + 1):
        url = f"rtsp://{farm}/cam/{number}/{profile}"
        core.open_source(host.stream_id(number), url, USERNAME, password)
    while len(host.live) < cameras and time.monotonic() - began < ALL_LIVE_TIMEOUT_S:
        host.hear(0.02)
    all_live_s = time.monotonic() - began
    host.hear(SETTLE_S)
    with _door(host) as door:
        ready = {
            "url": f"http://{HOST}:{door.server_port}",
            "live": len(host.live),
            "all_live_s": round(all_live_s, 3) if len(host.live) == cameras else None,
        }
        sys.stdout.write(f"{json.dumps(ready)}\n")
        sys.stdout.flush()
        try:
            door.serve_forever()
        finally:
            core.shutdown(1000)


if __name__ == "__main__":
    _, _farm, _cameras, _profile = sys.argv
    run(_farm, int(_cameras), _profile, os.environ.get(PASSWORD_VARIABLE) or None)
