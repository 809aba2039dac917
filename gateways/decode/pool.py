"""The pool of decode workers: a bounded queue, a deadline for each, replacement of the dead."""

from __future__ import annotations

import asyncio
import os
import struct
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateways.decode.contract import (
    Busy,
    DecodeTimedOut,
    Picture,
    TooLarge,
    Undecodable,
    WorkerDied,
)

log = structlog.get_logger(__name__)

WORKER_FILE = Path(__file__).with_name("worker.py")
# The wire format of worker.py, which is never imported here: it loads the codecs.
REQUEST = struct.Struct(">BHI")
CODECS = {"H264": 0, "H265": 1}
REPLY = struct.Struct(">BHHI")
STATUS_PICTURE = 0
MAX_JPEG_BYTES = 32 << 20
# What a worker needs of the environment: nothing but how to find its libraries.
ENVIRONMENT_KEPT = ("LD_LIBRARY_PATH", "LANG", "LC_ALL")


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """Bounds of the pool."""

    # One 1080p keyframe takes about 20 ms: one worker gives dozens of stills a second.
    workers: int = 1
    # Behind these a caller would wait for seconds.
    max_waiting: int = 16
    # The largest keyframes of 4K cameras are under 2 MB.
    max_input_bytes: int = 8 << 20
    # Live pictures come first.
    nice: int = 10
    # The first decode of a fresh process loads the codecs.
    stop_grace_s: float = 0.5


class _Worker:
    """One process and its pipes. Used by one caller at a time."""

    def __init__(self, settings: DecodeSettings) -> None:
        self._settings = settings
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> Process:
        process = self._process
        if process is not None and process.returncode is None:
            return process
        environment = {key: os.environ[key] for key in ENVIRONMENT_KEPT if key in os.environ}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(WORKER_FILE),
            str(self._settings.nice),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=environment,
            limit=1 << 20,
            start_new_session=True,  # Ctrl-C in the terminal is the service's to handle
        )
        return self._process

    async def exchange(
        self, codec: int, most_width: int, annexb: bytes
    ) -> tuple[int, int, int, bytes]:
        """One request, one reply. Raises `WorkerDied`."""
        process = await self.start()
        assert process.stdin is not None  # noqa: S101  (both are PIPE)
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(REQUEST.pack(codec, most_width, len(annexb)) + annexb)
            await process.stdin.drain()
            header = await process.stdout.readexactly(REPLY.size)
            status, width, height, length = REPLY.unpack(header)
            if length > MAX_JPEG_BYTES:
                raise WorkerDied("the worker's reply makes no sense")
            body = await process.stdout.readexactly(length)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise WorkerDied("the worker died while it decoded") from error
        return status, width, height, body

    async def stop(self, grace_s: float = 0.0) -> None:
        """End the process: at once, or after `grace_s` for it to see the end of its input."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if grace_s > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await process.wait()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()


class DecodePool:
    """Decodes keyframes outside this process. For one event loop."""

    def __init__(self, settings: DecodeSettings | None = None) -> None:
        self._settings = settings or DecodeSettings()
        self._workers = [_Worker(self._settings) for _ in range(self._settings.workers)]
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        for worker in self._workers:
            self._idle.put_nowait(worker)
        self._inside = 0
        self._closed = False
        self.replaced_total = 0

    @property
    def pids(self) -> list[int]:
        """Of the workers that run."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def start(self) -> None:
        """Start the workers now instead of at the first picture."""
        for worker in self._workers:
            await worker.start()

    async def decode(
        self, annexb: bytes, *, codec: str = "H264", timeout_s: float, most_width: int = 0
    ) -> Picture:
        """One keyframe access unit (Annex-B, parameter sets in front) as a JPEG. `codec`: `H264` or
        `H265`. Wider pictures become `most_width` pixels wide; 0 leaves them as they are.

        Raises `Busy`, `TooLarge`, `Undecodable`, `DecodeTimedOut`, `WorkerDied`.
        """
        if self._closed:
            raise Busy("the decoder is stopping")
        if codec not in CODECS:
            raise Undecodable(f"no decoder for {codec}")
        if len(annexb) > self._settings.max_input_bytes:
            raise TooLarge(f"{len(annexb)} bytes are not a keyframe")
        if self._inside >= self._settings.max_waiting:
            raise Busy("too many pictures wait to be decoded")
        self._inside += 1
        try:
            async with asyncio.timeout(timeout_s):
                worker = await self._idle.get()
                try:
                    status, width, height, body = await self._exchange(
                        worker, CODECS[codec], most_width, annexb
                    )
                finally:
                    self._idle.put_nowait(worker)
        except TimeoutError:
            raise DecodeTimedOut(f"not decoded within {timeout_s:.1f} s") from None
        finally:
            self._inside -= 1
        if status != STATUS_PICTURE:
            raise Undecodable(body.decode(errors="replace"))
        return Picture(body, width, height)

    async def close(self) -> None:
        """Stop the workers; what is being decoded fails."""
        self._closed = True
        await asyncio.gather(*(w.stop(self._settings.stop_grace_s) for w in self._workers))

    async def _exchange(
        self, worker: _Worker, codec: int, most_width: int, annexb: bytes
    ) -> tuple[int, int, int, bytes]:
        try:
            return await worker.exchange(codec, most_width, annexb)
        except BaseException as error:
            # Dead, late or cut off in the middle: its pipes are out of step, so it is replaced.
            self.replaced_total += 1
            log.warning("decode_worker_replaced", pid=worker.pid, error=type(error).__name__)
            await worker.stop()
            raise
