"""The facts in memory follow every commit, of this process or another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from camera_registry.domain import Actor, Area, AreaKind, Condition, Grant, Op
from camera_registry.drafts import GrantDraft, RoleDraft
from camera_registry.feed import ChangeFeed
from camera_registry.people import People
from camera_registry.store import Store, open_store
from streamhub.access.facts_cache import MAX_READS_BY_ID, FactsCache, FactsChange
from support.http_kit import START, areas, channels, seed, subjects
from support.patience import PATIENCE_S

BY = Actor(None, "test")


class Kit:
    def __init__(self, store: Store, feed: ChangeFeed) -> None:
        self.store = store
        self.feed = feed
        self.facts = FactsCache(store, feed)
        self.heard: list[FactsChange] = []
        self.facts.on_change(self._hear)

    async def _hear(self, change: FactsChange) -> None:
        assert self.facts.current.version >= change.version
        self.heard.append(change)

    async def caught_up(self) -> None:
        seq = await self.store.latest_change_seq()
        self.feed.nudge()
        assert await self.feed.wait_caught_up(seq, PATIENCE_S * 1000)


@asynccontextmanager
async def a_kit(data_dir: Path) -> AsyncIterator[Kit]:
    await seed(data_dir)
    store = await open_store(data_dir / "registry.db")
    feed = ChangeFeed(store)
    await feed.start()
    kit = Kit(store, feed)
    await kit.facts.start()
    try:
        yield kit
    finally:
        await kit.facts.stop()
        await feed.stop()
        await store.close()


async def test_all_of_it_is_there_at_start(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        facts = kit.facts.current
        assert set(facts.channels) == {row.id for row in channels()}
        assert set(facts.subjects) == {row.id for row in subjects()}
        assert {row.id for row in facts.tree} == {row.id for row in areas()}
        assert facts.area_path("ar_village") == ("通州区", "永顺镇", "新建村")
        assert [row.id for row in facts.grants_of("su_yongshun")] == ["gr_yongshun"]


async def test_a_revocation_is_known_when_the_call_returns(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        people = People(kit.store, kit.feed)
        await people.revoke_grant("gr_yongshun", BY)
        assert kit.facts.current.grants_of("su_yongshun") == ()
        assert kit.heard[-1].kinds == {"grant"}
        assert kit.heard[-1].object_ids == {"gr_yongshun"}


async def test_another_process_is_followed_too(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        other = await open_store(tmp_path / "registry.db")
        try:
            async with other.write() as tx:
                await tx.channels.delete("ch_y1")
                await tx.subjects.delete("su_lister")
                await tx.areas.add(
                    Area("ar_new", "ar_liyuan", AreaKind.COMMUNITY, "110112002001", "新村")
                )
        finally:
            await other.close()
        await kit.caught_up()
        facts = kit.facts.current
        assert facts.channel("ch_y1") is None
        assert facts.subject("su_lister") is None
        assert facts.area_chain("ar_new") == ("ar_new", "ar_liyuan", "ar_district")


async def test_a_big_change_is_read_by_table(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        names = [f"gr_{number}" for number in range(MAX_READS_BY_ID + 10)]
        async with kit.store.write() as tx:
            for name in names:
                await tx.grants.add(
                    Grant(
                        name,
                        "su_stranger",
                        frozenset({"list"}),
                        "ar_liyuan",
                        None,
                        START,
                        None,
                        START,
                    )
                )
        await kit.caught_up()
        assert {row.id for row in kit.facts.current.grants_of("su_stranger")} == set(names)


async def test_one_follower_that_fails_keeps_the_news_from_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_kit(tmp_path) as kit:
        tried = asyncio.Event()
        attempts = 0

        async def failing(change: FactsChange) -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                raise RuntimeError("cannot now")
            tried.set()

        kit.facts.on_change(failing)
        async with kit.store.write() as tx:
            await tx.grants.revoke("gr_yongshun", datetime.now(START.tzinfo))
        await asyncio.wait_for(tried.wait(), PATIENCE_S)
        assert len(kit.heard) == 2
        assert kit.facts.current.grants_of("su_yongshun") == ()


async def test_roles_purposes_and_rules_are_followed(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        people = People(kit.store, kit.feed)
        role = await people.create_role(RoleDraft("duty", "值守"), BY)
        await people.add_member(role.id, "su_stranger", BY)
        assert kit.heard[-1].kinds == {"role"}
        rule = (Condition("name", Op.PREFIX, ("路口1",)),)
        grant = await people.create_grant(
            GrantDraft(None, ["list"], role_id=role.id, conditions=rule), BY
        )
        facts = kit.facts.current
        assert [row.id for row in facts.grants_of("su_stranger")] == [grant.id]
        assert facts.unknown_rules() == []  # looked up before anybody lists by it
        assert facts.matches(rule) == {"ch_y1"}
        async with kit.store.write() as tx:
            row = await tx.channels.get("ch_y2")
            assert row is not None
            await tx.channels.update(replace(row, name="路口12"))
        await kit.caught_up()
        assert kit.facts.current.unknown_rules() == []
        assert kit.facts.current.matches(rule) == {"ch_y1", "ch_y2"}
        async with kit.store.write() as tx:
            await tx.bulk_delete(channels=["ch_y1"])
        await kit.caught_up()
        assert kit.facts.current.unknown_rules() == []
        assert kit.facts.current.matches(rule) == {"ch_y2"}
        await people.put_purpose("extra", "额外", "Extra", BY)
        assert "extra" in kit.facts.current.purposes
        await people.remove_member(role.id, "su_stranger", BY)
        assert kit.facts.current.grants_of("su_stranger") == ()


async def test_its_version_claims_nothing_that_was_not_read(tmp_path: Path) -> None:
    """A grant is revoked when the batch is out, and before the facts read what that is about."""
    async with a_kit(tmp_path) as kit:
        await kit.facts.stop()
        before, people = kit.facts.current.version, People(kit.store)
        await people.create_role(RoleDraft("night", "夜班"), BY)
        batch = await kit.store.changes_since(before)
        await people.revoke_grant("gr_warden", BY)
        await kit.facts._changed(batch)
        assert kit.facts.current.grants_of("su_warden") != ()
        assert kit.facts.current.version == batch[-1].seq
        await kit.facts._changed(await kit.store.changes_since(batch[-1].seq))
        assert kit.facts.current.grants_of("su_warden") == ()
