"""Quotas over HTTP and on the command line: who may set and see them, and what full means."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from camera_registry.domain import Actor
from camera_registry.quota_cases import MAX_VIEWS
from camera_registry.quotas import QuotaDraft
from streamhub.cli import build
from streamhub.delivery.admission import Admission
from support.http_kit import OFFER, SDP, Running, a_service, problem

QUOTAS = "/api/v1/quotas"
TOWN = f"{QUOTAS}/areas/ar_yongshun"
VILLAGE = f"{QUOTAS}/areas/ar_village"


@asynccontextmanager
async def a_town(tmp_path: Path) -> AsyncIterator[tuple[Running, httpx.AsyncClient]]:
    """`yongshun`, `lister` and `warden` are 永顺镇's people."""
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        for name in ("yongshun", "lister", "warden"):
            answer = await admin.patch(
                f"/api/v1/subjects/su_{name}", json={"home_area_id": "ar_yongshun"}
            )
            assert answer.status_code == 200, answer.text
            assert answer.json()["home_area_id"] == "ar_yongshun"
        yield running, admin


async def watch(client: httpx.AsyncClient, channel_id: str = "ch_y1") -> httpx.Response:
    return await client.post(f"/whep/{channel_id}", content=OFFER, headers=SDP)


async def test_a_full_quota_is_429_and_says_who_holds_it(tmp_path: Path) -> None:
    async with (
        a_town(tmp_path) as (running, admin),
        running.as_("yongshun") as operator,
        running.as_("warden") as warden,
    ):
        put = await admin.put(TOWN, json={"max_views": 2})
        assert put.status_code == 200, put.text
        assert (put.json()["area_name"], put.json()["views"]) == ("永顺镇", 0)
        opened = [await watch(operator), await watch(warden)]
        assert [each.status_code for each in opened] == [201, 201]
        answer = await watch(operator)
        assert problem(answer) == (429, "quota_exceeded")
        assert answer.headers["retry-after"] == "15"
        assert answer.json()["quota"] == {
            "of": "area",
            "name": "永顺镇",
            "what": "views",
            "limit": 2,
            "used": 2,
            "asked": 1,
            "held_by": [
                {"of": "subject", "name": "yongshun", "used": 1},
                {"of": "subject", "name": "warden", "used": 1},
            ],
        }
        assert "永顺镇 may have 2 views at once" in answer.json()["detail"]
        assert (await watch(admin)).status_code == 201, "the district is not the town"
        [row] = await running.audit_rows("refused")
        assert (row["subject_name"], row["detail"]["code"]) == ("yongshun", "quota_exceeded")

        await operator.delete(opened[0].headers["location"])
        assert (await watch(operator)).status_code == 201


@pytest.mark.parametrize(
    ("narrowed", "channel_id", "others"),
    [
        ({}, "ch_y1", ("subject", "warden")),  # as its subject
        ({"actions": ["live"]}, "ch_y1", ("others", None)),
        ({"actions": ["list", "live"]}, "ch_y1", ("area", "永顺镇")),
        ({"area_ids": ["ar_yongshun"]}, "ch_y1", ("area", "永顺镇")),
        ({"area_ids": ["ar_village"]}, "ch_y2", ("others", None)),
    ],
)
async def test_a_key_is_told_who_holds_it_by_what_it_is_for(
    tmp_path: Path, narrowed: dict[str, Any], channel_id: str, others: tuple[str, str | None]
) -> None:
    async with (
        a_town(tmp_path) as (running, admin),
        running.as_("yongshun") as operator,
        running.as_("warden") as warden,
    ):
        assert (await admin.put(TOWN, json={"max_views": 2})).status_code == 200
        for client in (operator, warden):
            assert (await watch(client)).status_code == 201
        made = await operator.post("/api/v1/keys", json={"name": "wall", **narrowed})
        async with running.client(Authorization=f"Bearer {made.json()['key']}") as program:
            answer = await watch(program, channel_id)
        assert problem(answer) == (429, "quota_exceeded")
        told = {(row["of"], row["name"]) for row in answer.json()["quota"]["held_by"]}
        assert told == {("subject", "yongshun"), others}
        assert ("warden" in answer.json()["detail"]) == (others[1] == "warden")


async def test_a_lowered_quota_ends_views_before_it_answers(tmp_path: Path) -> None:
    async with a_town(tmp_path) as (running, admin), running.as_("yongshun") as operator:
        old, new = [(await watch(operator)).headers["location"] for _ in range(2)]
        assert (await admin.put(TOWN, json={"max_views": 1})).status_code == 200
        assert [(await operator.get(each)).status_code for each in (old, new)] == [204, 404]
        [row] = await running.audit_rows("quota_set")
        assert (row["area_id"], row["detail"]["of"]) == ("ar_yongshun", "永顺镇")
        assert row["detail"]["max_views"] == 1
        assert (await admin.delete(TOWN)).status_code == 204
        assert problem(await admin.delete(TOWN)) == (404, "not_found")
        assert (await watch(operator)).status_code == 201
        assert [row["detail"]["cause"] for row in await running.rows_of("view_end", 1)] == [
            "quota_lowered"
        ]


async def test_a_switch_beyond_the_bit_rate_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with a_town(tmp_path) as (running, admin), running.as_("yongshun") as operator:
        await admin.put(f"{QUOTAS}/subjects/su_yongshun", json={"max_bps": 1_000_000})
        view_id = (await watch(operator)).headers["location"].rpartition("/")[2]
        answer = await operator.put(f"/api/v1/views/{view_id}/profile", json={"profile": "main"})
        assert problem(answer) == (429, "quota_exceeded")
        assert answer.json()["quota"]["what"] == "bit_rate"
        [view] = (await operator.get("/api/v1/views")).json()["items"]
        assert (view["profile"], view["wanted_profile"]) == ("sub", "sub")


async def test_nobody_raises_their_own_and_what_is_kept_is_the_district_s(tmp_path: Path) -> None:
    async with (
        a_town(tmp_path) as (running, admin),
        running.as_("warden") as warden,
        running.as_("stranger") as stranger,
        running.as_("yongshun") as operator,
        running.client() as nobody,
    ):
        body = {"max_views": 5}
        assert problem(await nobody.put(TOWN, json=body)) == (401, "unauthenticated")
        assert problem(await stranger.put(TOWN, json=body)) == (404, "not_found")
        for who in (operator, warden):
            assert problem(await who.put(TOWN, json=body)) == (403, "forbidden")
            own = f"{QUOTAS}/subjects/su_warden"
            assert problem(await who.put(own, json=body)) == (403, "forbidden")
            assert problem(await who.put(f"{QUOTAS}/areas/ar_liyuan", json=body))[0] in (403, 404)
        # What is beneath one's own area is one's own to share out.
        assert (await warden.put(VILLAGE, json=body)).status_code == 200
        kept = {"max_views": 5, "kept_views": 1}
        assert problem(await warden.put(VILLAGE, json=kept)) == (403, "forbidden")
        assert (await admin.put(VILLAGE, json=kept)).status_code == 200
        again = await warden.put(VILLAGE, json={"max_views": 4})
        assert (again.status_code, again.json()["kept_views"]) == (200, 1)
        assert problem(await warden.delete(VILLAGE)) == (403, "forbidden")
        assert problem(await admin.put(f"{QUOTAS}/areas/ar_none", json=body)) == (404, "not_found")
        assert problem(await admin.put(f"{QUOTAS}/subjects/su_none", json=body)) == (
            422,
            "unknown_subject",
        )


async def test_a_home_beneath_what_one_manages_makes_nobody_raise_their_own(
    tmp_path: Path,
) -> None:
    own, other = (f"{QUOTAS}/subjects/su_{name}" for name in ("warden", "lister"))
    async with a_town(tmp_path) as (running, admin), running.as_("warden") as warden:
        for name in ("warden", "lister"):
            path = f"/api/v1/subjects/su_{name}"
            await admin.patch(path, json={"home_area_id": "ar_village"})
        for path in (own, VILLAGE, TOWN):
            assert (await admin.put(path, json={"max_views": 2})).status_code == 200
            assert problem(await warden.put(path, json={"max_views": 500})) == (403, "forbidden")
            assert problem(await warden.delete(path)) == (403, "forbidden")
        assert (await warden.put(other, json={"max_views": 3})).status_code == 200
        rows = (await warden.get(QUOTAS)).json()["items"]
        may = {row["area_name"] or row["subject_name"]: row["may_set"] for row in rows}
        assert may == {"永顺镇": False, "新建村": False, "lister": True, "warden": False}
        assert (await warden.delete(other)).status_code == 204
        assert (await admin.delete(own)).status_code == 204


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "quota_empty"),
        ({"max_views": -1}, "invalid_request"),
        ({"max_views": MAX_VIEWS + 1}, "invalid_request"),
        ({"max_bps": "much"}, "invalid_request"),
        ({"kept_views": 2001}, "kept_too_much"),
    ],
)
async def test_a_quota_that_is_none_is_422(tmp_path: Path, body: dict[str, Any], code: str) -> None:
    async with a_town(tmp_path) as (_, admin):
        assert problem(await admin.put(TOWN, json=body)) == (422, code)
        assert (await admin.get(QUOTAS)).json()["items"] == []


async def test_what_is_kept_may_always_shrink_and_grows_as_far_as_the_service_carries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_town(tmp_path) as (running, admin):
        # Of a time when the service carried more.
        before = QuotaDraft("ar_yongshun", None, kept_views=3000)
        await running.services.people.put_quota(before, Actor(None, "admin"))
        for body in ({"kept_views": 2900}, {"kept_views": 2900, "kept_bps": 1_000_000}):
            assert (await admin.put(TOWN, json=body)).status_code == 200, body
        assert problem(await admin.put(TOWN, json={"kept_views": 2901})) == (422, "kept_too_much")
        assert problem(await admin.put(VILLAGE, json={"kept_views": 1})) == (422, "kept_too_much")
        assert (await admin.put(TOWN, json={"kept_views": 1500})).status_code == 200
        # The views may not have followed yet.
        monkeypatch.setattr(Admission, "facts_changed", lambda _: [])
        assert (await admin.put(VILLAGE, json={"kept_views": 400})).status_code == 200
        liyuan = f"{QUOTAS}/areas/ar_liyuan"
        assert problem(await admin.put(liyuan, json={"kept_views": 101})) == (422, "kept_too_much")
        assert (await admin.put(liyuan, json={"kept_views": 100})).status_code == 200


async def test_one_sees_what_one_is_under_and_what_one_manages(tmp_path: Path) -> None:
    async with a_town(tmp_path) as (running, admin):
        for holder in ("areas/ar_yongshun", "areas/ar_liyuan", "areas/ar_village"):
            await admin.put(f"{QUOTAS}/{holder}", json={"max_views": 3})
        await admin.put(f"{QUOTAS}/subjects/su_stranger", json={"max_views": 1})
        await admin.put(f"{QUOTAS}/subjects/su_yongshun", json={"max_views": 1})
        await admin.put(f"{QUOTAS}/areas/ar_district", json={"max_views": 9, "kept_views": 4})
        seen: dict[str, Any] = {}
        for name in ("admin", "warden", "yongshun", "stranger", "auditor"):
            async with running.as_(name) as client:
                answer = (await client.get(QUOTAS)).json()
                seen[name] = [
                    (row["area_name"] or row["subject_name"], row["may_set"])
                    for row in answer["items"]
                ]
                assert (answer["capacity"] is not None) == (name == "admin")
        assert seen["admin"] == [
            ("通州区", True),
            ("永顺镇", True),
            ("梨园镇", True),
            ("新建村", True),
            ("stranger", True),
            ("yongshun", True),
        ]
        assert seen["warden"] == [
            ("通州区", False),
            ("永顺镇", False),
            ("新建村", True),
            ("yongshun", False),
        ]
        assert seen["yongshun"] == [("通州区", False), ("永顺镇", False), ("yongshun", False)]
        assert seen["stranger"] == [("stranger", False)]
        assert seen["auditor"] == []
        capacity = (await admin.get(QUOTAS)).json()["capacity"]
        assert (capacity["max_views"], capacity["kept_views"]) == (2000, 4)


async def test_nothing_is_told_before_what_is_due(tmp_path: Path) -> None:
    async with a_town(tmp_path) as (running, admin), running.client() as page:
        await admin.put(TOWN, json={"max_views": 3})
        given = {"username": "yongshun", "password": "set-by-somebody"}
        await admin.patch("/api/v1/subjects/su_yongshun", json={"password": given["password"]})
        assert (await page.post("/api/v1/sign-in", json=given)).status_code == 200
        assert problem(await page.get(QUOTAS)) == (403, "password_change_due")


async def test_a_home_is_given_with_the_subject_and_signs_nobody_out(tmp_path: Path) -> None:
    async with a_town(tmp_path) as (running, admin), running.as_("yongshun") as operator:
        body = {"username": "ada", "display_name": "Ada", "home_area_id": "ar_liyuan"}
        made = await admin.post("/api/v1/subjects", json=body)
        assert (made.status_code, made.json()["home_area_id"]) == (201, "ar_liyuan")
        bad = body | {"username": "eve", "home_area_id": "ar_none"}
        assert problem(await admin.post("/api/v1/subjects", json=bad)) == (422, "unknown_area")
        location = (await watch(operator)).headers["location"]
        path = "/api/v1/subjects/su_yongshun"
        moved = await admin.patch(path, json={"home_area_id": None})
        assert moved.json()["home_area_id"] is None
        assert (await operator.get(location)).status_code == 204, "the view goes on"
        assert running.services.facts.current.homes["su_warden"] == "ar_yongshun"


def test_on_the_command_line(tmp_path: Path) -> None:
    env = {"STREAMHUB_DATA_DIR": str(tmp_path / "data"), "COLUMNS": "200"}

    def ok(*arguments: str, given: str | None = None) -> str:
        done = CliRunner().invoke(build(), arguments, input=given, env=env)
        assert done.exit_code == 0, (arguments, done.output, done.exception)
        return done.stdout

    ok("area", "add", "110112", "通州区", "--kind", "district")
    ok("area", "add", "110112001", "永顺镇", "--kind", "street", "--parent", "110112")
    ok("subject", "add", "zhang", "--no-password", "--home", "永顺镇")
    ok("subject", "add", "li", "--no-password")
    assert ok("subject", "home", "li", "永顺镇") == "li is of 永顺镇\n"
    ok("quota", "set", "永顺镇", "--views", "20", "--mbps", "40.5")
    ok("quota", "set", "subject:zhang", "--keep-views", "3", "--keep-mbps", "12")
    rows = json.loads(ok("quota", "list", "--json"))
    assert [(row["area_name"], row["subject_name"], row["max_bps"]) for row in rows] == [
        ("永顺镇", None, 40_500_000),
        (None, "zhang", None),
    ]
    table = ok("quota", "list")
    assert "40.5" in table
    assert "subject:zhang" in table
    ok("quota", "remove", "subject:zhang")
    assert ok("subject", "home", "li") == "li is of no area\n"
    assert "zhang" not in ok("quota", "list")
