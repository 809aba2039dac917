"""What passwords a host refused, over restarts; both stores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from camera_registry.store import open_store

from .conftest import Place

NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)


async def test_tries_are_kept_by_host_the_longest_unchanged_first(place: Place) -> None:
    store = await open_store(place.at)
    async with store.write() as tx:
        for number, host in enumerate(("192.0.2.1", "192.0.2.2", "192.0.2.3")):
            await tx.sweeps.put_tries(host, {"failed": []}, NOW + timedelta(seconds=number))
        await tx.sweeps.put_tries("192.0.2.1", {"failed": ["x"]}, NOW + timedelta(minutes=1))
    async with store.write() as tx:
        await tx.sweeps.delete_tries(["192.0.2.3", "192.0.2.9"])
    await store.close()
    store = await open_store(place.at)
    async with store.read() as read_tx:
        kept = await read_tx.sweeps.tries()
    await store.close()
    assert kept == [("192.0.2.2", {"failed": []}), ("192.0.2.1", {"failed": ["x"]})]
