"""The pump: every subscriber hears every event in order, whatever another does with it."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from streamhub.media.contract import Event, GsoRefused, ViewerLagging, WorkerFault
from streamhub.media.fake import FakeCore
from streamhub.media.pump import EventPump


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
