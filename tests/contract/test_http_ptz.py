"""Steering simulated ONVIF domes over HTTP: they move, and whatever happens they stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateways.onvif import hold_to_move
from streamhub.access.audit import AuditLog
from streamhub.farm_onvif import ptz_service
from streamhub.farm_onvif.device import Device
from streamhub.farm_onvif.operation import Call, Operation
from streamhub.farm_onvif.ptz import Head
from streamhub.farm_onvif.soap import Fault
from support.district import free_port
from support.http_kit import Running, a_service, problem
from support.onvif_client import PASSWORD, USER, devices, serving

PORT = free_port()
PTZ = "/api/v1/channels/ch_y1/ptz"
LEFT = {"act": "move", "pan": -0.5, "tilt": 0}
RIGHT = {"act": "move", "pan": 0.5, "tilt": 0}
FOREVER_S = 600.0
DEADLINE_S = 20.0


@dataclass
class Site:
    """A service, a dome that is `ch_y1`, and what the dome was told."""

    running: Running
    dome: Device
    told: asyncio.Queue[str]
    now: float = field(default_factory=time.time)

    @property
    def head(self) -> Head:
        return self.dome.head(self.dome.channels[0])

    def clock(self) -> float:
        """The simulated devices' time; it stands until a test moves it."""
        return self.now

    async def told_to(self, operation: str) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while await self.told.get() != operation:
                pass

    async def rows(self, act: str, number: int = 1) -> list[dict[str, Any]]:
        """The audit's rows of an act, when there are so many; those that end a move come after
        the answer."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                await self.running.services.helm()._holds.settled()
                rows = await self.running.audit_rows(act)
                if len(rows) >= number:
                    return rows


@pytest.fixture
def held_for(monkeypatch: pytest.MonkeyPatch) -> Any:
    """How long a move goes on without being repeated."""
    return lambda seconds: monkeypatch.setattr(hold_to_move, "HOLD_S", seconds)


@asynccontextmanager
async def a_site(tmp_path: Path, network: str, dome: int = 4) -> AsyncIterator[Site]:
    """Every fourth simulated device has PTZ."""
    told: asyncio.Queue[str] = asyncio.Queue()
    simulated = devices(network, devices=4, port=PORT)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ContinuousMove", "Stop", "AbsoluteMove", "GotoPreset"):
            patch.setitem(ptz_service.OPERATIONS, name, _telling(name, told))
        async with a_service(tmp_path) as running:
            site = Site(running, simulated[dome - 1], told)
            async with serving(simulated, clock=site.clock), running.as_("admin") as admin:
                await _set_up(admin, site.dome)
                yield site


def _telling(name: str, told: asyncio.Queue[str]) -> Operation:
    usual = ptz_service.OPERATIONS[name]

    def run(call: Call) -> Any:
        answer = usual.run(call)
        told.put_nowait(name)
        return answer

    return Operation(run)


async def _set_up(admin: httpx.AsyncClient, dome: Device) -> None:
    device = {"host": dome.spec.address, "username": USER, "password": PASSWORD}
    facts = {"protocol": "ONVIF", "access_port": str(PORT)}
    answers = [
        await admin.patch("/api/v1/devices/de_1", json=device),
        await admin.patch("/api/v1/channels/ch_y1", json={"facts": facts}),
        await admin.post(
            "/api/v1/grants",
            json={"subject_id": "su_yongshun", "actions": ["ptz"], "area_id": "ar_yongshun"},
        ),
        await admin.post(
            "/api/v1/grants",
            json={"subject_id": "su_lister", "actions": ["ptz"], "channel_id": "ch_y1"},
        ),
    ]
    assert all(answer.is_success for answer in answers), [answer.text for answer in answers]


async def does(client: httpx.AsyncClient, **act: Any) -> dict[str, Any]:
    answer = await client.post(PTZ, json=act)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def where(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get(PTZ)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_camera_moves_while_it_is_told_so_and_stops_when_it_is_told_so(
    tmp_path: Path, held_for: Any
) -> None:
    held_for(FOREVER_S)
    async with a_site(tmp_path, "127.79.0.0/29") as site, site.running.as_("yongshun") as client:
        assert (await where(client))["steered"] is None
        answer = await does(client, **RIGHT)
        assert answer["steered"]["is_mine"]
        assert answer["steered"]["held_by"] == "yongshun"
        assert datetime.fromisoformat(answer["steered"]["until"]).tzinfo is not None
        site.now += 1.0
        told = await where(client)
        assert (told["pan"], told["moving"]) == (0.25, True)
        await does(client, **LEFT)  # another direction, the same move
        await does(client, act="stop")
        site.now += 1.0
        assert (await where(client))["moving"] is False
        [begun] = await site.rows("ptz_move")
        [ended] = await site.rows("ptz_end")
        [stopped] = await site.rows("ptz_stop")
        grounds = {"grant_ids": begun["detail"]["grant_ids"]}
        assert begun["detail"] == {"pan": 0.5, "tilt": 0, "zoom": None, **grounds}
        assert (len(grounds["grant_ids"]), stopped["detail"]) == (1, grounds)
        assert ended["detail"]["cause"] == "stopped"
        for row in (begun, ended, stopped):
            assert (row["subject_name"], row["remote"]) == ("yongshun", "192.0.2.7")
            assert (row["channel_id"], row["outcome"]) == ("ch_y1", "ok")


async def test_who_falls_silent_leaves_no_camera_turning(tmp_path: Path, held_for: Any) -> None:
    held_for(0.05)
    async with a_site(tmp_path, "127.79.0.8/29") as site, site.running.as_("yongshun") as client:
        await does(client, **RIGHT)
        await site.told_to("Stop")
        assert (await where(client))["moving"] is False
        [ended] = await site.rows("ptz_end")
        assert ended["detail"]["cause"] == "silent"


async def test_two_operators_never_steer_at_once(tmp_path: Path, held_for: Any) -> None:
    held_for(FOREVER_S)
    async with (
        a_site(tmp_path, "127.79.0.16/29") as site,
        site.running.as_("yongshun") as first,
        site.running.as_("lister") as second,
        site.running.as_("admin") as manager,
    ):
        await does(first, **RIGHT)
        for act in (LEFT, {"act": "stop"}, {"act": "go_to_preset", "preset": "1"}):
            for take_over in ({}, {"take_over": True}) if act["act"] != "stop" else ({},):
                answer = await second.post(PTZ, json=act | take_over)
                assert problem(answer) == (409, "ptz_held")
                assert answer.json()["held_by"] == "yongshun"
                assert datetime.fromisoformat(answer.json()["held_until"]).tzinfo is not None
        assert (await where(second))["steered"] | {"until": None} == {
            "held_by": "yongshun",
            "is_mine": False,
            "until": None,
        }
        assert problem(await manager.post(PTZ, json=LEFT)) == (409, "ptz_held")
        assert site.head.stops == 0

        assert (await does(manager, **LEFT, take_over=True))["steered"]["held_by"] == "admin"
        assert site.head.stops == 1
        assert problem(await first.post(PTZ, json=RIGHT)) == (409, "ptz_held")
        [ended] = await site.rows("ptz_end")
        assert (ended["subject_name"], ended["detail"]["cause"]) == ("yongshun", "taken_over")
        rows = await site.rows("ptz_move", 2)
        assert {row["detail"].get("taken_from") for row in rows} == {None, "yongshun"}

        assert (await does(manager, act="release"))["steered"] is None
        await does(second, **RIGHT)
        assert (await does(manager, act="take", take_over=True))["steered"]["is_mine"]
        assert site.head.moving(site.now) == (False, False)
        assert problem(await second.post(PTZ, json=RIGHT)) == (409, "ptz_held")


async def test_a_right_that_ends_stops_the_camera(tmp_path: Path, held_for: Any) -> None:
    held_for(FOREVER_S)
    async with (
        a_site(tmp_path, "127.79.0.24/29") as site,
        site.running.as_("lister") as client,
        site.running.as_("admin") as admin,
    ):
        await does(client, **RIGHT)
        grants = (await admin.get("/api/v1/grants", params={"subject_id": "su_lister"})).json()
        for grant in grants["items"]:
            await admin.delete(f"/api/v1/grants/{grant['id']}")
        await site.told_to("Stop")
        [ended] = await site.rows("ptz_end")
        assert ended["detail"]["cause"] == "revoked"
        assert (await client.post(PTZ, json=RIGHT)).status_code == 404
        assert (await where(admin))["steered"] is None


async def test_a_registry_entry_that_changes_stops_the_camera_and_is_read_anew(
    tmp_path: Path, held_for: Any
) -> None:
    held_for(FOREVER_S)
    async with (
        a_site(tmp_path, "127.79.0.80/29") as site,
        site.running.as_("yongshun") as client,
        site.running.as_("admin") as admin,
    ):
        await does(client, **RIGHT)
        facts = {"facts": {"protocol": None}}
        assert (await admin.patch("/api/v1/channels/ch_y1", json=facts)).is_success
        await site.told_to("Stop")
        [ended] = await site.rows("ptz_end")
        assert ended["detail"]["cause"] == "changed"
        assert problem(await client.post(PTZ, json=RIGHT)) == (409, "ptz_unsupported")


async def test_positions_and_presets(tmp_path: Path) -> None:
    async with a_site(tmp_path, "127.79.0.32/29") as site, site.running.as_("yongshun") as client:
        await does(client, act="absolute", pan=0.5, tilt=-0.25, zoom=1)
        site.now += 4.0
        told = await where(client)
        assert (told["pan"], told["tilt"], told["zoom"], told["moving"]) == (0.5, -0.25, 1, False)
        kept = (await does(client, act="set_preset", name="北门"))["preset"]
        listed = (await client.get(f"{PTZ}/presets")).json()["items"]
        assert {"preset": kept, "name": "北门"} in listed
        await does(client, act="go_to_preset", preset=listed[0]["preset"])
        site.now += 4.0
        assert (await where(client))["pan"] == 0
        answer = await client.post(PTZ, json={"act": "go_to_preset", "preset": "nowhere"})
        assert problem(answer) == (502, "device_refused")
        assert "No such preset" in answer.json()["detail"]
        rows = await site.rows("ptz_go_to_preset", 3)
        assert {(row["outcome"], row["detail"].get("code")) for row in rows} == {
            ("ok", None),
            ("failed", "device_refused"),
        }


async def test_a_preset_after_a_held_move_is_not_ended_by_its_stop(
    tmp_path: Path, held_for: Any
) -> None:
    held_for(FOREVER_S)
    async with a_site(tmp_path, "127.79.0.40/29") as site, site.running.as_("yongshun") as client:
        await does(client, **RIGHT)
        await does(client, act="absolute", pan=-0.5, tilt=0)
        told = [site.told.get_nowait() for _ in range(site.told.qsize())]
        assert told == ["ContinuousMove", "Stop", "AbsoluteMove"]


async def test_what_cannot_be_steered_says_why_and_what_to_do(tmp_path: Path) -> None:
    async with (
        a_site(tmp_path, "127.79.0.48/29") as site,
        site.running.as_("admin") as admin,
        site.running.as_("stranger") as stranger,
        site.running.as_("auditor") as auditor,
    ):
        assert (await stranger.post(PTZ, json=RIGHT)).status_code == 404
        assert (await auditor.post(PTZ, json=RIGHT)).status_code == 403
        answer = await admin.post("/api/v1/channels/ch_y2/ptz", json=RIGHT)
        assert problem(answer) == (409, "ptz_unsupported")
        assert answer.json()["reason"] == "no_onvif_address"
        assert "access_port" in answer.json()["detail"]

        async def refused(**device: Any) -> tuple[int, str, str]:
            changed = await admin.patch("/api/v1/devices/de_1", json=device)
            assert changed.status_code == 200
            answer = await admin.post(PTZ, json=RIGHT)
            return (*problem(answer), answer.json()["reason"])

        bullet = site.dome.spec.address.rpartition(".")[0] + ".49"
        assert await refused(host=bullet) == (409, "ptz_unsupported", "no_ptz_service")
        nobody = site.dome.spec.address.rpartition(".")[0] + ".54"
        assert await refused(host=nobody) == (502, "device_unreachable", "connect_refused")
        told = await refused(host=site.dome.spec.address, password="wrong")
        assert told == (502, "device_refused", "auth_failed")
        for _ in range(6):  # a key pressed again and again locks no account
            await admin.post(PTZ, json=RIGHT)
        assert site.dome.gate.failed_tries == 1
        assert (await admin.patch("/api/v1/devices/de_1", json={"password": PASSWORD})).is_success
        await does(admin, **RIGHT)
        for wrong in ({"act": "move"}, {"act": "absolute", "pan": 1}, {"act": "dance"}):
            assert problem(await admin.post(PTZ, json=wrong)) == (422, "invalid_request")


async def test_a_camera_that_refuses_a_move_is_not_left_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_for: Any
) -> None:
    def jammed(call: Call) -> str:
        raise Fault("Receiver", "The motor is jammed.", "ter:Action", "ter:MovingPTZ")

    held_for(FOREVER_S)
    async with a_site(tmp_path, "127.79.0.72/29") as site, site.running.as_("yongshun") as client:
        with monkeypatch.context() as patch:
            patch.setitem(ptz_service.OPERATIONS, "ContinuousMove", Operation(jammed))
            answer = await client.post(PTZ, json=RIGHT)
            assert problem(answer) == (502, "device_refused")
            assert "jammed" in answer.json()["detail"]
            await site.told_to("Stop")  # it may have moved for all that
        [ended] = await site.rows("ptz_end")
        assert ended["detail"]["cause"] == "device_failed"
        await does(client, **RIGHT)


async def test_without_its_row_nothing_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*args: Any, **row: Any) -> None:
        raise OSError("disk full")

    async with a_site(tmp_path, "127.79.0.56/29") as site, site.running.as_("yongshun") as client:
        with monkeypatch.context() as patch:
            patch.setattr(AuditLog, "record", away)
            for act in (RIGHT, {"act": "absolute", "zoom": 1}):
                answer = await client.post(PTZ, json=act)
                assert problem(answer) == (503, "audit_unavailable")
        assert site.head.moves == 0
        await does(client, **RIGHT)


async def test_a_service_that_ends_leaves_no_camera_turning(tmp_path: Path, held_for: Any) -> None:
    held_for(FOREVER_S)
    simulated = devices("127.79.0.64/29", devices=4, port=PORT)
    async with serving(simulated):
        async with a_service(tmp_path) as running, running.as_("admin") as admin:
            await _set_up(admin, simulated[3])
            await does(admin, **RIGHT)
        head = simulated[3].head(simulated[3].channels[0])
        assert head.stops == 1
        assert head.moving(time.time()) == (False, False)
    async with a_service(tmp_path) as running:
        [ended] = await running.audit_rows("ptz_end")
        assert ended["detail"]["cause"] == "shutdown"
