"""`streamhub camera ptz`, as a process against a service and a simulated dome."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from support.command import Command
from support.district import free_port
from support.onvif_client import PASSWORD, USER, devices, serving

PORT = free_port()
CODE = "11011200111310000001"


def _told_of_onvif(command: Command) -> None:
    """As an import of a sweep would."""
    transport = httpx.HTTPTransport(uds=str(command.data_dir / "control.sock"))
    with httpx.Client(transport=transport, base_url="http://localhost", timeout=30) as client:
        camera = command.json("camera", "show", CODE)
        facts = {"protocol": "ONVIF", "access_port": str(PORT)}
        for path, body in (
            (f"/api/v1/devices/{camera['device_id']}", {"password": PASSWORD}),
            (f"/api/v1/channels/{camera['id']}", {"facts": facts}),
        ):
            assert client.patch(path, json=body).is_success


async def test_a_camera_is_steered_by_commands(tmp_path: Path) -> None:
    simulated = devices("127.79.1.0/29", devices=4, port=PORT)
    dome = simulated[3]
    command = Command(tmp_path / "data")

    async def do(*arguments: str) -> Any:
        return await asyncio.to_thread(command.json, "camera", "ptz", CODE, *arguments)

    def set_up() -> None:
        command.ok("area", "add", "110112", "通州区", "--kind", "district")
        command.ok(
            "camera", "add", CODE, "路口1", "--area", "110112",
            "--url", f"rtsp://{USER}@{dome.spec.address}:9/main",
        )  # fmt: skip

    await asyncio.to_thread(set_up)
    refused = await asyncio.to_thread(command.run, "camera", "ptz", CODE, "stop")
    assert (refused.returncode, "no_service" in refused.stderr) == (1, True)
    service = command.serving()
    await asyncio.to_thread(service.__enter__)
    try:
        async with serving(simulated):
            await asyncio.to_thread(_told_of_onvif, command)
            moved = await do("move", "--pan", "1", "--for", "0.5")
            assert moved["steered"]["is_mine"] is True
            head = dome.head(dome.channels[0])
            assert head.stops >= 1
            status = await do()
            assert status["moving"] is False
            assert status["pan"] > 0
            assert [each["preset"] for each in await do("presets")] == ["1"]
            kept = (await do("set", "--name", "北门"))["preset"]
            await do("absolute", "--zoom", "1")
            await do("go-to", "--preset", kept)
            assert (await do("release"))["steered"] is None
            wrong = await asyncio.to_thread(command.run, "camera", "ptz", CODE, "go-to")
            assert (wrong.returncode, "--preset" in wrong.stderr) == (2, True)
    finally:
        await asyncio.to_thread(service.__exit__, None, None, None)
    rows = await asyncio.to_thread(command.json, "audit", "list", "--act", "ptz_go_to_preset")
    assert rows[0]["detail"] == {"preset": kept}
    assert PASSWORD not in command.log()
    command.end()
