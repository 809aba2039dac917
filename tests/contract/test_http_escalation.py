"""Ways by which somebody would come to more than they were granted: each is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from support.http_kit import Running, a_service, problem
from support.import_kit import code, send, told
from support.patience import PATIENCE_S


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
        assert problem(await warden.post("/api/v1/grants", json=allow)) == (403, "pass_on_denied")
        patched = await admin.patch("/api/v1/channels/ch_y2", json={"sensitive": True})
        assert patched.status_code == 200, patched.text
        assert problem(await warden.delete("/api/v1/channels/ch_y2")) == (403, "forbidden")


async def test_no_camera_is_moved_from_under_a_denial(tmp_path: Path) -> None:
    """Whoever manages two areas, and may not watch in one, does not watch in the other."""
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("warden") as warden,
    ):
        village = {"code": "110112001999", "name": "别处", "kind": "community"}
        village["parent_id"] = "ar_yongshun"
        made = await admin.post("/api/v1/areas", json=village)
        assert made.status_code == 201, made.text
        path, there = "/api/v1/channels/ch_y1", {"area_id": made.json()["id"]}
        moved = await admin.patch(path, json={**there, "facts": {"owner": "镇政府"}})
        assert moved.status_code == 200, moved.text
        device_class = {"field": "device_class", "op": "eq", "values": ["police_hd"]}
        owner = {"field": "owner", "op": "eq", "values": ["镇政府"]}
        back = {"area_id": "ar_yongshun"}
        for denied, change in (
            (there, back),
            ({"conditions": [device_class]}, {"device_class": "alley"}),
            ({"conditions": [owner]}, {"facts": {"owner": "别人"}}),
        ):
            deny = {"effect": "deny", "actions": ["live"], "subject_id": "su_lister", **denied}
            grant_id = await _grant(admin, **deny)
            assert problem(await warden.patch(path, json=change)) == (403, "forbidden"), denied
            assert (await admin.delete(f"/api/v1/grants/{grant_id}")).status_code == 204
        moved = await warden.patch(path, json=back)
        assert moved.status_code == 200, moved.text


async def test_a_camera_that_is_denied_is_in_nothing_done_to_its_area(tmp_path: Path) -> None:
    """One manages the area, but not that one camera: no way over the area leads to it."""
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("warden") as warden,
    ):
        registry = running.services.registry
        rows = (f"{code(1)},甲,,,,,,", f"{code(3)},乙,,,,,,")
        before = await send(warden, *rows)
        assert await told(warden, before) == [("change", set()), ("change", set())]
        deny = {"effect": "deny", "actions": ["manage"], "channel_id": "ch_y1"}
        await _grant(admin, subject_id="su_warden", **deny)

        # What was checked before the denial is not shown and not applied.
        path = f"/api/v1/imports/{before['id']}"
        assert problem(await warden.get(f"{path}/rows")) == (403, "import_beyond")
        assert problem(await warden.post(f"{path}/apply", json={})) == (403, "import_beyond")
        job = await send(warden, *rows, f"{code(9)},丙,110112001,rtsp://127.0.0.1:8554/9,,,,")
        [denied, other, beside] = await told(warden, job)
        assert (denied[0], "code_beyond" in denied[1]) == ("refused", True)
        assert (other, beside) == (("change", set()), ("refused", {"device_beyond"}))
        assert not {"into", "without"} & job["options"].keys()

        step = {"step": "reopen", "area_id": "ar_yongshun"}
        filed = (await warden.post("/api/v1/channel-filing", json=step)).json()
        assert filed == {"changed": 2, "left_out": 0}
        assert (await registry.get_channel("ch_y1")).is_filed

        rule = {"kind": "name_prefix", "text": "路口", "area_id": "ar_village"}
        assert (await admin.post("/api/v1/assignment-rules", json=rule)).status_code == 201
        body = {"area_id": "ar_yongshun"}
        plan = (await warden.post("/api/v1/assignment/preview", json=body)).json()
        assert [each["id"] for each in plan["items"]] == ["ch_off"]
        assert plan["looked_at"] == 2
        body["plan"] = plan["plan"]
        done = await warden.post("/api/v1/assignment/apply", json=body)
        assert done.json() == {"moved": 1}
        assert (await registry.get_channel("ch_y1")).area_id == "ar_yongshun"

        run = await warden.post("/api/v1/inspections", json={"area_id": "ar_yongshun"})
        assert (run.status_code, run.json()["total"]) == (202, 2)
        await warden.delete(f"/api/v1/inspections/{run.json()['id']}")


async def test_a_denial_binds_whoever_manages_the_district_too(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        deny = {"effect": "deny", "actions": ["manage"], "channel_id": "ch_y1"}
        await _grant(admin, subject_id="su_admin", **deny)
        job = await send(admin, f"{code(1)},甲,,,,,,", f"{code(4)},乙,,,,,,")
        [denied, other] = await told(admin, job)
        assert (denied[0], "code_beyond" in denied[1]) == ("refused", True)
        assert other == ("change", set())
        step = {"step": "reopen", "area_id": "ar_yongshun"}
        filed = (await admin.post("/api/v1/channel-filing", json=step)).json()
        assert filed == {"changed": 2, "left_out": 0}
        assert (await admin.post("/api/v1/assignment/preview", json={})).json()["looked_at"] == 4


async def test_an_import_steers_no_recorder_that_is_shared(tmp_path: Path) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("warden") as warden,
    ):
        headings = "设备编码,设备名称,连接协议,访问端口,通道号"
        given = f"{code(1)},路口1,ONVIF,80,1"
        job = await send(admin, given, headings=headings)
        applied = await admin.post(f"/api/v1/imports/{job['id']}/apply", json={})
        assert applied.json()["state"] == "applied", applied.text
        rows = [
            f"{code(1)},路口1,ONVIF,80,2",  # another area's camera on the same recorder
            f"{code(2)},路口2,ONVIF,,",
            f"{code(3)},路口3,,81,",
            given.replace("路口1", "改名"),
        ]
        job = await send(warden, *rows, headings=headings)
        beyond = ("refused", {"device_beyond"})
        assert await told(warden, job) == [*[beyond] * 3, ("refused", {"duplicate_code"})]
        job = await send(warden, rows[-1], headings=headings)
        assert await told(warden, job) == [("change", set())]
        # Taken away they are as well another's: what is left out is guessed.
        job = await send(warden, f"{code(1)},路口1,,,", headings=headings, clear_empty=True)
        assert await told(warden, job) == [beyond]


async def test_an_import_is_not_undone_with_what_was_withheld_since(tmp_path: Path) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("warden") as warden,
    ):
        job = await send(warden, f"{code(99)},新路口,110112001,rtsp://192.0.2.9/main,,,,")
        path = f"/api/v1/imports/{job['id']}"
        assert (await warden.post(f"{path}/apply", json={})).json()["state"] == "applied"
        [made] = (await admin.get("/api/v1/channels", params={"q": code(99)})).json()["items"]
        deny = {"effect": "deny", "actions": ["live"], "channel_id": made["id"]}
        grant_id = await _grant(admin, subject_id="su_yongshun", **deny)
        assert problem(await warden.post(f"{path}/undo")) == (403, "forbidden")
        assert (await admin.get(f"/api/v1/grants/{grant_id}")).status_code == 200
        assert (await admin.delete(f"/api/v1/grants/{grant_id}")).status_code == 204
        assert (await warden.post(f"{path}/undo")).json()["state"] == "undone"


async def test_nobody_learns_which_grants_there_are(tmp_path: Path) -> None:
    """An insider knows the area, and the district above it: of a grant on them, of a denial and of
    none the same is said; as to who has something to see to first."""
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        deny = {"effect": "deny", "actions": ["ptz"], "area_id": "ar_yongshun"}
        denial = await _grant(admin, subject_id="su_stranger", **deny)
        ids = ("gr_none", "gr_warden", "gr_admin", denial)

        async def told(client: httpx.AsyncClient, grant_id: str) -> set[tuple[int, str, str]]:
            path = f"/api/v1/grants/{grant_id}"
            batch = {"changes": [{"revoke": grant_id}]}
            answers = (
                await client.get(path),
                await client.delete(path),
                await client.post("/api/v1/grants/batch", json=batch),
            )
            return {(*problem(each), each.json()["detail"]) for each in answers}

        async with running.as_("lister") as insider:
            [[said]] = {tuple(await told(insider, each)) for each in ids}
            assert said[:2] == (404, "not_found")
            noted: dict[str, tuple[Any, ...]] = {}
            async with asyncio.timeout(PATIENCE_S):  # refusals are written beside the answers
                while noted.keys() != set(ids):
                    rows = (await insider.get("/api/v1/audit/mine")).json()["items"]
                    noted = {
                        row["detail"]["asked_id"]: (row["area_id"], row["detail"]["reason"])
                        for row in rows
                        if row["act"] == "refused"
                    }
            assert set(noted.values()) == {(None, "not_there")}
        due = {"password": "a-l0ng-passphrase"}
        assert (await admin.patch("/api/v1/subjects/su_warden", json=due)).is_success
        async with running.client() as warden:
            form = {"username": "warden", "password": "a-l0ng-passphrase"}
            assert (await warden.post("/api/v1/sign-in", json=form)).is_success
            [[said]] = {tuple(await told(warden, each)) for each in ids}
            assert said[:2] == (403, "password_change_due")
        for each in ids[1:]:
            assert (await admin.get(f"/api/v1/grants/{each}")).json()["revoked_at"] is None
