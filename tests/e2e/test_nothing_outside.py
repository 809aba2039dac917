"""The service calls nothing outside by itself: no telemetry, no update check, no name server."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx

from support.district import Service, farm_secret, running_farm, running_service, seed_template
from support.sealed_network import run_sealed
from support.watching import PATIENCE_S, channels_of, watched


def a_working_day(folder: str) -> None:
    """Start, the page with all it loads, lists, search, a view, a still, an inspection; leave."""
    data_dir = Path(folder) / "data"
    data_dir.mkdir()
    with running_farm(farm_secret(data_dir)) as farm:
        seed_template(data_dir, farm.port)
        with running_service(data_dir) as service:
            asyncio.run(_work(service))
            service.cli("doctor", check=False)
            service.cli("audit", "verify")


async def _work(service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.url, timeout=PATIENCE_S) as anybody:
        page = await anybody.get("/")
        for asset in re.findall(r'(?:src|href)="(/assets/[^"]+)"', page.text):
            assert (await anybody.get(asset)).status_code == httpx.codes.OK
        assert (await anybody.get("/api/v1/openapi.json")).status_code == httpx.codes.OK
        assert (await anybody.get("/metrics")).status_code == httpx.codes.OK
    async with service.client("yongshun") as client:
        [channel] = await channels_of(client, 1)
        found = await client.get("/api/v1/channels", params={"q": channel["name"]})
        assert found.json()["items"]
        async with watched(client, [channel["id"]]):
            still = await client.get(f"/api/v1/channels/{channel['id']}/snapshot.jpg")
            assert still.status_code == httpx.codes.OK
    async with service.client("admin") as admin:
        begun = await admin.post(
            "/api/v1/inspections", json={"channel_ids": [channel["id"]], "profiles": ["sub"]}
        )
        assert begun.is_success, begun.text
        run = f"/api/v1/inspections/{begun.json()['id']}"
        async with asyncio.timeout(PATIENCE_S):
            while (await admin.get(run)).json()["finished_at"] is None:
                await asyncio.sleep(0.2)


def test_a_working_day_sends_nothing_outside(tmp_path: Path) -> None:
    assert run_sealed("e2e.test_nothing_outside:a_working_day", str(tmp_path)) == []
