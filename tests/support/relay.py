"""A way that loses datagrams: `loadgen relay` between viewers and the service's UDP port."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from streamhub.bench.processes import binary


class Relay:
    """`end()` stops it and gives what it passed and lost, each way."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.port = port
        self._process = process

    def end(self) -> dict[str, Any]:
        out, _ = self._process.communicate(timeout=10)  # its input ends, and so does it
        counts: dict[str, Any] = json.loads(out)
        return counts


@contextmanager
def running_relay(
    to_port: int, *, loss: float, seed: int, port: int, seconds: int = 120
) -> Iterator[Relay]:
    words = [binary("loadgen"), "relay", "--listen", f"127.0.0.1:{port}"]
    words += ["--to", f"127.0.0.1:{to_port}", "--loss", str(loss), "--seed", str(seed)]
    words += ["--seconds", str(seconds)]
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("loadgen: relaying"), line
            yield Relay(process, port)
        finally:
            process.terminate()
