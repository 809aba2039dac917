"""The pump: every subscriber hears every event in order, whatever another does with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from streamhub.media import pump as pumping
from streamhub.media.contract import Event, EventsLost, GsoRefused, ViewerLagging, WorkerFault
from streamhub.media.fake import FakeCore
from streamhub.media.pump import EventPump
from support.patience import PATIENCE_S


async def test_a_subscriber_that_fails_does_not_deafen_the_others() -> None:
    core, heard = FakeCore(), []

    def fails(event: Event) -> None:
        heard.append(("first", event))
        raise RuntimeError("a bug")

    pump = EventPump(core)
    pump.subscribe(fails)
    pump.subscribe(lambda event: heard.append(("second", event)))
    pump.start()
    pump.start()
    events = [ViewerLagging("a"), WorkerFault("b", "boom")]
    for event in events:
        core.emit(event)
    for _ in range(10):
        await asyncio.sleep(0)
    assert heard == [(who, event) for event in events for who in ("first", "second")]
    await pump.stop()
    core.emit(ViewerLagging("c"))
    await asyncio.sleep(0)
    assert len(heard) == 4


class Stumbling(FakeCore):
    """Its first reader fails at the first event."""

    readers = 0

    async def events(self) -> AsyncIterator[Event]:
        self.readers += 1
        async for event in super().events():
            if self.readers == 1:
                raise KeyError("a field that is not there")
            yield event


async def test_reading_that_fails_begins_anew_and_what_was_in_hand_counts_as_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pumping, "AGAIN_S", 0.0)
    core, heard = Stumbling(), []
    pump = EventPump(core)
    pump.subscribe(heard.append)
    pump.start()
    core.emit(ViewerLagging("lost"))
    async with asyncio.timeout(PATIENCE_S):
        while core.readers < 2:
            await asyncio.sleep(0)
        core.emit(ViewerLagging("heard"))
        while len(heard) < 2:
            await asyncio.sleep(0)
    assert heard == [EventsLost(), ViewerLagging("heard")]
    await pump.stop()


async def test_refused_gso_is_logged_once_with_what_to_do() -> None:
    core = FakeCore()
    pump = EventPump(core)
    with capture_logs() as logs:
        pump.start()
        for _shard in range(3):
            core.emit(GsoRefused("Input/output error"))
        for _ in range(10):
            await asyncio.sleep(0)
        await pump.stop()
    [line] = logs
    assert (line["event"], line["log_level"]) == ("gso_refused", "warning")
    assert line["detail"] == "Input/output error"
    assert "ethtool" in line["mend"]
