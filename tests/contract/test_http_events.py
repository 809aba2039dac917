"""The stream of events over HTTP: who is told what, where one goes on, who is too slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from camera_registry.channel_events import DeviceEvent, Said
from camera_registry.domain import Channel
from camera_registry.units import utc_now
from streamhub.access.principal import Principal
from streamhub.api import events as door
from streamhub.events import hub as hubs
from streamhub.router import RouteView
from streamhub.router.route import RouteState
from support.district import eventually
from support.http_kit import Running, a_service, problem
from support.patience import PATIENCE_S


@dataclass
class Event:
    id: str | None
    name: str
    data: dict[str, Any]

    @property
    def brief(self) -> tuple[str, str]:
        return self.name, self.data["data"]["channel"]["name"]


def parsed(text: str) -> tuple[list[Event], str | None]:
    """As a browser reads it: the events, and the last id."""
    found, last_id = [], None
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] not in ":")
        last_id = fields.get("id", last_id)
        if "data" in fields:
            found.append(Event(fields.get("id"), fields["event"], json.loads(fields["data"])))
    return found, last_id


async def told(client: httpx.AsyncClient, since: str | None) -> tuple[list[Event], str]:
    """What is there since; the stream ends at once."""
    headers = {} if since is None else {"Last-Event-ID": since}
    answer = await client.get("/api/v1/events", params={"for_s": 0}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith("retry: 3000\n")
    events, last_id = parsed(answer.text)
    assert last_id is not None
    return events, last_id


async def patch(running: Running, channel: str, **changes: Any) -> None:
    async with running.as_("admin") as admin:
        answer = await admin.patch(f"/api/v1/channels/{channel}", json=changes)
        assert answer.status_code == 200, answer.text


def state(running: Running, channel: str, state: RouteState, cause: str | None = None) -> None:
    view = RouteView(f"{channel}/main", state, cause, "", None, 1, False, ())
    running.services.events.route_changed(view)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """States are told as soon as they come."""
    monkeypatch.setattr(hubs.Presence, "__init__", _without_debounce)


_made = hubs.Presence.__init__


def _without_debounce(self: hubs.Presence) -> None:
    from streamhub.events.presence import Debounce

    _made(self, Debounce(online_s=0.0, offline_s=0.0))


async def test_a_stream_goes_on_where_it_ended_for_what_one_may_list(tmp_path: Path) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("lister") as client,
        running.as_("admin") as admin,
    ):
        nothing, place = await told(client, None)
        _, admins = await told(admin, None)
        assert nothing == []
        await patch(running, "ch_y1", name="改名")
        await patch(running, "ch_l1", name="别处")
        assert (await admin.delete("/api/v1/channels/ch_y2")).status_code == 204
        events, after = await told(client, place)
        assert [each.brief for each in events] == [
            ("channel.changed", "改名"),
            ("channel.removed", "路口2"),
        ]
        assert events[0].data["data"]["changed"] == ["name"]
        assert (await told(client, after))[0] == []
        assert len((await told(client, events[0].id))[0]) == 1
        assert len((await told(admin, admins))[0]) == 3
        assert "rtsp" not in json.dumps([each.data for each in events])


async def test_online_and_offline_are_told_again_to_who_comes_back(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("lister") as client:
        _, place = await told(client, None)
        state(running, "ch_y1", RouteState.LIVE)
        running.services.events._due()
        state(running, "ch_l1", RouteState.LIVE)
        running.services.events._due()
        await patch(running, "ch_y1", name="改名")
        state(running, "ch_y1", RouteState.BACKOFF, "connect_failed")
        running.services.events._due()
        events, _ = await told(client, place)
        assert [each.name for each in events] == [
            "channel.changed",
            "channel.online",
            "channel.offline",
        ]
        assert events[2].data["data"]["cause"] == "connect_failed"


async def test_of_too_many_states_it_is_said_that_some_were_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "RECENT", 1)
    async with a_service(tmp_path) as running, running.as_("lister") as client:
        _, place = await told(client, None)
        for channel in ("ch_y1", "ch_y2"):
            state(running, channel, RouteState.LIVE)
            running.services.events._due()
        events, _ = await told(client, place)
        assert [(each.name, each.data) for each in events] == [("resync", {"reason": "missed"})]


@pytest.mark.parametrize("place", ["rubbish", "999999-00000000-0", "1-0000000g-0"])
async def test_a_place_that_is_none_is_told_to_read_anew(place: str, tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("lister") as client:
        events, after = await told(client, place)
        assert [(each.name, each.data) for each in events] == [("resync", {"reason": "missed"})]
        assert events[0].id == after
        assert (await told(client, after))[0] == []


async def test_what_is_too_long_ago_is_told_to_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "MAX_RESUMED", 1)
    async with a_service(tmp_path) as running, running.as_("lister") as client:
        _, place = await told(client, None)
        await patch(running, "ch_y1", name="一")
        assert len((await told(client, place))[0]) == 1
        await patch(running, "ch_y1", name="二")
        assert [each.name for each in (await told(client, place))[0]] == ["resync"]


async def test_after_a_restart_a_stream_goes_on_with_the_versions(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("lister") as client:
        state(running, "ch_y1", RouteState.LIVE)
        _, place = await told(client, None)
        await patch(running, "ch_y1", name="改名")
    async with a_service(tmp_path) as running, running.as_("lister") as client:
        events, after = await told(client, place)
        assert [each.brief for each in events] == [("channel.changed", "改名")]
        assert after.split("-")[1] != place.split("-")[1]


def lines(running: Running, username: str) -> AsyncGenerator[str, None]:
    """A stream as it comes, without a client that would wait for its end."""
    subject = running.services.facts.current.subject(f"su_{username}")
    assert subject is not None
    who = Principal(subject.id, username, "192.0.2.7", "bearer", subject.version)
    return door._stream(running.services, who, None, 60.0)


async def next_events(stream: AsyncGenerator[str, None]) -> list[Event]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            events, _ = parsed(await anext(stream))
            if events:
                return events


async def test_what_happens_comes_at_once_and_a_right_that_ends_ends_it(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with aclosing(lines(running, "lister")) as stream:
            assert "listening" in await anext(stream)
            await anext(stream)
            await patch(running, "ch_y1", name="一")
            assert [each.brief for each in await next_events(stream)] == [("channel.changed", "一")]
            state(running, "ch_y1", RouteState.LIVE)
            running.services.events._due()
            assert [each.name for each in await next_events(stream)] == ["channel.online"]
            async with running.local() as admin:
                assert (await admin.delete("/api/v1/grants/gr_lister")).status_code == 204
            await patch(running, "ch_y1", name="二")
            async with asyncio.timeout(PATIENCE_S):
                assert "".join([part async for part in stream]) == ""
        assert running.services.events.has_room_for("su_lister")
        assert not running.services.events._listeners


def said(running: Running, channel: str) -> None:
    """Its device says that something moves."""
    motion = DeviceEvent(Said.MOTION, True, "VideoSource/MotionAlarm", {}, "")
    running.services.events.device_said(channel, motion, utc_now())


async def test_what_a_device_says_is_told_as_the_picture_is(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, aclosing(lines(running, "yongshun")) as stream:
        facts = running.services.facts
        await anext(stream)
        await anext(stream)
        said(running, "ch_y1")
        assert [each.name for each in await next_events(stream)] == ["device_event"]
        for changes in ({"sensitive": True}, {"sensitive": False, "enabled": False}):
            said(running, "ch_y2")  # when it came one might have known
            await patch(running, "ch_y2", **changes)
            await eventually("it is known", lambda: not _is_free(facts.current.channel("ch_y2")))
            assert [each.name for each in await next_events(stream)] == ["channel.changed"]
            if changes["sensitive"]:
                await patch(running, "ch_y2", sensitive=False)
                await eventually("it is known", lambda: _is_free(facts.current.channel("ch_y2")))
                assert [each.name for each in await next_events(stream)] == ["channel.changed"]
        said(running, "ch_off")
        (listener,) = running.services.events._listeners
        assert not listener._waiting, "of a channel that is switched off nothing is told at all"


def _is_free(row: Channel | None) -> bool:
    return row is not None and row.enabled and not row.sensitive


async def test_what_a_device_says_is_not_told_to_who_is_asked_what_for(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        grant = {"subject_id": "su_lister", "area_id": "ar_yongshun", "actions": ["live"]}
        answer = await admin.post("/api/v1/grants", json=grant | {"purpose_required": True})
        assert answer.status_code == 201, answer.text
        async with aclosing(lines(running, "lister")) as stream:
            await anext(stream)
            await anext(stream)
            said(running, "ch_y1")
            state(running, "ch_y1", RouteState.LIVE)
            running.services.events._due()
            assert [each.name for each in await next_events(stream)] == ["channel.online"]


async def test_what_a_device_said_is_not_told_to_who_comes_later(tmp_path: Path) -> None:
    """A loan, too, begins when it begins."""
    async with (
        a_service(tmp_path) as running,
        running.as_("yongshun") as watcher,
        running.as_("lister") as borrower,
        running.as_("admin") as admin,
    ):
        _, since = await told(borrower, None)
        said(running, "ch_y1")
        state(running, "ch_y1", RouteState.LIVE)
        running.services.events._due()
        grant = {"subject_id": "su_lister", "area_id": "ar_yongshun", "actions": ["live"]}
        answer = await admin.post("/api/v1/grants", json=grant)
        assert answer.status_code == 201, answer.text
        other_process = f"{since.split('-')[0]}-00000000-0"
        for client in (watcher, borrower):
            for place in (since, other_process):
                events, after = await told(client, place)
                assert [each.name for each in events] == ["channel.online"]
                assert (await told(client, after))[0] == []


async def test_what_moves_away_is_gone_for_who_may_not_follow_it(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        stream = lines(running, "lister")
        async with aclosing(stream):
            await anext(stream)
            await anext(stream)
            await patch(running, "ch_y1", area_id="ar_liyuan", name="秘密")
            assert [each.brief for each in await next_events(stream)] == [
                ("channel.removed", "路口1")
            ]
            await patch(running, "ch_y1", area_id="ar_village")
            back = await next_events(stream)
            assert [each.brief for each in back] == [("channel.added", "秘密")]
            assert back[0].data["data"]["changed"] == []


async def test_a_slow_listener_is_told_to_read_anew_and_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "MAX_WAITING", 2)
    async with a_service(tmp_path) as running:
        async with aclosing(lines(running, "lister")) as stream:
            await anext(stream)
            await anext(stream)
            (listener,) = running.services.events._listeners
            for number in range(3):
                await patch(running, "ch_y1", name=f"改{number}")
            async with asyncio.timeout(PATIENCE_S):
                while not listener.fell_behind:
                    await asyncio.sleep(0)
                events, _ = parsed("".join([part async for part in stream]))
        assert [(each.id, each.name, each.data) for each in events] == [
            (None, "resync", {"reason": "slow"})
        ]


async def test_there_is_room_for_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "MAX_LISTENERS_OF_ONE", 1)
    async with a_service(tmp_path) as running, running.as_("lister") as client:
        async with aclosing(lines(running, "lister")) as stream:
            await anext(stream)
            answer = await client.get("/api/v1/events")
            assert problem(answer) == (503, "over_capacity")
            async with running.as_("admin") as admin:
                await told(admin, None)
        await told(client, None)


async def test_those_who_come_at_once_are_no_more_than_have_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "MAX_LISTENERS_OF_ONE", 2)
    async with a_service(tmp_path) as running:
        # As five requests that were all let in before the first of them listens.
        streams = [lines(running, "lister") for _ in range(5)]
        await asyncio.gather(*(anext(stream) for stream in streams))
        assert len(running.services.events._listeners) == 2
        ended = [asyncio.create_task(_rest(stream)) for stream in streams]
        done, going = await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 3:
            more, going = await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        assert all("resync" in each.result()[-1] for each in done)
        running.services.events.close_listeners()
        await asyncio.wait(going, timeout=PATIENCE_S)
        assert not running.services.events._listeners


async def test_streams_end_with_the_service(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        stream = lines(running, "lister")
        await anext(stream)  # the first words of a stream that listens
        rest = asyncio.create_task(_rest(stream))
        async with asyncio.timeout(PATIENCE_S):
            while not running.services.events._listeners:
                await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        await rest


async def _rest(stream: AsyncGenerator[str, None]) -> list[str]:
    return [part async for part in stream]


async def test_a_draft_is_told_to_who_manages_it_alone_and_comes_when_it_is_filed(
    tmp_path: Path,
) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("lister") as operator,
        running.as_("warden") as manager,
        running.as_("admin") as admin,
    ):
        _, since = await told(operator, None)
        body = {
            "code": "11011200111310000099",
            "name": "暗",
            "area_id": "ar_yongshun",
            "device_class": "alley",
            "main_url": "rtsp://192.0.2.9/x",
            "filing": "draft",
        }
        made = (await admin.post("/api/v1/channels", json=body)).json()["id"]
        await patch(running, made, name="更暗")
        assert (await told(operator, since))[0] == []
        assert [e.name for e in (await told(manager, since))[0]] == [
            "channel.added",
            "channel.changed",
        ]
        await admin.put("/api/v1/filing-settings", json={"second_person": False})
        for step in ("review", "file", "reopen"):
            taken = {"step": step, "channel_ids": [made]}
            answer = await admin.post("/api/v1/channel-filing", json=taken)
            assert answer.status_code == 200, answer.text
        events, _ = await told(operator, since)
        assert [e.brief for e in events] == [("channel.added", "更暗"), ("channel.removed", "更暗")]
