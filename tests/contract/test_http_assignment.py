"""Assignment over HTTP: who would see what is said before, and it is so after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from support.http_kit import OFFER, SDP, Running, a_service, problem

PREVIEW, APPLY, RULES = (
    "/api/v1/assignment/preview",
    "/api/v1/assignment/apply",
    "/api/v1/assignment-rules",
)
YONGSHUN = [[116.0, 39.0], [116.5, 39.0], [116.5, 40.0], [116.0, 40.0]]
LIYUAN = [[116.5, 39.0], [117.0, 39.0], [117.0, 40.0], [116.5, 40.0]]


async def drawn(admin: httpx.AsyncClient) -> None:
    """Boundaries for both townships (梨园's a drawing); both of 梨园's cameras stand in 永顺."""
    await admin.patch("/api/v1/areas/ar_yongshun", json={"boundary": YONGSHUN})
    await admin.patch("/api/v1/areas/ar_liyuan", json={"boundary": LIYUAN, "schematic": True})
    for channel_id in ("ch_l1", "ch_l2"):
        await admin.patch(f"/api/v1/channels/{channel_id}", json={"lon": 116.2, "lat": 39.5})


async def told(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post(PREVIEW, json=body)
    assert answer.status_code == 200, answer.text
    plan: dict[str, Any] = answer.json()
    return plan


async def seen_by(running: Running, name: str) -> set[str]:
    async with running.as_(name) as client:
        return {each["id"] for each in (await client.get("/api/v1/channels")).json()["items"]}


async def test_it_is_as_it_was_said_to_become(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("admin") as admin:
            await drawn(admin)
            await admin.post(
                "/api/v1/channel-filing", json={"step": "reopen", "channel_ids": ["ch_l2"]}
            )
            plan = await told(admin)
            assert [
                (m["id"], m["from_area_id"], m["to_area_id"], m["rule_id"], m["schematic"])
                for m in plan["items"]
            ] == [
                ("ch_l1", "ar_liyuan", "ar_yongshun", None, False),
                ("ch_l2", "ar_liyuan", "ar_yongshun", None, False),
            ]
            counts = (plan["looked_at"], plan["moves"], plan["unplaced"], plan["schematic"])
            assert counts == (5, 2, 3, 0)
            gains = {a["username"]: (a["gained"], a["lost"]) for a in plan["audience"]}
            # The draft becomes visible to the warden alone.
            assert gains == {"lister": (1, 0), "warden": (2, 0), "yongshun": (1, 0)}
            [first, _, _] = plan["audience"]
            assert [each["id"] for each in first["gained_cameras"]] == ["ch_l1"]
            before = await seen_by(running, "yongshun")
            done = await admin.post(APPLY, json={"plan": plan["plan"]})
            assert done.json() == {"moved": 2}
        assert await seen_by(running, "yongshun") - before == {"ch_l1"}
        assert {"ch_l1", "ch_l2"} <= await seen_by(running, "warden")
        [row] = await running.audit_rows("area_assign")
        assert (row["subject_name"], row["detail"]["channels"]) == ("admin", 2)
        assert row["detail"]["into"] == ["110112001"]


async def test_who_loses_a_camera_is_told_and_its_view_ends(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("admin") as admin:
            await drawn(admin)
            await admin.patch("/api/v1/channels/ch_y1", json={"lon": 116.7, "lat": 39.5})
            plan = await told(admin, channel_ids=["ch_y1"])
            assert (plan["moves"], plan["schematic"]) == (1, 1)
            lost = {a["username"]: [c["id"] for c in a["lost_cameras"]] for a in plan["audience"]}
            assert lost == {name: ["ch_y1"] for name in ("lister", "warden", "yongshun")}
        async with running.as_("yongshun") as client:
            opened = await client.post("/whep/ch_y1", content=OFFER, headers=SDP)
            async with running.as_("admin") as admin:
                body = {"channel_ids": ["ch_y1"], "plan": plan["plan"]}
                assert (await admin.post(APPLY, json=body)).json() == {"moved": 1}
            assert (await client.delete(opened.headers["location"])).status_code == 404


async def test_a_change_since_the_preview_is_said(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        await drawn(admin)
        plan = await told(admin)
        grant = {"subject_id": "su_stranger", "actions": ["list"], "area_id": "ar_yongshun"}
        await admin.post("/api/v1/grants", json=grant)
        late = await admin.post(APPLY, json={"plan": plan["plan"]})
        assert problem(late) == (409, "registry_changed")
        again = await told(admin)
        assert "stranger" in {each["username"] for each in again["audience"]}
        # Another selection is another plan.
        other = {"plan": again["plan"], "channel_ids": ["ch_l1"]}
        assert problem(await admin.post(APPLY, json=other)) == (409, "registry_changed")
        assert problem(await admin.post(APPLY, json={"plan": "x"})) == (422, "plan_unknown")
        assert (await admin.post(APPLY, json={"plan": again["plan"]})).json() == {"moved": 2}


async def test_whoever_manages_a_part_moves_within_it_and_is_not_told_who_sees_what(
    tmp_path: Path,
) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("admin") as admin:
            await drawn(admin)
            await admin.patch("/api/v1/areas/ar_village", json={"boundary": YONGSHUN})
            await admin.patch("/api/v1/channels/ch_y1", json={"lon": 116.2, "lat": 39.5})
            await admin.patch("/api/v1/channels/ch_off", json={"lon": 116.7, "lat": 39.5})
        async with running.as_("warden") as warden:
            assert problem(await warden.post(PREVIEW, json={})) == (403, "forbidden")
            assert problem(await warden.post(PREVIEW, json={"area_id": "ar_liyuan"}))[0] == 404
            assert problem(await warden.post(PREVIEW, json={"channel_ids": ["ch_l1"]}))[0] == 404
            mixed = {"channel_ids": ["ch_y1", "ch_l1"]}
            assert problem(await warden.post(PREVIEW, json=mixed))[0] == 404
            plan = await told(warden, area_id="ar_yongshun")
            assert [m["id"] for m in plan["items"]] == ["ch_y1"]
            assert (plan["beyond"], plan["audience"]) == (1, None)
            body = {"area_id": "ar_yongshun", "plan": plan["plan"]}
            assert (await warden.post(APPLY, json=body)).json() == {"moved": 1}
            assert (await warden.get("/api/v1/channels/ch_y1")).json()["area_id"] == "ar_village"


async def test_nothing_is_taken_from_under_a_denial(tmp_path: Path) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("warden") as warden,
    ):
        area = {"parent_id": "ar_yongshun", "kind": "community", "code": "110112001002"}
        await admin.post("/api/v1/areas", json={**area, "name": "旁村", "boundary": LIYUAN})
        for channel_id in ("ch_y1", "ch_y2"):
            await admin.patch(f"/api/v1/channels/{channel_id}", json={"lon": 116.7, "lat": 39.5})
        denial = {"subject_id": "su_warden", "actions": ["live"], "effect": "deny"}
        await admin.post("/api/v1/grants", json={**denial, "area_id": "ar_village"})
        plan = await told(warden, area_id="ar_yongshun")
        assert [m["id"] for m in plan["items"]] == ["ch_y1"]
        [refusal] = plan["refusals"]
        assert (plan["refused"], refusal["id"], refusal["reason"]) == (1, "ch_y2", "under_denial")
        assert "whoever manages the district" in refusal["sentence"]
        body = {"area_id": "ar_yongshun", "plan": plan["plan"]}
        assert (await warden.post(APPLY, json=body)).json() == {"moved": 1}
        assert (await warden.get("/api/v1/channels/ch_y2")).json()["area_id"] == "ar_village"
        plan = await told(admin)
        assert ([m["id"] for m in plan["items"]], plan["refused"]) == (["ch_y2"], 0)


async def test_rules_are_the_districts(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("admin") as admin:
            await admin.patch("/api/v1/channels/ch_l1", json={"facts": {"address": "新华大街1号"}})
            rule = {"kind": "address_prefix", "text": "新华大街", "area_id": "ar_village"}
            made = await admin.post(RULES, json=rule)
            assert made.status_code == 201, made.text
            other = await admin.post(RULES, json={"kind": "polygon", "area_id": "ar_liyuan"})
            rules = (await admin.get(RULES)).json()["items"]
            assert [each["id"] for each in rules] == sorted([made.json()["id"], other.json()["id"]])
            plan = await told(admin, boundaries=False)
            assert [(m["id"], m["rule_id"]) for m in plan["items"]] == [
                ("ch_l1", made.json()["id"])
            ]
            bad = await admin.post(RULES, json={**rule, "area_id": "ar_none"})
            assert problem(bad) == (422, "unknown_area")
            for strange in ({"area_id": "\ud800"}, {"text": "\ud800"}, {"text": "a\x00"}):
                body = json.dumps({**rule, **strange})
                answer = await admin.post(
                    RULES, content=body, headers={"Content-Type": "application/json"}
                )
                assert answer.status_code == 422, answer.text
        async with running.as_("warden") as warden:
            mine = (await warden.get(RULES)).json()["items"]
            assert [each["area_id"] for each in mine] == ["ar_village"]
            assert problem(await warden.post(RULES, json=rule)) == (403, "forbidden")
            assert problem(await warden.delete(f"{RULES}/{mine[0]['id']}")) == (403, "forbidden")
        async with running.as_("admin") as admin:
            gone = await admin.delete(f"{RULES}/{made.json()['id']}")
            assert gone.status_code == 204
            again = await admin.delete(f"{RULES}/{made.json()['id']}")
            assert problem(again) == (404, "not_found")
