"""The process that looks, as the service sees it: started when asked, replaced when it dies."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import Final

import structlog

from camera_registry.inspection.card import Facts
from gateways.rtsp.inspect import LOOK_S, LookBroken, Looked
from gateways.rtsp.inspect_worker import LENGTH, REPLY
from gateways.rtsp.measure import MAX_KEYFRAME_BYTES
from gateways.rtsp.prepare import Address

__all__ = ["LookBroken", "LookPool"]

log = structlog.get_logger(__name__)

# Live pictures come first.
NICE: Final = 10
STEP_TIMEOUT_S: Final = 5.0
MAX_FACTS_BYTES: Final = 64 << 10
# Parameter sets come on top of the slices.
MAX_STILL_BYTES: Final = MAX_KEYFRAME_BYTES + (64 << 10)


class LookPool:
    """Has cameras looked at in another process. For one event loop; how many at a time is the
    caller's to say."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[Looked]] = {}
        self._numbers = itertools.count(1)
        self._closed = False

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def look(
        self, address: Address, *, timeout_s: float = STEP_TIMEOUT_S, look_s: float = LOOK_S
    ) -> Looked:
        """Look at one stream, see `gateways.rtsp.inspect.inspect`. Raises `LookBroken`."""
        process = await self._running()
        assert process.stdin is not None  # noqa: S101  (it is PIPE)
        number = next(self._numbers)
        password = None if address.password is None else address.password.reveal()
        order = {
            "id": number,
            "url": address.url,
            "username": address.username,
            "password": password,
            "timeout_s": timeout_s,
            "look_s": look_s,
        }
        future: asyncio.Future[Looked] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            body = json.dumps(order).encode()
            process.stdin.write(LENGTH.pack(len(body)) + body)
            with suppress(OSError):  # its end is seen by who reads
                await process.stdin.drain()
            return await future
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """End the process; what is under way fails."""
        self._closed = True
        process, reading = self._process, self._reading
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        if reading is not None:
            await reading

    # --- inside -----------------------------------------------------------------------------------

    async def _running(self) -> Process:
        async with self._starting:
            if self._closed:
                raise LookBroken("the looking has been closed")
            if self._reading is None or self._reading.done():
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "gateways.rtsp.inspect_worker",
                    str(NICE),
                    stdin=PIPE,
                    stdout=PIPE,
                    limit=1 << 20,
                    start_new_session=True,  # Ctrl-C in the terminal is the service's to handle
                )
                self._reading = asyncio.create_task(self._read(self._process), name="look-pool")
            assert self._process is not None  # noqa: S101  (just started, or before)
            return self._process

    async def _read(self, process: Process) -> None:
        """Hands answers out until there are no more."""
        assert process.stdout is not None  # noqa: S101  (it is PIPE)
        try:
            while True:
                head = await process.stdout.readexactly(REPLY.size)
                facts_bytes, keyframe_bytes = REPLY.unpack(head)
                if facts_bytes > MAX_FACTS_BYTES or keyframe_bytes > MAX_STILL_BYTES:
                    log.error("look_worker_out_of_step", pid=process.pid)
                    break
                body = json.loads(await process.stdout.readexactly(facts_bytes))
                keyframe = await process.stdout.readexactly(keyframe_bytes)
                future = self._waiting.get(body["id"])
                if future is not None and not future.done():
                    future.set_result(Looked(Facts.of(body["facts"]), keyframe or None))
        except (asyncio.IncompleteReadError, OSError):
            pass
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        if not self._closed:
            log.warning("look_worker_ended", pid=process.pid, code=process.returncode)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(LookBroken("the process that looked has ended"))
