"""`bench import`: a file of many cameras checked and applied, on an empty registry of its own."""

from __future__ import annotations

import asyncio
import io
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from camera_registry.domain import Actor
from camera_registry.drafts import AreaDraft
from camera_registry.importers.templates import shipped
from camera_registry.importers.writers import Kind, write_table
from camera_registry.imports import Imports, WorkerChecker
from camera_registry.jobs import JobState
from camera_registry.service import Registry
from camera_registry.store import open_store
from camera_registry.vault import open_vault
from streamhub.bench.processes import BenchError

_BY: Final = Actor(None, "local:bench")
_DIVISION, _STREET = "110112", "110112001"


def cameras(count: int) -> Iterator[dict[str, str]]:
    """Rows as a district's archive has them, each camera with an address and a code of its own."""
    for n in range(1, count + 1):
        host = f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
        yield {
            "code": f"{_DIVISION}0000132{1 + n // 1_000_000}{n % 1_000_000:06d}",
            "name": f"新华大街{n}号路口",
            "area": _STREET,
            "main_url": f"rtsp://{host}/Streaming/Channels/101",
            "manufacturer": "1",
            "model": "DS-2CD3T46",
            "ipv4": host,
            "mac": ":".join(f"{byte:02x}" for byte in (2 << 40 | n).to_bytes(6, "big")),
            "point_type": str(1 + n % 3),
            "camera_type": str(1 + n % 5),
            "function_type": "5",
            "encoding": "2",
            "address": f"北京市通州区新华大街{n}号",
            "lon": f"{116.5 + n % 1000 / 4000:.6f}",
            "lat": f"{39.8 + n % 997 / 4000:.6f}",
            "direction": str(1 + n % 8),
            "police_station": "永顺派出所",
            "management_unit": "通州区公安分局",
            "installed_on": f"20{10 + n % 14}-0{1 + n % 9}-{10 + n % 18}",
            "record_days": "30",
            "state": "1",
        }


async def measure(folder: Path, count: int, template: str, kind: Kind) -> dict[str, Any]:
    """`check_s` and `check_cpu_s` of the check, `check_rss_bytes` at its peak; `apply_s`."""
    store = await open_store(folder / "registry.db")
    try:
        vault = await open_vault(store, folder / "secret.key")
        registry = Registry(store, vault)
        district = await registry.create_area(AreaDraft(None, "district", _DIVISION, "通州区"), _BY)
        await registry.create_area(AreaDraft(district.id, "street", _STREET, "永顺镇"), _BY)
        out = io.BytesIO()
        write_table(kind, shipped(template), cameras(count), out)
        file = out.getvalue()
        checker = WorkerChecker(folder / "registry.db", folder / "secret.key", None)
        imports = Imports(store, vault, None, checker)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        job = await imports.create(file, f"cameras.{kind}", {"template": template}, _BY)
        job = await imports.checked(job.id)
        check_s = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if job.state is not JobState.CHECKED or job.counts["refused"]:
            raise BenchError(f"The import was refused: {job.sentence or dict(job.counts)}.")
        began = time.perf_counter()
        await imports.apply(job.id, _BY)
        apply_s = time.perf_counter() - began
    finally:
        await store.close()
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "cameras": count,
        "template": template,
        "kind": kind,
        "file_bytes": len(file),
        "check_s": round(check_s, 2),
        "check_cpu_s": round(cpu_s, 2),
        "check_rss_bytes": after.ru_maxrss * 1024,
        "apply_s": round(apply_s, 2),
        "warnings": job.counts["warnings"],
    }


def import_row(count: int, template: str, kind: Kind) -> dict[str, Any]:
    """As `measure`, in a folder and a loop of its own."""
    with TemporaryDirectory(prefix="streamhub-bench-") as folder:
        return asyncio.run(measure(Path(folder), count, template, kind))
