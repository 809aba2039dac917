"""A whole district for end-to-end tests: the farm, a seeded registry and the service, as the
processes a user runs, on free loopback ports."""

from __future__ import annotations

import asyncio
import http.client
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from streamhub.cli.demo import FARM_USERNAME, demo_password, farm_password, prepare
from support.patience import PATIENCE_S, HeldUp

ROOT = Path(__file__).resolve().parents[2]

# Of this process. Two that were asked for before either was bound must not be the same.
_given: set[int] = set()


def free_port(*kinds: socket.SocketKind) -> int:
    """A number that is free for every one of `kinds` at once (none given: TCP), and that nobody was
    given before, here or in another lane (TEST_LANE: 0 or 1; each has every second
    number); none of those that the kernel gives to connections, which might take it before it is
    used."""
    lane = os.environ.get("TEST_LANE")
    first, step = (10_000, 1) if lane is None else (10_000 + int(lane), 2)
    for port in random.sample(range(first, _first_ephemeral(), step), 64):
        if port in _given:
            continue
        with ExitStack() as held:
            try:
                for kind in kinds or (socket.SOCK_STREAM,):
                    taken = held.enter_context(socket.socket(socket.AF_INET, kind))
                    taken.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise AssertionError("no port is free")


def _first_ephemeral() -> int:
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def free_media_port() -> int:
    """The service listens on it by UDP and by TCP."""
    return free_port(socket.SOCK_DGRAM, socket.SOCK_STREAM)


def wait_until(what: str, check: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Poll `check`; the deadline is a failure, never the way a test goes on."""
    deadline = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s} s")
        time.sleep(0.02)


def is_healthy(port: int, tls: ssl.SSLContext | None = None) -> bool:
    """Whether a service on this host says so. Asked many times while one starts, so by the plainest
    client: httpx takes 27 ms of the processor for each."""
    connection = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        if tls is None
        else http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=tls)
    )
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def has_left(process: subprocess.Popen[bytes] | None, held_up: HeldUp) -> bool:
    """Whether it is gone; what it waits for a core until then is looked at each time."""
    assert process is not None
    held_up.seconds()
    return process.poll() is not None


async def eventually(what: str, check: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """As `wait_until`, without holding the loop."""
    deadline = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s} s")
        await asyncio.sleep(0.02)


@dataclass
class Farm:
    """The simulated cameras; `fault` breaks and heals one of them."""

    process: subprocess.Popen[str]
    port: int

    def fault(self, camera: int, kind: str) -> None:
        answer = self._ask(f"fault {camera} {kind}")
        assert answer.startswith("ok"), answer

    def stats(self) -> dict[str, int]:
        word, *pairs = self._ask("stats").split()
        assert word == "stats"
        return {key: int(value) for key, value in (pair.split("=") for pair in pairs)}

    def _ask(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@contextmanager
def running_farm(password: str, cameras: int = 3000, options: Sequence[str] = ()) -> Iterator[Farm]:
    """`options`: more of `streamhub farm`; with `--onvif` its devices listen, too."""
    awaited = {"farm: listening"} | ({"farm: onvif listening"} if "--onvif" in options else set())
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "streamhub.cli",
            "farm",
            "--listen",
            f"127.0.0.1:{port}",
            "--cameras",
            str(cameras),
            *options,
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "STREAMHUB_FARM_PASSWORD": password,
            "STREAMHUB_FARM_USERNAME": FARM_USERNAME,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    with process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                awaited -= {each for each in awaited if line.startswith(each)}
                if not awaited:
                    break
            else:
                raise AssertionError(f"the farm ended with {process.wait()} before it listened")
            yield Farm(process, port)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


LAST_WORDS_BYTES = 6_000
# Services in the order in which they were started, for whoever has to say why a test failed.
started: list[Service] = []


@dataclass
class Service:
    """The service as a process on a data directory; may be killed and started again."""

    data_dir: Path
    port: int = field(default_factory=free_port)
    udp_port: int = field(default_factory=free_media_port)
    environment: dict[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ("-m", "streamhub.cli")
    process: subprocess.Popen[bytes] | None = None

    @property
    def certificate(self) -> str | None:
        """The file with the certificate that it speaks TLS with."""
        return self.environment.get("STREAMHUB_HTTP__TLS_CERTIFICATE")

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What its certificate is checked with, where it has one."""
        return ssl.create_default_context(cafile=self.certificate) if self.certificate else None

    @property
    def trust(self) -> ssl.SSLContext | bool:
        """For httpx's `verify`."""
        return self.tls or True

    @property
    def pids(self) -> tuple[int, ...]:
        return () if self.process is None else (self.process.pid,)

    @property
    def log_path(self) -> Path:
        return self.data_dir / "service.log"

    def variables(self) -> dict[str, str]:
        return {
            **os.environ,
            "STREAMHUB_DATA_DIR": str(self.data_dir),
            "STREAMHUB_HTTP__PORT": str(self.port),
            "STREAMHUB_MEDIA__UDP_PORT": str(self.udp_port),
            "STREAMHUB_LOG__FORMAT": "json",
            **self.environment,
        }

    def start(self) -> None:
        started.append(self)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, "serve"],
                cwd=ROOT,
                env=self.variables(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until("the service is healthy", self._healthy)

    def last_words(self) -> str:
        """The end of its log, and whether it runs."""
        log = self.log_path.read_bytes() if self.log_path.exists() else b""
        lives = "stopped" if self.process is None else f"exit code {self.process.poll()}"
        return f"{log[-LAST_WORDS_BYTES:].decode(errors='replace')}\n{lives}"

    def _healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log_path.read_text()[-4000:]
        return is_healthy(self.port, self.tls)

    def stop(self) -> float:
        """SIGTERM; returns the seconds it took to leave, without those it waited for a core."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, signum: int) -> float:
        if self.process is None:
            return 0.0
        held_up, started = HeldUp(self.process.pid), time.monotonic()
        self.process.send_signal(signum)
        wait_until("the service is gone", lambda: has_left(self.process, held_up))
        self.process = None
        return time.monotonic() - started - held_up.seconds()

    def cli(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `streamhub …` on this service's data directory."""
        return subprocess.run(
            [sys.executable, "-m", "streamhub.cli", *arguments],
            cwd=ROOT,
            env=self.variables(),
            capture_output=True,
            text=True,
            check=check,
            timeout=2 * PATIENCE_S,
        )

    def token(self, username: str) -> str:
        answer = httpx.post(
            f"{self.url}/api/v1/token",
            data={"username": username, "password": demo_password(username)},
            timeout=PATIENCE_S,
        )
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token

    @asynccontextmanager
    async def client(self, username: str) -> AsyncIterator[httpx.AsyncClient]:
        headers = {"Authorization": f"Bearer {self.token(username)}"}
        async with httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=PATIENCE_S
        ) as client:
            yield client


def seed_template(directory: Path, farm_port: int) -> None:
    """A seeded data directory, to be copied: hashing 18 passwords once is enough."""
    asyncio.run(prepare(directory, farm_port))


@contextmanager
def running_service(
    data_dir: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """A service of its own on a data directory, with settings of its own."""
    service = Service(data_dir, environment=dict(environment or {}))
    service.start()
    try:
        yield service
    finally:
        service.stop()


def copy_of(template: Path, directory: Path) -> Path:
    shutil.copytree(template, directory)
    return directory


def farm_secret(directory: Path) -> str:
    return farm_password(directory).reveal()
