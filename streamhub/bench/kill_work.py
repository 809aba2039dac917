"""What goes on when `bench kill` kills: grants made and revoked, alone and in batches, and views.

Each thing asked for is written down with whether it was answered. What a change makes bears a time
of its own as its end, by which it is found again though nobody heard its ids.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from .district import Service, Workshop
from .load import Load, watch
from .processes import BenchError
from .rtsp_load import Stream, Viewer

BASE: Final = datetime(2100, 1, 1, tzinfo=UTC)
CHANGERS: Final = 2
VIEWERS: Final = 2  # by each door
# Short views, and none that waits long for a service that is dead.
WHEP_VIEW_MS: Final = 100
WHEP_PATIENCE_MS: Final = 5_000
AGAIN_AFTER_S: Final = 0.05
MAX_BATCH: Final = 40


@dataclass
class Change:
    """One call. `mark`: `valid_until` of what it makes, as the audit writes it."""

    mark: str
    made: int
    revoked: list[str] = field(default_factory=list)
    answered: bool = False
    ids: list[str] = field(default_factory=list)  # of what it made, when it was answered


@dataclass
class Work:
    """All that was asked for, and what was answered."""

    changes: list[Change] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    # Views that had a picture, by door.
    views: dict[str, int] = field(default_factory=lambda: {"rtsp": 0, "whep": 0})
    ticket_id: str = ""


class Workers:
    """Threads that work on a service until it dies. `numbers` go on from run to run."""

    def __init__(
        self, workshop: Workshop, service: Service, seed: int, numbers: Iterator[int]
    ) -> None:
        self.work = Work()
        self._workshop = workshop
        self._service = service
        self._numbers = numbers
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._http = self._client()
        areas = self._call("GET", "/api/v1/areas")["items"]
        subjects = self._call("GET", "/api/v1/subjects", params={"limit": 200})["items"]
        self._areas = [area["id"] for area in areas]
        self._subjects = [each["id"] for each in subjects if each["username"] != "admin"]
        [self._channel_id] = service.channels(1)
        self._stream = self._ticket()
        rngs = [random.Random(seed * 100 + n) for n in range(CHANGERS)]  # noqa: S311
        self._threads = [threading.Thread(target=self._change, args=(rng,)) for rng in rngs]
        self._threads += [threading.Thread(target=self._watch_rtsp) for _ in range(VIEWERS)]
        self._threads.append(threading.Thread(target=self._watch_whep))

    def __enter__(self) -> Workers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Each goes on until the service does not answer any more."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._http.close()

    def wait_busy(self, timeout_s: float) -> None:
        """Until each kind has been answered once. Raises BenchError."""
        deadline = time.monotonic() + timeout_s
        work = self.work
        while not (all(work.views.values()) and any(each.answered for each in work.changes)):
            if time.monotonic() > deadline:
                raise BenchError(f"No change was answered, or no picture shown: {work.views}.")
            time.sleep(0.01)

    def _client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self._service.token}"}
        return httpx.Client(base_url=self._service.url, headers=headers, timeout=30)

    def _call(self, method: str, path: str, **more: Any) -> Any:
        answer = self._http.request(method, path, **more)
        answer.raise_for_status()
        return answer.json()

    def _ticket(self) -> Stream:
        path = f"/api/v1/channels/{self._channel_id}/rtsp-tickets"
        out = self._call("POST", path, json={"profiles": ["sub"]})
        self.work.ticket_id = out["id"]
        return Stream(out["streams"][0]["address"], out["password"])

    # --- threads ----------------------------------------------------------------------------------

    def _change(self, rng: random.Random) -> None:
        known: list[str] = []  # made by this thread, and not revoked by it
        with self._client() as client, suppress(httpx.TransportError):
            while not self._over.is_set():
                size = rng.choice((1, 1, rng.randrange(2, MAX_BATCH)))
                revoked = [known.pop() for _ in range(min(len(known), size // 2))]
                with self._lock:
                    end = BASE + timedelta(minutes=next(self._numbers))
                    change = Change(end.isoformat(), size - len(revoked), revoked)
                    self.work.changes.append(change)
                grants = [self._grant(rng, end) for _ in range(change.made)]
                if size == 1:
                    answer = client.post("/api/v1/grants", json=grants[0])
                else:
                    body: list[dict[str, Any]] = [{"create": each} for each in grants]
                    body += [{"revoke": each} for each in revoked]
                    answer = client.post("/api/v1/grants/batch", json={"changes": body})
                if answer.is_success:
                    told = answer.json()
                    change.ids = [told["id"]] if size == 1 else [g["id"] for g in told["items"]]
                    change.ids = change.ids[: change.made]
                    change.answered = True
                    known += change.ids
                else:
                    said = f"A change was answered {answer.status_code}: {answer.text}"
                    self.work.refused.append(said)

    def _grant(self, rng: random.Random, end: datetime) -> dict[str, Any]:
        return {
            "subject_id": rng.choice(self._subjects),
            "actions": ["list", "live"],
            "area_id": rng.choice(self._areas),
            "valid_until": end.isoformat(),
        }

    def _watch_whep(self) -> None:
        """Some views at once, again and again. Those that the kill ends have had their picture,
        too, and are counted."""
        load = Load(
            [self._service.whep(self._channel_id, "sub")],
            VIEWERS,
            settle_ms=0,
            measure_ms=WHEP_VIEW_MS,
            rows=True,
            patience_ms=WHEP_PATIENCE_MS,
        )
        while not self._over.wait(AGAIN_AFTER_S):
            # Nobody had a picture: the service is dead, or slow.
            with suppress(BenchError):
                seen = watch(
                    load,
                    self._workshop.cores,
                    token=self._service.token,
                    pid=None,
                    urls_file=self._workshop.scratch_file("urls"),
                    abandon=False,
                )
                with self._lock:
                    self.work.views["whep"] += sum(row["packets"] > 0 for row in seen["rows"])

    def _watch_rtsp(self) -> None:
        """One view after the other, each for some packets."""
        with suppress(BenchError, OSError):
            while not self._over.is_set():
                viewer = Viewer(self._stream)
                try:
                    viewer.join().setblocking(True)
                    with self._lock:
                        self.work.views["rtsp"] += 1
                    for _ in range(20):
                        if not viewer.read():
                            return
                finally:
                    viewer.close()
