"""A bad way: `loadgen relay` between viewers and the service's media port."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from streamhub.bench.processes import binary
from support.patience import PATIENCE_S


class Relay:
    """`end()` stops it and gives what it passed and lost, each way."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.port = port
        self._process = process

    def end(self) -> dict[str, Any]:
        out, _ = self._process.communicate(timeout=PATIENCE_S)  # its input ends, and so does it
        counts: dict[str, Any] = json.loads(out)
        return counts


@contextmanager
def running_relay(
    to_port: int, *, loss: float, seed: int, port: int, seconds: int = 3_600
) -> Iterator[Relay]:
    """By UDP: datagrams are lost."""
    words = ["--loss", str(loss), "--seed", str(seed), "--seconds", str(seconds)]
    with _running(words, to_port, port) as relay:
        yield relay


@contextmanager
def running_tcp_relay(
    to_port: int,
    *,
    port: int,
    seed: int,
    delay_ms: int = 0,
    bytes_per_s: int = 0,
    stall_ms: int = 0,
    stall_every_ms: int = 0,
    cut_after_ms: int = 0,
    seconds: int = 3_600,
) -> Iterator[Relay]:
    """By TCP: bytes are late, few at a time, held up; connections are reset. 0 is none of it."""
    words = ["--tcp", "--seed", str(seed), "--seconds", str(seconds)]
    words += ["--delay-ms", str(delay_ms), "--bytes-per-s", str(bytes_per_s)]
    words += ["--stall-ms", str(stall_ms), "--stall-every-ms", str(stall_every_ms)]
    words += ["--cut-after-ms", str(cut_after_ms)]
    with _running(words, to_port, port) as relay:
        yield relay


@contextmanager
def _running(words: Sequence[str], to_port: int, port: int) -> Iterator[Relay]:
    begin = [binary("loadgen"), "relay", "--listen", f"127.0.0.1:{port}"]
    begin += ["--to", f"127.0.0.1:{to_port}"]
    with subprocess.Popen(
        [*begin, *words],
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
