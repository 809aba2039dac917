"""How long tests wait for what must come, and what they forgive a machine that is busy.

A deadline is a failure and nothing else, so it may be long. What is promised in seconds (a picture
that stops, a process that leaves) is judged without those in which the kernel had no core for it.
"""

from __future__ import annotations

import os
from pathlib import Path

PATIENCE_S = 120


class HeldUp:
    """What the threads of this process and of others wait for a core, from now on."""

    def __init__(self, *pids: int) -> None:
        self._pids = (os.getpid(), *pids)
        self._before = {pid: _waited_s(pid) for pid in self._pids}
        self._most = dict.fromkeys(self._pids, 0.0)

    def seconds(self) -> float:
        """So far. A process that ends, and it is asked about again, counts as at the last look."""
        for pid in self._pids:
            waited_s = _waited_s(pid) - self._before[pid]
            self._most[pid] = max(self._most[pid], waited_s)
        return sum(self._most.values())


class KernelDrops:
    """Datagrams that the kernel had no room for since: a receiver without a core reads too late."""

    def __init__(self) -> None:
        self._before = _udp_overflows()

    def count(self) -> int:
        return _udp_overflows() - self._before


def _udp_overflows() -> int:
    """RcvbufErrors of all UDP sockets of this machine (Linux, proc_pid_net(5))."""
    lines = Path("/proc/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    return int(values[names.index("RcvbufErrors")])


def _waited_s(pid: int) -> float:
    """Seconds in which its living threads were ready to run and did not: the second figure of
    schedstat (Linux, Documentation/scheduler/sched-stats.rst). None are known without it."""
    waited_ns = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            waited_ns += int(thread.read_text().split()[1])
        except (OSError, IndexError):
            continue
    return waited_ns / 1e9
