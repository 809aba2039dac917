"""Webhooks over HTTP, to a receiver that listens: the whole way from a change to its arrival."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from camera_registry.audit.judge import Judge
from camera_registry.audit.roots import RootFiles
from streamhub.app import build_app
from streamhub.events.outbox import RetryPolicy
from streamhub.events.presence import Debounce, Presence
from streamhub.media.contract import SourceLost
from streamhub.media.fake import FakeCore
from streamhub.settings import MediaSettings, Settings, WebhookSettings
from support.http_kit import OFFER, SDP, Running, a_service, problem, seed
from support.patience import PATIENCE_S
from support.rights_kit import made, people
from support.serving import serving


@dataclass
class Hook:
    """A receiver: keeps what comes, and answers with `status`."""

    port: int = 0
    status: int = 204
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            pairs = [line.split(": ", 1) for line in head.split("\r\n")[1:] if line]
            headers = {name.lower(): value for name, value in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
            async with self.came:
                self.requests.append((headers, body))
                self.came.notify_all()
            writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()

    async def until(self, number: int) -> list[dict[str, Any]]:
        """Bodies, once there are so many."""
        async with asyncio.timeout(PATIENCE_S), self.came:
            await self.came.wait_for(lambda: len(self.requests) >= number)
        return [json.loads(body) for _, body in self.requests]


@asynccontextmanager
async def a_hook() -> AsyncIterator[Hook]:
    hook = Hook()
    async with serving(hook.serve) as hook.port:
        yield hook


@asynccontextmanager
async def a_hub(data_dir: Path) -> AsyncIterator[Running]:
    """A service that may tell receivers on this machine."""
    settings = Settings(
        data_dir=data_dir,
        media=MediaSettings(core="fake"),
        webhooks=WebhookSettings(allow_local=True),
    )
    if not settings.registry_path.exists():
        await seed(data_dir)
    core = FakeCore()
    app = build_app(settings, core=core)
    async with app.router.lifespan_context(app):
        yield Running(app, core)


async def test_a_change_arrives_signed(tmp_path: Path) -> None:
    async with a_hook() as hook, a_hub(tmp_path) as running, running.as_("admin") as admin:
        made = await admin.post(
            "/api/v1/webhooks", json={"url": hook.url, "area_id": "ar_yongshun"}
        )
        assert made.status_code == 201, made.text
        webhook = made.json()
        for channel in ("ch_l1", "ch_y1"):
            await admin.patch(f"/api/v1/channels/{channel}", json={"name": f"新{channel}"})
        (body,) = await hook.until(1)
        assert (body["type"], body["data"]["channel"]["name"]) == ("channel.changed", "新ch_y1")
        headers, raw = hook.requests[0]
        key = base64.b64decode(webhook["secret"].removeprefix("whsec_"))
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
        wanted = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{wanted}"
        assert headers["webhook-id"] == body["id"]
        for path in ("/api/v1/webhooks", f"/api/v1/webhooks/{webhook['id']}", "/api/v1/audit"):
            assert webhook["secret"] not in (await admin.get(path)).text
        assert "webhook_deliveries_total" in (await admin.get("/metrics")).text


async def test_a_camera_that_is_pulled_comes_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Presence.__init__
    at_once = Debounce(online_s=0.0, offline_s=0.0)
    monkeypatch.setattr(Presence, "__init__", lambda self: made(self, at_once))
    async with a_hook() as hook, a_hub(tmp_path) as running, running.as_("admin") as admin:
        kinds = ["channel.online", "channel.offline"]
        await admin.post("/api/v1/webhooks", json={"url": hook.url, "kinds": kinds})
        await admin.patch("/api/v1/channels/ch_l1", json={"name": "not their business"})
        answer = await admin.post("/whep/ch_y1", content=OFFER, headers=SDP)
        assert answer.status_code == 201
        (body,) = await hook.until(1)
        assert (body["type"], body["data"]["channel"]["id"]) == ("channel.online", "ch_y1")
        running.core.emit(SourceLost("ch_y1/sub", "timeout", True, "nothing came"))
        body = (await hook.until(2))[1]
        assert (body["type"], body["data"]["cause"]) == ("channel.offline", "timeout")


async def test_a_test_says_how_it_went(tmp_path: Path) -> None:
    async with a_hook() as hook, a_hub(tmp_path) as running, running.as_("admin") as admin:
        made = (await admin.post("/api/v1/webhooks", json={"url": hook.url})).json()
        path = f"/api/v1/webhooks/{made['id']}/test"
        assert (await admin.post(path)).json() == {"ok": True, "status": 204, "error": None}
        hook.status = 418
        answer = (await admin.post(path)).json()
        assert answer == {"ok": False, "status": 418, "error": "The receiver answered 418."}
        bodies = await hook.until(2)
        assert {body["type"] for body in bodies} == {"webhook.test"}
        rows = await running.audit_rows("webhook_test")
        assert [row["outcome"] for row in rows] == ["failed", "ok"]


async def test_the_dead_are_listed_and_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        RetryPolicy,
        "__init__",
        lambda self: (
            [
                object.__setattr__(self, name, value)
                for name, value in (
                    ("first_s", 0.001),
                    ("max_s", 0.001),
                    ("max_attempts", 2),
                    ("ill_first_s", 0.001),
                    ("ill_max_s", 0.001),
                )
            ]
            and None
        ),
    )
    async with a_hook() as hook, a_hub(tmp_path) as running, running.as_("admin") as admin:
        hook.status = 500
        made = (await admin.post("/api/v1/webhooks", json={"url": hook.url})).json()
        path = f"/api/v1/webhooks/{made['id']}"
        await admin.patch("/api/v1/channels/ch_y1", json={"name": "新"})
        await hook.until(2)
        async with asyncio.timeout(PATIENCE_S):
            while not (await admin.get(path)).json()["dead"]:
                await asyncio.sleep(0)
        dead = (await admin.get(f"{path}/dead")).json()
        assert (dead["total"], dead["items"][0]["attempts"]) == (1, 2)
        assert dead["items"][0]["last_error"] == "The receiver answered 500."
        hook.status = 204
        ids = [dead["items"][0]["id"]]
        answer = await admin.post(f"{path}/dead/resend", json={"ids": ids})
        assert answer.json() == {"queued": 1}
        bodies = await hook.until(3)
        assert len({body["id"] for body in bodies}) == 1


async def test_what_is_refused(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        for url, code in (
            ("http://127.0.0.1:9/", "url_address_refused"),
            ("https://u:p@192.0.2.1/", "url_with_credentials"),
            ("gopher://192.0.2.1/", "url_not_http"),
        ):
            answer = await admin.post("/api/v1/webhooks", json={"url": url})
            assert problem(answer) == (422, code)
            assert "u:p" not in answer.text
        answer = await admin.post("/api/v1/webhooks/wh_none/test")
        assert problem(answer) == (404, "not_found")
        async with running.as_("warden") as warden:
            answer = await warden.get("/api/v1/webhooks")
            assert problem(answer) == (403, "forbidden")


async def test_a_webhook_is_changed_and_removed(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        made = (await admin.post("/api/v1/webhooks", json={"url": "https://192.0.2.1/"})).json()
        path = f"/api/v1/webhooks/{made['id']}"
        changes = {"kinds": ["channel.online"], "enabled": False, "area_id": "ar_liyuan"}
        changed = (await admin.patch(path, json=changes)).json()
        assert {key: changed[key] for key in changes} == changes
        assert problem(await admin.delete("/api/v1/areas/ar_liyuan"))[1] == "area_in_use"
        assert (await admin.patch(path, json={"area_id": None})).json()["area_id"] is None
        assert (await admin.delete(path)).status_code == 204
        assert (await admin.get("/api/v1/webhooks")).json()["items"] == []


async def test_signed_roots_go_where_they_were_asked_for(tmp_path: Path) -> None:
    async with a_hook() as hook, a_hub(tmp_path / "data") as running, running.as_("admin") as admin:
        # All kinds are all of channels: nothing of the log.
        other = (await admin.post("/api/v1/webhooks", json={"url": hook.url})).json()
        assert "audit.root" not in other["kinds"]
        wanted = {"url": hook.url, "kinds": ["audit.root"]}
        made = (await admin.post("/api/v1/webhooks", json=wanted)).json()
        keeper, store = running.services.audit_keeper, running.services.store
        for _ in range(2):
            assert await keeper.seal(everything=True) == 1
            await admin.patch("/api/v1/areas/ar_liyuan", json={"name": "梨园"})
        bodies = await hook.until(2)
        assert [body["type"] for body in bodies] == ["audit.root"] * 2
        assert [body["id"] for body in bodies] == ["ev_root_1", "ev_root_2"]
        # What came is what the service would have written.
        roots = RootFiles(tmp_path / "elsewhere")
        roots.directory.mkdir()
        for body in bodies:
            with (roots.directory / f"{body['data']['day']}.jsonl").open("a") as file:
                file.write(body["data"]["line"] + "\n")
        judge = Judge({keeper.key.key_id: keeper.key.public}, roots)
        verified = await store.verify_audit(judge)
        assert (verified.ok, verified.segments_checked, verified.notices) == (True, 2, ())
        async with asyncio.timeout(PATIENCE_S):
            while (await admin.get(f"/api/v1/webhooks/{made['id']}")).json()["queued"]:
                await asyncio.sleep(0)
        assert (await admin.get(f"/api/v1/webhooks/{other['id']}")).json()["queued"] == 0


async def test_roots_are_told_by_who_may_read_the_log(tmp_path: Path) -> None:
    async with people(tmp_path, "stranger") as (_running, admin, stranger):
        await made(admin, subject_id="su_stranger", actions=["manage"], area_id="ar_district")
        hooks, url = "/api/v1/webhooks", "https://192.0.2.1/"
        roots = {"url": url, "kinds": ["channel.added", "audit.root"]}
        assert problem(await stranger.post(hooks, json=roots)) == (403, "forbidden")
        own = (await stranger.post(hooks, json={"url": url})).json()
        kinds = {"kinds": ["audit.root"]}
        assert problem(await stranger.patch(f"{hooks}/{own['id']}", json=kinds))[0] == 403
        theirs = (await admin.post(hooks, json=roots)).json()
        assert theirs["kinds"] == sorted(roots["kinds"])
        for change in ({"url": "https://192.0.2.2/"}, {"kinds": []}):
            answer = await stranger.patch(f"{hooks}/{theirs['id']}", json=change)
            assert problem(answer) == (403, "forbidden")
        assert (await stranger.patch(f"{hooks}/{own['id']}", json={"url": url})).status_code == 200
