"""Imports of somebody who manages one area: into it alone, seen by nobody else of an area."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx

from support.http_kit import a_service, problem
from support.import_kit import checked, code, send, told
from support.patience import PATIENCE_S

SHARED = "rtsp://127.0.0.1:8554"  # the device of all cameras here, those of 梨园 too
MINE, VILLAGE, OTHERS = "110112001", "110112001001", "110112002"
BESIDE = "110112001002"
PLACES = "设备编码,设备名称,所属区域编码,主码流地址,建设单位/设备归属"
DENIED = ("refused", {"under_denial"})


async def test_an_area_is_imported_into_applied_and_undone(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("warden") as warden:
        job = await send(
            warden,
            f"{code(99)},新路口,{VILLAGE},rtsp://192.0.2.9/main,rtsp://192.0.2.9/sub,ops,s3cret-word,",
            f"{code(98)},镇口,,rtsp://192.0.2.10/main,,,,",
            f"{code(1)},改名,,,,,,",
            area=MINE,
        )
        assert job["counts"] == {"add": 2, "change": 1, "same": 0, "refused": 0, "warnings": 0}, (
            await told(warden, job)
        )
        assert "into" not in job["options"]
        path = f"/api/v1/imports/{job['id']}"
        assert (await warden.post(f"{path}/apply", json={})).json()["state"] == "applied"
        page = (await warden.get("/api/v1/channels", params={"q": "新路口"})).json()
        assert [each["area_path"][-1] for each in page["items"]] == ["新建村"]
        camera = await running.services.registry.get_channel("ch_y1")
        assert (camera.name, camera.device_id) == ("改名", "de_1")
        assert (await warden.post(f"{path}/undo")).json()["state"] == "undone"
        assert (await warden.get("/api/v1/channels", params={"q": "新路口"})).json()["total"] == 0


async def test_nothing_of_other_areas_is_reached_or_told(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("warden") as warden:
        async with running.as_("admin") as admin:
            facts = {"facts": {"mac": "00:00:5e:00:53:01"}}
            assert (await admin.patch("/api/v1/channels/ch_l1", json=facts)).status_code == 200
        job = await send(
            warden,
            f"{code(90)},甲,{OTHERS},rtsp://192.0.2.9/main,,,,",  # into another's area
            f"{code(4)},乙,{MINE},rtsp://192.0.2.10/main,,,,",  # another's camera, by its code
            f"{code(91)},丙,{MINE},{SHARED}/cam/4/main,,,,",  # its address
            f"{code(92)},丁,{MINE},{SHARED}/cam/4/other,,,,",  # its device, by another path
            f"{code(1)},戊,,,,root,guess-1234,",  # the password of a device that is shared
            f"{code(2)},己,{OTHERS},,,,,",  # one's own into another's area
            f"{code(3)},庚,,,{SHARED}/cam/4/sub,,,",  # another's stream as one's own sub stream
            f"{code(93)},辛,{MINE},rtsp://192.0.2.11/main,rtsp://127.0.0.1:8554/cam/4/sub,,,",
            f"{code(94)},壬,{MINE},rtsp://192.0.2.12/main,,,,00-00-5E-00-53-01",  # its MAC address
        )
        assert await told(warden, job) == [
            ("refused", {"area_beyond"}),
            ("refused", {"code_beyond"}),
            ("refused", {"device_beyond"}),
            ("refused", {"device_beyond"}),
            ("refused", {"device_beyond"}),
            ("refused", {"area_beyond"}),
            ("refused", {"device_beyond"}),
            ("refused", {"sub_elsewhere"}),
            ("add", set()),
        ]
        shown = (await warden.get(f"/api/v1/imports/{job['id']}/rows")).text
        assert "duplicate_mac" in shown
        assert "路口4" not in shown
        assert "梨园" not in shown.replace("梨园镇 (110112002)", "")  # the area that was asked for
        apply = f"/api/v1/imports/{job['id']}/apply"
        assert problem(await warden.post(apply, json={})) == (409, "rows_refused")
        answer = await warden.post(apply, json={"without_refused": True})
        assert answer.json()["state"] == "applied"
        for channel_id in ("ch_l1", "ch_l2", "ch_y1", "ch_y2", "ch_off"):
            row = await running.services.registry.get_channel(channel_id)
            assert (row.name, row.device_id) == (f"路口{row.code[-1]}", "de_1")


async def test_a_password_does_not_follow_a_camera_to_another_host(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("warden") as warden:
        row = f"{code(99)},新路口,{MINE},rtsp://192.0.2.9/main,,ops,s3cret-word,"
        job = await send(warden, row)
        await warden.post(f"/api/v1/imports/{job['id']}/apply", json={})
        job = await send(warden, f"{code(99)},新路口,{MINE},rtsp://192.0.2.66/main,,ops,,")
        assert await told(warden, job) == [("change", set())]
        await warden.post(f"/api/v1/imports/{job['id']}/apply", json={})
        [camera] = (await warden.get("/api/v1/channels", params={"q": code(99)})).json()["items"]
        spec = await running.services.registry.spec_for(camera["id"], "main")
        assert (spec.username, spec.password) == ("ops", None)


async def test_imports_of_others_are_not_there(tmp_path: Path) -> None:
    row = f"{code(99)},新路口,{MINE},rtsp://192.0.2.9/main,,,,"
    async with (
        a_service(tmp_path) as running,
        running.as_("warden") as warden,
        running.as_("admin") as admin,
    ):
        whole, mine = await send(admin, row), await send(warden, row)
        jobs = (await warden.get("/api/v1/imports")).json()
        assert ([job["id"] for job in jobs["items"]], jobs["total"]) == ([mine["id"]], 1)
        assert (await admin.get("/api/v1/imports")).json()["total"] == 2
        path = f"/api/v1/imports/{whole['id']}"
        for part in ("", "/rows", "/workbook"):
            assert problem(await warden.get(path + part)) == (404, "not_found")
        for part in ("/check", "/apply", "/undo"):
            assert problem(await warden.post(path + part, json={})) == (404, "not_found")
        assert problem(await warden.delete(path)) == (404, "not_found")
        async with running.as_("yongshun") as operator:
            for answer in (
                await operator.get("/api/v1/imports"),
                await operator.get(path),
                await operator.post(f"{path}/apply", json={}),
            ):
                assert problem(answer) == (403, "forbidden")


async def test_a_check_for_areas_that_are_lost_has_to_be_made_again(tmp_path: Path) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("warden") as warden,
        running.as_("admin") as admin,
    ):
        job = await send(warden, f"{code(99)},新路口,{MINE},rtsp://192.0.2.9/main,,,,")
        path = f"/api/v1/imports/{job['id']}"
        # What the district's manager checked is the district's: its rows may name any camera.
        await admin.post(f"{path}/check")
        await checked(admin, job["id"])
        for answer in (
            await warden.get(f"{path}/rows"),
            await warden.post(f"{path}/apply", json={}),
        ):
            assert problem(answer) == (403, "import_beyond")
        await warden.post(f"{path}/check")
        await checked(warden, job["id"])
        await only_the_village(admin, warden)
        assert (await warden.get(path)).status_code == 200
        assert problem(await warden.post(f"{path}/apply", json={})) == (403, "import_beyond")
        await warden.post(f"{path}/check")
        await checked(warden, job["id"])
        assert await told(warden, job) == [("refused", {"area_beyond"})]


async def test_nothing_is_taken_from_under_a_denial(tmp_path: Path) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("warden") as warden,
        running.as_("admin") as admin,
    ):
        await denied(admin, "warden", area_id="ar_village")
        owner = [{"field": "owner", "op": "eq", "values": ["人防办"]}]
        await denied(admin, "stranger", conditions=owner)
        facts = {"facts": {"owner": "人防办"}}
        assert (await admin.patch("/api/v1/channels/ch_y1", json=facts)).status_code == 200
        await beside_the_village(admin)
        rows = (
            f"{code(2)},路口2,{BESIDE},,",  # out of the area that is denied to who imports
            f"{code(1)},路口1,,,公安局",  # out of a rule that denies it to somebody else
            f"{code(3)},路口3,{BESIDE},,公安局",  # denied to nobody
        )
        for who, expected in (
            (warden, [DENIED, DENIED, ("change", set())]),
            (admin, [("change", set())] * 3),
        ):
            job = await send(who, *rows, headings=PLACES)
            assert await told(who, job) == expected
        renamed = await send(warden, f"{code(2)},改名,{VILLAGE},,", headings=PLACES)
        assert await told(warden, renamed) == [("change", set())]
        answer = await warden.get("/api/v1/imports", params={"limit": 1})
        assert "keeps_denials" not in answer.text


async def test_a_denial_since_the_check_or_since_the_import_holds(tmp_path: Path) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("warden") as warden,
        running.as_("admin") as admin,
    ):
        beside = await beside_the_village(admin)
        away = await send(warden, f"{code(2)},路口2,{BESIDE},,", headings=PLACES)
        path = f"/api/v1/imports/{away['id']}"
        denial = await denied(admin, "stranger", area_id="ar_village")
        late = await warden.post(f"{path}/apply", json={})
        assert problem(late) == (409, "registry_changed")
        await warden.post(f"{path}/check")
        await checked(warden, away["id"])
        assert await told(warden, away) == [DENIED]
        assert (await admin.delete(f"/api/v1/grants/{denial}")).status_code == 204
        await warden.post(f"{path}/check")
        await checked(warden, away["id"])
        assert (await warden.post(f"{path}/apply", json={})).json()["state"] == "applied"
        await denied(admin, "stranger", area_id=beside)
        assert problem(await warden.post(f"{path}/undo")) == (409, "under_denial")
        assert (await warden.get("/api/v1/channels/ch_y2")).json()["area_id"] == beside
        assert (await admin.post(f"{path}/undo")).json()["state"] == "undone"


async def beside_the_village(admin: httpx.AsyncClient) -> str:
    area = {"parent_id": "ar_yongshun", "kind": "community", "code": BESIDE, "name": "旁村"}
    return str((await admin.post("/api/v1/areas", json=area)).json()["id"])


async def denied(admin: httpx.AsyncClient, name: str, **where: Any) -> str:
    body = {"subject_id": f"su_{name}", "actions": ["live"], "effect": "deny", **where}
    answer = await admin.post("/api/v1/grants", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def only_the_village(admin: httpx.AsyncClient, warden: httpx.AsyncClient) -> None:
    grant = {"subject_id": "su_warden", "actions": ["list", "manage"], "area_id": "ar_village"}
    assert (await admin.post("/api/v1/grants", json=grant)).status_code == 201
    assert (await admin.delete("/api/v1/grants/gr_warden")).status_code == 204
    deadline = time.monotonic() + PATIENCE_S
    while (await warden.get("/api/v1/channels")).json()["total"] != 1:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
