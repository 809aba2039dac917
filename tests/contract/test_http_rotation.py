"""New passwords for many devices over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

from streamhub.api.middleware import MAX_BODY_BYTES, MAX_ROTATION_BYTES
from support.http_kit import a_service, problem

PATH = "/api/v1/devices/rotate-passwords"
WORD = "n3w-w0rd"


async def test_a_dry_run_and_then_the_change(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        row = {"host": "127.0.0.1", "port": 8554, "username": "ops", "password": WORD}
        body = {"devices": [row], "dry_run": True}
        dry = (await admin.post(PATH, json=body)).json()
        assert (dry["applied"], dry["devices"][0]["username"]) == (False, "ops")
        assert not (await admin.get("/api/v1/devices/de_1")).json()["has_password"]
        done = await admin.post(PATH, json={"devices": [row]})
        assert done.json()["applied"]
        assert (await admin.get("/api/v1/devices/de_1")).json()["has_password"]
        address = await running.services.registry.spec_for("ch_y1", "main")
        assert address.password is not None
        assert address.password.reveal() == WORD
        for text in (dry, done.json(), await running.audit_rows("device_passwords_rotate")):
            assert WORD not in json.dumps(text)


async def test_an_area_and_what_is_refused(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        body = {"area_id": "ar_yongshun", "username": "ops", "password": WORD}
        done = (await admin.post(PATH, json=body)).json()
        assert [each["device_id"] for each in done["devices"]] == ["de_1"]
        assert done["channels_elsewhere"] == 2
        for wrong, expected in (
            ({}, (422, "rotation_target")),
            (body | {"devices": []}, (422, "rotation_target")),
            ({"area_id": "ar_yongshun"}, (422, "password_empty")),
            (body | {"area_id": "ar_none"}, (404, "not_found")),
            ({"devices": [{"host": "192.0.2.9", "password": WORD}]}, (409, "rows_refused")),
            ({"devices": [{"host": "192.0.2.9", "password": [WORD]}]}, (422, "invalid_request")),
        ):
            answer = await admin.post(PATH, json=wrong)
            assert problem(answer) == expected, wrong
            assert WORD not in answer.text


async def test_thousands_of_devices_fit_and_no_more(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        row = {"host": "192.0.2.9", "port": 554, "username": "ops", "password": WORD}
        many = {"devices": [row] * 5_000, "dry_run": True}
        assert len(json.dumps(many)) > MAX_BODY_BYTES
        answer = await admin.post(PATH, json=many)
        assert len(answer.json()["refused"]) == 5_000
        answer = await admin.post(PATH, content=b" " * (MAX_ROTATION_BYTES + 1))
        assert problem(answer) == (413, "too_large")
