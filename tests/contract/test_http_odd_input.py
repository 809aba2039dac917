"""Input that once was answered with a 500, or worse."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from support.http_kit import a_service, problem

HALF = "\ud800"  # of a surrogate pair; JSON can spell it, UTF-8 can't


def cursor(*keys: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(keys).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("/api/v1/channel-export", {"template": "x y"}, "template_invalid"),
        ("/api/v1/channel-export", {"template": "foreign"}, "template_invalid"),
        ("/api/v1/audit", {"cursor": cursor(10**20)}, "bad_cursor"),
        ("/api/v1/channels", {"cursor": cursor(HALF)}, "bad_cursor"),
        ("/api/v1/grants", {"cursor": cursor("9999-12-31T23:59:59-23:59", "x")}, "bad_cursor"),
        ("/api/v1/imports", {"cursor": cursor("0001-01-01T00:00:00+23:59", "x")}, "bad_cursor"),
    ],
)
async def test_odd_questions(path: str, params: dict[str, str], code: str, tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        assert problem(await admin.get(path, params=params)) == (422, code)


async def test_half_a_character_is_refused_and_does_not_stop_the_audit(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        camera = {
            "code": "11011200111310000099",
            "name": "x",
            "area_id": HALF,
            "device_class": "alley",
            "main_url": "rtsp://192.0.2.1/x",
        }
        for path, body in (
            ("/api/v1/channels", camera),
            ("/api/v1/devices", {"name": "x", "host": "box", "username": HALF}),
            ("/api/v1/devices", {"name": "x", "host": "box", "username": "u", "password": HALF}),
        ):
            content = json.dumps(body)
            headers = {
                "Content-Type": "application/json",
                "Idempotency-Key": f"{path}{content}"[:99],
            }
            answer = await admin.post(path, content=content, headers=headers)
            assert answer.status_code in (404, 422), answer.text
            problem(answer)
        await running.services.audit._store.verify_audit()
    async with a_service(tmp_path) as running:
        assert [row["detail"]["asked_id"] for row in await running.audit_rows("refused")] == ["?"]


async def test_numbers_that_no_store_holds(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        answer = await admin.post(f"/api/v1/channel-versions/{2**63}/undo")
        assert problem(answer) == (422, "invalid_request")
        grant = {"subject_id": "su_stranger", "actions": ["live"], "area_id": "ar_liyuan"}
        for field, moment in (
            ("valid_until", "9999-12-31T23:59:59-23:59"),
            ("valid_from", "0001-01-01T00:00:00+23:59"),
        ):
            answer = await admin.post("/api/v1/grants", json=grant | {field: moment})
            assert problem(answer) == (422, "out_of_range")


async def test_a_file_that_is_none_has_no_workbook(tmp_path: Path) -> None:
    async def unchecked(job_id: str) -> None:
        return None

    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        running.services.imports._checker = unchecked
        params = {"name": "x.xlsx", "template": "full"}
        job = await admin.post("/api/v1/imports", params=params, content=b"PK\x03\x04 no sheet")
        answer = await admin.get(f"/api/v1/imports/{job.json()['id']}/workbook")
        assert answer.status_code == 422
        problem(answer)


async def test_another_password_is_another_request(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        device = {"name": "box", "host": "192.0.2.1", "username": "u"}
        headers = {"Idempotency-Key": "once"}
        first = await admin.post(
            "/api/v1/devices", json=device | {"password": "a"}, headers=headers
        )
        again = await admin.post(
            "/api/v1/devices", json=device | {"password": "a"}, headers=headers
        )
        assert first.json() == again.json()
        other = await admin.post(
            "/api/v1/devices", json=device | {"password": "b"}, headers=headers
        )
        assert problem(other) == (422, "idempotency_key_reused")


async def test_a_field_with_two_faults_is_named_once(tmp_path: Path) -> None:
    grant = {"subject_id": "su_zhang", "area_id": "ar_tongzhou", "actions": ["list"]}
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        answer = await admin.post("/api/v1/grants", json=grant | {"valid_until": "2035-01-01"})
        assert problem(answer) == (422, "invalid_request")
        said = answer.json()
        assert said["detail"] == "Correct the request: valid_until."
        assert [each["field"] for each in said["fields"]] == ["body.valid_until"]
