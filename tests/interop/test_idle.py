"""A core that has nothing to do does nothing: no timer of its own wakes a shard."""

from __future__ import annotations

import asyncio

import pytest

from streamhub import _core

WATCHED_S = 2.0


@pytest.mark.parametrize("shards", [1, 3])
async def test_an_idle_core_is_not_woken(shards: int) -> None:
    core = _core.Core(shards=shards)
    try:
        before = core.stats()["counters"]["wakes"]
        await asyncio.sleep(WATCHED_S)
        woken = core.stats()["counters"]["wakes"] - before
    finally:
        core.shutdown(1000)
    # The first look at its sockets may fall into the time.
    assert woken <= 2 * shards
