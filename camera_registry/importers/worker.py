"""`python -m camera_registry.importers.worker`: checks one import beside the service.

What to do comes by standard input as JSON, as the registry's URL may hold a password:
{"registry": path or URL, "is_url": bool, "vault_key": path, "site_dir": path or null,
"job_id": id}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from ..secret import Secret
from ..store import open_store
from ..vault import open_vault
from .check import check_job


async def work(order: dict[str, Any]) -> None:
    place = order["registry"]
    store = await open_store(Secret(place) if order["is_url"] else Path(place), migrate=False)
    try:
        vault = await open_vault(store, Path(order["vault_key"]))
        site_dir = order["site_dir"]
        await check_job(store, vault, order["job_id"], None if site_dir is None else Path(site_dir))
    finally:
        await store.close()


if __name__ == "__main__":
    asyncio.run(work(json.load(sys.stdin)))
