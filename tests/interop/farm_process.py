"""A farm for interop tests: started by the command a user types, on a free port."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from support.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "p@ss:w/rd#1"


@dataclass
class Farm:
    """A running farm and its control lines."""

    process: subprocess.Popen[str]
    port: int
    password: str | None

    def url(self, path: str, password: str | None = None) -> str:
        password = password or self.password
        userinfo = f"admin:{quote(password, safe='')}@" if password else ""
        return f"rtsp://{userinfo}127.0.0.1:{self.port}{path}"

    def command(self, line: str) -> str:
        """Send one control line; returns the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def stats(self) -> dict[str, int]:
        word, *pairs = self.command("stats").split()
        assert word == "stats"
        return {key: int(value) for key, value in (pair.split("=") for pair in pairs)}


@contextmanager
def running_farm(*options: str, password: str | None = None) -> Iterator[Farm]:
    """A farm on a free port; its clips are made first when the cache has none."""
    environment = {k: v for k, v in os.environ.items() if k != "STREAMHUB_FARM_PASSWORD"}
    if password is not None:
        environment["STREAMHUB_FARM_PASSWORD"] = password
    with subprocess.Popen(
        [sys.executable, "-m", "streamhub.cli", "farm", "--listen", "127.0.0.1:0", *options],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            assert ready.startswith("farm: listening on 127.0.0.1:"), ready
            port = int(ready.split(",")[0].rpartition(":")[2])
            yield Farm(process, port, password)
        finally:
            process.terminate()
            left = process.communicate(timeout=PATIENCE_S)[0]
            assert process.returncode == 0
            assert left.endswith("farm: stopped\n")
