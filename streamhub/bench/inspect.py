"""`inspect`: a district of channels inspected by the service, a share of them dead.

Each channel is a device of its own, ten to a /24 of 127.0.0.0/8, all of which is this machine's.
The dead ones are dialled at a port whose queue of connections is full: nothing answers, as from a
camera without power. Here the farm listens on all interfaces, behind its password.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx

from camera_registry.domain import Channel, Device, DeviceClass, new_id
from camera_registry.secret import Secret
from camera_registry.store import open_store
from camera_registry.vault import open_vault

from .district import Service, Workshop
from .machine import cpu_ms
from .processes import BenchError

FIRST_NETWORK: Final = 20  # 127.20.0.0 on
PER_SUBNET: Final = 10
# Over the 600 s that are asked of 3,000; a run that takes longer has failed.
TIMEOUT_S: Final = 900.0
HEALTH_EVERY_S: Final = 0.2
SAMPLE_EVERY: Final = 5  # of those
SEED: Final = 7
_FILLERS: Final = 8
_FILL_WAIT_S: Final = 0.5


@contextmanager
def black_hole() -> Iterator[int]:
    """A port at which connections are never taken: its queue is full (listen(2))."""
    with ExitStack() as stack:
        door = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        door.bind(("0.0.0.0", 0))  # noqa: S104  (any of our 127.x addresses; nobody is let in)
        door.listen(0)
        port: int = door.getsockname()[1]
        for _ in range(_FILLERS):
            filler = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            filler.settimeout(_FILL_WAIT_S)
            try:
                filler.connect(("127.0.0.1", port))
            except TimeoutError:
                break
        else:
            raise BenchError("This kernel takes connections beyond a full queue.")
        yield port


def host_of(index: int) -> str:
    subnet, place = divmod(index, PER_SUBNET)
    return f"127.{FIRST_NETWORK + subnet // 250}.{subnet % 250}.{place + 1}"


async def seed(
    data_dir: Path, password: str, farm_port: int, hole_port: int, channels: int, dead: int
) -> set[str]:
    """Put `channels` in place of the demo's; gives the ids of the dead ones."""
    store = await open_store(data_dir / "registry.db")
    try:
        vault = await open_vault(store, data_dir / "secret.key")
        async with store.read() as tx:
            old = await tx.channels.all()
            boxes = await tx.devices.all()
        area_id = old[0].area_id
        chosen = set(random.Random(SEED).sample(range(channels), dead))  # noqa: S311
        rows, devices, dead_ids = [], [], set()
        for index in range(channels):
            host = host_of(index)
            port = hole_port if index in chosen else farm_port
            device = Device(new_id("de"), host, host, port, "admin", True)
            url = f"rtsp://{host}:{port}/cam/{index + 1}"
            row = Channel(
                id=new_id("ch"),
                device_id=device.id,
                area_id=area_id,
                code=f"11011200001321{index + 1:06d}",
                name=f"camera {index + 1}",
                device_class=DeviceClass.POLICE_HD,
                main_url=f"{url}/main",
                sub_url=f"{url}/sub",
            )
            rows.append(row)
            devices.append((device, vault.seal(device.id, Secret(password))))
            if index in chosen:
                dead_ids.add(row.id)
        async with store.write() as write:
            await write.bulk_delete(
                channels=[each.id for each in old], devices=[box.id for box in boxes]
            )
            await write.bulk_add(devices=devices, channels=rows)
    finally:
        await store.close()
    return dead_ids


@dataclass
class _Watch:
    """What the run costs while it goes: the service's own loop must not feel it."""

    service: Service
    client: httpx.Client
    health_ms: list[float] = field(default_factory=list)
    ill: int = 0  # answers other than 200: quick ones are no good news
    children_ms: dict[int, int] = field(default_factory=dict)

    def health(self) -> None:
        began = time.monotonic()
        self.ill += self.client.get("/healthz").status_code != httpx.codes.OK
        self.health_ms.append((time.monotonic() - began) * 1000)

    def children(self) -> None:
        """CPU time of the processes that look and decode; the last reading counts."""
        for path in Path(f"/proc/{self.service.pid}/task").glob("*/children"):
            for word in path.read_text().split():
                try:
                    self.children_ms[int(word)] = cpu_ms(int(word))
                except OSError:
                    continue  # it has just ended

    def percentile(self, share: float) -> float:
        ordered = sorted(self.health_ms)
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)


def inspect_row(
    workshop: Workshop, channels: int, dead_share: float, profile: str
) -> dict[str, Any]:
    """[`seconds`, `good_done_s`, `counts`, `wrong`, `service_cores`, `looking_cores`,
    `health_ms`]. `good_done_s`: when the last good one had its card."""
    dead = round(channels * dead_share)
    with black_hole() as hole_port, workshop.farm(host="0.0.0.0") as farm:  # noqa: S104
        data_dir = workshop.seeded()
        farm_port = int(farm.address.rpartition(":")[2])
        dead_ids = asyncio.run(
            seed(data_dir, workshop.farm_password(), farm_port, hole_port, channels, dead)
        )
        with (
            workshop.service_on(data_dir) as service,
            httpx.Client(base_url=service.url, timeout=10) as client,
        ):
            row = _inspected(_Watch(service, client), profile, dead_ids)
        shutil.rmtree(data_dir)
    return {"channels": channels, "dead": dead, "profile": profile, **row}


def _inspected(watch: _Watch, profile: str, dead_ids: set[str]) -> dict[str, Any]:
    service = watch.service
    for _ in range(10):
        watch.health()
    idle_ms = watch.percentile(0.5)
    watch.health_ms.clear()
    headers = {"Authorization": f"Bearer {service.token}"}
    began, cpu_began = time.monotonic(), cpu_ms(service.pid)
    answer = httpx.post(
        f"{service.url}/api/v1/inspections", json={"profiles": [profile]}, headers=headers
    )
    answer.raise_for_status()
    run: dict[str, Any] = answer.json()
    rounds = 0
    while run["state"] == "running":
        if time.monotonic() - began > TIMEOUT_S:
            raise BenchError(f"{run['done']} of {run['total']} were inspected in {TIMEOUT_S} s.")
        time.sleep(HEALTH_EVERY_S)
        watch.health()
        rounds += 1
        if rounds % SAMPLE_EVERY == 0:
            watch.children()
            run = service.get(f"/api/v1/inspections/{run['id']}")
    seconds = time.monotonic() - began
    service_ms = cpu_ms(service.pid) - cpu_began
    cards = _cards(service, run["id"])
    good = [card for card in cards if card["channel_id"] not in dead_ids]
    told_dead = {
        card["channel_id"]
        for card in cards
        if [each["code"] for each in card["findings"]] == ["connect_timeout"]
    }
    wrong = len(told_dead ^ dead_ids) + sum(card["verdict"] == "fails" for card in good)
    started = datetime.fromisoformat(run["created_at"])
    ends = [(datetime.fromisoformat(card["at"]) - started).total_seconds() for card in good]
    return {
        "seconds": round(seconds, 1),
        "good_done_s": round(max(ends, default=0.0), 1),
        "counts": run["counts"],
        "findings": _findings(good),
        "wrong": wrong,
        "pictures": sum(card["has_picture"] for card in cards),
        "service_cores": round(service_ms / 1000 / seconds, 3),
        "looking_cores": round(sum(watch.children_ms.values()) / 1000 / seconds, 3),
        "health_refused": watch.ill,
        "health_ms": {
            "idle_p50": idle_ms,
            "p50": watch.percentile(0.5),
            "p99": watch.percentile(0.99),
        },
    }


def _findings(cards: list[dict[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for card in cards:
        for each in card["findings"]:
            found[each["code"]] = found.get(each["code"], 0) + 1
    return found


def _cards(service: Service, run_id: str) -> list[dict[str, Any]]:
    cards: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        page = service.get("/api/v1/channel-inspections", inspection_id=run_id, limit=500, **more)
        cards += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return cards
