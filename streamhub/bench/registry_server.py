"""The PostgreSQL of `bench registry`, and what it has worked."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from camera_registry.secret import Secret

from .machine import ROOT
from .processes import BenchError

# What a server of 8 GB would have; durable, as those that are not throw-away.
SETTINGS: Final = (
    "shared_buffers=1GB",
    "effective_cache_size=4GB",
    "random_page_cost=1.1",
    "maintenance_work_mem=256MB",
    "fsync=on",
    "full_page_writes=on",
    "max_wal_size=4GB",
)


@dataclass(frozen=True)
class Server:
    """A running one; `pid` is its first process, whose children serve."""

    url: Secret
    pid: int

    def cpu_ms(self) -> float:
        """Processor time of its processes so far, in ms; of those that ended, none."""
        total_ns = 0
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            with suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
                total_ns += int(Path(f"/proc/{child}/schedstat").read_text().split()[0])
        return total_ns / 1e6


@contextmanager
def running_server(folder: Path, say: Callable[[str], None]) -> Iterator[Server]:
    """A PostgreSQL in `folder` for as long as the block lasts. Raises BenchError."""
    script = ROOT / "scripts" / "postgres"
    if not script.exists():
        raise BenchError("--postgres needs a checkout of StreamHub: scripts/postgres is not here.")
    folder.chmod(0o711)  # the server runs as another user
    words = [str(script), "start", str(folder / "pg"), *SETTINGS]
    pipe = subprocess.PIPE
    starting = subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True)  # noqa: S603
    try:
        url, said = starting.communicate()
        if starting.returncode != 0:
            raise BenchError(f"No PostgreSQL: {said.strip()}")
        pid = int((folder / "pg" / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        say(f"a PostgreSQL of its own is process {pid}")
        yield Server(Secret(url.strip()), pid)
    finally:
        # Interrupted while it starts, it has to be there before it can be stopped.
        if starting.wait() == 0:
            subprocess.run([str(script), "stop", str(folder / "pg")], check=True)  # noqa: S603
