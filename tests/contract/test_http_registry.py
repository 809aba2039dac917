"""Areas, channels, devices, subjects and grants over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.http_kit import a_service, problem

CAMERA: dict[str, Any] = {
    "code": "11011200111310000099",
    "name": "新华大街路口",
    "area_id": "ar_yongshun",
    "device_class": "high_altitude",
    "main_url": "rtsp://user:s3cret-word@192.0.2.50/main",
    "sub_url": "rtsp://192.0.2.50/sub",
    "lon": 116.65,
    "lat": 39.9,
}


async def _ids(client: httpx.AsyncClient, path: str, **params: Any) -> list[str]:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["items"]]


async def test_lists_show_only_what_is_visible(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("yongshun") as client:
            assert await _ids(client, "/api/v1/channels") == ["ch_y1", "ch_y2", "ch_off"]
            areas = (await client.get("/api/v1/areas")).json()["items"]
            assert [(each["id"], each["channel_count"]) for each in areas] == [
                ("ar_district", 3),
                ("ar_yongshun", 3),
                ("ar_village", 1),
            ]
            assert await _ids(client, "/api/v1/channels", area_id="ar_liyuan") == []
            first = (await client.get("/api/v1/channels")).json()["items"][0]
            assert first["may"] == ["live", "snapshot"]
            assert first["area_path"] == ["通州区", "永顺镇"]
            assert "main_url" not in first
        async with running.as_("admin") as client:
            assert len(await _ids(client, "/api/v1/channels")) == 5
            assert await _ids(client, "/api/v1/channels", area_id="ar_village") == ["ch_y2"]
            for q in ("路口4", "lukou4", "lk4"):
                assert await _ids(client, "/api/v1/channels", q=q) == ["ch_l1"]
            params = {"enabled": False}
            page = (await client.get("/api/v1/channels", params=params)).json()
            assert [each["id"] for each in page["items"]] == ["ch_off"]
            assert (page["total"], page["total_capped"]) == (1, False)


async def test_pages_follow_each_other(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        for path in ("/api/v1/channels", "/api/v1/areas", "/api/v1/subjects", "/api/v1/grants"):
            whole = await _ids(client, path)
            seen: list[str] = []
            cursor = None
            while True:
                params = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
                page = (await client.get(path, params=params)).json()
                seen += [each["id"] for each in page["items"]]
                assert page["total"] == len(whole)
                cursor = page["next_cursor"]
                if cursor is None:
                    break
            assert seen == whole, path
            assert (await client.get(path, params={"cursor": "ÿrubbish"})).status_code == 422
            assert (await client.get(path, params={"limit": 0})).status_code == 422


async def test_a_channel_from_its_creation_to_its_end(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        made = await client.post("/api/v1/channels", json=CAMERA)
        assert made.status_code == 201, made.text
        channel = made.json()
        assert channel["main_url"] == "rtsp://192.0.2.50/main"
        assert "s3cret-word" not in made.text
        path = f"/api/v1/channels/{channel['id']}"
        device = (await client.get(f"/api/v1/devices/{channel['device_id']}")).json()
        assert (device["username"], device["has_password"]) == ("user", True)

        renamed = await client.patch(path, json={"name": "新名", "lon": None, "lat": None})
        assert (renamed.json()["name"], renamed.json()["lon"]) == ("新名", None)
        async with running.as_("yongshun") as operator:
            seen = (await operator.get(path)).json()
            assert seen["name"] == "新名"
            assert (seen["main_url"], seen["device_id"]) == (None, None)
        assert (await client.delete(path)).status_code == 204
        assert problem(await client.get(path)) == (404, "not_found")
        acts = [(await running.audit_rows(act))[0]["act"] for act in ("channel_create",)]
        assert acts == ["channel_create"]
        assert "s3cret-word" not in str(await running.audit_rows("channel_create"))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"code": "12"}, 422),
        ({"code": "11011200111310000001"}, 409),
        ({"area_id": "ar_nowhere"}, 404),
        ({"device_class": "webcam"}, 422),
        ({"main_url": "http://192.0.2.50/"}, 422),
        ({"lon": 116.0, "lat": None}, 422),
    ],
)
async def test_wrong_channels_are_refused(
    change: dict[str, Any], status: int, tmp_path: Path
) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        answer = await client.post("/api/v1/channels", json={**CAMERA, **change})
        assert problem(answer)[0] == status, answer.text


async def test_a_warden_manages_the_area_but_not_where_pictures_come_from(
    tmp_path: Path,
) -> None:
    async with a_service(tmp_path) as running, running.as_("warden") as client:
        path = "/api/v1/channels/ch_y1"
        assert (await client.patch(path, json={"name": "东门"})).status_code == 200
        assert (await client.patch(path, json={"area_id": "ar_village"})).status_code == 200
        other_url = await client.patch(path, json={"main_url": "rtsp://192.0.2.66/x"})
        assert problem(other_url) == (403, "forbidden")
        away = await client.patch(path, json={"area_id": "ar_liyuan"})
        assert problem(away) == (404, "not_found")
        assert problem(await client.post("/api/v1/channels", json=CAMERA)) == (403, "forbidden")
        neighbour = await client.patch("/api/v1/channels/ch_l1", json={"name": "x"})
        assert problem(neighbour) == (404, "not_found")


async def test_the_same_key_creates_one_thing(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        body = {"name": "box", "host": "192.0.2.9"}
        key = {"Idempotency-Key": "import-1"}
        first, again = await asyncio.gather(
            client.post("/api/v1/devices", json=body, headers=key),
            client.post("/api/v1/devices", json=body, headers=key),
        )
        assert first.status_code == again.status_code == 201
        assert first.json() == again.json()
        assert len(await _ids(client, "/api/v1/devices", q="box")) == 1
        other = await client.post("/api/v1/devices", json={**body, "name": "b"}, headers=key)
        assert problem(other) == (422, "idempotency_key_reused")
        # Another subject's key is another key, and a failure is not kept.
        bad = {"name": "", "host": "192.0.2.9"}
        key = {"Idempotency-Key": "import-2"}
        assert (await client.post("/api/v1/devices", json=bad, headers=key)).status_code == 422
        fixed = await client.post("/api/v1/devices", json=body, headers=key)
        assert fixed.status_code == 201


async def test_areas_and_devices_end_when_nothing_hangs_on_them(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        assert problem(await client.delete("/api/v1/areas/ar_village")) == (409, "area_in_use")
        assert problem(await client.delete("/api/v1/devices/de_1")) == (409, "device_in_use")
        draft = {"parent_id": "ar_liyuan", "kind": "community", "code": "110112002001"}
        made = await client.post("/api/v1/areas", json={**draft, "name": "新村"})
        assert made.status_code == 201, made.text
        path = f"/api/v1/areas/{made.json()['id']}"
        square = [[116.6, 39.9], [116.7, 39.9], [116.7, 40.0]]
        changed = await client.patch(path, json={"name": "旧村", "boundary": square})
        assert (changed.json()["name"], changed.json()["boundary"]) == ("旧村", square)
        assert (await client.get(path)).json()["name"] == "旧村"
        assert (await client.delete(path)).status_code == 204


async def test_subjects_and_passwords(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        body = {"username": "NewOne", "display_name": "New", "password": "first-password"}
        made = await client.post("/api/v1/subjects", json=body)
        assert made.status_code == 201, made.text
        assert "first-password" not in made.text
        path = f"/api/v1/subjects/{made.json()['id']}"
        weak = await client.patch(path, json={"password": "short"})
        assert problem(weak) == (422, "password_too_weak")
        assert (await client.patch(path, json={"display_name": "N"})).json()["display_name"] == "N"
        form = {"username": "newone", "password": "first-password"}
        assert (await client.post("/api/v1/token", data=form)).status_code == 200
        assert (await client.delete(path)).status_code == 204
        assert problem(await client.get(path)) == (404, "not_found")
        assert problem(
            await client.post("/api/v1/subjects", json={**body, "username": "admin"})
        ) == (
            409,
            "username_taken",
        )


async def test_grants_are_passed_on_only_by_those_who_hold_them(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        body = {"subject_id": "su_stranger", "area_id": "ar_village", "actions": ["list", "live"]}
        async with running.as_("warden") as client:
            made = await client.post("/api/v1/grants", json=body)
            assert made.status_code == 201, made.text
            assert made.json()["subject_name"] == "stranger"
            more = await client.post("/api/v1/grants", json={**body, "actions": ["snapshot"]})
            assert problem(more) == (403, "forbidden")
            wider = await client.post("/api/v1/grants", json={**body, "area_id": "ar_district"})
            assert problem(wider) == (403, "forbidden")
            both = await client.post("/api/v1/grants", json={**body, "channel_id": "ch_y1"})
            assert problem(both) == (422, "grant_target")
            assert problem(await client.delete("/api/v1/grants/gr_admin")) == (404, "not_found")
            naive = {**body, "valid_until": "2030-01-01T00:00:00"}
            assert problem(await client.post("/api/v1/grants", json=naive))[0] == 422
            assert await _ids(client, "/api/v1/grants") == ["gr_warden"]
            assert made.json()["id"] in await _ids(client, "/api/v1/grants", area_id="ar_village")
        async with running.as_("stranger") as client:
            assert await _ids(client, "/api/v1/channels") == ["ch_y2"]
            mine = await client.get("/api/v1/grants")
            assert [each["area_name"] for each in mine.json()["items"]] == ["新建村"]
            others = await client.get("/api/v1/grants", params={"subject_id": "su_admin"})
            assert problem(others) == (403, "forbidden")
        async with running.as_("warden") as client:
            gone = await client.delete(f"/api/v1/grants/{made.json()['id']}")
            assert gone.status_code == 204
        async with running.as_("stranger") as client:
            assert await _ids(client, "/api/v1/channels") == []
