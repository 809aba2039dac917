"""The events beside a view (text/event-stream), gathered as they come."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from support.patience import PATIENCE_S


@dataclass
class ViewEvents:
    """What a tile would have heard of its view so far."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    ended: bool = False

    @property
    def state(self) -> dict[str, Any]:
        return self.states[-1] if self.states else {}

    def take(self, name: str, data: dict[str, Any]) -> None:
        (self.steps if name == "step" else self.states).append(data)

    async def until(
        self,
        what: str,
        wanted: Callable[[dict[str, Any]], bool],
        timeout_s: float = PATIENCE_S,
        *,
        since: int = 0,
    ) -> dict[str, Any]:
        """The first state that is wanted, not looking at the first `since` of them."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for state in self.states[since:]:
                        if wanted(state):
                            return state
                    since = len(self.states)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(
                f"{what}: not within {timeout_s} s; last: {self.states[-3:]}"
            ) from None


@asynccontextmanager
async def events_of(client: httpx.AsyncClient, location: str) -> AsyncIterator[ViewEvents]:
    """Follow the view at `location` until the block ends."""
    seen = ViewEvents()
    opened = asyncio.Event()

    async def follow() -> None:
        try:
            # No read timeout of its own: the tests' deadlines are in `until`.
            async with client.stream("GET", f"{location}/events", timeout=None) as answer:
                answer.raise_for_status()
                opened.set()
                name = ""
                async for line in answer.aiter_lines():
                    field_name, _, value = line.partition(": ")
                    if field_name == "event":
                        name = value
                    elif field_name == "data":
                        seen.take(name, json.loads(value))
        except httpx.TransportError:
            return
        finally:
            seen.ended = True
            opened.set()

    task = asyncio.create_task(follow())
    await opened.wait()
    try:
        yield seen
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
