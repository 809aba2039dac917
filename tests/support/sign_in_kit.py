"""Signing in over a real store, on a clock that a test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from camera_registry.domain import Actor, AuditRow
from camera_registry.feed import ChangeFeed
from camera_registry.people import People
from camera_registry.store import Store, open_store
from camera_registry.store.contract_audit import AuditQuery
from camera_registry.vault import Vault
from streamhub.access.facts_cache import FactsCache
from streamhub.access.passwords import Passwords
from streamhub.access.rate_limit import SignInLimiter
from streamhub.access.second_factor import SecondFactors
from streamhub.access.sign_in import SignIns
from streamhub.access.tokens import Tokens
from support.http_kit import CHEAP, seed

HOME = "192.0.2.7"
BY = Actor(None, "test")


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 6, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Kit:
    def __init__(self, store: Store, feed: ChangeFeed, facts: FactsCache, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.facts = facts
        self.people = People(store, feed)
        self.key = b"k" * 32
        limiter = SignInLimiter(clock.seconds)
        self.second_factors = SecondFactors(
            store=store, feed=feed, vault=Vault(b"v" * 32), limiter=limiter, now=clock
        )
        self.sign_ins = SignIns(
            store=store,
            feed=feed,
            facts=facts,
            departed=facts.departed,
            passwords=Passwords(CHEAP),
            tokens=Tokens(self.key, clock),
            second_factors=self.second_factors,
            limiter=limiter,
            now=clock,
        )

    async def rows(self, act: str) -> list[AuditRow]:
        async with self.store.read() as tx:
            return (
                await tx.audit.page(AuditQuery(acts=frozenset({act})), limit=100, cursor=None)
            ).items


@asynccontextmanager
async def a_kit(data_dir: Path) -> AsyncIterator[Kit]:
    await seed(data_dir)
    store = await open_store(data_dir / "registry.db")
    feed = ChangeFeed(store)
    await feed.start()
    facts = FactsCache(store, feed)
    await facts.start()
    try:
        yield Kit(store, feed, facts, Clock())
    finally:
        await facts.stop()
        await feed.stop()
        await store.close()
