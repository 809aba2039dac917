"""What tests of exports that two people make have in common."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from support.http_kit import Running, a_service

EXPORTS = "/api/v1/audit/exports"
YONGSHUN = {"area_id": "ar_yongshun"}
WHY = {"purpose": "inquiry", "purpose_note": "案件 2026-17"}


@asynccontextmanager
async def two_auditors(
    tmp_path: Path,
) -> AsyncIterator[tuple[Running, httpx.AsyncClient, httpx.AsyncClient]]:
    """The district's, and 永顺镇's."""
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("auditor") as auditor,
    ):
        yield running, admin, auditor


async def asked(client: httpx.AsyncClient, **params: Any) -> dict[str, Any]:
    answer = await client.post(EXPORTS, params=params, json=WHY)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def rows_of(client: httpx.AsyncClient, export_id: str) -> list[dict[str, str]]:
    answer = await client.get(f"{EXPORTS}/{export_id}/file")
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return list(csv.DictReader(io.StringIO(archive.read("rows.csv").decode("utf-8-sig"))))
