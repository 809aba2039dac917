"""The first administrator of an empty registry, by the code that the start printed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from streamhub.api.services import Services
from streamhub.app import build_app
from streamhub.media.fake import FakeCore
from streamhub.settings import MediaSettings, Settings
from support.http_kit import Running, a_service, problem

BODY = {
    "username": "chief",
    "display_name": "管理员",
    "password": "long enough it is",
    "area_code": "110112",
    "area_name": "通州区",
}


@asynccontextmanager
async def _new(data_dir: Path) -> AsyncIterator[tuple[Running, str]]:
    """A service on an empty registry, and its setup code."""
    core = FakeCore()
    app = build_app(Settings(data_dir=data_dir, media=MediaSettings(core="fake")), core=core)
    async with app.router.lifespan_context(app):
        services: Services = app.state.services
        assert services.setup.code is not None
        yield Running(app, core), services.setup.code


async def test_with_the_code_one_becomes_the_administrator(tmp_path: Path) -> None:
    async with _new(tmp_path) as (running, code), running.client() as client:
        state = (await client.get("/api/v1/setup")).json()
        assert state == {"needed": True, "has_areas": False}
        written = code.lower().replace("-", " ")  # as one types it
        made = await client.post("/api/v1/setup", json={**BODY, "code": written})
        assert made.status_code == 201, made.text
        assert not (await client.get("/api/v1/setup")).json()["needed"]
        again = await client.post("/api/v1/setup", json={**BODY, "code": code})
        assert problem(again) == (403, "setup_done")

        form = {"username": "chief", "password": BODY["password"]}
        token = (await client.post("/api/v1/token", data=form)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        me = (await client.get("/api/v1/me", headers=headers)).json()
        assert me["manages_district"]
        assert me["may_audit"]
        [row] = await running.audit_rows("first_start")
        assert row["as_role"] == "first_start"
        assert row["detail"]["username"] == "chief"
        assert code not in str(row)


async def test_a_wrong_code_makes_nobody_and_is_limited(tmp_path: Path) -> None:
    async with _new(tmp_path) as (running, code), running.client() as client:
        for _ in range(5):
            wrong = await client.post("/api/v1/setup", json={**BODY, "code": "0000-0000-0000"})
            assert problem(wrong) == (403, "setup_code_wrong")
        limited = await client.post("/api/v1/setup", json={**BODY, "code": code})
        assert problem(limited) == (429, "too_many_attempts")
        assert "retry-after" in limited.headers
        async with running.local() as operator:
            assert (await operator.get("/api/v1/subjects")).json()["items"] == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"password": "short"}, "password_too_weak"),
        ({"username": "no name!"}, "username_malformed"),
        ({"area_code": "district"}, "area_code_malformed"),
        ({"area_name": ""}, None),
    ],
)
async def test_what_can_not_be_made_changes_nothing(
    change: dict[str, str], code: str | None, tmp_path: Path
) -> None:
    async with _new(tmp_path) as (running, setup_code), running.client() as client:
        answer = await client.post("/api/v1/setup", json={**BODY, "code": setup_code, **change})
        status, found = problem(answer)
        assert status == 422
        assert found == code or (code is None and found)
        assert (await client.get("/api/v1/setup")).json() == {"needed": True, "has_areas": False}
        assert running.services.setup.code == setup_code


async def test_of_two_at_once_one_becomes_it(tmp_path: Path) -> None:
    async with _new(tmp_path) as (running, code), running.client() as client:
        bodies = [{**BODY, "username": name, "code": code} for name in ("first", "second")]
        answers = await asyncio.gather(
            *(client.post("/api/v1/setup", json=body) for body in bodies)
        )
        assert sorted(answer.status_code for answer in answers)[0] == 201
        assert sorted(answer.status_code for answer in answers)[1] in (403, 409)
        async with running.local() as operator:
            assert len((await operator.get("/api/v1/subjects")).json()["items"]) == 1


async def test_a_registry_with_subjects_needs_none(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as client:
        assert running.services.setup.code is None
        assert (await client.get("/api/v1/setup")).json() == {"needed": False, "has_areas": True}
        refused = await client.post("/api/v1/setup", json={**BODY, "code": "0000-0000-0000"})
        assert problem(refused) == (403, "setup_done")


async def test_a_subject_by_the_command_line_ends_it(tmp_path: Path) -> None:
    async with _new(tmp_path) as (running, code), running.client() as client:
        async with running.local() as operator:
            subject = {"username": "by-hand", "display_name": "手工", "kind": "person"}
            assert (await operator.post("/api/v1/subjects", json=subject)).status_code == 201
        refused = await client.post("/api/v1/setup", json={**BODY, "code": code})
        assert problem(refused) == (403, "setup_done")
