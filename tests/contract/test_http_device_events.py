"""What simulated ONVIF devices say by themselves, from their pull points to who may watch."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamhub.access.principal import Principal
from streamhub.api import events as door
from streamhub.events import devices as ears_of
from streamhub.farm_onvif.device import Device
from streamhub.farm_onvif.server import OnvifServer
from support.district import eventually, free_port
from support.http_kit import Running, a_service, problem
from support.onvif_client import PASSWORD, USER, devices, serving
from support.patience import PATIENCE_S

DEVICE = "/api/v1/devices/de_1"


@dataclass
class Site:
    """A service, and a simulated device: `de_1`, whose only channel here is `ch_y1`, the first."""

    running: Running
    simulated: Device
    server: OnvifServer
    admin: httpx.AsyncClient

    @property
    def subscriptions(self) -> int:
        return self.simulated.pull_points.open(time.time())

    async def listen(self, on: bool = True) -> None:
        answer = await self.admin.patch(DEVICE, json={"listen_to_events": on})
        assert answer.status_code == 200, answer.text
        assert answer.json()["listen_to_events"] is on

    async def state(self) -> str | None:
        state: str | None = (await self.admin.get(DEVICE)).json()["events_state"]
        return state

    async def until(self, state: str | None) -> None:
        await eventually(f"its events are {state}", lambda: self.ear == state)
        assert await self.state() == state

    @property
    def ear(self) -> str | None:
        ears = self.running.services.ears
        assert ears is not None
        return ears.state_of("de_1")


@asynccontextmanager
async def a_site(tmp_path: Path, network: str) -> AsyncIterator[Site]:
    simulated = devices(network, devices=1, port=free_port())[0]
    async with (
        serving([simulated]) as server,
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
    ):
        device = {"host": simulated.spec.address, "username": USER, "password": PASSWORD}
        facts = {"protocol": "ONVIF", "access_port": str(simulated.spec.port)}
        facts |= {"channel_number": "1"}
        answers = [
            await admin.patch(DEVICE, json=device),
            await admin.patch("/api/v1/channels/ch_y1", json={"facts": facts}),
        ]
        others = ("ch_y2", "ch_off", "ch_l1", "ch_l2")
        answers += [await admin.delete(f"/api/v1/channels/{each}") for each in others]
        assert all(answer.is_success for answer in answers), [each.text for each in answers]
        yield Site(running, simulated, server, admin)


@asynccontextmanager
async def listening(running: Running, username: str) -> AsyncIterator[AsyncGenerator[str, None]]:
    """The stream of events as it comes to one who listens already."""
    subject = running.services.facts.current.subject(f"su_{username}")
    assert subject is not None
    who = Principal(subject.id, username, "192.0.2.7", "bearer", subject.version)
    async with aclosing(door._stream(running.services, who, None, 60.0)) as stream:
        for _ in range(2):  # its first words, and its place
            await anext(stream)
        yield stream


async def told_until(
    stream: AsyncGenerator[str, None], is_last: Callable[[dict[str, Any]], bool]
) -> list[dict[str, Any]]:
    """What devices said until the last came, and that itself if a device said it."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S):
        async for part in stream:
            data = [line for line in part.splitlines() if line.startswith("data: ")]
            bodies = [json.loads(line.removeprefix("data: ")) for line in data]
            found += [body for body in bodies if body["type"] == "device_event"]
            if any(map(is_last, bodies)):
                return found
    raise AssertionError("the stream has ended")


def is_rename(body: dict[str, Any]) -> bool:
    return body["type"] != "device_event" and "name" in body["data"]["changed"]


def is_input(body: dict[str, Any]) -> bool:
    return body["type"] == "device_event" and _kind(body) == "digital_input"


async def test_an_input_is_told_to_who_may_watch_and_to_nobody_else(tmp_path: Path) -> None:
    async with (
        a_site(tmp_path, "127.79.40.0/30") as site,
        listening(site.running, "yongshun") as watcher,
        listening(site.running, "lister") as lister,
    ):
        await site.listen()
        await site.until("listening")
        site.server.switch_input(1, True)
        # Its motion, which comes by the clock, may be told before.
        heard = await told_until(watcher, is_input)
        renamed = await site.admin.patch("/api/v1/channels/ch_y1", json={"name": "改名"})
        assert renamed.is_success
        heard += await told_until(watcher, is_rename)
        [body] = filter(is_input, heard)
        said = body["data"]["device_event"]
        assert body["data"]["channel"]["id"] == "ch_y1"
        assert said["active"] is True
        assert said["topic"] == "Device/Trigger/DigitalInput"
        assert said["source"] == {"InputToken": "1"}
        assert said["device_time"].endswith("Z")
        assert await told_until(lister, is_rename) == [], "who may only list is not told"
        figures = (await site.admin.get("/metrics")).text
        assert "streamhub_device_listeners 1.0" in figures
        assert "device_events_total" in figures


def _kind(body: dict[str, Any]) -> str:
    return str(body["data"]["device_event"]["kind"])


async def test_of_a_device_whose_channel_has_a_number_the_pictures_are_asked_for(
    tmp_path: Path,
) -> None:
    async with a_site(tmp_path, "127.79.44.0/30") as site:
        await site.listen()
        await site.until("listening")
        ears = site.running.services.ears
        assert ears is not None
        assert ears._ears["de_1"].pictures["VideoSource_1"] == 0


async def test_it_begins_and_ends_with_the_switch_and_is_given_back(tmp_path: Path) -> None:
    async with a_site(tmp_path, "127.79.41.0/30") as site:
        assert await site.state() is None
        await site.listen()
        await site.until("listening")
        assert site.subscriptions == 1
        [row, *_] = await site.running.audit_rows("device_update")
        assert row["detail"]["changed"] == ["listen_to_events"]
        await site.listen(False)
        await site.until(None)
        await eventually("it is given back", lambda: site.subscriptions == 0)


async def test_a_wrong_password_is_tried_once_and_another_one_at_once(tmp_path: Path) -> None:
    async with a_site(tmp_path, "127.79.42.0/30") as site:
        await site.admin.patch(DEVICE, json={"password": "not it"})
        await site.listen()
        await eventually("it is refused", lambda: site.ear not in (None, "waiting"))
        assert "auth" in str(await site.state()) or "password" in str(await site.state())
        assert site.simulated.gate.failed_tries == 1
        await site.admin.patch(DEVICE, json={"password": PASSWORD})
        await site.until("listening")


async def test_a_device_that_is_away_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ears_of, "RETRY_FIRST_S", 0.05)
    async with a_site(tmp_path, "127.79.43.0/30") as site:
        await site.server.set_fault(1, "dead")
        await site.listen()
        await eventually("it is away", lambda: site.ear not in (None, "waiting", "listening"))
        await site.server.set_fault(1, "none")
        await site.until("listening")


async def test_a_camera_that_speaks_no_onvif_is_said_to(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        answer = await admin.patch(DEVICE, json={"listen_to_events": True})
        assert answer.status_code == 200
        ears = running.services.ears
        assert ears is not None
        await eventually("it is said", lambda: ears.state_of("de_1") == "no_onvif_address")
        async with running.as_("warden") as warden:
            refused = await warden.patch(DEVICE, json={"listen_to_events": False})
            assert problem(refused)[0] in (403, 404)
