"""API keys over HTTP: made once, scoped, run out, revoked; and what they may not do."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from camera_registry.credential_cases import MAX_KEYS_OF_SUBJECT
from camera_registry.domain import Actor
from streamhub.access.api_keys import PREFIX, SHOWN_CHARS
from support.http_kit import OFFER, SDP, Running, a_service, problem

YONGSHUN = "/api/v1/subjects/su_yongshun/keys"


async def make(running: Running, path: str = YONGSHUN, by: str = "admin", **body: Any) -> Any:
    async with running.as_(by) as client:
        answer = await client.post(path, json={"name": "grid platform", **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


def with_key(running: Running, made: Any) -> httpx.AsyncClient:
    return running.client(Authorization=f"Bearer {made['key']}")


async def test_a_key_is_shown_once_and_kept_hashed(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        made = await make(running)
        assert made["key"].startswith(PREFIX)
        assert made["prefix"] == made["key"][:SHOWN_CHARS]
        async with with_key(running, made) as program:
            me = (await program.get("/api/v1/me")).json()
            assert me["username"] == "yongshun"
        async with running.as_("admin") as admin:
            listed = await admin.get(YONGSHUN)
            audit = await admin.get("/api/v1/audit")
        [row] = listed.json()["items"]
        assert (row["id"], row["actions"], row["area_ids"]) == (made["id"], None, None)
        for text in (listed.text, audit.text):
            assert made["key"] not in text
        assert made["id"] in audit.text
    files = await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
    assert files
    for file in files:
        assert made["key"].encode() not in file.read_bytes(), file


async def test_it_watches_and_its_views_end_when_it_is_revoked(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        made, other = await make(running), await make(running)
        async with with_key(running, made) as program, with_key(running, other) as another:
            for client in (program, another):
                answer = await client.post("/whep/ch_y1", content=OFFER, headers=SDP)
                assert answer.status_code == 201
            [own] = (await program.get("/api/v1/views")).json()["items"]
            async with running.as_("admin") as admin:
                assert (await admin.delete(f"{YONGSHUN}/{made['id']}")).status_code == 204
                [left] = (await admin.get("/api/v1/views")).json()["items"]
            assert left["id"] != own["id"]
            assert problem(await program.get("/api/v1/me")) == (401, "key_invalid")
            assert (await another.get("/api/v1/me")).status_code == 200
        [end] = await running.rows_of("view_end", 1)
        assert (end["detail"]["view_id"], end["detail"]["cause"]) == (own["id"], "key_ended")
        assert end["as_role"] == f"key {made['id']}"


async def test_it_does_what_it_is_for_and_nothing_else(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        body = {"actions": ["list"], "area_ids": ["ar_yongshun"]}
        made = await make(running, "/api/v1/subjects/su_admin/keys", **body)
        async with with_key(running, made) as program:
            shown = (await program.get("/api/v1/channels")).json()["items"]
            assert {row["id"] for row in shown} == {"ch_y1", "ch_y2", "ch_off"}
            refused = await program.post("/whep/ch_y1", content=OFFER, headers=SDP)
            assert problem(refused) == (403, "forbidden")
            hidden = await program.post("/whep/ch_l1", content=OFFER, headers=SDP)
            assert problem(hidden) == (404, "not_found")
            assert problem(await program.get("/api/v1/subjects")) == (403, "forbidden")
            me = (await program.get("/api/v1/me")).json()
            assert [(g["area_id"], g["actions"]) for g in me["grants"]] == [
                ("ar_yongshun", ["list"])
            ]
            assert not me["manages_district"]


async def test_a_key_makes_nothing_more_of_itself(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        made = await make(running, "/api/v1/subjects/su_admin/keys")
        async with with_key(running, made) as program:
            for method, path in (
                ("POST", "/api/v1/keys"),
                ("GET", "/api/v1/keys"),
                ("DELETE", f"/api/v1/keys/{made['id']}"),
                ("POST", YONGSHUN),
                ("GET", "/api/v1/sign-ins"),
                ("DELETE", "/api/v1/sign-ins"),
            ):
                body = {"name": "more"} if method == "POST" else None
                answer = await program.request(method, path, json=body)
                assert problem(answer) == (403, "key_not_enough"), path
            # What its subject may, it may.
            assert (await program.get("/api/v1/subjects")).status_code == 200


async def test_another_views_of_the_subject_are_not_the_keys(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        made = await make(running)
        async with running.as_("yongshun") as person:
            opened = await person.post("/whep/ch_y1", content=OFFER, headers=SDP)
            view_id = opened.headers["location"].rpartition("/")[2]
            async with with_key(running, made) as program:
                assert (await program.get("/api/v1/views")).json()["items"] == []
                gone = await program.delete(f"/api/v1/views/{view_id}")
                assert problem(gone) == (404, "not_found")
            assert len((await person.get("/api/v1/views")).json()["items"]) == 1


async def test_one_makes_and_revokes_ones_own(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        made = await make(running, "/api/v1/keys", by="yongshun")
        async with running.as_("yongshun") as owner, running.as_("lister") as another:
            [row] = (await owner.get("/api/v1/keys")).json()["items"]
            assert row["id"] == made["id"]
            path = f"/api/v1/keys/{made['id']}"
            assert problem(await another.delete(path)) == (404, "not_found")
            assert (await owner.delete(path)).status_code == 204
            assert problem(await owner.delete(path)) == (404, "not_found")
        async with running.as_("warden") as warden:
            answer = await warden.post(YONGSHUN, json={"name": "x"})
            assert problem(answer) == (403, "forbidden")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": ""}, 422, "name_empty"),
        ({"name": "x", "actions": []}, 422, "invalid_request"),
        ({"name": "x", "actions": ["fly"]}, 422, "invalid_request"),
        ({"name": "x", "area_ids": ["ar_nowhere"]}, 422, "unknown_area"),
        ({"name": "x", "expires_in_days": 0}, 422, "out_of_range"),
        ({"name": "x", "expires_in_days": 367}, 422, "out_of_range"),
    ],
)
async def test_what_makes_no_key(
    body: dict[str, Any], status: int, code: str, tmp_path: Path
) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        assert problem(await admin.post(YONGSHUN, json=body)) == (status, code)
        assert (await admin.get(YONGSHUN)).json() == {"items": []}


async def test_a_subject_has_so_many(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        for _ in range(MAX_KEYS_OF_SUBJECT):
            await make(running)
        async with running.as_("admin") as admin:
            answer = await admin.post(YONGSHUN, json={"name": "one more"})
            assert problem(answer) == (409, "too_many_keys")
            nobody = await admin.post("/api/v1/subjects/su_none/keys", json={"name": "x"})
            assert problem(nobody) == (404, "not_found")


async def test_it_runs_out_and_its_last_use_is_kept_to_the_hour(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        made = await make(running, expires_in_days=2)
        keys, start = running.services.api_keys, running.services.now()
        moved = timedelta(0)
        keys._now = lambda: start + moved

        async def used_at() -> str:
            async with running.as_("admin") as admin:
                [row] = (await admin.get(YONGSHUN)).json()["items"]
                return str(row["used_at"])

        async with with_key(running, made) as program:
            assert await used_at() == "None"
            assert (await program.get("/api/v1/me")).status_code == 200
            first = await used_at()
            moved = timedelta(minutes=59)
            assert (await program.get("/api/v1/me")).status_code == 200
            assert await used_at() == first
            moved = timedelta(minutes=61)
            assert (await program.get("/api/v1/me")).status_code == 200
            assert await used_at() != first
            moved = timedelta(days=2)
            assert problem(await program.get("/api/v1/me")) == (401, "key_expired")


async def test_a_disabled_subjects_key_opens_nothing(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        made = await make(running)
        by = Actor(None, "test")
        async with with_key(running, made) as program:
            await running.services.people.set_password_hash("su_yongshun", "x", by)
            assert (await program.get("/api/v1/me")).status_code == 200
            await running.services.people.update_subject("su_yongshun", {"enabled": False}, by)
            assert problem(await program.get("/api/v1/me")) == (401, "key_invalid")
            await running.services.people.delete_subject("su_yongshun", by)
            assert problem(await program.get("/api/v1/me")) == (401, "key_invalid")
            assert running.services.facts.current.api_keys == {}


async def test_what_only_looks_like_a_key(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        made = await make(running)
        for text in (PREFIX, made["prefix"], made["key"][:-1], made["key"] + "A", made["id"]):
            async with running.client(Authorization=f"Bearer {text}") as thief:
                status, code = problem(await thief.get("/api/v1/me"))
                assert (status, code) in ((401, "key_invalid"), (401, "token_invalid"))
