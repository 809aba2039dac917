"""Why somebody may or may not, and who may, over HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx

from support.http_kit import a_service
from support.rights_kit import ALWAYS, a_role, made

SHANGHAI = timezone(timedelta(hours=8))


async def explained(client: httpx.AsyncClient, channel_id: str, **asked: str) -> dict[str, Any]:
    answer = await client.get(f"/api/v1/channels/{channel_id}/explain", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_why_and_why_not(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        role_id = await a_role(running, "night", "lister")
        async with running.as_("admin") as admin, running.as_("lister") as lister:
            night = {**ALWAYS, "start": "22:00", "end": "06:00"}
            shift = await made(
                admin, role_id=role_id, actions=["live"], area_id="ar_yongshun", windows=[night]
            )
            began = datetime.fromisoformat(shift["valid_from"]).astimezone(SHANGHAI)
            before, first, second = (f"{began + timedelta(days=n):%Y-%m-%d}" for n in (-1, 1, 2))
            asked = {"subject": "lister", "action": "live"}
            day = await explained(admin, "ch_y1", **asked, at=f"{before}T12:00:00+08:00")
            assert (day["allowed"], day["reason"]) == (False, "no_grant")
            [line] = day["grants"]
            assert (line["grant_id"], line["says"], line["role_name"]) == (
                shift["id"],
                "not_yet",
                "night",
            )
            assert line["grant"]["windows"] == [night]
            assert (line["grant"]["area_name"], line["grant"]["role_id"]) == ("永顺镇", role_id)
            later = {**asked, "at": f"{first}T12:00:00+08:00"}
            noon = await explained(admin, "ch_y1", **later)
            assert noon["grants"][0]["says"] == "out_of_hours"
            assert noon["opens_at"] == f"{first}T22:00:00+08:00"
            assert f"{first} 22:00" in noon["sentence"]["zh"]
            assert "may not watch live" in noon["sentence"]["en"]
            later["at"] = f"{first}T23:00:00+08:00"
            dark = await explained(admin, "ch_y1", **later)
            assert (dark["allowed"], dark["until"]) == (True, f"{second}T06:00:00+08:00")
            assert shift["id"] in dark["sentence"]["zh"]
            deny = await made(
                admin, subject_id="su_lister", effect="deny", actions=["live"], channel_id="ch_y1"
            )
            denied = await explained(admin, "ch_y1", **later)
            assert (denied["allowed"], denied["reason"]) == (False, "denied")
            assert [each["says"] for each in denied["grants"]] == ["denies", "allows"]
            assert deny["id"] in denied["sentence"]["en"]

            own = await explained(lister, "ch_y1", action="list")
            assert (own["allowed"], own["username"]) == (True, "lister")
        rows = await running.audit_rows("rights_explain")
        assert len(rows) == 5
        assert rows[0]["subject_name"] == "lister"


async def test_who_may_ask(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        for name, channel_id, path, expected in (
            ("lister", "ch_y1", "explain?action=live", 200),
            ("lister", "ch_y1", "explain?action=live&subject=lister", 200),
            ("lister", "ch_l1", "explain?action=live", 404),
            ("lister", "ch_y1", "explain?action=live&subject=admin", 403),
            ("stranger", "ch_y1", "explain?action=live&subject=admin", 404),
            ("auditor", "ch_y1", "explain?action=live&subject=admin", 200),
            ("warden", "ch_y1", "explain?action=live&subject=lister", 200),
            ("warden", "ch_l1", "explain?action=live&subject=lister", 404),
            ("warden", "ch_y1", "explain?action=live&subject=nobody", 422),
            ("warden", "ch_y1", "explain?action=fly", 422),
            ("lister", "ch_y1", "who-can", 403),
            ("stranger", "ch_y1", "who-can", 404),
            ("auditor", "ch_y1", "who-can", 200),
            ("warden", "ch_l1", "who-can", 404),
        ):
            async with running.as_(name) as client:
                answer = await client.get(f"/api/v1/channels/{channel_id}/{path}")
                assert answer.status_code == expected, (name, channel_id, path, answer.text)
        async with running.local() as client:
            answer = await client.get("/api/v1/channels/ch_y1/explain?action=live&subject=lister")
            assert answer.json()["allowed"] is False


async def test_grants_on_other_cameras_are_told_of_to_who_manages_all(tmp_path: Path) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("warden") as warden,
    ):
        grant = {"subject_id": "su_lister", "actions": ["live"]}
        far = await made(admin, **grant, area_id="ar_liyuan")
        asked = {"subject": "lister", "action": "live"}
        [near] = (await explained(admin, "ch_y1", **asked))["grants"]
        assert (near["says"], near["grant"]["area_id"]) == ("elsewhere", far["area_id"])
        [hidden] = (await explained(warden, "ch_y1", **asked))["grants"]
        assert (hidden["says"], hidden["grant"]) == ("elsewhere", None)


async def test_who_can(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        role_id = await a_role(running, "night", "stranger")
        async with running.as_("admin") as admin:
            grant = await made(
                admin,
                role_id=role_id,
                actions=["live"],
                channel_id="ch_y1",
                valid_until="2035-01-01T00:00:00+08:00",
                purpose_required=True,
            )
            path = "/api/v1/channels/ch_y1/who-can"
            said = (await admin.get(path)).json()
            assert [each["username"] for each in said["items"]] == [
                "admin",
                "auditor",
                "lister",
                "stranger",
                "warden",
                "yongshun",
            ]
            able = {each["username"]: each["actions"] for each in said["items"]}
            assert able["stranger"] == [
                {
                    "action": "live",
                    "purpose_required": True,
                    "until": "2034-12-31T16:00:00Z",
                    "until_is_least": False,
                    "grant_ids": [grant["id"]],
                }
            ]
            assert [each["action"] for each in able["auditor"]] == ["audit"]
            first = (await admin.get(path, params={"limit": 4})).json()
            assert (len(first["items"]), first["total"]) == (4, 6)
            rest = (
                await admin.get(path, params={"limit": 4, "cursor": first["next_cursor"]})
            ).json()
            assert [each["username"] for each in rest["items"]] == ["warden", "yongshun"]
        assert len(await running.audit_rows("rights_who_can")) == 3
