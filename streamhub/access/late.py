"""What was made a moment ago, and the facts do not have yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from camera_registry.feed import ChangeFeed
from camera_registry.store.contract import ReadTx, Store

# Of a machine that is busy; else it is milliseconds.
LATE_MS = 5_000


async def catch_up(
    store: Store, feed: ChangeFeed, is_known: Callable[[ReadTx], Awaitable[bool]]
) -> bool:
    """Whether the store knows what was not among the facts; then they have caught up with it. One
    read, and nothing to wait for where somebody made it up."""
    async with store.read() as tx:
        if not await is_known(tx):
            return False
        seq = await tx.change_seq()
    return await feed.wait_caught_up(seq, LATE_MS)
