"""Commits of other processes, as PostgreSQL tells of them: one connection that listens.

While it does, nobody needs to poll. When it is lost, `version` differs at each call, so that
whoever polls looks each time; and the first thing a new connection does, once it listens, is to
look what came meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import psycopg

CHANNEL: Final = "streamhub_changes"
LOOK_S: Final = 1.0  # without a word it looks all the same: that shows whether the connection lives
LOOK_TIMEOUT_S: Final = 2.0
RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 5.0
_LATEST: Final = "SELECT max(seq) FROM changes"

Heard = Callable[[int], None]
Connect = Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]

_log = logging.getLogger(__name__)


class Listener:
    """Calls `heard` with the newest changes seq after each word of a commit, and now and then."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._listening = False
        self._version = 0
        self._task: asyncio.Task[None] | None = None

    def start(self, heard: Heard) -> None:
        """The first call counts."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(heard), name="registry-listener")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def version(self) -> int:
        """Differs from the one before unless all commits since are sure to be heard of."""
        if not self._listening:
            self._version += 1
        return self._version

    async def _run(self, heard: Heard) -> None:
        retry_s = RETRY_FIRST_S
        while True:
            try:
                await self._listen(heard)
            except (psycopg.Error, OSError, TimeoutError) as error:
                if self._listening:
                    retry_s = RETRY_FIRST_S
                    reason = str(error).partition("\n")[0] or type(error).__name__
                    _log.warning("commits of other processes are polled for: %s", reason)
                self._listening = False
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, RETRY_MAX_S)

    async def _listen(self, heard: Heard) -> None:
        connection = await self._connect()
        try:
            await connection.execute(f"LISTEN {CHANNEL}")
            while True:
                async with asyncio.timeout(LOOK_TIMEOUT_S):
                    row = await (await connection.execute(_LATEST)).fetchone()
                heard(row[0] if row and row[0] else 0)
                self._listening = True
                async for _ in connection.notifies(timeout=LOOK_S, stop_after=1):
                    pass  # that there is something, the look tells what
        finally:
            await connection.close()
