"""`stall`: the interpreter stands still while many watch. Does the core end the views at the end of
their leases, by itself, and not before?"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from streamhub.delivery.settings import DeliverySettings

from .district import Workshop
from .processes import BenchError
from .watching import DOORS, Crowd, environment_of, watch_by

# <sys/ptrace.h>, <sys/wait.h>
PTRACE_ATTACH: Final = 16
PTRACE_DETACH: Final = 17
WALL: Final = 0x40000000
# Looked at for so long after the interpreter goes on.
AFTERWARDS_S: Final = 3.0
SILENT_MS: Final = 1_000
# The core ends a view so long after it was last renewed.
LEASE_S: Final = DeliverySettings().lease_s
# A lease may have been renewed while we stopped it, and the last packet be under way.
SLACK_S: Final = 1.0


@contextmanager
def stopped_interpreter(pid: int) -> Iterator[None]:
    """The thread of the event loop stands still; those of the packet core go on (ptrace(2)).
    Raises OSError where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(PTRACE_ATTACH, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.waitpid(pid, WALL)
    try:
        yield
    finally:
        libc.ptrace(PTRACE_DETACH, pid, None, None)


def stall_row(
    workshop: Workshop, viewers: int, profile: str, *, seconds: float, by: str = "both"
) -> dict[str, Any]:
    """[`last_packet_s` {p50, p99, max}]: from the stop to each viewer's last packet.
    `ended_meanwhile`: viewers who had none in the second before the interpreter went on, nor
    afterwards. `playing_afterwards`: those who still have them."""
    stopped: dict[str, float] = {}
    with workshop.farm(), workshop.service(environment_of(by)) as service:

        def stall() -> None:
            with stopped_interpreter(service.pid):
                stopped["from"] = time.time() * 1000
                time.sleep(seconds)
            stopped["to"] = time.time() * 1000

        crowd = Crowd(by, viewers, profile, service.token)
        watched_ms = round((seconds + AFTERWARDS_S) * 1000)
        try:
            seen = watch_by(crowd, workshop, service, stall, watched_ms)
        except OSError as error:
            raise BenchError(f"The service could not be stopped: {error}.") from None
    seen.require_all(viewers)
    end_ms = stopped["from"] + watched_ms
    return {
        "viewers": viewers * len(DOORS[by]),
        "profile": profile,
        "by": by,
        "stopped_s": round((stopped["to"] - stopped["from"]) / 1000, 1),
        **seen.spreads("last_packet_s", stopped["from"], 1000),
        "ended_meanwhile": sum(at < stopped["to"] - SILENT_MS for at in seen.all_ms()),
        "playing_afterwards": sum(at > end_ms - SILENT_MS for at in seen.all_ms()),
        "load": seen.load,
    }


def complaints(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence where somebody had packets without a lease. A stop that is shorter than one shows
    nothing of it."""
    longer = [row for row in rows if row["stopped_s"] > LEASE_S + SLACK_S]
    late_s = max((row["last_packet_s"]["max"] for row in longer), default=0.0)
    if late_s <= LEASE_S + SLACK_S:
        return []
    return [f"A packet came {late_s:g} s after the stop; leases end after {LEASE_S:g} s."]
