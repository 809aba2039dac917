"""`soak`: real viewers for a long time, some of them on cameras that come and go."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import linear_regression
from typing import Any

import httpx

from .district import Farm, Service, Workshop
from .load import Load, watch
from .machine import open_files, rss_bytes, threads
from .processes import BenchError

SAMPLE_EVERY_S = 10.0
JOINS_PER_S = 20.0
# The connections die, the media stops, nothing answers: the router dials again in seconds.
SHORT_FAULTS = ("reset", "silent", "mute-accept")
# A camera that says no is left alone for a minute or two (router/policy.py).
LONG_FAULTS = ("not-found", "unauthorized", "mjpeg")
LONG_SHARE = 0.15
ILL_S = (2.0, 10.0)
# Longer than the router may take to notice and dial again, so that each return can be told: a dial
# without an answer and two doubled pauses; 120 s and its jitter, the pause after a refused password
# that came behind a lost connection.
WELL_AFTER_SHORT_S = (40.0, 60.0)
WELL_AFTER_LONG_S = (150.0, 170.0)
FIRST_ILL_S = 20.0
# Above what one step of the allocators (2.5 MB were seen, given back in minutes) makes of a level
# course in five minutes. A smaller leak shows in a longer soak.
MAX_SLOPE_BYTES_PER_MINUTE = 512 * 1024
Row = dict[str, Any]


@dataclass(frozen=True, order=True)
class Change:
    """A camera falls ill of `fault`, or is healed ("none"). Seconds from the beginning."""

    at_s: float
    camera: int
    fault: str

    @property
    def heals(self) -> bool:
        return self.fault == "none"


def schedule(seed: int, cameras: Sequence[int], seconds: float) -> list[Change]:
    """Each camera falls ill, is well again, and so on; all are well at the end for long enough to
    be back. The same for the same seed."""
    draw = random.Random(seed)  # noqa: S311  (no secret)
    changes = []
    for camera in cameras:
        at = draw.uniform(0, FIRST_ILL_S)
        while True:
            is_long = draw.random() < LONG_SHARE
            fault = draw.choice(LONG_FAULTS if is_long else SHORT_FAULTS)
            well = draw.uniform(*(WELL_AFTER_LONG_S if is_long else WELL_AFTER_SHORT_S))
            healed = at + draw.uniform(*ILL_S)
            if healed + well > seconds:
                break
            changes += [Change(at, camera, fault), Change(healed, camera, "none")]
            at = healed + well
    return sorted(changes)


Silence = tuple[float, float]


def recoveries_ms(
    changes: Sequence[Change],
    silences: Mapping[int, Sequence[Silence]],
    faults: Collection[str],
) -> tuple[list[float], int]:
    """From each healing of one of `faults` until the silence about it of each of the camera's
    viewers ended, and how many silences lasted until the camera was ill again. `silences`: (from,
    to) by camera, in milliseconds of the same clock as `changes`."""
    spans, cut = [], 0
    for place, ill in enumerate(changes):
        if ill.heals or ill.fault not in faults:
            continue
        later = [c.at_s * 1000 for c in changes[place + 1 :] if c.camera == ill.camera]
        if not later:
            continue  # it was never healed
        healed_ms, ill_again_ms = later[0], later[1] if later[1:] else float("inf")
        for began_ms, ended_ms in silences.get(ill.camera, ()):
            if began_ms <= healed_ms < ended_ms:
                if ended_ms <= ill_again_ms:
                    spans.append(ended_ms - healed_ms)
                else:
                    cut += 1
    return spans, cut


def percentiles_ms(values: Sequence[float]) -> dict[str, float] | None:
    """Nearest rank, as loadgen's."""
    if not values:
        return None
    ordered = sorted(values)

    def rank(share: float) -> float:
        place = -int(-len(ordered) * share // 1)
        return round(ordered[min(max(place, 1), len(ordered)) - 1], 1)

    return {"n": len(ordered), "p50": rank(0.5), "p99": rank(0.99), "max": rank(1.0)}


@dataclass(frozen=True)
class Sample:
    at_s: float
    rss_bytes: int
    open_files: int
    threads: int


def slope_bytes_per_minute(samples: Sequence[Sample]) -> int | None:
    """Of resident memory over the second half; None with fewer than three samples in it."""
    half = [s for s in samples if s.at_s >= samples[-1].at_s / 2] if samples else []
    if len(half) < 3:
        return None
    fit = linear_regression([s.at_s / 60 for s in half], [s.rss_bytes for s in half])
    return round(fit.slope)


def complaints(row: Row) -> list[str]:
    """What is not as it should be, in sentences; benchmarks/README.md states the same."""
    found = []
    slope = row["rss_slope_bytes_per_minute"]
    if slope is None:
        found.append("Too short to tell whether memory is flat: give at least --minutes 1.")
    elif slope > MAX_SLOPE_BYTES_PER_MINUTE:
        found.append(
            f"Memory is not flat: {slope:,} bytes a minute over the second half, more than "
            f"{MAX_SLOPE_BYTES_PER_MINUTE:,}."
        )
    if row["dropped_at_viewer"]:
        found.append(
            f"The load itself lost {row['dropped_at_viewer']} datagrams: nothing is known of the "
            "service; repeat it on a quieter machine."
        )
    elif row["lost"]:
        found.append(f"Viewers of steady cameras lost {row['lost']} packets.")
    if row["silences"]:
        found.append(f"Viewers of steady cameras had nothing for over 1 s {row['silences']} times.")
    if row["playing"] != row["viewers"]:
        found.append(f"Of {row['viewers']} viewers {row['playing']} play at the end.")
    if row["worker_faults"]:
        found.append(f"The core caught {row['worker_faults']} panics; see the service's log.")
    return found


class _Meanwhile:
    """What goes on beside the viewers: a thread that breaks, heals and samples by the clock."""

    def __init__(
        self, service: Service, farm: Farm, changes: Sequence[Change], say: Callable[[str], None]
    ) -> None:
        # given
        self._service = service
        self._farm = farm
        self._changes = deque(changes)
        self._say = say
        # owned
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="soak", daemon=True)
        self._failure: Exception | None = None
        self._began_s = 0.0
        self.began_unix_ms = 0.0
        self.samples: list[Sample] = []
        self.done: list[Change] = []
        self.worker_faults = 0

    def on_phase(self, phase: str) -> None:
        if phase == "measuring":
            self._began_s, self.began_unix_ms = time.monotonic(), time.time() * 1000
            self._thread.start()
        elif phase == "measured":
            self._stop.set()
            self._thread.join()
            if self._failure is not None:
                raise BenchError(f"The soak could not go on: {self._failure}")

    def _run(self) -> None:
        try:
            self._go_on()
            self.worker_faults = int(self._service.counters().get("worker_faults", 0))
        except (OSError, httpx.HTTPError, BenchError) as error:
            self._failure = error

    def _go_on(self) -> None:
        sample_at_s = 0.0
        while True:
            change = self._changes[0] if self._changes else None
            at_s = sample_at_s if change is None else min(sample_at_s, change.at_s)
            if self._stop.wait(max(at_s - self._now_s(), 0)):
                self._sample()
                return
            if change is not None and change.at_s <= sample_at_s:
                self._farm.fault(change.camera, change.fault)
                self.done.append(replace(change, at_s=self._now_s()))
                self._changes.popleft()
            else:
                self._sample()
                sample_at_s += SAMPLE_EVERY_S

    def _now_s(self) -> float:
        return time.monotonic() - self._began_s

    def _sample(self) -> None:
        pid = self._service.pid
        sample = Sample(round(self._now_s(), 1), rss_bytes(pid), open_files(pid), threads(pid))
        self.samples.append(sample)
        flaps = sum(not change.heals for change in self.done)
        self._say(
            f"{sample.at_s / 60:.1f} min, {sample.rss_bytes / 1e6:.1f} MB, "
            f"{sample.open_files} files, {flaps} flaps"
        )


def soak_row(
    workshop: Workshop,
    *,
    viewers: int,
    cameras: int,
    minutes: float,
    profile: str,
    seed: int,
    say: Callable[[str], None],
) -> Row:
    """[`rss_start_bytes`, `rss_end_bytes`, `rss_slope_bytes_per_minute`, `lost`, `flaps`,
    `recovered_ms`, `worker_faults`, `playing`]: viewers spread over as many steady cameras as there
    are flapping ones. `lost` is of the steady cameras' viewers, `lost_flapping` of the others.
    `recovered_ms` is of cameras that hung up or fell silent, `recovered_after_refusal_ms` of those
    that said no."""
    with workshop.service() as service:
        channels = service.channels(2 * cameras)
        flapping = [service.camera_number(channel) for channel in channels[cameras:]]
        changes = schedule(seed, flapping, minutes * 60)
        with workshop.farm() as farm:
            meanwhile = _Meanwhile(service, farm, changes, say)
            seen = watch(
                Load(
                    [service.whep(channel, profile) for channel in channels],
                    viewers,
                    JOINS_PER_S,
                    measure_ms=int(minutes * 60_000),
                    rows=True,
                ),
                workshop.cores,
                token=service.token,
                pid=service.pid,
                urls_file=workshop.scratch_file("urls"),
                on_phase=meanwhile.on_phase,
            )
    rows = seen.pop("rows")
    steady = [row for row in rows if row["url"] < cameras]
    others = [row for row in rows if row["url"] >= cameras]
    silences: dict[int, list[Silence]] = {}
    for row in others:
        of_camera = silences.setdefault(flapping[row["url"] - cameras], [])
        of_camera += [
            (began - meanwhile.began_unix_ms, ended - meanwhile.began_unix_ms)
            for began, ended in row["silences"]
        ]
    recovered, cut = recoveries_ms(meanwhile.done, silences, SHORT_FAULTS)
    after_refusal, cut_too = recoveries_ms(meanwhile.done, silences, LONG_FAULTS)
    samples = meanwhile.samples
    return {
        "viewers": viewers,
        "cameras": cameras,
        "profile": profile,
        "minutes": minutes,
        "seed": seed,
        "rss_start_bytes": samples[0].rss_bytes,
        "rss_end_bytes": samples[-1].rss_bytes,
        "rss_slope_bytes_per_minute": slope_bytes_per_minute(samples),
        "open_files": _ends([s.open_files for s in samples]),
        "threads": _ends([s.threads for s in samples]),
        "viewers_steady": len(steady),
        "lost": sum(row["lost"] for row in steady),
        "silences": sum(len(row["silences"]) for row in steady),
        "lost_flapping": sum(row["lost"] for row in others),
        "dropped_at_viewer": seen["dropped_at_viewer"],
        "flaps": sum(not change.heals for change in meanwhile.done),
        "recovered_ms": percentiles_ms(recovered),
        "recovered_after_refusal_ms": percentiles_ms(after_refusal),
        "recoveries_cut": cut + cut_too,
        "worker_faults": meanwhile.worker_faults,
        "playing": seen["playing"],
        "failures": seen["failures"],
        "samples": [asdict(sample) for sample in samples],
        "load": seen,
    }


def _ends(values: Sequence[int]) -> dict[str, int]:
    return {"start": values[0], "end": values[-1], "max": max(values)}
