"""What a figure was measured on: commit, machine, kernel, clips; and which core does what."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Of files that differ from the commit; more are no measurement of it.
MAX_MODIFIED = 20


@dataclass(frozen=True)
class Cores:
    """The core of the service, and that of everything else; None is wherever the kernel likes."""

    service: int | None
    load: int | None

    @classmethod
    def choose(cls, pin: bool) -> Cores:
        """The first two cores we may use, when there are two and pinning is wanted."""
        usable = sorted(os.sched_getaffinity(0))
        if not pin or len(usable) < 2:
            return cls(None, None)
        return cls(usable[0], usable[1])

    def pin_me(self) -> None:
        """This process takes the load's core: the service's is its own."""
        if self.load is not None:
            os.sched_setaffinity(0, {self.load})


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", *words],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.rstrip()


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def _steal_ticks() -> int:
    """Time the hypervisor gave to others, in clock ticks; proc(5)."""
    return int(Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[8])


class Surroundings:
    """What else went on while a bench ran: said beside its figures."""

    def __init__(self) -> None:
        self._steal = _steal_ticks()
        self._load = os.getloadavg()[0]

    def close(self) -> dict[str, Any]:
        return {
            "load_average_before": round(self._load, 2),
            "load_average_after": round(os.getloadavg()[0], 2),
            "steal_ticks": _steal_ticks() - self._steal,
        }


def describe(clips: str, cores: Cores) -> dict[str, Any]:
    """The head of every result."""
    # Without our own output, which lands in the tree while we run.
    changed = (_git("status", "--porcelain", "--", ".", ":!benchmarks") or "").splitlines()
    return {
        "commit": _git("rev-parse", "HEAD"),
        "modified": bool(changed),
        # What beside the commit was measured: without it nobody can tell afterwards.
        "modified_files": [line[3:] for line in changed[:MAX_MODIFIED]],
        "machine": {
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "virtual": "hypervisor" in Path("/proc/cpuinfo").read_text(encoding="utf-8"),
        },
        "kernel": platform.release(),
        "clips": clips,
        "service_core": cores.service,
        "load_core": cores.load,
    }


def rss_bytes(pid: int | str) -> int:
    """Resident memory of a process; proc(5)."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def open_files(pid: int) -> int:
    """Descriptors that a process holds; proc(5)."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def cpu_ms(pid: int) -> int:
    """CPU time of a process and all its threads since its start; a clock tick is 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 // os.sysconf("SC_CLK_TCK")
