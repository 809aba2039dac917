"""Ways by which somebody would come to more than they were granted: each is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from support.http_kit import Running, a_service, problem


async def _key(client: httpx.AsyncClient, running: Running, **wanted: Any) -> httpx.AsyncClient:
    made = await client.post("/api/v1/keys", json={"name": "k", "expires_in_days": 1, **wanted})
    assert made.status_code == 201, made.text
    return running.client(Authorization=f"Bearer {made.json()['key']}")


async def _grant(admin: httpx.AsyncClient, **grant: Any) -> str:
    made = await admin.post("/api/v1/grants", json=grant)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def test_no_key_is_made_before_what_is_due(tmp_path: Path) -> None:
    """It would go on without the new password, or the second factor."""
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        body = {"username": "new", "display_name": "新", "password": "given by somebody"}
        subject = (await admin.post("/api/v1/subjects", json=body)).json()
        await _grant(admin, subject_id=subject["id"], actions=["list"], area_id="ar_yongshun")
        async with running.client() as nobody:
            form = {"username": "new", "password": body["password"]}
            token = (await nobody.post("/api/v1/token", data=form)).json()["access_token"]
        async with running.client(Authorization=f"Bearer {token}") as client:
            refused = await client.post("/api/v1/keys", json={"name": "k"})
            assert problem(refused) == (403, "password_change_due")
            assert (await client.get("/api/v1/keys")).json()["items"] == []


async def test_a_key_makes_nobody_stronger(tmp_path: Path) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        await _key(admin, running, actions=["list", "manage"]) as key,
    ):
        role = (
            await admin.post("/api/v1/roles", json={"name": "all", "display_name": "全部"})
        ).json()
        grant = {"subject_id": "su_stranger", "actions": ["list"], "area_id": "ar_yongshun"}
        subject = {"username": "x1", "display_name": "x", "password": "long enough it is"}
        member = f"/api/v1/roles/{role['id']}/members/su_stranger"
        for method, path, body in (
            ("POST", "/api/v1/subjects", subject),
            ("PATCH", "/api/v1/subjects/su_warden", {"password": "long enough it is"}),
            ("DELETE", "/api/v1/subjects/su_stranger", None),
            ("POST", "/api/v1/grants", grant),
            ("PUT", member, None),
            ("DELETE", member, None),
            ("GET", "/api/v1/subjects/su_warden/sign-ins", None),
            ("GET", "/api/v1/audit/mine", None),
            ("GET", "/api/v1/grants", None),
        ):
            refused = await key.request(method, path, json=body)
            assert problem(refused) == (403, "key_not_enough"), path


async def test_a_role_is_given_on_by_whom_it_is_theirs(tmp_path: Path) -> None:
    """Who manages the district, and may not watch, puts nobody where one may."""
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        made = await admin.post("/api/v1/roles", json={"name": "watch", "display_name": "观看"})
        role_id = made.json()["id"]
        roots = [
            a for a in (await admin.get("/api/v1/areas")).json()["items"] if not a["parent_id"]
        ]
        for root in roots:
            await _grant(admin, role_id=role_id, actions=["live"], area_id=root["id"])
            await _grant(
                admin, subject_id="su_stranger", actions=["list", "manage"], area_id=root["id"]
            )
        async with running.as_("stranger") as clerk:
            path = f"/api/v1/roles/{role_id}/members/su_stranger"
            assert problem(await clerk.put(path)) == (403, "forbidden")
            key = {"name": "k", "expires_in_days": 1}
            refused = await clerk.post("/api/v1/subjects/su_admin/keys", json=key)
            assert problem(refused) == (403, "forbidden")
            own = await clerk.post("/api/v1/subjects/su_lister/keys", json=key)
            assert own.status_code == 201, own.text  # all that it may is the clerk's too
            password = {"password": "long enough it is"}
            refused = await clerk.patch("/api/v1/subjects/su_admin", json=password)
            assert problem(refused) == (403, "forbidden")
            weaker = await clerk.patch("/api/v1/subjects/su_lister", json=password)
            assert weaker.status_code == 200, weaker.text
        assert (await admin.put(path)).status_code == 204


async def test_what_a_camera_is_steered_by_is_the_district_s(tmp_path: Path) -> None:
    """Its device may have other areas' cameras on other channels."""
    async with a_service(tmp_path) as running, running.as_("warden") as warden:
        for facts in ({"channel_number": "2"}, {"access_port": "81"}, {"protocol": "ONVIF"}):
            refused = await warden.patch("/api/v1/channels/ch_y1", json={"facts": facts})
            assert problem(refused) == (403, "forbidden"), facts
        free = await warden.patch("/api/v1/channels/ch_y1", json={"facts": {"owner": "镇政府"}})
        assert free.status_code == 200, free.text


async def test_a_denial_does_not_go_with_its_camera(tmp_path: Path) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("warden") as warden,
    ):
        deny = {"effect": "deny", "actions": ["live", "snapshot"], "channel_id": "ch_y1"}
        grant_id = await _grant(admin, subject_id="su_warden", **deny)
        assert problem(await warden.delete("/api/v1/channels/ch_y1")) == (403, "forbidden")
        picture = await warden.get("/api/v1/channels/ch_y1/inspection.jpg")
        assert problem(picture) == (403, "forbidden")
        # Nor is it passed on, at whatever hour.
        allow = {"subject_id": "su_stranger", "actions": ["live"], "channel_id": "ch_y1"}
        assert problem(await warden.post("/api/v1/grants", json=allow)) == (403, "forbidden")
        assert (await admin.delete(f"/api/v1/grants/{grant_id}")).status_code == 204
        night = [{"days": ["mon"], "start": "03:00", "end": "03:01"}]
        await _grant(admin, subject_id="su_warden", windows=night, **deny)
        assert problem(await warden.post("/api/v1/grants", json=allow)) == (403, "forbidden")
        patched = await admin.patch("/api/v1/channels/ch_y2", json={"sensitive": True})
        assert patched.status_code == 200, patched.text
        assert problem(await warden.delete("/api/v1/channels/ch_y2")) == (403, "forbidden")
