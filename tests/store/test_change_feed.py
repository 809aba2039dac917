"""Followers see every change, in order, from this process and from others, whatever they do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from camera_registry import feed as feed_module
from camera_registry.domain import AuditEntry, Change, Subject, SubjectKind, new_id
from camera_registry.feed import ChangeFeed
from camera_registry.store import SqlStore, open_store, repos_audit
from support.district import eventually
from support.patience import PATIENCE_S

from .conftest import Place, Spawn


async def add_subject(store: SqlStore, username: str) -> int:
    async with store.write() as tx:
        await tx.subjects.add(Subject(new_id("su"), username, username, SubjectKind.PERSON))
    assert tx.last_change_seq is not None
    return tx.last_change_seq


class Follower:
    def __init__(self) -> None:
        self.seen: list[int] = []
        self.times: list[float] = []

    async def __call__(self, batch: Sequence[Change]) -> None:
        self.seen += [change.seq for change in batch]
        self.times.append(time.monotonic())


async def test_order_and_completeness_across_two_processes(
    place: Place, store: SqlStore, feed: ChangeFeed, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "BATCH_CHANGES", 7)
    followers = [Follower(), Follower()]
    for follower in followers:
        feed.subscribe(follower, since=0)
    child = spawn(place, "subjects", "20", "child")
    for number in range(20):
        await add_subject(store, f"own{number}")
    assert await asyncio.to_thread(child.wait) == 0
    assert await feed.wait_caught_up(40, timeout_ms=PATIENCE_S * 1000)
    for follower in followers:
        assert follower.seen == list(range(1, 41))


async def test_a_commit_of_ones_own_does_not_wait_for_the_poll(store: SqlStore) -> None:
    feed = ChangeFeed(store, poll_ms=60_000)
    await feed.start()
    follower = Follower()
    feed.subscribe(follower, since=0)
    seq = await add_subject(store, "ada")
    assert await feed.wait_caught_up(seq, timeout_ms=PATIENCE_S * 1000)
    assert follower.seen == [1]
    await feed.stop()


async def test_another_processs_commit_is_seen_soon(
    place: Place, store: SqlStore, feed: ChangeFeed, spawn: Spawn
) -> None:
    follower = Follower()
    feed.subscribe(follower, since=0)
    assert await asyncio.to_thread(spawn(place, "subjects", "1", "child").wait) == 0
    left = time.monotonic()
    assert await feed.wait_caught_up(1, timeout_ms=PATIENCE_S * 1000)
    print(f"\nseen {max(0.0, follower.times[0] - left) * 1000:.0f} ms after the process had left")


async def test_a_slow_follower_delays_nobody_and_loses_nothing(
    store: SqlStore, feed: ChangeFeed
) -> None:
    gate = asyncio.Event()
    slow_seen: list[int] = []

    async def slow(batch: Sequence[Change]) -> None:
        await gate.wait()
        slow_seen.extend(change.seq for change in batch)

    quick = Follower()
    slow_subscription = feed.subscribe(slow, since=0, name="slow")
    quick_subscription = feed.subscribe(quick, since=0, name="quick")
    for number in range(20):
        await add_subject(store, f"user{number}")
    await eventually("the quick one is there", lambda: quick_subscription.seq == 20)
    assert not await feed.wait_caught_up(20, timeout_ms=50)  # the slow one is not
    assert quick.seen == list(range(1, 21))
    assert slow_subscription.seq == 0
    gate.set()
    assert await feed.wait_caught_up(20, timeout_ms=PATIENCE_S * 1000)
    assert slow_seen == list(range(1, 21))


async def test_a_follower_that_fails_gets_the_batch_again(
    store: SqlStore, feed: ChangeFeed, caplog: pytest.LogCaptureFixture
) -> None:
    batches: list[list[int]] = []

    async def flaky(batch: Sequence[Change]) -> None:
        batches.append([change.seq for change in batch])
        if len(batches) <= 2:
            raise ConnectionError("not now")

    feed.subscribe(flaky, since=0, name="flaky")
    await add_subject(store, "ada")
    assert await feed.wait_caught_up(1, timeout_ms=PATIENCE_S * 1000)
    assert batches == [[1], [1], [1]]
    assert "follower 'flaky' failed" in caplog.text


async def test_a_cache_loaded_in_a_snapshot_misses_nothing_that_follows(
    store: SqlStore, feed: ChangeFeed
) -> None:
    await add_subject(store, "before")
    async with store.read() as tx:
        loaded = {subject.username for subject in await tx.subjects.all()}
        since = await tx.change_seq()
        await add_subject(store, "meanwhile")
    follower = Follower()
    feed.subscribe(follower, since=since)
    await add_subject(store, "after")
    assert await feed.wait_caught_up(3, timeout_ms=PATIENCE_S * 1000)
    assert (loaded, follower.seen) == ({"before"}, [2, 3])


async def test_audit_rows_alone_are_no_changes(store: SqlStore, feed: ChangeFeed) -> None:
    follower = Follower()
    feed.subscribe(follower, since=0)
    await store.append_audit(AuditEntry("sign_in", "ok"))
    seq = await add_subject(store, "ada")
    assert await feed.wait_caught_up(seq, timeout_ms=PATIENCE_S * 1000)
    assert (seq, follower.seen) == (1, [1])


async def test_a_closed_follower_is_not_called_nor_waited_for(
    store: SqlStore, feed: ChangeFeed
) -> None:
    async def stuck(batch: Sequence[Change]) -> None:
        await asyncio.Event().wait()

    subscription = feed.subscribe(stuck, since=0)
    seq = await add_subject(store, "ada")
    assert not await feed.wait_caught_up(seq, timeout_ms=50)
    waiting = asyncio.create_task(feed.wait_caught_up(seq, timeout_ms=PATIENCE_S * 1000))
    await asyncio.sleep(0)
    await subscription.close()
    assert await waiting


async def test_a_feed_started_again_goes_on_where_a_follower_was(store: SqlStore) -> None:
    first = ChangeFeed(store)
    await first.start()
    follower = Follower()
    subscription = first.subscribe(follower, since=0)
    await first.wait_caught_up(await add_subject(store, "ada"), timeout_ms=PATIENCE_S * 1000)
    await first.stop()
    await add_subject(store, "bob")
    second = ChangeFeed(store)
    await second.start()
    second.subscribe(follower, since=subscription.seq)
    assert await second.wait_caught_up(2, timeout_ms=PATIENCE_S * 1000)
    assert follower.seen == [1, 2]
    await second.stop()


async def test_changes_of_long_ago_are_let_go_at_the_start(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(place.at)
    for number in range(8):
        await add_subject(store, f"user{number}")
    await store.close()
    place.execute("UPDATE changes SET at = '2020-01-01T00:00:00.000000+00:00' WHERE seq <= 5")
    store = await open_store(place.at)
    assert len(await store.changes_since(0)) == 8  # old, but not many
    await store.close()
    monkeypatch.setattr(repos_audit, "CHANGES_KEPT", 1)
    store = await open_store(place.at)
    assert [change.seq for change in await store.changes_since(0)] == [6, 7, 8]  # many, but young
    assert await add_subject(store, "next") == 9
    await store.close()
