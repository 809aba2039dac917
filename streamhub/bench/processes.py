"""Children of a bench: started on their core, ended with us, and the binaries among them."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any

BIN = Path(__file__).resolve().parents[1] / "_bin"
STOP_TIMEOUT_S = 10.0
PR_SET_PDEATHSIG = 1


class BenchError(Exception):
    """A bench can't go on; the message is for the user."""


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Within it SIGTERM ends us as Ctrl-C does: what was started is stopped on the way out."""

    def interrupted(signum: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(signum).name)

    before = signal.signal(signal.SIGTERM, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def binary(name: str) -> str:
    path = BIN / name
    if not os.access(path, os.X_OK):
        raise BenchError(f"{path} is not built: run `make core`.")
    return str(path)


@contextmanager
def running(
    words: Sequence[str],
    core: int | None,
    environment: Mapping[str, str] | None = None,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """A child on `core` for as long as the block lasts, and no longer than we live."""

    def begin() -> None:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if core is not None:
            os.sched_setaffinity(0, {core})

    process = subprocess.Popen(  # noqa: S603
        list(words),
        env={**os.environ, **(environment or {})},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
        preexec_fn=begin,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def ask_binary(
    words: Sequence[str],
    core: int | None,
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run a program that prints one JSON object; `on_line` gets each line of its stderr.

    Raises BenchError with its last line when it fails.
    """
    last = ""
    # Its answer goes to a file: what is longer than a pipe holds would wait for us, who read the
    # lines until the end.
    with tempfile.TemporaryFile() as answer:
        with running(words, core, environment, stdout=answer, stderr=subprocess.PIPE) as child:
            for line in child.stderr or ():
                last = line.strip() or last
                if on_line is not None:
                    on_line(last)
            code = child.wait()
        answer.seek(0)
        text = answer.read().decode()
    if code != 0:
        raise BenchError(f"{Path(words[0]).name} ended with {code}: {last}")
    result: dict[str, Any] = json.loads(text)
    return result
