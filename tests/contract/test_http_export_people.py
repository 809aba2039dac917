"""Exports of the log by two people over HTTP: who may ask, who decides, who is no second person."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from support.export_kit import EXPORTS, WHY, YONGSHUN, asked, rows_of, two_auditors
from support.http_kit import problem


async def make_platform(admin: httpx.AsyncClient) -> str:
    """The id of a service account of that name, made by `admin`, who may audit Yongshun."""
    body = {
        "username": "platform",
        "display_name": "平台",
        "kind": "service",
        "password": "platform-pass",
        "must_change_password": False,
    }
    made = str((await admin.post("/api/v1/subjects", json=body)).json()["id"])
    grant = {"subject_id": made, "actions": ["audit"], "area_id": "ar_yongshun"}
    assert (await admin.post("/api/v1/grants", json=grant)).status_code == 201
    return made


async def test_who_decides_may_read_all_that_it_is_about(tmp_path: Path) -> None:
    async with two_auditors(tmp_path) as (running, admin, auditor):
        everything = await asked(admin)
        elsewhere = await asked(admin, area_id="ar_liyuan")
        camera = await asked(admin, channel_id="ch_y1")
        for request in (everything, elsewhere):
            for step in ("", "/file"):
                answer = await auditor.get(f"{EXPORTS}/{request['id']}{step}")
                assert problem(answer) == (404, "not_found")
            answer = await auditor.post(f"{EXPORTS}/{request['id']}/approve")
            assert problem(answer) == (404, "not_found")
        assert [each["id"] for each in (await auditor.get(EXPORTS)).json()["items"]] == [
            camera["id"]
        ]
        # Some of it is denied to them.
        deny = {"subject_id": "su_auditor", "actions": ["audit"], "channel_id": "ch_y2"}
        assert (
            await admin.post("/api/v1/grants", json=deny | {"effect": "deny"})
        ).status_code == 201
        town = await asked(admin, **YONGSHUN)
        answer = await auditor.post(f"{EXPORTS}/{town['id']}/approve")
        assert problem(answer) == (403, "pass_on_denied")
        # What an auditor of an area asks for, one of the district decides on.
        own = await asked(auditor)
        no = {"reason": "没有立案"}
        refused = (await admin.post(f"{EXPORTS}/{own['id']}/refuse", json=no)).json()
        assert (refused["state"], refused["reason"]) == ("refused", no["reason"])
        assert problem(await admin.post(f"{EXPORTS}/{own['id']}/approve")) == (
            409,
            "export_decided",
        )
        assert problem(await auditor.get(f"{EXPORTS}/{own['id']}/file")) == (
            409,
            "export_not_approved",
        )
        for who, status in (("lister", 403), ("stranger", 404)):
            async with running.as_(who) as client:
                assert (await client.get(EXPORTS)).status_code == status
                assert (await client.post(EXPORTS, json=WHY)).status_code == status


async def test_programs_ask_and_people_decide(tmp_path: Path) -> None:
    async with two_auditors(tmp_path) as (running, admin, auditor):
        wanted = {"name": "monthly", "actions": ["audit"]}
        key = (await auditor.post("/api/v1/keys", json=wanted)).json()["key"]
        async with running.client(Authorization=f"Bearer {key}") as program:
            own = await asked(program, **YONGSHUN)
            assert problem(await auditor.post(f"{EXPORTS}/{own['id']}/approve")) == (
                409,
                "export_own",
            )
            other = await asked(admin, **YONGSHUN)
            assert problem(await program.post(f"{EXPORTS}/{other['id']}/approve")) == (
                403,
                "key_not_enough",
            )
            assert (await admin.post(f"{EXPORTS}/{own['id']}/approve")).status_code == 200
            assert (await program.get(f"{EXPORTS}/{own['id']}/file")).status_code == 200
        await make_platform(admin)
        async with running.as_("platform") as service:
            answer = await service.post(f"{EXPORTS}/{other['id']}/approve")
            assert problem(answer) == (403, "person_wanted")


async def test_an_approval_lasts_no_longer_than_the_right(tmp_path: Path) -> None:
    async with two_auditors(tmp_path) as (_running, admin, auditor):
        own = await asked(auditor, **YONGSHUN)
        await admin.post(f"{EXPORTS}/{own['id']}/approve")
        assert (await admin.delete("/api/v1/grants/gr_auditor")).status_code in (200, 204)
        assert (await auditor.get(f"{EXPORTS}/{own['id']}/file")).status_code == 403


async def test_a_key_changes_no_safeguard(tmp_path: Path) -> None:
    async with two_auditors(tmp_path) as (running, admin, _auditor):
        wanted = {"name": "all", "actions": ["manage", "audit"]}
        key = (await admin.post("/api/v1/keys", json=wanted)).json()["key"]
        async with running.client(Authorization=f"Bearer {key}") as program:
            for path, body in (
                ("export-settings", {"second_person": False}),
                ("filing-settings", {"second_person": False}),
                ("quotas/areas/ar_yongshun", {"max_views": 1}),
                ("quotas/subjects/su_auditor", {"max_views": 1}),
            ):
                answer = await program.put(f"/api/v1/{path}", json=body)
                assert problem(answer) == (403, "key_not_enough"), path
            for path in ("areas/ar_yongshun", "subjects/su_auditor"):
                answer = await program.delete(f"/api/v1/quotas/{path}")
                assert problem(answer) == (403, "key_not_enough"), path
            assert problem(await program.get("/api/v1/audit/export")) == (
                409,
                "export_approval_wanted",
            )


async def test_whoever_may_decide_takes_an_approval_back(tmp_path: Path) -> None:
    async with two_auditors(tmp_path) as (running, admin, auditor):
        request = await asked(admin, **YONGSHUN)
        path = f"{EXPORTS}/{request['id']}"
        approved = (await auditor.post(f"{path}/approve")).json()
        assert (approved["may_decide"], approved["may_refuse"]) == (False, True)
        assert (await admin.get(path)).json()["may_refuse"] is False
        async with running.local() as local:
            refused = (await local.post(f"{path}/refuse", json={"reason": "结案了"})).json()
        assert (refused["state"], refused["may_refuse"]) == ("refused", False)
        assert problem(await admin.get(f"{path}/file")) == (409, "export_not_approved")


@pytest.mark.parametrize(
    ("gone", "asked_for"),
    [
        ("channels/ch_y2", {"channel_id": "ch_y2", "act": "channel_delete"}),
        ("areas/ar_village", {"area_id": "ar_village", "act": "area_delete"}),
    ],
)
async def test_of_what_is_gone_the_district_decides(
    gone: str, asked_for: dict[str, str], tmp_path: Path
) -> None:
    async with two_auditors(tmp_path) as (running, admin, auditor):
        for path in dict.fromkeys(("channels/ch_y2", gone)):
            assert (await admin.delete(f"/api/v1/{path}")).status_code in (200, 204)
        request = await asked(admin, **asked_for)
        path = f"{EXPORTS}/{request['id']}"
        assert problem(await auditor.post(f"{path}/approve")) == (404, "not_found")
        async with running.local() as local:
            assert (await local.post(f"{path}/approve")).status_code == 200
        assert [row["act"] for row in await rows_of(admin, request["id"])] == [asked_for["act"]]


async def test_who_keeps_a_program_is_no_second_person_for_it(tmp_path: Path) -> None:
    async with two_auditors(tmp_path) as (running, admin, auditor):
        made = await make_platform(admin)
        async with running.as_("platform") as platform:
            request = await asked(platform, **YONGSHUN)
            path = f"{EXPORTS}/{request['id']}"
            shown = (await admin.get(path)).json()
            assert (shown["may_decide"], shown["may_refuse"]) == (False, False)
            assert problem(await admin.post(f"{path}/approve")) == (409, "export_kept")
            no = await admin.post(f"{path}/refuse", json={"reason": "x"})
            assert problem(no) == (409, "export_kept")
            assert (await auditor.post(f"{path}/approve")).status_code == 200
            assert (await platform.get(f"{path}/file")).status_code == 200
            # Whoever approved it and then has a key of it fetches nothing in its name.
            async with running.local() as local:
                again = await asked(platform, **YONGSHUN)
                path = f"{EXPORTS}/{again['id']}"
                assert (await local.post(f"{path}/approve")).status_code == 200
                keys = f"/api/v1/subjects/{made}/keys"
                key = (await local.post(keys, json={"name": "x", "actions": ["audit"]})).json()
                async with running.client(Authorization=f"Bearer {key['key']}") as program:
                    answer = await program.get(f"{path}/file")
                    assert problem(answer) == (409, "export_kept")


async def test_who_made_a_key_in_somebody_s_name_is_no_second_person(tmp_path: Path) -> None:
    """Also when it is revoked meanwhile."""
    async with two_auditors(tmp_path) as (running, admin, _auditor):
        keys = "/api/v1/subjects/su_auditor/keys"
        key = (await admin.post(keys, json={"name": "x", "actions": ["audit"]})).json()
        async with running.client(Authorization=f"Bearer {key['key']}") as program:
            request = await asked(program, **YONGSHUN)
        assert (await admin.delete(f"{keys}/{key['id']}")).status_code == 204
        path = f"{EXPORTS}/{request['id']}"
        assert problem(await admin.post(f"{path}/approve")) == (409, "export_kept")
        async with running.local() as local:
            assert (await local.post(f"{path}/approve")).status_code == 200
