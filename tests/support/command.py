"""`streamhub` on one data directory: commands in a process of their own for all of them, and the
service in another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import httpx

from support.district import free_port, is_healthy
from support.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).with_name("cli_child.py")


class Command:
    """`end` it."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "STREAMHUB_DATA_DIR": str(data_dir),
            "STREAMHUB_HTTP__PORT": str(self.port),
            "STREAMHUB_MEDIA__CORE": "fake",
            "STREAMHUB_LOG__FORMAT": "json",
            "STREAMHUB_LOG__LEVEL": "debug",
            **settings,
        }
        self._child: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, *arguments: str, given: str | None = None) -> CompletedProcess[str]:
        """One command after another in the process that there is for them."""
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, str(CHILD)],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps([arguments, given]) + "\n")
        self._child.stdin.flush()
        code, printed, errors = json.loads(self._child.stdout.readline())
        return CompletedProcess(arguments, code, printed, errors)

    def run_alone(self, *arguments: str) -> CompletedProcess[str]:
        """As a user's shell does it."""
        return subprocess.run(
            [sys.executable, "-m", "streamhub.cli", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
        )

    def ok(self, *arguments: str, given: str | None = None) -> str:
        done = self.run(*arguments, given=given)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def json(self, *arguments: str, given: str | None = None) -> Any:
        return json.loads(self.ok(*arguments, "--json", given=given))

    def peak_kib(self) -> int:
        """The most memory that the commands' process has taken so far."""
        assert self._child is not None
        status = Path(f"/proc/{self._child.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0])

    def end(self) -> None:
        if self._child is not None:
            self._child.communicate("", PATIENCE_S)

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        with (self.data_dir.parent / "service.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "streamhub.cli", "serve"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not is_healthy(self.port):
                assert process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.05)
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE_S)

    def log(self) -> str:
        return (self.data_dir.parent / "service.log").read_text()

    def token(self) -> str:
        form = {"username": "operator", "password": "operator-pass"}
        answer = httpx.post(f"{self.url}/api/v1/token", data=form, timeout=PATIENCE_S)
        return str(answer.json()["access_token"])
