"""The scenarios. Each gives one row: a flat dict of figures with the issue's stable keys, and under
`load` all that the load viewers counted."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .district import Service, Workshop
from .load import Load, limit, watch, why_not
from .machine import rss_bytes
from .processes import BenchError

Row = dict[str, Any]

CIPHER = "AEAD_AES_256_GCM"
# Of the farm's clips.
PICTURES_PER_S = 25
# bytes_per_viewer is told from these two sizes, after this long.
MEMORY_VIEWERS = (200, 400)
MEMORY_AFTER_MS = 60_000


@dataclass(frozen=True)
class Target:
    """A WHEP address of someone else's server (and its process, if it runs here)."""

    url: str
    token: str | None = None
    pid: int | None = None
    patience_ms: int = 30_000

    def watch(self, workshop: Workshop, load: Load) -> Row:
        """As `load.watch`; the viewers say goodbye."""
        if self.pid is not None and not Path(f"/proc/{self.pid}").exists():
            raise BenchError(f"There is no process {self.pid} (--pid).")
        return watch(
            replace(load, urls=[self.url], patience_ms=self.patience_ms),
            workshop.cores,
            token=self.token,
            pid=self.pid,
            urls_file=workshop.scratch_file("urls"),
            abandon=False,
        )

    def notes(self, seen: Row, unknown: str) -> list[str]:
        """What a reader of the figures must know; `unknown` are those that need the CPU time."""
        found = []
        if seen["playing"] < seen["viewers"]:
            found.append(
                f"{seen['viewers'] - seen['playing']} of {seen['viewers']} viewers do not play: "
                f"{why_not(seen) or 'their packets ceased'}."
            )
        if unknown and seen["steady"].get("us_per_packet") is None:
            found.append(
                f"The server's CPU time is not known, so {unknown} are empty: give --pid if its "
                "process runs on this machine."
            )
        return found


class _Counters:
    """The core's totals over the measured window, with its own clock."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._marks: dict[str, tuple[float, dict[str, float]]] = {}

    def on_phase(self, phase: str) -> None:
        if phase in ("measuring", "measured"):
            self._marks[phase] = (time.monotonic(), self._service.counters())

    def figures(self) -> Row:
        (began, before), (ended, after) = self._marks["measuring"], self._marks["measured"]

        def counted(name: str) -> float:
            return after.get(name, 0.0) - before.get(name, 0.0)

        messages = counted("messages_sent")
        figures = {
            "packets_per_message": round(counted("datagrams_sent") / max(messages, 1), 2),
            "send_blocked": counted("send_blocked"),
        }
        if "wakes" in after:  # the Python core's loop does not count its own
            figures["wakes_per_s"] = round(counted("wakes") / (ended - began), 1)
        return figures


def limit_row(workshop: Workshop, viewers: int) -> Row:
    """[`us_per_packet`, `gbps_per_core`]: the bare loop."""
    return limit(viewers, workshop.cores, cipher=CIPHER, seconds=5)


def fanout_row(
    workshop: Workshop,
    viewers: int,
    profile: str,
    target: Target | None = None,
    *,
    measure_ms: int = 10_000,
) -> Row:
    """[`gbps_per_core`, `us_per_packet`, `share_of_limit`, `packets_per_message`, `wakes_per_s`,
    `lost`, `playing`]: that many viewers of one camera. `share_of_paced_limit` is against the bare
    loop at the camera's own pace: it tells our own work from a processor that has slept."""
    if target is not None:
        seen = target.watch(workshop, Load([], viewers, measure_ms=measure_ms))
        unknown = "us_per_packet, gbps_per_core, cores and share_of_limit"
        notes = target.notes(seen, unknown)
        notes.append("packets_per_message and wakes_per_s are counted in our own service only.")
        return {**_fanout_figures(workshop, viewers, seen), "notes": notes}
    with workshop.farm(), workshop.service() as service:
        channel = service.channels(1)[0]
        load = Load([service.whep(channel, profile)], viewers, measure_ms=measure_ms)
        counters = _Counters(service)
        seen = watch(
            load,
            workshop.cores,
            token=service.token,
            pid=service.pid,
            urls_file=workshop.scratch_file("urls"),
            on_phase=counters.on_phase,
        )
        more = counters.figures()
        rss = rss_bytes(service.pid)
    return {
        **_fanout_figures(workshop, viewers, seen),
        **more,
        "rss_bytes": rss,
        "profile": profile,
    }


def _fanout_figures(workshop: Workshop, viewers: int, seen: Row) -> Row:
    ciphers = seen["srtp_ciphers"]
    cipher = ciphers[0] if len(ciphers) == 1 else CIPHER
    steady = seen["steady"]
    us = steady.get("us_per_packet")
    return {
        "viewers": viewers,
        "playing": seen["playing"],
        "lost": seen["lost"],
        "dropped_at_viewer": seen["dropped_at_viewer"],
        "refused": seen["refused"],
        "gbps_per_core": steady.get("gbps_per_core"),
        "us_per_packet": us,
        **_shares(workshop, viewers, cipher, us),
        "cores": steady.get("cores"),
        "srtp_cipher": cipher,
        "load": seen,
    }


def _shares(workshop: Workshop, viewers: int, cipher: str, us: float | None) -> Row:
    """Against the bare loops; without a CPU time there is nothing to compare."""
    if not us:
        return {"share_of_limit": None, "share_of_paced_limit": None}
    bare = limit(viewers, workshop.cores, cipher=cipher)
    paced = limit(viewers, workshop.cores, cipher=cipher, rate=PICTURES_PER_S)
    return {
        "limit_us_per_packet": bare["us_per_packet"],
        "share_of_limit": round(bare["us_per_packet"] / us, 3),
        "paced_limit_us_per_packet": paced["us_per_packet"],
        "share_of_paced_limit": round(paced["us_per_packet"] / us, 3),
        "limit": bare,
    }


def memory_row(workshop: Workshop, profile: str) -> Row:
    """[`bytes_per_viewer`]: resident memory at 400 viewers less that at 200, over 200."""
    sizes = []
    for viewers in MEMORY_VIEWERS:
        with workshop.farm(), workshop.service() as service:
            channel = service.channels(1)[0]
            url = service.whep(channel, profile)
            load = Load([url], viewers, settle_ms=MEMORY_AFTER_MS, measure_ms=1_000)
            urls = workshop.scratch_file("urls")

            seen = watch(load, workshop.cores, token=service.token, pid=service.pid, urls_file=urls)
            sizes.append(rss_bytes(service.pid))
    fewer, more = MEMORY_VIEWERS
    return {
        "bytes_per_viewer": (sizes[1] - sizes[0]) // (more - fewer),
        "rss_bytes": dict(zip(MEMORY_VIEWERS, sizes, strict=True)),
        "playing": seen["playing"],
        "profile": profile,
    }


def join_row(
    workshop: Workshop,
    viewers: int,
    rate: float,
    profile: str,
    *,
    hot: bool,
    steady: int = 1,
    target: Target | None = None,
) -> Row:
    """[`first_keyframe_ms`, `live_ms`, `cpu_ms_per_join`]: hot, the camera is being watched; cold,
    each viewer is the first of a camera of its own."""
    urls_file = workshop.scratch_file("urls")
    if target is not None:
        load = Load([], viewers, rate, steady=steady if hot else 0, kernel_times=True)
        seen = target.watch(workshop, load)
        return {**_join_figures(seen, hot), "notes": target.notes(seen, "cpu_ms_per_join")}
    with workshop.service() as service:
        channels = service.channels(1 if hot else viewers)
        log_camera = service.camera_number(channels[0])
        with workshop.farm(send_log_cameras=[log_camera]) as farm:
            load = Load(
                [service.whep(channel, profile) for channel in channels],
                viewers,
                rate,
                steady=steady if hot else 0,
                kernel_times=True,
                send_log=farm.send_log if hot else None,
            )
            seen = watch(
                load,
                workshop.cores,
                token=service.token,
                pid=service.pid,
                urls_file=urls_file,
            )
    return {**_join_figures(seen, hot), "profile": profile}


def _join_figures(seen: Row, hot: bool) -> Row:
    join = seen["join"]
    return {
        "temperature": "hot" if hot else "cold",
        "joins": join["joins"],
        "playing": seen["playing"],
        "lost": seen["lost"],
        "first_keyframe_ms": join["first_keyframe_ms"],
        "live_ms": join["live_ms"],
        "all_playing_ms": join.get("all_playing_ms"),
        "cpu_ms_per_join": join.get("cpu_ms_per_join"),
        "added_ms_meanwhile": seen.get("delay_while_joining", {}).get("added_ms"),
        "failures": seen["failures"],
        "load": seen,
    }


def delay_row(
    workshop: Workshop,
    viewers: int,
    profile: str,
    target: Target | None = None,
    send_log: Path | None = None,
    *,
    measure_ms: int = 20_000,
) -> Row:
    """[`added_ms`, `added_key_ms`]: kernel receive time of a unit's last packet at the viewer, less
    the farm's time just before its last write of it; of a `target`, less the time in `send_log`."""
    if target is not None:
        load = Load([], viewers, measure_ms=measure_ms, kernel_times=True, send_log=send_log)
        seen = target.watch(workshop, load)
        notes = target.notes(seen, "")
        if seen["delay"]["viewers_unplaced"]:
            notes.append(
                f"Of {seen['delay']['viewers_unplaced']} viewers the pictures are not in the send "
                "log: their delay is not known."
            )
        return {**_delay_figures(seen), "notes": notes}
    with workshop.service() as service:
        channel = service.channels(1)[0]
        with workshop.farm(send_log_cameras=[service.camera_number(channel)]) as farm:
            load = Load(
                [service.whep(channel, profile)],
                viewers,
                measure_ms=measure_ms,
                kernel_times=True,
                send_log=farm.send_log,
            )
            seen = watch(
                load,
                workshop.cores,
                token=service.token,
                pid=service.pid,
                urls_file=workshop.scratch_file("urls"),
            )
    return {**_delay_figures(seen), "profile": profile}


def _delay_figures(seen: Row) -> Row:
    delay = seen["delay"]
    return {
        "viewers": seen["viewers"],
        "playing": seen["playing"],
        "lost": seen["lost"],
        "added_ms": delay["added_ms"],
        "added_large_ms": delay["added_large_ms"],
        "added_key_ms": delay["added_key_ms"],
        "keyframe_packets_max": delay["keyframe_packets_max"],
        "units_unknown": delay["units_unknown"],
        "viewers_unplaced": delay["viewers_unplaced"],
        "load": seen,
    }
