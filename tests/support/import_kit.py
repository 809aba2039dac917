"""Imports over HTTP: a file is sent, its check waited for, its rows read."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx

from support.patience import PATIENCE_S

HEADINGS = "设备编码,设备名称,所属区域编码,主码流地址,子码流地址,设备用户名,设备口令,MAC地址"


def code(number: int) -> str:
    """Of the small district's camera with this number, or of none."""
    return f"1101120011131{number:07d}"


async def checked(client: httpx.AsyncClient, import_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        job: dict[str, Any] = (await client.get(f"/api/v1/imports/{import_id}")).json()
        if job["state"] != "checking":
            return job
        assert time.monotonic() < deadline, job
        await asyncio.sleep(0.05)


async def send(
    client: httpx.AsyncClient, *rows: str, headings: str = HEADINGS, **params: Any
) -> dict[str, Any]:
    answer = await client.post(
        "/api/v1/imports",
        params={"name": "mine.csv", "template": "full", **params},
        content="\n".join((headings, *rows, "")).encode(),
    )
    assert answer.status_code == 202, answer.text
    return await checked(client, answer.json()["id"])


async def told(client: httpx.AsyncClient, job: dict[str, Any]) -> list[tuple[str, set[str]]]:
    """(verdict, codes of the errors) of each row."""
    rows = (await client.get(f"/api/v1/imports/{job['id']}/rows")).json()["items"]
    return [
        (row["verdict"], {f["code"] for f in row["findings"] if f["severity"] == "error"})
        for row in rows
    ]
