"""`python -m camera_registry.importers.worker`: checks one import beside the service.

What to do comes by standard input as one line of JSON, as the registry's URL may hold a password:
{"registry": path or URL, "is_url": bool, "vault_key": path, "site_dir": path or null,
"job_id": id, "attempt": number}. When the input ends, whoever gave the order is gone, and so is
this process at once: what it would write nobody waits for.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..jobs import Attempt, Superseded
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
        attempt = Attempt(order["job_id"], order["attempt"])
        with suppress(Superseded):
            await check_job(store, vault, attempt, None if site_dir is None else Path(site_dir))
    finally:
        await store.close()


def leave_with_the_input() -> None:
    """Ends this process where its input ends, whatever it is at: a commit is whole or not."""
    while os.read(0, 1):  # past the buffer, whose lock Python wants when it ends
        pass
    os._exit(1)


if __name__ == "__main__":
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=leave_with_the_input, daemon=True).start()
    asyncio.run(work(order))
