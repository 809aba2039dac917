"""`streamhub demo`: the demo district on this machine, until Ctrl-C.

Starts the camera farm and the service as children, on loopback alone, and ends what it started.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.table import Table

from camera_registry.demo import DemoSummary, seed_demo
from camera_registry.errors import RegistryError
from camera_registry.secret import Secret
from camera_registry.store import open_store
from camera_registry.vault import open_vault
from streamhub.access.passwords import hash_password
from streamhub.settings import SettingsError, load_settings

HOST = "127.0.0.1"
CAMERAS = 3000
FARM_USERNAME = "admin"
START_TIMEOUT_S = 60.0
CLIPS_TIMEOUT_S = 600.0  # encoded once, on however slow a machine
STOP_TIMEOUT_S = 5.0
PR_SET_PDEATHSIG = 1
OF_CHECKOUT = Path(".venv/bin/streamhub")


def demo_password(username: str) -> str:
    """The demo's sign-ins are printed for all to see, so they are not secret; nothing else is
    ever seeded with them."""
    return f"demo-{username}"


def farm_password(data_dir: Path) -> Secret:
    """The simulated cameras' password, made once and kept beside the registry (mode 0600)."""
    path = data_dir / "farm.password"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(12))
    return Secret(path.read_text().strip())


async def prepare(data_dir: Path, farm_port: int) -> DemoSummary:
    """Migrate and seed the registry that a service in `data_dir` will use; a second call finds all
    there. Raises SettingsError, RegistryError.
    """
    store = await open_store(load_settings(data_dir=data_dir).registry_place)
    try:
        vault = await open_vault(store, data_dir / "secret.key")
        return await seed_demo(
            store,
            vault,
            farm_host=HOST,
            farm_port=farm_port,
            farm_username=FARM_USERNAME,
            farm_password=farm_password(data_dir),
            passwords=lambda username: hash_password(demo_password(username)),
        )
    finally:
        await store.close()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Children:
    """The processes this command started, ended in the reverse order."""

    def __init__(self) -> None:
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        # A group of their own: Ctrl-C reaches this process alone, which ends them in order. And
        # they follow it if it is killed.
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "streamhub.cli", *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        self._processes.append((name, process))

    def dead(self) -> str | None:
        """The name of the first that ended by itself."""
        return next((name for name, p in self._processes if p.poll() is not None), None)

    def stop(self) -> None:
        for _, process in reversed(self._processes):
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()


def _wait_until(ready: Callable[[], bool], children: Children, what: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        name = children.dead()
        if name is not None:
            raise RuntimeError(f"The {name} ended while starting; its last lines above say why.")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} within {timeout_s:.0f} s.")
        time.sleep(0.1)


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=1).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def _require_free(port: int, option: str) -> None:
    """Another service on the page's port would answer for ours. Raises RuntimeError."""
    with socket.socket() as one:
        # As both servers listen: one that has just ended is not in the way.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((HOST, port))
        except OSError as error:
            raise RuntimeError(
                f"Port {port} can't be had ({error.strerror}); stop what is there, or choose"
                f" another: {_command()} demo {option} {port % 65535 + 1}"
            ) from None


def _command() -> str:
    """As it is typed here: `make demo` makes it in the checkout alone."""
    return str(OF_CHECKOUT) if OF_CHECKOUT.is_file() else "streamhub"


def _welcome(console: Console, url: str, summary: DemoSummary) -> None:
    table = Table("sign in as", "password", "who", box=None, pad_edge=False)
    for username, display_name in summary.sign_ins:
        table.add_row(username, demo_password(username), display_name)
    console.print(table)
    console.print(
        f"\nThe page: [bold]{url}/[/]   ({summary.channels} cameras in {summary.areas} areas;"
        " Ctrl-C stops all of it)"
    )


def demo(
    port: Annotated[
        int, typer.Option(envvar="STREAMHUB_HTTP__PORT", help="The page's port.")
    ] = 8080,
    farm_port: Annotated[int, typer.Option(help="The simulated cameras' RTSP port.")] = 8554,
    data_dir: Annotated[Path, typer.Option(help="The demo's registry.")] = Path(".data/demo"),
) -> None:
    """The demo district: 3,000 simulated cameras, the service and its page, until Ctrl-C."""
    console = Console()
    url = f"http://{HOST}:{port}"
    children = Children()

    def interrupted(signum: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(signum).name)

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, interrupted)
    try:
        _require_free(port, "--port")
        _require_free(farm_port, "--farm-port")
        children.start(
            "camera farm",
            ["farm", "--listen", f"{HOST}:{farm_port}", "--cameras", str(CAMERAS)],
            {
                "STREAMHUB_FARM_PASSWORD": farm_password(data_dir).reveal(),
                "STREAMHUB_FARM_USERNAME": FARM_USERNAME,
            },
        )
        # The farm loads, or makes its clips, while the registry is seeded.
        summary = asyncio.run(prepare(data_dir, farm_port))
        children.start(
            "service",
            ["serve"],
            {
                "STREAMHUB_DATA_DIR": str(data_dir),
                "STREAMHUB_HTTP__HOST": HOST,
                "STREAMHUB_HTTP__PORT": str(port),
                "STREAMHUB_LOG__LEVEL": os.environ.get("STREAMHUB_LOG__LEVEL", "warning"),
            },
        )
        silence = f"The service did not answer {url}/healthz"
        _wait_until(lambda: _is_healthy(url), children, silence, START_TIMEOUT_S)
        if not _listens(farm_port):
            console.print("making the simulated cameras' clips; the first time this takes a minute")
            silence = f"The cameras did not listen on {HOST}:{farm_port}"
            _wait_until(lambda: _listens(farm_port), children, silence, CLIPS_TIMEOUT_S)
        _welcome(console, url, summary)
        while (ended := children.dead()) is None:
            time.sleep(0.5)
        raise RuntimeError(f"The {ended} ended by itself; the lines above say why.")
    except KeyboardInterrupt:
        console.print("\nstopping")
    except (RuntimeError, RegistryError, SettingsError) as error:
        console.print(f"[red]{error}[/]")
        raise typer.Exit(1) from None
    finally:
        children.stop()
