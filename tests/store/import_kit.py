"""Files of cameras, and their plans."""

from __future__ import annotations

from typing import Any

from camera_registry.domain import Actor
from camera_registry.imports import Imports
from camera_registry.jobs import ImportJob, ImportRow

from .test_registry_cameras import code

HEADINGS = "设备编码,设备名称,所属区域编码,主码流地址,子码流地址,设备用户名,设备口令,安装地址"


def row(
    serial: int,
    *,
    name: str = "",
    area: str = "110112001",
    user: str = "",
    word: str = "",
    address: str = "",
    host: str = "",
) -> str:
    host = host or f"192.0.2.{serial}"
    url = f"rtsp://{host}/cam/{serial}"
    name = name or f"路口{serial}"
    return f"{code(serial)},{name},{area},{url}/main,{url}/sub,{user},{word},{address}"


def code_(serial: int) -> str:
    return f"11011200001321{serial:06d}"


def csv(*rows: str) -> bytes:
    return "\n".join((HEADINGS, *rows)).encode()


async def plan(
    imports: Imports, by: Actor, file: bytes, name: str = "cameras.csv", **options: Any
) -> tuple[ImportJob, list[ImportRow]]:
    job = await imports.create(file, name, {"template": "full", **options}, by)
    job = await imports.checked(job.id)
    return job, await imports.rows(job.id, limit=500)


def codes(row: ImportRow) -> list[str]:
    return [finding["code"] for finding in row.payload["findings"]]
