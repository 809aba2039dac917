"""Roles, denials, rules and hours over HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from support.http_kit import Running, a_service, problem
from support.rights_kit import ALWAYS, GRANTS, NEVER, a_role, made, people, refused, watch


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
            account = (await admin.get("/api/v1/subjects/su_stranger")).json()
            assert [(each["id"], each["name"]) for each in account["roles"]] == [(role_id, "duty")]
            assert (await admin.delete(f"{members}/su_stranger")).status_code == 204
            assert (await admin.get("/api/v1/subjects/su_stranger")).json()["roles"] == []
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
        assert await refused(warden, **to) == (403, "pass_on_denied")
        await made(warden, **to, actions=["list"])


async def test_one_who_is_asked_for_a_purpose_passes_on_the_question(tmp_path: Path) -> None:
    async with people(tmp_path, "warden") as (running, admin, warden):
        asks = {"actions": ["snapshot"], "area_id": "ar_yongshun"}
        await made(admin, subject_id="su_warden", **asks, purpose_required=True)
        to = {"subject_id": "su_stranger", **asks}
        assert await refused(warden, **to) == (403, "pass_on_purpose")
        [row] = await running.rows_of("refused", 1)
        assert (row["subject_name"], row["area_id"]) == ("warden", "ar_yongshun")
        assert row["detail"]["code"] == "pass_on_purpose"
        await made(warden, **to, purpose_required=True)


async def test_one_grants_by_a_user_name_what_one_may_grant(tmp_path: Path) -> None:
    """Whoever manages a part sees no list of accounts."""
    async with people(tmp_path, "warden") as (running, _admin, warden):
        assert problem(await warden.get("/api/v1/subjects"))[0] == 403
        here = {"actions": ["live"], "area_id": "ar_yongshun"}
        grant = await made(warden, **here, username=" Stranger ")
        assert (grant["subject_id"], grant["subject_name"]) == ("su_stranger", "stranger")
        for more in ({"subject_id": "su_stranger"}, {"role_id": "ro_none"}):
            body = {**here, "username": "stranger", **more}
            assert await refused(warden, **body) == (422, "grant_holder")
        # An id is no name.
        for name in ("nobody", "su_stranger", ""):
            assert await refused(warden, **here, username=name) == (422, "unknown_subject"), name
        # Of what one may not grant, and of what is wrong otherwise, a name is not told at all.
        past = {**here, "valid_until": "2001-01-01T00:00:00Z"}
        elsewhere = {**here, "area_id": "ar_liyuan"}
        steering = {**here, "actions": ["ptz"]}
        for body, answer in (
            (past, (422, "window_empty")),
            (elsewhere, (404, "not_found")),
            (steering, (403, "forbidden")),
        ):
            for name in ("stranger", "nobody"):
                assert await refused(warden, **body, username=name) == answer, (body, name)
        batch = {"changes": [{"create": {**here, "username": "lister"}}]}
        done = await warden.post(f"{GRANTS}/batch", json=batch)
        assert [each["subject_id"] for each in done.json()["items"]] == ["su_lister"]
        noted = await running.audit_rows("refused")
        assert {row["detail"]["action"] for row in noted} == {"manage", "ptz"}


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
