"""The delivery room on the real registry: changes in the store reach the views, rows chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from camera_registry.domain import Actor, AreaKind, AuditRow, Grant
from camera_registry.drafts import (
    AreaDraft,
    ChannelChanges,
    ChannelDraft,
    GrantDraft,
    SubjectChanges,
    SubjectDraft,
)
from camera_registry.feed import ChangeFeed
from camera_registry.people import People
from camera_registry.secret import Secret
from camera_registry.service import Registry
from camera_registry.store import open_store
from camera_registry.store.contract import Store
from camera_registry.store.contract_audit import AuditQuery
from camera_registry.vault import open_vault
from gateways.rtsp import prepare
from streamhub.access.audit import AuditLog
from streamhub.access.facts_cache import FactsCache
from streamhub.access.guard import Guard
from streamhub.access.principal import Action, Principal, channel
from streamhub.delivery import Delivery
from streamhub.media.fake import FakeCore
from streamhub.media.pump import EventPump
from streamhub.router import LocalPlacement, Router
from support.delivery_kit import OFFER, FakeDecoder
from support.patience import PATIENCE_S

BY = Actor(None, "local:test")


@dataclass
class Room:
    store: Store
    registry: Registry
    people: People
    guard: Guard
    core: FakeCore
    delivery: Delivery
    channel_id: str
    grant: Grant
    subject_id: str

    async def open(self) -> str:
        subject = await self.people.get_subject(self.subject_id)
        who = Principal(subject.id, subject.username, "192.0.2.9", "cookie", subject.version)
        permit = self.guard.require(who, Action.LIVE, channel(self.channel_id))
        return (await self.delivery.whep.open(permit, OFFER, "main")).view_id

    async def rows(self, act: str) -> list[AuditRow]:
        async with self.store.read() as tx:
            page = await tx.audit.page(AuditQuery(acts=frozenset({act})), limit=100, cursor=None)
        return page.items

    async def dialled(self, times: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.core.dials) < times:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def a_service(data_dir: Path, known: Room | None = None) -> AsyncIterator[Room]:
    store = await open_store(data_dir / "registry.db")
    vault = await open_vault(store, data_dir / "secret.key")
    feed = ChangeFeed(store)
    await feed.start()
    registry = Registry(store, vault, feed)
    await registry.start()
    people = People(store, feed)
    facts = FactsCache(store, feed)
    await facts.start()
    core, guard = FakeCore(), Guard(facts)
    delivery = Delivery(
        core=core,
        pump=EventPump(core),
        router=Router(LocalPlacement(core), registry, prepare=prepare),
        guard=guard,
        facts=facts,
        audit=AuditLog(store),
        store=store,
        decoder=FakeDecoder(),
    )
    await delivery.start()
    facts.on_change(delivery.facts_changed)
    if known is None:
        area = await registry.create_area(
            AreaDraft(None, AreaKind.DISTRICT, "110112", "District"), BY
        )
        camera = await registry.create_channel(
            ChannelDraft(
                code="11011200001310000001",
                name="Gate",
                area_id=area.id,
                device_class="alley",
                main_url="rtsp://camera.example/main",
                username="admin",
                password=Secret("letmein"),
            ),
            BY,
        )
        subject = await people.create_subject(SubjectDraft("operator", "Operator"), BY)
        grant = await people.create_grant(
            GrantDraft(subject.id, frozenset({"list", "live"}), area_id=area.id), BY
        )
        ids = (camera.id, grant, subject.id)
    else:
        ids = (known.channel_id, known.grant, known.subject_id)
    try:
        yield Room(store, registry, people, guard, core, delivery, *ids)
    finally:
        await delivery.shutdown(2000)
        await facts.stop()
        await registry.stop()
        await feed.stop()
        await store.close()


@pytest.mark.parametrize("how", ["grant revoked", "subject disabled", "channel deleted"])
async def test_when_the_change_is_committed_the_view_has_ended(tmp_path: Path, how: str) -> None:
    async with a_service(tmp_path) as room:
        view_id = await room.open()
        await room.dialled(1)
        assert list(room.core.viewers) == [view_id]
        if how == "grant revoked":
            await room.people.revoke_grant(room.grant.id, BY)
        elif how == "subject disabled":
            await room.people.update_subject(room.subject_id, SubjectChanges(enabled=False), BY)
        else:
            await room.registry.delete_channel(room.channel_id, BY)
        assert room.core.viewers == {}
        assert room.delivery.views.list() == []


async def test_the_rows_of_a_view_are_in_the_chain(tmp_path: Path) -> None:
    async with a_service(tmp_path) as room:
        view_id = await room.open()
        await room.delivery.views.close(view_id, "closed_by_viewer")
    async with a_service(tmp_path, room) as again:
        (start,), (end,) = await again.rows("view_start"), await again.rows("view_end")
        assert start.detail["view_id"] == end.detail["view_id"] == view_id
        assert start.seq < end.seq
        assert (await again.store.verify_audit()).ok


async def test_a_killed_service_closes_its_views_at_the_next_start(tmp_path: Path) -> None:
    async with a_service(tmp_path) as room:
        view_id = await room.open()
        async with a_service(tmp_path, room) as again:  # the first one says nothing any more
            (end,) = await again.rows("view_end")
            assert (end.detail["view_id"], end.detail["cause"]) == (view_id, "service_restarted")
            assert end.subject_name == "operator"
            assert (await again.store.verify_audit()).ok


async def test_a_corrected_address_is_dialled_at_once_and_a_new_name_is_not(
    tmp_path: Path,
) -> None:
    async with a_service(tmp_path) as room:
        await room.open()
        await room.dialled(1)
        await room.registry.update_channel(room.channel_id, ChannelChanges(name="Gate 2"), BY)
        await room.registry.update_channel(
            room.channel_id, ChannelChanges(main_url="rtsp://camera.example/other"), BY
        )
        await room.dialled(2)
        stream_id = f"{room.channel_id}/main"
        assert room.core.dials == [stream_id, stream_id]
        assert room.core.sources[stream_id].spec.url.endswith("camera.example/other")
