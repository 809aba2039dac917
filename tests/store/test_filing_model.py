"""Whatever three people do, in whatever order: nothing is filed that a second one has not seen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_registry.domain import Actor, Area, ChannelVersion, Filing
from camera_registry.errors import Conflict
from camera_registry.filing import Filings, Selection
from camera_registry.filing_rules import STEP_ACTS, FilingStep
from camera_registry.service import Registry
from camera_registry.store import open_store
from camera_registry.vault import open_vault

from .test_registry_cameras import areas, draft

PEOPLE = [Actor(f"su_{n}", f"person-{n}") for n in range(3)]
CHANGES = ["main_url", "name"]
DEED = st.tuples(st.sampled_from([*FilingStep, *CHANGES]), st.sampled_from(PEOPLE))


class Room(NamedTuple):
    runner: asyncio.Runner
    registry: Registry
    filings: Filings
    area: Area
    serials: Iterator[int]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    path: Path = tmp_path_factory.mktemp("filing") / "registry.db"
    with asyncio.Runner() as runner:

        async def build() -> Room:
            store = await open_store(path)
            registry = Registry(store, await open_vault(store, path.with_name("secret.key")))
            filings = Filings(store)
            await filings.choose(PEOPLE[0], by_hand="draft")
            [_, one, *_] = await areas(registry, PEOPLE[0])
            return Room(runner, registry, filings, one, count(1))

        room = runner.run(build())
        yield room
        runner.run(room.registry._store.close())


class Model:
    """The rules once more, as little as they are: a state, who changed it last."""

    def __init__(self, author: Actor) -> None:
        self.state, self.author = Filing.DRAFT, author

    def allows(self, deed: str, by: Actor) -> bool:
        if deed == FilingStep.REVIEW:
            return self.state is Filing.DRAFT and by != self.author
        if deed == FilingStep.FILE:
            return self.state is Filing.REVIEWED
        if deed == FilingStep.REFUSE:
            return self.state is not Filing.FILED
        return deed in CHANGES or self.state is not Filing.DRAFT

    def do(self, deed: str, by: Actor) -> None:
        if deed in CHANGES:
            self.author = by
        if deed == FilingStep.REVIEW:
            self.state = Filing.REVIEWED
        elif deed == FilingStep.FILE:
            self.state = Filing.FILED
        elif deed != "name":
            self.state = Filing.DRAFT


@settings(max_examples=40, deadline=None)
@given(deeds=st.lists(DEED, max_size=14))
def test_only_what_a_second_person_has_seen_is_filed(
    room: Room, deeds: list[tuple[str, Actor]]
) -> None:
    room.runner.run(_play(room, deeds))


async def _play(room: Room, deeds: list[tuple[str, Actor]]) -> None:
    made = await room.registry.create_channel(draft(room.area, next(room.serials)), PEOPLE[0])
    model, this = Model(PEOPLE[0]), Selection(frozenset({made.id}))
    for number, (deed, by) in enumerate(deeds):
        allowed = model.allows(deed, by)
        try:
            if deed == "main_url":
                url = f"rtsp://192.0.2.10/other/{made.code}/{number}"
                await room.registry.update_channel(made.id, {"main_url": url}, by)
            elif deed == "name":
                await room.registry.update_channel(made.id, {"name": f"name {number}"}, by)
            else:
                reason = "no" if deed == FilingStep.REFUSE else None
                await room.filings.take(FilingStep(deed), this, by, reason=reason)
        except Conflict:
            assert not allowed, (deed, by, model.state)
        else:
            assert allowed, (deed, by, model.state)
            model.do(deed, by)
        assert (await room.registry.get_channel(made.id)).filing is model.state
    versions = (await room.registry.list_versions(made.id, limit=100)).items
    _judge(list(reversed(versions)))


def _judge(versions: list[ChannelVersion]) -> None:
    """By the versions alone: who was the last to change what is now reviewed or filed?"""
    changed_by: str | None = None
    reviewed: ChannelVersion | None = None
    for version in versions:
        if version.act not in STEP_ACTS:
            changed_by = version.subject_id
        if version.act == FilingStep.REVIEW.act:
            assert version.subject_id != changed_by
            reviewed = version
        if version.channel.filing is Filing.FILED:
            assert reviewed is not None
            assert version.channel.main_url == reviewed.channel.main_url
