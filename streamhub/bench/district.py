"""A seeded registry, the camera farm and the service, all fresh for each row."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from camera_registry.demo_plan import sends_h265

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
    process: subprocess.Popen[str]

    def fault(self, camera: int, kind: str) -> None:
        """Break a camera, or heal it ("none"); docs/farm.md."""
        if self.process.stdin is None or self.process.stdout is None:
            raise BenchError("The farm takes no commands.")
        self.process.stdin.write(f"fault {camera} {kind}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer != "ok":
            raise BenchError(f"The farm did not take the fault: {answer or 'it has ended'}")


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
        """Ids of that many channels, whose cameras send what the load takes: H.264."""
        ids: list[str] = []
        cursor: str | None = None
        while len(ids) < count:
            more = {} if cursor is None else {"cursor": cursor}
            page = self.get("/api/v1/channels", limit=CHANNELS_PER_PAGE, **more)
            # The code's serial number is the farm's number of the camera.
            ids += [item["id"] for item in page["items"] if not sends_h265(int(item["code"][-6:]))]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        if len(ids) < count:
            raise BenchError(f"The demo district has {len(ids)} channels, not {count}.")
        return ids[:count]

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

    def __init__(
        self, directory: Path, demo: Demo, clips: Path, cores: Cores, core: str = "native"
    ) -> None:
        """`core`: the packet core that services run, as `[media] core` has it."""
        self._directory = directory
        self._demo = demo
        self._clips = clips
        self._farm_port = free_port()
        self._rows = 0
        self._seeded = False
        self.cores = cores
        self.core = core

    @classmethod
    @contextmanager
    def open(
        cls, demo: Demo, clips: Path, cores: Cores, core: str = "native"
    ) -> Iterator[Workshop]:
        with tempfile.TemporaryDirectory(prefix="streamhub-bench-") as directory:
            yield cls(Path(directory), demo, clips, cores, core)

    @property
    def _template(self) -> Path:
        template = self._directory / "template"
        if not self._seeded:
            self._demo.seed(template, self._farm_port)
            self._seeded = True
        return template

    @contextmanager
    def farm(
        self,
        *,
        send_log_cameras: Sequence[int] = (1,),
        locked: bool = True,
        host: str = HOST,
    ) -> Iterator[Farm]:
        """The cameras; not `locked`, they ask for no password."""
        address = f"{host}:{self._farm_port}"
        log = self._directory / "send.log"
        words = [binary("farm"), "--listen", address, "--clips", str(self._clips)]
        words += ["--username", self._demo.farm_username]
        words += ["--send-log", str(log)]
        for camera in send_log_cameras:
            words += ["--send-log-camera", str(camera)]
        password = self._demo.farm_password(self._template) if locked else ""
        environment = {"STREAMHUB_FARM_PASSWORD": password}
        pipe = subprocess.PIPE
        with running(words, self.cores.load, environment, stdin=pipe, stdout=pipe) as process:
            for line in process.stdout or ():
                if line.startswith("farm: listening"):
                    break
            else:
                raise BenchError("The farm ended before it listened.")
            yield Farm(address, log, process)

    @contextmanager
    def service(self, environment: Mapping[str, str] | None = None) -> Iterator[Service]:
        """A fresh service: one that is not restarted keeps sending to viewers who have left."""
        data_dir = self.seeded()
        with self.service_on(data_dir, environment) as service:
            yield service
        shutil.rmtree(data_dir)

    def seeded(self) -> Path:
        """A fresh copy of the seeded data directory."""
        self._rows += 1
        data_dir = self._directory / f"row{self._rows}"
        shutil.copytree(self._template, data_dir)
        return data_dir

    @contextmanager
    def service_on(
        self, data_dir: Path, more: Mapping[str, str] | None = None
    ) -> Iterator[Service]:
        """A service on a data directory, with `more` settings."""
        url = f"http://{HOST}:{free_port()}"
        environment = {
            "STREAMHUB_DATA_DIR": str(data_dir),
            "STREAMHUB_HTTP__HOST": HOST,
            "STREAMHUB_HTTP__PORT": url.rpartition(":")[2],
            "STREAMHUB_MEDIA__UDP_PORT": "0",
            "STREAMHUB_MEDIA__CORE": self.core,
            "STREAMHUB_LOG__LEVEL": "warning",
            **(more or {}),
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
