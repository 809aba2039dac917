"""The runner over a real store, with cameras and pictures that the test makes up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from camera_registry.domain import Actor
from camera_registry.errors import Conflict, NotFound
from camera_registry.inspection.card import MAX_PICTURE_BYTES, Facts, RunState, Verdict
from camera_registry.inspection.cases import InspectionCases
from camera_registry.secret import Secret
from camera_registry.service import Registry
from camera_registry.store import SqlStore
from gateways.decode import DecodeTimedOut, Picture, Undecodable
from gateways.rtsp.inspect import Looked
from gateways.rtsp.inspect_pool import LookBroken
from gateways.rtsp.prepare import Address
from streamhub.inspection import Inspector, PaceSettings
from streamhub.inspection.runner import Tools

from .test_registry_cameras import areas, draft

GOOD = Facts(connected=True, authenticated=True, transport="tcp", codec="H264", packets=900)
SOON = PaceSettings(retry_s=0.01)


@dataclass
class FakeLooker:
    """What each URL shows; `gate` holds looks back until it is set."""

    seen: dict[str, Facts | Exception] = field(default_factory=dict)
    gate: asyncio.Event | None = None
    looks: list[str] = field(default_factory=list)
    passwords: list[Secret | None] = field(default_factory=list)
    closed: int = 0

    async def look(self, address: Address) -> Looked:
        self.looks.append(address.url)
        self.passwords.append(address.password)
        if self.gate is not None and len(self.looks) > 1:
            await self.gate.wait()
        found = self.seen.get(address.url.split("/cam/")[1], GOOD)
        if isinstance(found, Exception):
            raise found
        return Looked(found, None if found.failure else b"keyframe")

    async def close(self) -> None:
        self.closed += 1


@dataclass
class FakeDecoder:
    error: Exception | None = None
    jpeg: bytes = b"\xff\xd8picture"
    closed: int = 0

    async def decode(
        self, annexb: bytes, *, codec: str, timeout_s: float, most_width: int
    ) -> Picture:
        assert (annexb, codec, most_width) == (b"keyframe", "H264", 480)
        if self.error is not None:
            raise self.error
        return Picture(self.jpeg, 480, 270)

    async def close(self) -> None:
        self.closed += 1


@dataclass
class Kit:
    cases: InspectionCases
    registry: Registry
    looker: FakeLooker
    decoder: FakeDecoder

    @asynccontextmanager
    async def inspector(
        self,
        *,
        resume: bool = True,
        live: Callable[[], Mapping[str, int]] = dict,
        settings: PaceSettings = SOON,
    ) -> AsyncIterator[Inspector]:
        inspector = Inspector(
            self.cases,
            self.registry,
            make_tools=lambda: Tools(self.looker, self.decoder),
            live_dials=live,
            settings=settings,
        )
        await inspector.start(resume=resume)
        try:
            yield inspector
        finally:
            await inspector.stop()


@pytest.fixture
async def kit(store: SqlStore, registry: Registry, by: Actor) -> Kit:
    [_, one, two, _] = await areas(registry, by)
    for number, area in ((1, one), (2, one), (3, two)):
        await registry.create_channel(
            draft(
                area,
                number,
                main_url=f"rtsp://192.0.2.{number}/cam/{number}",
                username="ops",
                password=Secret(f"word{number}"),
            ),
            by,
        )
    return Kit(InspectionCases(store), registry, FakeLooker(), FakeDecoder())


async def cards(kit: Kit) -> dict[str, tuple[Verdict, tuple[str, ...]]]:
    names = {each.id: each.name for each in (await kit.registry.list_channels()).items}
    found = (await kit.cases.cards()).items
    return {names[each.channel_id][-2]: (each.verdict, each.codes) for each in found}


async def test_all_are_looked_at_and_judged_and_what_it_took_is_put_away(
    kit: Kit, by: Actor
) -> None:
    kit.looker.seen = {
        "2": Facts(connected=True, codec="H264", b_frames=True),
        "3": Facts(failed_step="connect", failure="connect_timeout"),
    }
    async with kit.inspector() as inspector:
        run = await inspector.over((await inspector.begin(by)).id)
    assert (run.state, run.counts) == (RunState.DONE, {"plays": 1, "fails": 2})
    assert await cards(kit) == {
        "1": (Verdict.PLAYS, ()),
        "2": (Verdict.FAILS, ("b_frames",)),
        "3": (Verdict.FAILS, ("connect_timeout",)),
    }
    assert kit.looker.looks.count("rtsp://192.0.2.3/cam/3") == 2  # a dead one is tried again
    assert Secret("word1") in kit.looker.passwords
    assert (kit.looker.closed, kit.decoder.closed) == (1, 1)
    [first, *_] = (await kit.registry.list_channels()).items
    assert await kit.cases.picture(first.id) == b"\xff\xd8picture"


async def test_a_restart_goes_on_with_what_is_left_and_looks_at_nothing_twice(
    kit: Kit, by: Actor
) -> None:
    kit.looker.gate = asyncio.Event()
    async with kit.inspector() as inspector:
        run = await inspector.begin(by)
        while (await kit.cases.get(run.id)).done < 1:
            await asyncio.sleep(0.01)
    stopped = await kit.cases.get(run.id)
    assert (stopped.state, stopped.done) == (RunState.RUNNING, 1)
    first = kit.looker.looks[0]
    kit.looker = FakeLooker()
    async with kit.inspector() as inspector:
        assert (await inspector.over(run.id)).counts == {"plays": 3}
    assert len(kit.looker.looks) == 2
    assert first not in kit.looker.looks


async def test_a_command_without_a_service_goes_on_only_when_asked(kit: Kit, by: Actor) -> None:
    run = await kit.cases.begin(by)
    async with kit.inspector(resume=False) as inspector:
        assert kit.looker.looks == []
        with pytest.raises(Conflict) as refused:
            await inspector.begin(by)
        assert refused.value.code == "inspection_under_way"
        await inspector.resume(run.id)
        assert (await inspector.over(run.id)).state is RunState.DONE
        assert (await inspector.resume(run.id)).state is RunState.DONE
    assert len(kit.looker.looks) == 3


async def test_a_run_is_stopped_and_its_cards_stay(kit: Kit, by: Actor) -> None:
    kit.looker.gate = asyncio.Event()
    async with kit.inspector() as inspector:
        run = await inspector.begin(by)
        while (await kit.cases.get(run.id)).done < 1:
            await asyncio.sleep(0.01)
        ended = await inspector.end(run.id, by)
        assert ended.state is RunState.STOPPED
        kit.looker.gate = None
        assert (await inspector.over((await inspector.begin(by)).id)).state is RunState.DONE
        with pytest.raises(NotFound):
            await inspector.end("in_none", by)
    assert len(await cards(kit)) == 3


@pytest.mark.parametrize(
    ("error", "jpeg", "picture", "codes"),
    [
        (Undecodable("x"), b"", "undecodable", ("picture_undecodable",)),
        (DecodeTimedOut("x"), b"", "not_decoded", ()),
        (None, b"x" * (MAX_PICTURE_BYTES + 1), "too_large", ()),
    ],
)
async def test_a_picture_that_does_not_come_is_said(
    kit: Kit, by: Actor, error: Exception | None, jpeg: bytes, picture: str, codes: tuple[str, ...]
) -> None:
    kit.decoder.error, kit.decoder.jpeg = error, jpeg
    [first, *_] = (await kit.registry.list_channels()).items
    async with kit.inspector() as inspector:
        await inspector.over((await inspector.begin(by, channel_ids=[first.id])).id)
    card = await kit.cases.card(first.id)
    assert (card.facts.picture, card.codes, card.has_picture) == (picture, codes, False)


async def test_a_broken_looker_is_tried_again_and_then_said(kit: Kit, by: Actor) -> None:
    kit.looker.seen = {"1": LookBroken("gone")}
    async with kit.inspector() as inspector:
        await inspector.over((await inspector.begin(by)).id)
    assert (await cards(kit))["1"] == (Verdict.FAILS, ("not_inspected",))
    assert kit.looker.looks.count("rtsp://192.0.2.1/cam/1") == 2


async def test_what_viewers_hold_counts_against_a_devices_dials(kit: Kit, by: Actor) -> None:
    [first, *_] = (await kit.registry.list_channels()).items
    settings = PaceSettings(full_wait_s=0.05, full_poll_s=0.01)

    def live() -> dict[str, int]:
        return {first.device_id: 4}

    async with kit.inspector(live=live, settings=settings) as inspector:
        await inspector.over((await inspector.begin(by)).id)
    found = await kit.cases.card(first.id)
    assert found.codes == ("dials_taken",)
    assert "rtsp://192.0.2.1/cam/1" not in kit.looker.looks


async def test_a_channel_that_goes_while_it_waits_is_counted_as_gone(kit: Kit, by: Actor) -> None:
    kit.looker.gate = asyncio.Event()
    async with kit.inspector(settings=PaceSettings(slots=1)) as inspector:
        run = await inspector.begin(by)
        while len(kit.looker.looks) < 2:
            await asyncio.sleep(0.01)
        last = (await kit.registry.list_channels()).items[-1]
        await kit.registry.delete_channel(last.id, by)
        kit.looker.gate.set()
        assert (await inspector.over(run.id)).counts == {"plays": 2, "gone": 1}
