"""What simulated ONVIF devices say by themselves, from their pull points to who may watch."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamhub.events import devices as ears_of
from streamhub.farm_onvif.device import Device
from streamhub.farm_onvif.server import OnvifServer
from support.district import eventually, free_port
from support.http_kit import Running, a_service, problem
from support.onvif_client import PASSWORD, USER, devices, serving

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


async def told(client: httpx.AsyncClient, since: str | None = None) -> list[dict[str, Any]]:
    """The device events that are there since a place in the stream (left out: none)."""
    headers = {} if since is None else {"Last-Event-ID": since}
    answer = await client.get("/api/v1/events", params={"for_s": 0}, headers=headers)
    assert answer.status_code == 200, answer.text
    data = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    bodies = [json.loads(line.removeprefix("data: ")) for line in data]
    return [body for body in bodies if body.get("type") == "device_event"]


async def place(client: httpx.AsyncClient) -> str:
    answer = await client.get("/api/v1/events", params={"for_s": 0})
    return str(answer.text.rpartition("id: ")[2].strip())


async def test_an_input_is_told_to_who_may_watch_and_to_nobody_else(tmp_path: Path) -> None:
    async with (
        a_site(tmp_path, "127.79.40.0/30") as site,
        site.running.as_("yongshun") as watcher,
        site.running.as_("lister") as lister,
    ):
        since = await place(watcher)
        await site.listen()
        await site.until("listening")
        site.server.switch_input(1, True)
        ears = site.running.services.ears
        assert ears is not None
        await eventually("it is told", lambda: ears.told_total >= 1)
        events = [each for each in await told(watcher, since) if _kind(each) == "digital_input"]
        [body] = events
        said = body["data"]["device_event"]
        assert body["data"]["channel"]["id"] == "ch_y1"
        assert said["active"] is True
        assert said["topic"] == "Device/Trigger/DigitalInput"
        assert said["source"] == {"InputToken": "1"}
        assert said["device_time"].endswith("Z")
        assert await told(lister, since) == [], "who may only list is not told"
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
