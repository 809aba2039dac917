"""Roles, denials, rules, hours and purposes over HTTP; why somebody may, and who may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from support.http_kit import OFFER, SDP, Running, a_service, problem
from support.patience import PATIENCE_S

NEVER = {"days": ["mon"], "start": "00:00", "end": "00:01"}
ALWAYS = {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "start": "00:00"}
GRANTS = "/api/v1/grants"


async def made(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post(GRANTS, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refused(client: httpx.AsyncClient, **body: Any) -> tuple[int, str]:
    return problem(await client.post(GRANTS, json={"actions": ["live"], **body}))


async def watch(client: httpx.AsyncClient, channel_id: str, **headers: str) -> httpx.Response:
    return await client.post(f"/whep/{channel_id}", content=OFFER, headers=SDP | headers)


@asynccontextmanager
async def people(
    tmp_path: Path, name: str
) -> AsyncIterator[tuple[Running, httpx.AsyncClient, httpx.AsyncClient]]:
    """A service, with whoever manages it and one other."""
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_(name) as other,
    ):
        yield running, admin, other


async def a_role(running: Running, name: str, *members: str) -> str:
    async with running.as_("admin") as admin:
        body = {"name": name, "display_name": name.title()}
        answer = await admin.post("/api/v1/roles", json=body)
        assert answer.status_code == 201, answer.text
        role_id = str(answer.json()["id"])
        for member in members:
            put = await admin.put(f"/api/v1/roles/{role_id}/members/su_{member}")
            assert put.status_code == 204, put.text
    return role_id


async def test_a_role_is_made_granted_left_and_deleted(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        role_id = await a_role(running, "duty", "stranger")
        async with running.as_("admin") as admin, running.as_("stranger") as stranger:
            body = {"name": "duty", "display_name": "Again"}
            assert problem(await admin.post("/api/v1/roles", json=body)) == (409, "role_taken")
            grant = await made(
                admin, role_id=role_id, actions=["list", "live"], area_id="ar_liyuan"
            )
            assert (grant["role_name"], grant["subject_id"]) == ("duty", None)
            listed = (await stranger.get("/api/v1/channels")).json()["items"]
            assert [(each["id"], each["may"]) for each in listed] == [
                ("ch_l1", ["live"]),
                ("ch_l2", ["live"]),
            ]
            me = (await stranger.get("/api/v1/me")).json()
            assert [each["role_name"] for each in me["grants"]] == ["duty"]
            own = (await stranger.get(GRANTS)).json()["items"]
            assert [each["id"] for each in own] == [grant["id"]]
            of_role = (await admin.get(GRANTS, params={"role_id": role_id})).json()
            assert of_role["total"] == 1
            assert problem(await stranger.get(GRANTS, params={"role_id": role_id}))[0] == 403

            assert (await watch(stranger, "ch_l1")).status_code == 201
            members = f"/api/v1/roles/{role_id}/members"
            assert (await admin.get(members)).json()["items"][0]["username"] == "stranger"
            assert (await admin.delete(f"{members}/su_stranger")).status_code == 204
            assert problem(await admin.delete(f"{members}/su_stranger")) == (404, "not_found")
            assert running.core.viewers == {}
            assert (await stranger.get("/api/v1/channels")).json()["items"] == []
            assert (await admin.put(f"{members}/su_nobody")).status_code == 422

            renamed = {"name": "night", "display_name": "夜班"}
            put = await admin.put(f"/api/v1/roles/{role_id}", json=renamed)
            assert (put.json()["name"], put.json()["members"]) == ("night", 0)
            assert (await admin.delete(f"/api/v1/roles/{role_id}")).status_code == 204
            assert problem(await admin.get(f"{GRANTS}/{grant['id']}")) == (404, "not_found")
            assert (await admin.get("/api/v1/roles")).json()["items"] == []
        for act, count in (
            ("role_create", 1),
            ("role_member_add", 1),
            ("role_member_remove", 1),
            ("role_update", 1),
            ("role_delete", 1),
        ):
            assert len(await running.audit_rows(act)) == count, act


async def test_a_denial_hides_what_it_is_about_and_ends_its_views(tmp_path: Path) -> None:
    async with people(tmp_path, "yongshun") as (running, admin, operator):
        assert (await watch(operator, "ch_y1")).status_code == 201
        deny = await made(
            admin,
            subject_id="su_yongshun",
            effect="deny",
            actions=["list", "live", "snapshot"],
            channel_id="ch_y1",
        )
        assert running.core.viewers == {}
        assert problem(await watch(operator, "ch_y1")) == (404, "not_found")
        page = (await operator.get("/api/v1/channels")).json()
        assert [each["id"] for each in page["items"]] == ["ch_y2", "ch_off"]
        assert page["total"] == 2
        areas = (await operator.get("/api/v1/areas")).json()["items"]
        assert {each["id"]: each["channel_count"] for each in areas}["ar_yongshun"] == 2
        assert (await admin.delete(f"{GRANTS}/{deny['id']}")).status_code == 204
        assert (await operator.get("/api/v1/channels/ch_y1")).status_code == 200

        only_live = await made(
            admin,
            subject_id="su_yongshun",
            effect="deny",
            actions=["live"],
            conditions=[{"field": "device_class", "op": "eq", "values": ["police_hd"]}],
        )
        assert problem(await watch(operator, "ch_y1")) == (403, "forbidden")
        shown = (await operator.get("/api/v1/channels/ch_y1")).json()
        assert shown["may"] == ["snapshot"]
        assert only_live["conditions"] == [
            {"field": "device_class", "op": "eq", "values": ["police_hd"]}
        ]


async def test_a_rule_follows_what_is_known_of_a_camera(tmp_path: Path) -> None:
    async with people(tmp_path, "stranger") as (running, admin, stranger):
        await made(
            admin,
            subject_id="su_stranger",
            actions=["list", "live"],
            conditions=[{"field": "owner", "op": "prefix", "values": ["人防"]}],
        )
        assert (await stranger.get("/api/v1/channels")).json()["items"] == []
        patch = {"facts": {"owner": "人防办"}}
        await admin.patch("/api/v1/channels/ch_l2", json=patch)
        listed = (await stranger.get("/api/v1/channels", params={"q": "路口"})).json()
        assert [each["id"] for each in listed["items"]] == ["ch_l2"]
        assert (await watch(stranger, "ch_l2")).status_code == 201
        areas = (await stranger.get("/api/v1/areas")).json()["items"]
        assert [each["id"] for each in areas] == ["ar_district", "ar_liyuan"]
        await admin.patch("/api/v1/channels/ch_l2", json={"facts": {"owner": "公安局"}})
        assert running.core.viewers == {}
        assert problem(await watch(stranger, "ch_l2")) == (404, "not_found")


async def test_hours_open_and_close(tmp_path: Path) -> None:
    """A window that is never open now, and one that always is."""
    async with people(tmp_path, "stranger") as (running, admin, stranger):
        base = {"subject_id": "su_stranger", "actions": ["list", "live"]}
        closed = [{**NEVER, "days": [_days_from_now(running, 3)]}]
        await made(admin, **base, area_id="ar_liyuan", windows=closed)
        assert (await stranger.get("/api/v1/channels")).json()["items"] == []
        always = [{**ALWAYS, "end": "24:00"}]
        grant = await made(admin, **base, channel_id="ch_l1", windows=always)
        assert grant["windows"] == always
        listed = (await stranger.get("/api/v1/channels")).json()["items"]
        assert [each["id"] for each in listed] == ["ch_l1"]


async def test_a_shift_begins_and_ends_without_anybody_doing_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Monday's night shift, seen at its four moments."""
    async with people(tmp_path, "stranger") as (running, admin, stranger):
        monday = datetime(2030, 6, 3, 22, tzinfo=timezone(timedelta(hours=8)))
        night = {"days": ["mon"], "start": "22:00", "end": "06:00"}
        actions = ["list", "live"]
        who = {"subject_id": "su_stranger", "actions": actions, "channel_id": "ch_l1"}
        await made(admin, **who, windows=[night])
        tick = timedelta(microseconds=1)
        for moment, seen in (
            (monday - tick, []),
            (monday, ["ch_l1"]),
            (monday + timedelta(hours=8) - tick, ["ch_l1"]),
            (monday + timedelta(hours=8), []),
        ):
            monkeypatch.setattr(running.services.guard, "_now", lambda moment=moment: moment)
            listed = (await stranger.get("/api/v1/channels")).json()["items"]
            assert [each["id"] for each in listed] == seen, moment
            assert (await watch(stranger, "ch_l1")).status_code == (201 if seen else 404)


def _days_from_now(running: Running, days: int) -> str:
    names = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    return names[(running.services.now().weekday() + days) % 7]


async def test_what_a_grant_may_not_say(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        who = {"subject_id": "su_stranger"}
        place = {"area_id": "ar_liyuan"}
        rule = {"field": "owner", "op": "eq", "values": ["x"]}
        window = {"days": ["mon"], "start": "22:00", "end": "06:00"}
        role_id = await a_role(running, "duty")
        for body, code in (
            ({**who}, "grant_target"),
            ({**who, **place, "channel_id": "ch_l1"}, "grant_target"),
            ({**who, "channel_id": "ch_l1", "conditions": [rule]}, "grant_target"),
            ({**place}, "grant_holder"),
            ({**who, **place, "role_id": role_id}, "grant_holder"),
            ({**place, "role_id": "ro_none"}, "unknown_role"),
            ({**who, "conditions": [{**rule, "field": "colour"}]}, "unknown_field"),
            ({**who, "conditions": [{**rule, "values": [" "]}]}, "text_empty"),
            (
                {**who, "conditions": [{"field": "device_class", "op": "eq", "values": ["x"]}]},
                "unknown_value",
            ),
            (
                {**who, "conditions": [{"field": "device_class", "op": "prefix", "values": ["a"]}]},
                "condition_operator",
            ),
            ({**who, "conditions": [{**rule, "op": "like"}]}, "invalid_request"),
            ({**who, "conditions": [rule] * 9}, "invalid_request"),
            ({**who, **place, "windows": [{**window, "end": "22:00"}]}, "window_malformed"),
            ({**who, **place, "windows": [{**window, "end": "25:00"}]}, "window_malformed"),
            ({**who, **place, "windows": [{**window, "start": "24:00"}]}, "window_malformed"),
            ({**who, **place, "windows": [{**window, "days": ["sol"]}]}, "invalid_request"),
            ({**who, **place, "effect": "deny", "purpose_required": True}, "purpose_unwanted"),
        ):
            assert await refused(admin, **body) == (422, code), body


async def test_one_passes_on_only_what_is_one_s_own_altogether(tmp_path: Path) -> None:
    async with people(tmp_path, "warden") as (_running, admin, warden):
        to = {"subject_id": "su_stranger", "area_id": "ar_yongshun"}
        deny = {"effect": "deny", "subject_id": "su_admin", "area_id": "ar_yongshun"}
        assert await refused(warden, **deny) == (403, "forbidden")
        assert await refused(warden, **to, actions=["snapshot"]) == (403, "forbidden")
        rule = [{"field": "owner", "op": "eq", "values": ["x"]}]
        assert await refused(warden, subject_id="su_stranger", conditions=rule) == (
            403,
            "forbidden",
        )
        await made(warden, **to, actions=["live"], conditions=rule)
        await made(
            admin,
            subject_id="su_warden",
            effect="deny",
            actions=["live"],
            channel_id="ch_y2",
        )
        assert await refused(warden, **to) == (403, "forbidden")
        await made(warden, **to, actions=["list"])


async def test_a_purpose_is_asked_for_named_and_written_down(tmp_path: Path) -> None:
    async with people(tmp_path, "stranger") as (running, admin, stranger):
        await made(
            admin,
            subject_id="su_stranger",
            actions=["list", "live", "snapshot"],
            area_id="ar_liyuan",
            purpose_required=True,
        )
        [shown, _] = (await stranger.get("/api/v1/channels")).json()["items"]
        assert shown["may"] == shown["purpose_for"] == ["live", "snapshot"]
        answer = await watch(stranger, "ch_l1")
        assert problem(answer) == (403, "purpose_required")
        codes = [each["code"] for each in answer.json()["purposes"]]
        listed = (await stranger.get("/api/v1/purposes")).json()["items"]
        assert (
            codes
            == [each["code"] for each in listed]
            == [
                "duty",
                "incident",
                "inquiry",
                "maintenance",
            ]
        )
        still = "/api/v1/channels/ch_l1/snapshot.jpg"
        assert problem(await stranger.get(still)) == (403, "purpose_required")
        nosy = await watch(stranger, "ch_l1", **{"Streamhub-Purpose": "nosy"})
        assert problem(nosy) == (403, "purpose_required")
        opened = await watch(stranger, "ch_l1", **{"Streamhub-Purpose": "incident"})
        assert opened.status_code == 201
        by_query = await stranger.post("/whep/ch_l2?purpose=inquiry", content=OFFER, headers=SDP)
        assert by_query.status_code == 201
        rows = await running.audit_rows("view_start")
        assert [row["detail"]["purpose"] for row in rows] == ["inquiry", "incident"]

        words = {"zh": "专项", "en": "Campaign", "needs_note": False}
        assert (await admin.put("/api/v1/purposes/campaign", json=words)).json() == {
            "code": "campaign",
            **words,
        }
        assert (await admin.delete("/api/v1/purposes/incident")).status_code == 204
        assert problem(await admin.delete("/api/v1/purposes/incident"))[0] == 404
        assert [each.channel_id for each in running.services.doors().views.list()] == ["ch_l2"]


async def test_a_purpose_comes_with_words_of_one_s_own(tmp_path: Path) -> None:
    async with people(tmp_path, "stranger") as (running, admin, stranger):
        await made(
            admin,
            subject_id="su_stranger",
            actions=["list", "live", "snapshot", "ptz"],
            area_id="ar_liyuan",
            purpose_required=True,
        )
        other = {"zh": "其他", "en": "Other", "needs_note": True}
        answer = await admin.put("/api/v1/purposes/other", json=other)
        assert answer.json() == {"code": "other", **other}
        wanting = await watch(stranger, "ch_l1", **{"Streamhub-Purpose": "other"})
        assert problem(wanting) == (403, "purpose_note_required")
        assert {**other, "code": "other"} in wanting.json()["purposes"]
        note = "案件 2026-17, 走失老人"
        for at, spelt in (("other", quote(note)), ("duty", note.encode())):
            headers: dict[str, Any] = {
                **SDP,
                "Streamhub-Purpose": at,
                "Streamhub-Purpose-Note": spelt,
            }
            answer = await stranger.post("/whep/ch_l1", content=OFFER, headers=headers)
            assert answer.status_code == 201, answer.text
        by_query = {"purpose": "other", "purpose_note": f"  {note} "}
        answer = await stranger.post("/whep/ch_l2", params=by_query, content=OFFER, headers=SDP)
        assert answer.status_code == 201
        rows = await running.audit_rows("view_start")
        assert [row["detail"]["purpose"] for row in rows] == ["other", "duty", "other"]
        assert {row["detail"]["purpose_note"] for row in rows} == {note}
        steered = await stranger.post(
            "/api/v1/channels/ch_l1/ptz?purpose=nosy", json={"act": "stop"}
        )
        assert problem(steered) == (403, "purpose_required")
        for odd, code in (
            ({"purpose": "duty", "purpose_note": "x" * 161}, "invalid_request"),
            ({"purpose": "duty", "purpose_note": "two\nlines"}, "text_unprintable"),
            ({"purpose_note": "for what?"}, "purpose_missing"),
        ):
            answer = await stranger.post("/whep/ch_l1", params=odd, content=OFFER, headers=SDP)
            assert problem(answer) == (422, code)

        # The search finds it by either, ended or not.
        [going_on] = (await stranger.get("/api/v1/views")).json()["items"][:1]
        await stranger.delete(f"/api/v1/views/{going_on['id']}")
        async with asyncio.timeout(PATIENCE_S):
            while not await running.audit_rows("view_end"):
                await asyncio.sleep(0.02)
        for part, ended in (("走失", 1), ("OTHER", 1), ("duty", 0), ("17", 1)):
            found = (await admin.get("/api/v1/audit/views", params={"purpose": part})).json()
            assert len(found["items"]) == ended
            assert len(found["open"]) == {"走失": 2, "OTHER": 1, "duty": 1, "17": 2}[part]
        [look] = (await admin.get("/api/v1/audit/views?purpose=17")).json()["items"]
        assert (look["purpose"], look["purpose_note"]) == ("other", note)


async def test_a_sensitive_camera_asks_everybody(tmp_path: Path) -> None:
    async with people(tmp_path, "warden") as (_running, admin, warden):
        body = {"sensitive": True}
        assert problem(await warden.patch("/api/v1/channels/ch_y1", json=body))[0] == 403
        answer = await admin.patch("/api/v1/channels/ch_y1", json=body)
        assert answer.json()["sensitive"] is True
        assert problem(await watch(warden, "ch_y1")) == (403, "purpose_required")
        named = {"Streamhub-Purpose": "duty"}
        assert (await watch(warden, "ch_y1", **named)).status_code == 201
        await admin.patch("/api/v1/channels/ch_y1", json={"name": "路口"})
        assert (await admin.get("/api/v1/channels/ch_y1")).json()["sensitive"] is True


async def test_exporting_is_a_right_of_its_own(tmp_path: Path) -> None:
    async with people(tmp_path, "warden") as (_running, admin, warden):
        path = "/api/v1/channel-export?kind=csv"
        assert len((await warden.get(path)).text.splitlines()) == 4
        await made(
            admin,
            subject_id="su_warden",
            effect="deny",
            actions=["export"],
            channel_id="ch_y1",
        )
        assert len((await warden.get(path)).text.splitlines()) == 3
        await made(
            admin,
            subject_id="su_warden",
            effect="deny",
            actions=["export"],
            area_id="ar_yongshun",
        )
        assert problem(await warden.get(path)) == (403, "forbidden")


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
            asked = {"subject": "lister", "action": "live"}
            day = await explained(admin, "ch_y1", **asked, at="2026-06-01T12:00:00+08:00")
            assert (day["allowed"], day["reason"]) == (False, "no_grant")
            [line] = day["grants"]
            assert (line["grant_id"], line["says"], line["role_name"]) == (
                shift["id"],
                "not_yet",
                "night",
            )
            later = {**asked, "at": "2027-06-01T12:00:00+08:00"}
            noon = await explained(admin, "ch_y1", **later)
            assert noon["grants"][0]["says"] == "out_of_hours"
            assert noon["opens_at"] == "2027-06-01T22:00:00+08:00"
            assert "2027-06-01 22:00" in noon["sentence"]["zh"]
            assert "may not live" in noon["sentence"]["en"]
            later["at"] = "2027-06-01T23:00:00+08:00"
            dark = await explained(admin, "ch_y1", **later)
            assert (dark["allowed"], dark["until"]) == (True, "2027-06-02T06:00:00+08:00")
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
