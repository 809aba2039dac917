"""No password, token or cookie comes out again: not in an answer, a figure, a log line, an audit
row, a CLI's output or the registry's file."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from streamhub.access.second_factor import DIGITS, STEP_S
from streamhub.cli.demo import demo_password
from support.district import Farm, Service, copy_of, farm_secret, running_service
from support.view_events import events_of
from support.watching import PATIENCE_S, add_camera, camera_of, channels_of, watched

URL_PASSWORD = "Kx9/t@rv:un#gate"
DEVICE_PASSWORD = "Zw3-lantern-orbit"
SUBJECT_PASSWORD = "quiet-harbour-maple-5"
WRONG_PASSWORD = "Vb7-not-my-password"
WRONG_TOKEN = "eyJhbGciOiJIUzI1NiJ9.Qm9ndXNUb2tlbg.c2lnbmF0dXJl"


@pytest.fixture
def service(farm: Farm, template: Path, tmp_path: Path) -> Iterator[Service]:
    """Logs as much as it can."""
    environment = {"STREAMHUB_LOG__LEVEL": "debug"}
    with running_service(copy_of(template, tmp_path / "data"), environment) as service:
        yield service


@dataclass
class Said:
    """Everything the service said to anybody, with where it said it."""

    texts: list[tuple[str, str]] = field(default_factory=list)

    async def hear(self, response: httpx.Response) -> None:
        if "text/event-stream" in response.headers.get("content-type", ""):
            return
        body = await response.aread()
        # A token or a key comes out once, where it was asked for; a cookie is set once.
        if response.url.path == "/api/v1/token" and response.status_code == 200:
            return
        if response.url.path.endswith(("/keys", "/second-factor")) and response.status_code == 201:
            return
        if response.url.path.endswith("/second-factor/confirm") and response.status_code == 200:
            return
        headers = "\n".join(
            f"{key}: {value}"
            for key, value in response.headers.items()
            if not (key == "set-cookie" and response.url.path == "/api/v1/sign-in")
        )
        where = f"{response.request.method} {response.url.path} {response.status_code}"
        self.texts.append((where, f"{headers}\n{body.decode('utf-8', 'replace')}"))

    def add(self, where: str, text: str) -> None:
        self.texts.append((where, text))

    def assert_without(self, secrets: dict[str, str]) -> None:
        for name, secret in secrets.items():
            for form in {secret, quote(secret, safe="")}:
                for where, text in self.texts:
                    assert form not in text, f"{name} in {where}"


async def provoke(client: httpx.AsyncClient, channel: dict[str, Any]) -> None:
    """Requests that are wrong in ways that tempt an error to repeat them."""
    wrong = {"username": "yongshun", "password": WRONG_PASSWORD}
    assert (await client.post("/api/v1/sign-in", json=wrong)).status_code == 401
    assert (await client.post("/api/v1/token", data=wrong)).status_code == 401
    for body in (
        {"username": ["x"], "password": WRONG_PASSWORD},
        {"username": "x" * 300, "password": {"nested": WRONG_PASSWORD}},
    ):
        assert (await client.post("/api/v1/sign-in", json=body)).status_code == 422
    text = f'{{"username": "yongshun", "password": "{WRONG_PASSWORD}"'
    json_type = {"Content-Type": "application/json"}
    assert (await client.post("/api/v1/sign-in", content=text, headers=json_type)).is_client_error
    for headers in (
        {"Authorization": f"Bearer {WRONG_TOKEN}"},
        {"Authorization": "", "Cookie": f"streamhub_sign_in={WRONG_TOKEN}"},
    ):
        assert (await client.get("/api/v1/me", headers=headers)).status_code == 401
    bad = {
        "code": "not-a-code",
        "name": "",
        "area_id": channel["area_id"],
        "device_class": "police_hd",
        "main_url": f"http://root:{quote(URL_PASSWORD, safe='')}@127.0.0.1/x",
        "password": DEVICE_PASSWORD,
    }
    assert (await client.post("/api/v1/channels", json=bad)).is_client_error
    assert (await client.post("/api/v1/channels", json={**bad, "password": [1]})).is_client_error
    bad_device = {"name": "box", "host": "", "port": 0, "password": DEVICE_PASSWORD}
    assert (await client.post("/api/v1/devices", json=bad_device)).is_client_error
    weak = {"username": "weak", "display_name": "w", "password": "Vb7"}
    assert (await client.post("/api/v1/subjects", json=weak)).is_client_error


def code_of(secret: str) -> str:
    """What an authenticator shows now."""
    totp = TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP_S)
    return totp.generate(int(time.time())).decode()


async def look_around(client: httpx.AsyncClient, paths: list[str]) -> None:
    for path in (
        *("/api/v1/me", "/api/v1/areas", "/api/v1/channels", "/api/v1/devices"),
        *(
            "/api/v1/subjects",
            "/api/v1/keys",
            "/api/v1/sign-ins",
            "/api/v1/grants",
            "/api/v1/views",
            "/api/v1/audit?limit=200",
        ),
        *("/metrics", "/healthz", "/openapi.json", *paths),
    ):
        assert (await client.get(path)).status_code < 500


async def test_what_was_secret_stays_so(service: Service, farm: Farm) -> None:
    said = Said()
    token = service.token("admin")
    operator_token = service.token("yongshun")
    secrets = {
        "the farm's password": farm_secret(service.data_dir),
        "a sign-in's password": demo_password("yongshun"),
        "the admin's password": demo_password("admin"),
        "the URL's password": URL_PASSWORD,
        "the device's password": DEVICE_PASSWORD,
        "a new subject's password": SUBJECT_PASSWORD,
        "a wrong password": WRONG_PASSWORD,
        "a wrong token": WRONG_TOKEN,
        "the admin's token": token,
        "the operator's token": operator_token,
    }
    hooks = {"response": [said.hear]}

    def as_(bearer: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return httpx.AsyncClient(
            base_url=service.url, headers=headers, timeout=PATIENCE_S, event_hooks=hooks
        )

    async with as_(token) as admin, as_(operator_token) as client, as_("") as page:
        signed_in = await page.post(
            "/api/v1/sign-in",
            json={"username": "yongshun", "password": demo_password("yongshun")},
        )
        assert signed_in.status_code == 200
        secrets["the page's cookie"] = page.cookies["streamhub_sign_in"]
        assert (await page.get("/api/v1/me")).status_code == 200

        made = (await client.post("/api/v1/keys", json={"name": "a program"})).json()
        secrets["an API key"] = made["key"]
        async with as_(made["key"]) as program:
            assert (await program.get("/api/v1/me")).status_code == 200
            # Where it does not belong: in an address, and in another key's place.
            await program.get("/api/v1/channels", params={"q": made["prefix"]})
            await program.get(f"/api/v1/devices/{WRONG_TOKEN}")
            assert (await program.post("/api/v1/keys", json={"name": "x"})).status_code == 403
        factor, again = "/api/v1/me/second-factor", {"password": demo_password("yongshun")}
        secrets["a second factor"] = (await client.post(factor, json=again)).json()["secret"]
        code = {"code": code_of(secrets["a second factor"])}
        codes = (await client.post(f"{factor}/confirm", json=code)).json()["recovery_codes"]
        secrets["a recovery code"], used = codes[:2]
        for tried in (code["code"], used):  # the one is used up, the other is by this
            body = {"username": "yongshun", **again, "code": tried}
            await client.post("/api/v1/sign-in", json=body)
        secrets["a key that is none"] = f"shk_{'k' * 43}"
        async with as_(secrets["a key that is none"]) as program:
            assert (await program.get("/api/v1/me")).status_code == 401

        healthy, refusing = await channels_of(client, 2)
        await provoke(admin, healthy)

        # Credentials in the URL are taken out of it; a camera that is not there logs its failure.
        url = f"rtsp://root:{quote(URL_PASSWORD, safe='')}@127.0.0.1:1/stream1"
        added = await add_camera(admin, url, healthy["area_id"])
        assert added["main_url"] == "rtsp://127.0.0.1:1/stream1"
        device = {"name": "box", "host": "127.0.0.1", "port": 1, "username": "root"}
        made = await admin.post("/api/v1/devices", json={**device, "password": DEVICE_PASSWORD})
        assert made.status_code == 201
        assert made.json()["has_password"] is True
        subject = {"username": "somebody", "display_name": "S", "password": SUBJECT_PASSWORD}
        assert (await admin.post("/api/v1/subjects", json=subject)).status_code == 201

        farm.fault(camera_of(refusing), "unauthorized")
        try:
            async with watched(client, [healthy["id"]], decode=False) as [viewer]:
                async with events_of(client, viewer.location) as events:
                    await events.until("live", lambda s: s["state"] == "live", PATIENCE_S)
                    said.add("the events of a view", repr(events.steps + events.states))
                for broken in (refusing, added):
                    answer = await client.get(f"/api/v1/channels/{broken['id']}/snapshot.jpg")
                    assert answer.status_code == 504
                paths = [f"/api/v1/channels/{c['id']}" for c in (healthy, refusing, added)]
                paths.append(f"/api/v1/devices/{added['device_id']}")
                await look_around(admin, paths)
                await look_around(client, paths)
                await look_around(page, paths)
        finally:
            farm.fault(camera_of(refusing), "none")
        assert (await page.post("/api/v1/sign-out")).status_code == 204

    for arguments in (
        ("audit", "list", "--limit", "500", "--json"),
        ("camera", "list"),
        ("camera", "show", added["id"], "--json"),
        ("camera", "check", url),
        ("doctor",),
    ):
        ran = service.cli(*arguments, check=False)
        # What was typed is the user's own: only what comes back counts.
        said.add(f"streamhub {' '.join(arguments[:2])}", ran.stdout + ran.stderr)
    said.add("the service's log", service.log_path.read_text())
    assert len(said.texts) > 50
    said.assert_without(secrets)

    service.stop()
    for path in sorted(service.data_dir.glob("registry.db*")):
        stored = path.read_bytes()
        for name, secret in secrets.items():
            assert secret.encode() not in stored, f"{name} in {path.name}"
    said.add("the log after the end", service.log_path.read_text())
    said.assert_without(secrets)
