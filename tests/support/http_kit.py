"""The whole application in one process, over a real store and a fake core, for HTTP tests.

A small district: 永顺 has three cameras (one switched off), 梨园 has two. Subjects, with password
`<username>-pass`: `admin` (everything), `yongshun` (list, live, snapshot there), `lister` (list
only, there), `warden` (list, live,
export, manage there), `auditor` (audit there), `stranger` (nothing).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from argon2 import PasswordHasher
from fastapi import FastAPI

from camera_registry.domain import (
    ACTIONS,
    Area,
    AreaKind,
    Channel,
    Device,
    DeviceClass,
    Grant,
    Subject,
    SubjectKind,
)
from camera_registry.store import open_store
from streamhub.api.services import Services
from streamhub.app import LocalOperatorApp, build_app
from streamhub.media.fake import FakeCore
from streamhub.oidc.settings import OidcSettings
from streamhub.settings import HttpSettings, LogSettings, MediaSettings, Settings
from support.patience import PATIENCE_S

OFFER = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H264/90000\r\n"
SDP = {"Content-Type": "application/sdp"}
START = datetime(2026, 1, 1, tzinfo=UTC)
EVERYTHING = ACTIONS
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

GRANTS: dict[str, tuple[str, frozenset[str]] | None] = {
    "admin": ("ar_district", EVERYTHING),
    "yongshun": ("ar_yongshun", frozenset({"list", "live", "snapshot"})),
    "lister": ("ar_yongshun", frozenset({"list"})),
    "warden": ("ar_yongshun", frozenset({"list", "live", "export", "manage"})),
    "auditor": ("ar_yongshun", frozenset({"audit"})),
    "stranger": None,
}


def areas() -> list[Area]:
    return [
        Area("ar_district", None, AreaKind.DISTRICT, "110112", "通州区"),
        Area("ar_yongshun", "ar_district", AreaKind.STREET, "110112001", "永顺镇"),
        Area("ar_liyuan", "ar_district", AreaKind.STREET, "110112002", "梨园镇"),
        Area("ar_village", "ar_yongshun", AreaKind.COMMUNITY, "110112001001", "新建村"),
    ]


def channels() -> list[Channel]:
    def one(number: int, channel_id: str, area_id: str, *, enabled: bool = True) -> Channel:
        url = f"rtsp://127.0.0.1:1/cam/{number}"
        return Channel(
            id=channel_id,
            device_id="de_1",
            area_id=area_id,
            code=f"1101120011131{number:07d}",
            name=f"路口{number}",
            device_class=DeviceClass.POLICE_HD,
            main_url=f"{url}/main",
            sub_url=f"{url}/sub",
            enabled=enabled,
        )

    return [
        one(1, "ch_y1", "ar_yongshun"),
        one(2, "ch_y2", "ar_village"),
        one(3, "ch_off", "ar_yongshun", enabled=False),
        one(4, "ch_l1", "ar_liyuan"),
        one(5, "ch_l2", "ar_liyuan"),
    ]


def subjects() -> list[Subject]:
    return [Subject(f"su_{name}", name, name, SubjectKind.PERSON) for name in GRANTS]


def grants() -> list[Grant]:
    return [
        Grant(f"gr_{name}", f"su_{name}", actions, area_id, None, START, None, START)
        for name, granted in GRANTS.items()
        if granted is not None
        for area_id, actions in [granted]
    ]


@dataclass
class Running:
    """The application, its services and its fake core."""

    app: FastAPI
    core: FakeCore
    base_url: str = "http://testserver"
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    def client(self, **headers: str) -> httpx.AsyncClient:
        """Nobody's client."""
        transport = httpx.ASGITransport(app=self.app, client=("192.0.2.7", 40000))
        return httpx.AsyncClient(transport=transport, base_url=self.base_url, headers=headers)

    def local(self) -> httpx.AsyncClient:
        """The local operator's client, as over the control socket."""
        transport = httpx.ASGITransport(app=LocalOperatorApp(self.app))
        return httpx.AsyncClient(transport=transport, base_url=self.base_url)

    async def token(self, username: str) -> str:
        if username not in self._tokens:
            async with self.client() as client:
                form = {"username": username, "password": f"{username}-pass"}
                answer = await client.post("/api/v1/token", data=form)
                assert answer.status_code == 200, answer.text
                self._tokens[username] = answer.json()["access_token"]
        return self._tokens[username]

    def forget(self, username: str) -> None:
        """Its token is worth nothing any more: the next one is a new one."""
        self._tokens.pop(username, None)

    @asynccontextmanager
    async def as_(self, username: str) -> AsyncIterator[httpx.AsyncClient]:
        """A script's client, with a bearer token."""
        headers = {"Authorization": f"Bearer {await self.token(username)}"}
        async with self.client(**headers) as client:
            yield client

    async def audit_rows(self, act: str) -> list[dict[str, Any]]:
        async with self.local() as client:
            answer = await client.get("/api/v1/audit", params={"act": act, "limit": 100})
            rows: list[dict[str, Any]] = answer.json()["items"]
            return rows

    async def rows_of(self, act: str, count: int) -> list[dict[str, Any]]:
        """Once `count` are down: ends of views and refusals are written behind the answers."""
        async with asyncio.timeout(PATIENCE_S):
            while len(rows := await self.audit_rows(act)) < count:
                await asyncio.sleep(0.01)
        return rows


async def seed(data_dir: Path) -> None:
    store = await open_store(data_dir / "registry.db")
    try:
        async with store.write() as tx:
            await tx.bulk_add(
                areas=areas(),
                devices=[(Device("de_1", "farm", "127.0.0.1", 8554), None)],
                channels=channels(),
                subjects=[(row, CHEAP.hash(f"{row.username}-pass")) for row in subjects()],
                grants=grants(),
            )
    finally:
        await store.close()


@asynccontextmanager
async def a_service(
    data_dir: Path,
    *,
    with_media: bool = True,
    http: HttpSettings | None = None,
    oidc: OidcSettings | None = None,
) -> AsyncIterator[Running]:
    """The application, started on a seeded registry; everything is taken down at the end."""
    settings = Settings(
        data_dir=data_dir,
        http=http or HttpSettings(),
        oidc=oidc or OidcSettings(),
        media=MediaSettings(core="fake"),
        log=LogSettings(),
    )
    if not settings.registry_path.exists():
        await seed(data_dir)
    core = FakeCore()
    app = build_app(settings, core=core, with_media=with_media)
    async with app.router.lifespan_context(app):
        yield Running(app, core)


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error; fails when it is not an RFC 9457 problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert {"type", "title", "status", "code", "detail"} <= body.keys()
    assert body["status"] == answer.status_code
    return answer.status_code, str(body["code"])
