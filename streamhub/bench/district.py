"""A seeded registry, the camera farm and the service, all fresh for each row."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from .machine import Cores
from .processes import BenchError, binary, running

HOST = "127.0.0.1"
START_TIMEOUT_S = 60.0
CHANNELS_PER_PAGE = 200


@dataclass(frozen=True)
class Demo:
    """How a demo registry is made and entered: the command line hands it down."""

    seed: Callable[[Path, int], None]  # (data_dir, farm_port)
    farm_username: str
    farm_password: Callable[[Path], str]
    username: str
    password: str


@dataclass(frozen=True)
class Farm:
    address: str  # host:port
    send_log: Path


@dataclass(frozen=True)
class Service:
    """The service under test, and the token its viewers bring."""

    pid: int
    url: str
    token: str

    def get(self, path: str, **params: str | int) -> Any:
        answer = httpx.get(
            f"{self.url}{path}",
            params=params,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=10,
        )
        answer.raise_for_status()
        return answer.json()

    def channels(self, count: int) -> list[str]:
        """Ids of that many channels."""
        ids: list[str] = []
        cursor: str | None = None
        while len(ids) < count:
            more = {} if cursor is None else {"cursor": cursor}
            limit = min(CHANNELS_PER_PAGE, count - len(ids))
            page = self.get("/api/v1/channels", limit=limit, **more)
            ids.extend(item["id"] for item in page["items"])
            cursor = page["next_cursor"]
            if cursor is None:
                break
        if len(ids) < count:
            raise BenchError(f"The demo district has {len(ids)} channels, not {count}.")
        return ids

    def camera_number(self, channel_id: str) -> int:
        """The farm's number of the camera behind a channel."""
        url: str = self.get(f"/api/v1/channels/{channel_id}")["main_url"]
        return int(url.split("/cam/")[1].split("/")[0])

    def whep(self, channel_id: str, profile: str) -> str:
        return f"{self.url}/whep/{channel_id}?profile={profile}"

    def counters(self) -> dict[str, float]:
        """The core's totals, from /metrics."""
        text = httpx.get(f"{self.url}/metrics", timeout=10).text
        found: dict[str, float] = {}
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            if name.startswith("streamhub_core_") and "{" not in name:
                key = name.removeprefix("streamhub_core_").removesuffix("_total")
                found[key] = float(value)
        return found


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Workshop:
    """A temporary directory with one seeded registry: seeding hashes many passwords, and is done
    once. Rows get copies."""

    def __init__(self, directory: Path, demo: Demo, clips: Path, cores: Cores) -> None:
        self._directory = directory
        self._demo = demo
        self._clips = clips
        self._farm_port = free_port()
        self._rows = 0
        self._seeded = False
        self.cores = cores

    @classmethod
    @contextmanager
    def open(cls, demo: Demo, clips: Path, cores: Cores) -> Iterator[Workshop]:
        with tempfile.TemporaryDirectory(prefix="streamhub-bench-") as directory:
            yield cls(Path(directory), demo, clips, cores)

    @property
    def _template(self) -> Path:
        template = self._directory / "template"
        if not self._seeded:
            self._demo.seed(template, self._farm_port)
            self._seeded = True
        return template

    @contextmanager
    def farm(self, *, send_log_camera: int = 1, locked: bool = True) -> Iterator[Farm]:
        """The cameras; not `locked`, they ask for no password."""
        address = f"{HOST}:{self._farm_port}"
        log = self._directory / "send.log"
        words = [binary("farm"), "--listen", address, "--clips", str(self._clips)]
        words += ["--username", self._demo.farm_username]
        words += ["--send-log", str(log), "--send-log-camera", str(send_log_camera)]
        password = self._demo.farm_password(self._template) if locked else ""
        environment = {"STREAMHUB_FARM_PASSWORD": password}
        with running(words, self.cores.load, environment, stdout=subprocess.PIPE) as process:
            for line in process.stdout or ():
                if line.startswith("farm: listening"):
                    break
            else:
                raise BenchError("The farm ended before it listened.")
            yield Farm(address, log)

    @contextmanager
    def service(self) -> Iterator[Service]:
        """A fresh service: one that is not restarted keeps sending to viewers who have left."""
        self._rows += 1
        data_dir = self._directory / f"row{self._rows}"
        shutil.copytree(self._template, data_dir)
        url = f"http://{HOST}:{free_port()}"
        environment = {
            "STREAMHUB_DATA_DIR": str(data_dir),
            "STREAMHUB_HTTP__HOST": HOST,
            "STREAMHUB_HTTP__PORT": url.rpartition(":")[2],
            "STREAMHUB_MEDIA__UDP_PORT": "0",
            "STREAMHUB_LOG__LEVEL": "warning",
        }
        words = [sys.executable, "-m", "streamhub.cli", "serve"]
        with (
            (data_dir / "service.log").open("wb") as log,
            running(
                words, self.cores.service, environment, stdout=log, stderr=subprocess.STDOUT
            ) as process,
        ):
            self._wait_healthy(process, url, data_dir / "service.log")
            yield Service(process.pid, url, self._token(url))
        shutil.rmtree(data_dir)

    def farm_password(self) -> str:
        return self._demo.farm_password(self._template)

    def scratch_file(self, name: str) -> Path:
        return self._directory / name

    def _token(self, url: str) -> str:
        answer = httpx.post(
            f"{url}/api/v1/token",
            data={"username": self._demo.username, "password": self._demo.password},
            timeout=10,
        )
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token

    @staticmethod
    def _wait_healthy(process: subprocess.Popen[str], url: str, log: Path) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise BenchError(f"The service ended while starting:\n{tail}")
            try:
                if httpx.get(f"{url}/healthz", timeout=1).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise BenchError(f"The service did not answer in {START_TIMEOUT_S:.0f} s.")
