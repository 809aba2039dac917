"""The farm as one command: the simulated devices here, the RTSP cameras as a child, one end."""

from __future__ import annotations

import asyncio
import ctypes
import ipaddress
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from . import control
from .discovery_server import DiscoveryServer
from .plan import OnvifOptions, build
from .rtsp_relay import Address
from .server import OnvifServer, bound
from .stills import make_stills

STOP_S = 5.0
# A line longer than this is no command, as for the RTSP farm.
MAX_LINE_BYTES = 200
# Lines that wait while one is carried out; more are not read until then.
MAX_LINES = 64
READ_BYTES = 4096
PR_SET_PDEATHSIG = 1
# Three sockets for each device, and a connection: a sweep has one open at each at most.
FILES_PER_DEVICE = 4
SPARE_FILES = 64


class FarmEnded(Exception):
    """The RTSP farm ended by itself; its own last lines say why."""

    code = "farm_ended"


class Lines:
    """Standard input cut into lines, without a thread: `get` gives the next.

    A file or /dev/null can't be waited for and has nothing to say, as for the RTSP farm.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._partial = b""
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._is_reading = False
        self._set_reading(True)

    async def get(self) -> str:
        line = await self._queue.get()
        if self._queue.qsize() < MAX_LINES and not self._is_reading:
            self._set_reading(True)
        return line

    def close(self) -> None:
        self._set_reading(False)

    def _set_reading(self, on: bool) -> None:
        self._is_reading = on
        if not on:
            self._loop.remove_reader(self._descriptor)
            return
        with suppress(OSError, ValueError):
            self._loop.add_reader(self._descriptor, self._readable)

    def _readable(self) -> None:
        data = os.read(self._descriptor, READ_BYTES)
        *whole, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[:MAX_LINE_BYTES]
        for line in whole:
            text = line[:MAX_LINE_BYTES].decode("utf-8", "replace").strip()
            if text:
                self._queue.put_nowait(text)
        if not data or self._queue.qsize() >= MAX_LINES:
            self._set_reading(False)


async def run(
    options: OnvifOptions, discovery_port: int, rtsp_command: Sequence[str], rtsp_farm: Address
) -> None:
    """Serve until SIGTERM or SIGINT; `rtsp_command` starts the RTSP farm, `rtsp_farm` is where it
    listens.

    Raises PlanInvalid, FarmUnavailable and FarmEnded.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stopping.set)
    devices = build(options)
    _raise_open_files(len(devices))
    # A farm that listens everywhere is at the devices' addresses by itself.
    is_everywhere = ipaddress.ip_address(rtsp_farm[0]).is_unspecified
    server = OnvifServer(devices, make_stills(), rtsp_farm=None if is_everywhere else rtsp_farm)
    discovery = DiscoveryServer(devices, discovery_port) if discovery_port else None
    child: asyncio.subprocess.Process | None = None
    # Nothing is announced where the RTSP farm, which comes last, will find its port taken.
    bound(*rtsp_farm, "another port in --listen").close()
    try:
        await server.start()
        by_multicast = await discovery.start() if discovery else False
        first, last = devices[0].spec, devices[-1].spec
        found_by = "unicast and multicast" if by_multicast else "unicast"
        told = f"discovery={discovery_port} by {found_by}" if discovery else "discovery=none"
        _say(
            f"farm: onvif listening on {first.address}:{first.port} to {last.address}, "
            f"devices={len(devices)}, {told}"
        )
        child = await _start(rtsp_command)
        await _serve(server, child, stopping)
    finally:
        if child is not None:
            await _ended(child)
        if discovery:
            discovery.stop()
        await server.stop()
    _say("farm: onvif stopped")


# --- inside ---------------------------------------------------------------------------------------


async def _serve(
    server: OnvifServer, child: asyncio.subprocess.Process, stopping: asyncio.Event
) -> None:
    lines = Lines(sys.stdin.fileno())
    tasks: list[asyncio.Task[Any]] = [
        asyncio.create_task(_carry_out(lines, server, child)),
        asyncio.create_task(stopping.wait()),
        asyncio.create_task(_reached_its_end(child)),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        lines.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _carry_out(lines: Lines, server: OnvifServer, child: asyncio.subprocess.Process) -> None:
    assert child.stdin is not None  # noqa: S101  (_start asked for it)
    while True:
        line = await lines.get()
        if line.startswith(control.PREFIX):
            _say(await control.command(server, line))
            continue
        # The RTSP farm answers on the same standard output.
        child.stdin.write(line.encode() + b"\n")
        with suppress(ConnectionError):  # it ended; `_reached_its_end` says so
            await child.stdin.drain()


async def _reached_its_end(child: asyncio.subprocess.Process) -> None:
    status = await child.wait()
    raise FarmEnded(f"The RTSP farm ended by itself ({status}); the lines above say why.")


async def _start(rtsp_command: Sequence[str]) -> asyncio.subprocess.Process:
    # A group of its own: Ctrl-C reaches this process alone, which ends both; and the child
    # follows if this one is killed.
    return await asyncio.create_subprocess_exec(
        *rtsp_command,
        stdin=asyncio.subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )


def _raise_open_files(devices: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    wanted = FILES_PER_DEVICE * devices + SPARE_FILES
    if most != resource.RLIM_INFINITY and most < wanted:
        print(  # noqa: T201  (the command's own standard error)
            f"farm: only {most} files may be open, {wanted} are needed to answer every device at "
            f"once; raise it with `ulimit -n {wanted}`.",
            file=sys.stderr,
        )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


async def _ended(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        child.terminate()
    try:
        await asyncio.wait_for(child.wait(), STOP_S)
    except TimeoutError:
        child.kill()
        await child.wait()


def _say(line: str) -> None:
    """A closed standard output is no reason to stop."""
    with suppress(OSError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
