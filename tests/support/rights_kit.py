"""What tests of rights over HTTP have in common: people, grants and roles."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from support.http_kit import OFFER, SDP, Running, a_service, problem

NEVER = {"days": ["mon"], "start": "00:00", "end": "00:01"}
ALWAYS = {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "start": "00:00"}
GRANTS = "/api/v1/grants"


async def made(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post(GRANTS, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refused(client: httpx.AsyncClient, **body: Any) -> tuple[int, str]:
    return problem(await client.post(GRANTS, json={"actions": ["live"], **body}))


async def watch(client: httpx.AsyncClient, channel_id: str, **headers: str) -> httpx.Response:
    return await client.post(f"/whep/{channel_id}", content=OFFER, headers=SDP | headers)


@asynccontextmanager
async def people(
    tmp_path: Path, name: str
) -> AsyncIterator[tuple[Running, httpx.AsyncClient, httpx.AsyncClient]]:
    """A service, with whoever manages it and one other."""
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_(name) as other,
    ):
        yield running, admin, other


async def a_role(running: Running, name: str, *members: str) -> str:
    async with running.as_("admin") as admin:
        body = {"name": name, "display_name": name.title()}
        answer = await admin.post("/api/v1/roles", json=body)
        assert answer.status_code == 201, answer.text
        role_id = str(answer.json()["id"])
        for member in members:
            put = await admin.put(f"/api/v1/roles/{role_id}/members/su_{member}")
            assert put.status_code == 204, put.text
    return role_id
