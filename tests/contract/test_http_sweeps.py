"""A sweep over simulated ONVIF devices: found, described, imported with what served."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from camera_registry.secret import Secret
from gateways.onvif.discovery import MULTICAST_GROUP, discover
from streamhub.discovery import service as discovery_service
from streamhub.farm_onvif.auth import Credentials
from streamhub.farm_onvif.discovery_server import DiscoveryServer
from support.district import free_port
from support.http_kit import Running, a_service, problem
from support.onvif_client import devices, serving

PORT, SECOND_PORT = free_port(), free_port()
# Not the usual one: other simulated devices of this machine may hear that.
DISCOVERY_PORT = free_port(socket.SOCK_DGRAM)
ONE, TWO, WRONG = ("admin", "first-w0rd"), ("viewer", "sec0nd-word"), ("root", "wr0ng-word")


def a_set(user: str, word: str) -> dict[str, str]:
    return {"name": user, "username": user, "password": word}


def simulated(network: str, **options: Any) -> Any:
    sets = tuple(Credentials(user, Secret(word)) for user, word in (ONE, TWO))
    return serving(devices(network, port=PORT, credentials=sets, **options))


async def swept(running: Running, client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/api/v1/sweeps", json={"ports": [PORT], **body})
    assert answer.status_code == 202, answer.text
    sweep_id = answer.json()["id"]
    await running.services.finder().ended(sweep_id)
    sweep: dict[str, Any] = (await client.get(f"/api/v1/sweeps/{sweep_id}")).json()
    return sweep


async def test_cameras_of_a_network_are_found_described_and_imported(tmp_path: Path) -> None:
    async with (
        simulated("127.78.0.0/28", devices=10) as server,
        a_service(tmp_path) as running,
        running.as_("admin") as client,
    ):
        assert server is not None
        sets = [a_set(*WRONG), a_set(*ONE), a_set(*TWO)]
        sweep = await swept(running, client, networks=["127.78.0.0/28"], credentials=sets)
        assert (sweep["state"], sweep["total"], sweep["done"]) == ("done", 14, 14)
        path = f"/api/v1/sweeps/{sweep['id']}"
        found = (await client.get(f"{path}/devices")).json()["items"]
        assert (sweep["found"], sweep["described"], len(found)) == (10, 10, 10)
        assert {each["state"] for each in found} == {"described"}
        assert {each["credential_set"] for each in found} == {"admin", "viewer"}
        assert len({each["serial"] for each in found}) == 10
        assert all(
            each["channels"][0]["main"]["uri"].startswith(f"rtsp://{each['host']}")
            for each in found
        )

        answer = await client.post(f"{path}/import", json={"area": "110112001"})
        job_id = answer.json()["id"]
        assert answer.json()["file_name"] == "sweep 127.78.0.0_28.json"
        job = await running.services.imports.checked(job_id)
        assert dict(job.counts)["add"] == 10, await running.services.imports.rows(job_id)
        rows = (await client.get(f"/api/v1/imports/{job_id}/rows")).json()["items"]
        hosts = [re.findall(r"rtsp://([\d.]+)", str(row["changes"]))[0] for row in rows]
        assert hosts == [f"127.78.0.{n}" for n in range(1, 11)]
        minted = [row["code"] for row in rows]
        assert minted == sorted(minted)
        await client.post(f"/api/v1/imports/{job_id}/apply", json={})
        page = (await client.get("/api/v1/channels", params={"q": "127.78"})).json()
        assert page["total"] == 10
        camera = (await client.get(f"/api/v1/channels/{page['items'][0]['id']}")).json()
        assert camera["facts"]["protocol"] == "ONVIF"
        assert camera["sub_url"].startswith("rtsp://127.78.0.")
        address = await running.services.registry.spec_for(camera["id"], "main")
        assert (address.username, address.password) in [
            (user, Secret(word)) for user, word in (ONE, TWO)
        ]

        again = await swept(running, client, networks=["127.78.0.0/28"], credentials=sets)
        assert again["found"] == 10
        path = f"/api/v1/sweeps/{again['id']}"
        found = (await client.get(f"{path}/devices")).json()["items"]
        assert all(each["registered"] for each in found)
        assert problem(await client.post(f"{path}/import", json={})) == (422, "nothing_found")


async def test_a_device_that_lets_nobody_in_is_told_with_the_next_step(tmp_path: Path) -> None:
    async with (
        simulated("127.78.1.0/29", devices=2) as server,
        a_service(tmp_path) as running,
        running.as_("admin") as client,
    ):
        assert server is not None
        sweep = await swept(
            running, client, networks=["127.78.1.0/29"], credentials=[a_set(*WRONG)]
        )
        found = (await client.get(f"/api/v1/sweeps/{sweep['id']}/devices")).json()["items"]
        assert [(each["state"], each["code"]) for each in found] == [("refused", "auth_failed")] * 2
        assert all("password" in each["sentence"] for each in found)


def all_wrong(*words: str) -> list[dict[str, str]]:
    return [{"name": f"line {n}", **a_login("admin", word)} for n, word in enumerate(words, 1)]


def a_login(user: str, word: str) -> dict[str, str]:
    return {"username": user, "password": word}


async def codes(client: httpx.AsyncClient, sweep: dict[str, Any]) -> list[str | None]:
    answer = await client.get(f"/api/v1/sweeps/{sweep['id']}/devices")
    return [each["code"] for each in answer.json()["items"]]


async def test_a_corrected_password_is_tried_under_its_old_name(tmp_path: Path) -> None:
    async with (
        simulated("127.78.6.0/30", devices=1) as server,
        a_service(tmp_path) as running,
        running.as_("admin") as client,
    ):
        for word, code in (("mistyped", "auth_failed"), (ONE[1], None), (TWO[1], None)):
            sets = all_wrong(word)
            swept_now = await swept(running, client, networks=["127.78.6.0/30"], credentials=sets)
            # The last is wrong for this user, but the one before has served and is not in the list.
            expected = "auth_failed" if word == TWO[1] else code
            assert await codes(client, swept_now) == [expected], word
        assert server.devices[1].gate.failed_tries == 2


async def test_neither_a_restart_nor_a_second_port_is_a_way_to_the_lock(tmp_path: Path) -> None:
    body = {"networks": ["127.78.7.0/30"], "ports": [PORT, SECOND_PORT]}
    body["credentials"] = all_wrong("one", "two", "three", "four")
    sets = tuple(Credentials(user, Secret(word)) for user, word in (ONE, TWO))
    [first] = devices("127.78.7.0/30", port=PORT, credentials=sets, devices=1)
    second = replace(first, spec=replace(first.spec, port=SECOND_PORT))
    async with serving([first]), serving([second]):
        for _ in range(2):
            async with a_service(tmp_path) as running, running.as_("admin") as client:
                sweep = await swept(running, client, **body)
                assert await codes(client, sweep) == ["tries_spent"] * 2
                assert first.gate.failed_tries == 3
        async with a_service(tmp_path) as running, running.as_("admin") as client:
            right = [a_set(*ONE)]
            sweep = await swept(running, client, **{**body, "credentials": right})
            assert await codes(client, sweep) == ["tries_spent"] * 2
            sweep = await swept(running, client, **{**body, "credentials": right}, try_again=True)
            assert await codes(client, sweep) == [None, None]
        assert (first.gate.failed_tries, first.gate.lockouts) == (3, 0)


async def test_a_stop_in_the_middle_has_cost_tries_that_are_kept(tmp_path: Path) -> None:
    body = {"networks": ["127.78.8.0/30"], "ports": [PORT]}
    body["credentials"] = all_wrong("one", "two", "three")
    async with simulated("127.78.8.0/30", devices=1) as server:
        gate = server.devices[1].gate
        async with a_service(tmp_path) as running, running.as_("admin") as client:
            answer = await client.post("/api/v1/sweeps", json=body)
            path = f"/api/v1/sweeps/{answer.json()['id']}"
            async with asyncio.timeout(30):
                while gate.failed_tries < 2:
                    await asyncio.sleep(0.001)
            await client.post(f"{path}/stop")
        async with a_service(tmp_path) as running, running.as_("admin") as client:
            for _ in range(2):
                await swept(running, client, **body)
        # The second may have been cut off before its answer; forgotten, there would be five or six.
        assert gate.failed_tries <= 4


async def test_passwords_of_a_sweep_are_nowhere_in_the_open(tmp_path: Path) -> None:
    async with (
        simulated("127.78.2.0/29", devices=2) as server,
        a_service(tmp_path) as running,
        running.as_("admin") as client,
    ):
        assert server is not None
        sets = [a_set(*ONE), a_set(*TWO)]
        sweep = await swept(running, client, networks=["127.78.2.0/29"], credentials=sets)
        path = f"/api/v1/sweeps/{sweep['id']}"
        job = (await client.post(f"{path}/import", json={"area": "110112001"})).json()
        await running.services.imports.checked(job["id"])
        texts = [
            (await client.get(path)).text,
            (await client.get(f"{path}/devices")).text,
            (await client.get(f"/api/v1/imports/{job['id']}/rows")).text,
            (await client.get("/api/v1/audit", params={"limit": 100})).text,
        ]
    held = b"".join(await asyncio.to_thread(_contents, tmp_path))
    for _, word in (ONE, TWO):
        assert word not in "".join(texts)
        assert word.encode() not in held


def _contents(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in directory.rglob("*") if path.is_file()]


async def test_a_sweep_goes_on_after_a_restart_where_it_was(tmp_path: Path) -> None:
    async with simulated("127.78.3.0/29", devices=5) as server:
        assert server is not None
        async with a_service(tmp_path) as running, running.as_("admin") as client:
            body = {
                "networks": ["127.78.3.0/29", "127.79.0.0/25"],
                "ports": [PORT],
                "credentials": [a_set(*ONE), a_set(*TWO)],
            }
            sweep_id = (await client.post("/api/v1/sweeps", json=body)).json()["id"]
            second = await client.post("/api/v1/sweeps", json=body)
            assert problem(second) == (409, "sweep_running")
        async with a_service(tmp_path) as running, running.as_("admin") as client:
            await running.services.finder().ended(sweep_id)
            sweep = (await client.get(f"/api/v1/sweeps/{sweep_id}")).json()
            assert (sweep["state"], sweep["done"]) == ("done", sweep["total"])
            found = (await client.get(f"/api/v1/sweeps/{sweep_id}/devices")).json()["items"]
            assert len(found) == 5


async def test_a_call_that_is_sent_again_makes_no_second_sweep_and_no_second_import(
    tmp_path: Path,
) -> None:
    async with (
        simulated("127.82.0.0/30", devices=2),
        a_service(tmp_path) as running,
        running.as_("admin") as client,
    ):
        key = {"Idempotency-Key": "night-1"}
        body = {"networks": ["127.82.0.0/30"], "ports": [PORT], "credentials": [a_set(*ONE)]}
        first, again = [
            (await client.post("/api/v1/sweeps", json=body, headers=key)).json() for _ in range(2)
        ]
        assert first["id"] == again["id"]
        other = {**body, "credentials": [a_set(*TWO)]}
        reused = await client.post("/api/v1/sweeps", json=other, headers=key)
        assert problem(reused) == (422, "idempotency_key_reused"), "other passwords, another sweep"
        assert (await client.get("/api/v1/sweeps")).json()["total"] == 1
        await running.services.finder().ended(first["id"])
        path = f"/api/v1/sweeps/{first['id']}/import"
        order = {"area": "110112001"}
        jobs = [(await client.post(path, json=order, headers=key)).json() for _ in range(2)]
        assert jobs[0]["id"] == jobs[1]["id"]
        assert (await client.get("/api/v1/imports")).json()["total"] == 1


async def test_a_sweep_is_stopped_taken_up_and_forgotten(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        body = {"networks": ["127.80.0.0/24"], "ports": [PORT]}
        sweep_id = (await client.post("/api/v1/sweeps", json=body)).json()["id"]
        path = f"/api/v1/sweeps/{sweep_id}"
        assert (await client.post(f"{path}/stop")).json()["state"] == "stopped"
        assert (await client.post(f"{path}/go-on")).json()["state"] == "running"
        assert (await client.delete(path)).status_code == 204
        assert problem(await client.get(path)) == (404, "not_found")
        for bad in ({}, {"networks": ["10.0.0.0/2"]}, {"networks": ["x"]}):
            assert problem(await client.post("/api/v1/sweeps", json=bad))[0] == 422


@asynccontextmanager
async def heard(network: str, count: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Devices that answer a probe by multicast, on the loopback interface."""
    sets = tuple(Credentials(user, Secret(word)) for user, word in (ONE, TWO))
    made = devices(network, port=PORT, credentials=sets, devices=count)
    answering = DiscoveryServer(made, DISCOVERY_PORT)
    group = (MULTICAST_GROUP, DISCOVERY_PORT)
    monkeypatch.setattr(discovery_service, "discover", partial(discover, group=group))
    async with serving(made) as server:
        assert server is not None
        assert await answering.start()
        try:
            yield
        finally:
            answering.stop()


async def test_cameras_beside_an_interface_are_found_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        heard("127.78.4.0/29", 3, monkeypatch),
        a_service(tmp_path) as running,
        running.as_("admin") as client,
    ):
        ours = (await client.get("/api/v1/sweeps/interfaces")).json()["items"]
        assert {"name": "lo", "address": "127.0.0.1", "network": "127.0.0.0/8"} in ours
        sets = [a_set(*ONE), a_set(*TWO)]
        sweep = await swept(running, client, interfaces=["127.0.0.1"], credentials=sets)
        counts = (sweep["state"], sweep["total"], sweep["found"], sweep["described"])
        assert counts == ("done", 0, 3, 3)
        path = f"/api/v1/sweeps/{sweep['id']}"
        found = (await client.get(f"{path}/devices")).json()["items"]
        assert [each["host"] for each in found] == [f"127.78.4.{n}" for n in (1, 2, 3)]
        assert all(len(each["note_codes"]) == len(each["notes"]) for each in found)
        job = (await client.post(f"{path}/import", json={"area": "110112001"})).json()
        assert dict((await running.services.imports.checked(job["id"])).counts)["add"] == 3


async def test_a_device_that_is_heard_and_swept_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        heard("127.78.5.0/29", 4, monkeypatch),
        a_service(tmp_path) as running,
        running.as_("admin") as client,
    ):
        sweep = await swept(
            running,
            client,
            networks=["127.78.5.0/30"],  # two of the four
            interfaces=["127.0.0.1"],
            credentials=[a_set(*ONE), a_set(*TWO)],
        )
        counts = (sweep["state"], sweep["total"], sweep["found"], sweep["described"])
        assert counts == ("done", 2, 4, 4)


async def test_an_interface_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        for address, code in (("203.0.113.9", "not_an_interface"), ("eth0", "not_an_address")):
            answer = await client.post("/api/v1/sweeps", json={"interfaces": [address]})
            assert problem(answer) == (422, code)
        async with running.as_("yongshun") as operator:
            assert (await operator.get("/api/v1/sweeps/interfaces")).status_code == 403
