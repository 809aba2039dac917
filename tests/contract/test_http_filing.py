"""Filing over HTTP: a draft is nowhere for an operator, at whatever door; then it is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamhub.app import say_goodbye
from support.http_kit import OFFER, SDP, Running, a_service, problem
from support.patience import PATIENCE_S

from .test_http_imports import send
from .test_http_registry import CAMERA

FILE = """设备编码,设备名称,所属区域编码,主码流地址
11011200111310000101,新路口一,110112001,rtsp://192.0.2.9/main
11011200111310000102,新路口二,110112002,rtsp://192.0.2.9/2/main
"""
STEP = "/api/v1/channel-filing"


async def step(client: httpx.AsyncClient, name: str, **body: Any) -> httpx.Response:
    return await client.post(STEP, json={"step": name, **body})


async def counts(client: httpx.AsyncClient) -> dict[str, int]:
    items = (await client.get("/api/v1/areas")).json()["items"]
    return {each["id"]: each["channel_count"] for each in items}


async def at_every_door(client: httpx.AsyncClient, channel_id: str) -> dict[str, int]:
    path = f"/api/v1/channels/{channel_id}"
    answers = {
        "show": await client.get(path),
        "whep": await client.post(f"/whep/{channel_id}", content=OFFER, headers=SDP),
        "still": await client.get(f"{path}/snapshot.jpg"),
        "change": await client.patch(path, json={"name": "x"}),
        "remove": await client.delete(path),
        "versions": await client.get(f"{path}/versions"),
        "grant": await client.post(
            "/api/v1/grants",
            json={"subject_id": "su_stranger", "actions": ["live"], "channel_id": channel_id},
        ),
        "review": await step(client, "review", channel_ids=[channel_id]),
    }
    return {door: answer.status_code for door, answer in answers.items()}


async def listed(client: httpx.AsyncClient, **params: str) -> list[str]:
    return [c["id"] for c in (await client.get("/api/v1/channels", params=params)).json()["items"]]


async def test_a_draft_is_nowhere_for_an_operator(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("admin") as admin:
            made = await admin.post("/api/v1/channels", json={**CAMERA, "filing": "draft"})
            draft = made.json()
            assert (draft["filing"], draft["filing_note"]) == ("draft", None)
            assert draft["may"] == ["live", "snapshot", "ptz", "manage"]
            grant = {"subject_id": "su_stranger", "actions": ["list"], "channel_id": draft["id"]}
            await admin.post("/api/v1/grants", json=grant)
        for name in ("yongshun", "lister", "auditor", "stranger"):
            async with running.as_(name) as client:
                doors = await at_every_door(client, draft["id"])
                assert set(doors.values()) == {404}, (name, doors)
                assert draft["id"] not in await listed(client)
                assert await listed(client, q=CAMERA["name"]) == []
                assert await listed(client, filing="draft") == []
                me = await client.get("/api/v1/me")
                grants = await client.get("/api/v1/grants")
                assert CAMERA["name"] not in me.text + grants.text
        async with running.as_("yongshun") as client:
            assert (await counts(client))["ar_yongshun"] == 3
        async with running.as_("stranger") as client:
            assert await counts(client) == {}  # the way to it is not shown either
        async with running.as_("warden") as warden:
            assert (await counts(warden))["ar_yongshun"] == 4
            assert await listed(warden, filing="draft") == [draft["id"]]
            opened = await warden.post(f"/whep/{draft['id']}", content=OFFER, headers=SDP)
            assert opened.status_code == 201


async def test_an_import_is_reviewed_filed_and_seen_by_the_right_township_only(
    tmp_path: Path,
) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("admin") as admin:
            job = await send(admin, FILE)
            assert (job["options"]["filing"], job["counts"]["add"]) == ("draft", 2)
            await admin.post(f"/api/v1/imports/{job['id']}/apply", json={})
            ids = await listed(admin, filing="draft")
            own = await step(admin, "review", import_id=job["id"])
            assert problem(own) == (409, "second_person_wanted")
        async with running.as_("yongshun") as client:
            assert not set(ids) & set(await listed(client))
        # The local operator is another person.
        async with running.local() as local:
            reviewed = await step(local, "review", import_id=job["id"])
            assert reviewed.json() == {"changed": 2, "left_out": 0}
        async with running.as_("yongshun") as client:
            assert not set(ids) & set(await listed(client))  # reviewed is not filed
        async with running.as_("admin") as admin:
            assert (await step(admin, "file", import_id=job["id"])).json()["changed"] == 2
        async with running.as_("yongshun") as client:
            assert [each for each in await listed(client) if each in ids] == [ids[0]]
            assert (await client.get(f"/api/v1/channels/{ids[1]}")).status_code == 404
            whep = f"/whep/{ids[0]}?profile=main"
            assert (await client.post(whep, content=OFFER, headers=SDP)).status_code == 201


async def test_a_view_ends_when_its_channel_is_a_draft_again(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        views = await _two_views(running)
        async with running.as_("admin") as admin:
            answer = await step(admin, "reopen", channel_ids=["ch_y1"], reason="转了方向")
            assert answer.json() == {"changed": 1, "left_out": 0}
            async with asyncio.timeout(PATIENCE_S):  # it ends behind the answer
                while (await admin.get("/api/v1/views")).json()["total"] > 1:
                    await asyncio.sleep(0.01)
        async with running.as_("yongshun") as client:
            assert (await client.delete(views["yongshun"])).status_code == 404
        async with running.as_("warden") as client:
            assert (await client.get("/api/v1/channels/ch_y1")).json()["filing_note"] == "转了方向"
            assert (await client.delete(views["warden"])).status_code == 200
        await say_goodbye(running.app)  # the ends of views are written down by then
        ends = {row["subject_name"]: row["detail"] for row in await running.audit_rows("view_end")}
        assert ends["yongshun"]["cause"] == "channel_not_filed"
        assert ends["warden"]["cause"] == "closed_by_viewer"
        [row] = await running.audit_rows("channel_reopen")
        assert (row["channel_id"], row["detail"]["reason"]) == ("ch_y1", "转了方向")


async def _two_views(running: Running) -> dict[str, str]:
    views = {}
    for name in ("yongshun", "warden"):
        async with running.as_(name) as client:
            opened = await client.post("/whep/ch_y1", content=OFFER, headers=SDP)
            assert opened.status_code == 201
            views[name] = opened.headers["location"]
    return views


async def test_who_manages_an_area_files_there_and_nowhere_else(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("admin") as admin:
            await step(admin, "reopen", channel_ids=["ch_y1", "ch_y2", "ch_l1"])
        async with running.as_("warden") as warden:
            both = await step(warden, "review", channel_ids=["ch_y1", "ch_l1"])
            assert problem(both) == (404, "not_found")
            assert problem(await step(warden, "review", area_id="ar_liyuan"))[0] == 404
            assert problem(await step(warden, "review", area_id="ar_district"))[0] == 403
            assert problem(await step(warden, "review", import_id="im_1"))[0] == 403
            mixed = {"area_id": "ar_yongshun", "channel_ids": ["ch_l1"]}
            assert problem(await step(warden, "review", **mixed))[0] == 404
            answer = await step(warden, "review", area_id="ar_yongshun")
            assert answer.json() == {"changed": 2, "left_out": 1}
        async with running.as_("admin") as admin:
            assert await listed(admin, filing="reviewed") == ["ch_y1", "ch_y2"]
            assert await listed(admin, filing="draft") == ["ch_l1"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"step": "refuse", "channel_ids": ["ch_y1"]}, "reason_missing"),
        ({"step": "review", "channel_ids": ["ch_y1"], "reason": "x"}, "reason_unwanted"),
        ({"step": "review"}, "selection"),
        ({"step": "review", "channel_ids": []}, "selection"),
        ({"step": "review", "channel_ids": ["ch_y1"], "area_id": "ar_yongshun"}, "selection"),
        ({"step": "review", "import_id": "\ud800"}, "invalid_request"),
        ({"step": "publish", "channel_ids": ["ch_y1"]}, "invalid_request"),
        ({"step": "refuse", "channel_ids": ["ch_y1"], "reason": "\x00"}, "text_unprintable"),
    ],
)
async def test_what_is_no_step_is_said(body: dict[str, Any], code: str, tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        headers = {"Content-Type": "application/json"}
        answer = await admin.post(STEP, content=json.dumps(body), headers=headers)
        assert problem(answer) == (422, code)


async def test_the_switch_is_the_districts_and_audited(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        path = "/api/v1/filing-settings"
        async with running.as_("warden") as warden:
            assert (await warden.get(path)).json() == {"second_person": True, "by_hand": "filed"}
            change = await warden.put(path, json={"second_person": False})
            assert problem(change) == (403, "forbidden")
        async with running.as_("admin") as admin:
            answer = await admin.put(path, json={"second_person": False, "by_hand": "draft"})
            assert answer.json() == {"second_person": False, "by_hand": "draft"}
            made = (await admin.post("/api/v1/channels", json=CAMERA)).json()
            assert made["filing"] == "draft"
            for name in ("review", "file"):
                assert (await step(admin, name, channel_ids=[made["id"]])).status_code == 200
        [row] = await running.audit_rows("filing_settings")
        assert row["subject_name"] == "admin"
        assert row["detail"] == {
            "second_person": False,
            "second_person_before": True,
            "by_hand": "draft",
            "by_hand_before": "filed",
        }


async def test_versions_tell_the_way(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        await step(admin, "reopen", channel_ids=["ch_y1"], reason="x")
        [version] = (await admin.get("/api/v1/channels/ch_y1/versions")).json()["items"]
        assert version["act"] == "channel_reopen"
        assert version["changes"] == [
            {"field": "filing", "before": "filed", "after": "draft"},
            {"field": "filing_note", "before": "", "after": "x"},
        ]
