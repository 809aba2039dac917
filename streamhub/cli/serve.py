"""`streamhub serve`: the service on TCP for all, and on its control socket for this machine.

SIGTERM or Ctrl-C: stop accepting, say goodbye to viewers, end audit rows, leave within 3 s.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from streamhub.settings import Settings

from .control import CliError, settings_or_fail
from .sd_notify import READY, STOPPING, sd_notify

if TYPE_CHECKING:
    from streamhub.delivery import Delivery

LOCK_FILE = "service.lock"
BACKLOG = 1024
# Requests under way get this long; streams of events end by themselves with their views.
REQUESTS_S = 1
# The last resort, should anything hang: out at 3 s, as promised to whoever stops us.
LEAVE_S = 2.9
LOOK_AT_CORE_EACH_S = 1

_log = structlog.get_logger("streamhub.serve")


def serve() -> None:
    """Run the service."""
    import uvloop

    from camera_registry.errors import RegistryError
    from streamhub import logs
    from streamhub.media.contract import CoreUnavailable

    settings = settings_or_fail()
    logs.configure(settings.log)
    _raise_open_files()
    try:
        with (
            locked(settings.data_dir),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(run_service(settings))
    except (RegistryError, CoreUnavailable) as error:
        raise CliError(str(error)) from None


async def run_service(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, or until a part of the packet core has ended by a fault: then
    it leaves in order and raises CliError, so that whoever watches the process starts it anew."""
    from streamhub.app import LocalOperatorApp, build_app, say_goodbye

    from .servers import ControlServer, PageServer
    from .tls import ReloadingTls, TlsFilesUnusable

    try:
        tls = ReloadingTls.of(settings.http)
    except TlsFilesUnusable as error:
        raise CliError(f"{error}.") from None
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with (
        _listen(settings.http.host, settings.http.port) as listener,
        _control_socket(settings.control_socket) as control,
        _last_resort() as leaving,
    ):
        app = build_app(settings)
        async with app.router.lifespan_context(app):
            page = PageServer(
                app, settings.http, requests_s=REQUESTS_S, tls=tls.context if tls else None
            )
            local = ControlServer(LocalOperatorApp(app), requests_s=REQUESTS_S)
            tasks = {
                asyncio.create_task(page.serve([listener]), name="http"),
                asyncio.create_task(local.serve([control]), name="control"),
            }
            following = set()
            if tls:
                tls.on_change(app.state.services.doors().certificate_changed)
                following.add(asyncio.create_task(tls.follow(), name="tls"))
            host, port = listener.getsockname()[:2]
            # What was made until here stays: collecting garbage need not walk it again, which takes
            # a tenth of a second of the loop each time.
            gc.collect()
            gc.freeze()
            scheme = "https" if tls else "http"
            _log.info(
                "listening",
                address=f"{host}:{port}",
                scheme=scheme,
                control=str(settings.control_socket),
            )
            _tell_setup_code(app.state.services.setup.code, f"{scheme}://{host}:{port}/")
            sd_notify(READY)
            core = asyncio.create_task(_until_fault(app.state.services.doors()), name="core")
            await _until_stopped(stop, tasks | following | {core})
            leaving()
            faulty = core.done()
            for task in {*following, core}:
                task.cancel()
            sd_notify(STOPPING)
            _log.info("leaving")
            page.should_exit = local.should_exit = True
            # Beside each other: the servers wait for event streams, which end with their views.
            await asyncio.gather(say_goodbye(app), *tasks)
    _log.info("left")
    if faulty:
        raise CliError(
            "A part of the packet core ended by a fault, so the service has left, to be started "
            "anew; the line worker_fault of its log says what happened: report it."
        )


def _tell_setup_code(code: str | None, page: str) -> None:
    """For the terminal (or the unit's journal), beside the log: it is worth nothing once used."""
    if code is not None:
        print(  # noqa: T201
            f"Nobody can sign in yet. Open {page} and make the first administrator with the "
            f"setup code {code}",
            file=sys.stderr,
            flush=True,
        )


async def _until_fault(delivery: Delivery) -> None:
    while True:
        if not delivery.core_is_whole:
            _log.critical("core_fault", next="leaving, to be started anew")
            return
        await asyncio.sleep(LOOK_AT_CORE_EACH_S)


async def _until_stopped(stop: asyncio.Event, tasks: set[asyncio.Task[None]]) -> None:
    stopped = asyncio.create_task(stop.wait(), name="stop")
    done, _ = await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for task in tasks & done:
        task.result()  # a server that ended by itself: raises why


@contextmanager
def _last_resort() -> Iterator[Callable[[], None]]:
    """Gives a function to call when leaving begins; if that hangs, the process ends anyway."""
    timer = threading.Timer(LEAVE_S, _leave_at_once)
    timer.daemon = True
    try:
        yield timer.start
    finally:
        timer.cancel()


def _leave_at_once() -> None:
    _log.error("left_at_once", reason=f"not done within {LEAVE_S} s")
    os._exit(1)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Before start-up is done nobody is answered, but nobody is refused either.
        listener.listen(BACKLOG)
    except OSError as error:
        raise CliError(
            f"Can't listen on {host}:{port} ({error.strerror}); "
            "stop what listens there, or set STREAMHUB_HTTP__PORT."
        ) from None
    listener.setblocking(False)
    return listener


@contextmanager
def _control_socket(path: Path) -> Iterator[socket.socket]:
    """The control socket: mode 0600 from its first moment. Whoever opens it is the operator."""
    path.unlink(missing_ok=True)  # a killed service's; the lock says that none runs
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # On Linux bind gives the file the mode of the socket's inode, so that there is no moment
        # in which others could open it.
        os.fchmod(control.fileno(), 0o600)
        control.bind(str(path))
        path.chmod(0o600)
        control.listen(BACKLOG)
        control.setblocking(False)
    except OSError as error:
        control.close()
        raise CliError(
            f"Can't make the control socket {path} ({error.strerror or error}); "
            "set STREAMHUB_DATA_DIR to a shorter path that can be written."
        ) from None
    try:
        yield control
    finally:
        control.close()
        path.unlink(missing_ok=True)


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """One service per data directory; the kernel gives the lock up when the process dies."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (data_dir / LOCK_FILE).open("w")
    except OSError as error:
        raise CliError(
            f"The data directory {data_dir} can't be used ({error.strerror}); "
            "set STREAMHUB_DATA_DIR."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CliError(
                f"A service already runs on {data_dir}; stop it, or set STREAMHUB_DATA_DIR."
            ) from None
        yield


def _raise_open_files() -> None:
    """A socket per camera and per page: the usual soft limit of 1,024 is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
