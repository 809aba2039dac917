"""By which grant, role or loan somebody did what they did: it stands in the row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.http_kit import Running, a_service
from support.rights_kit import a_role, made, watch

GROUNDS = ("grant_ids", "role_ids", "loan_ids", "grants_more")


async def grounds(running: Running, act: str) -> list[dict[str, Any]]:
    """Of the act's rows, oldest first."""
    rows = await running.audit_rows(act)
    return [
        {key: row["detail"][key] for key in GROUNDS if key in row["detail"]} for row in rows[::-1]
    ]


async def test_a_view_s_row_says_by_which_grant_role_and_loan(tmp_path: Path) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("warden") as warden,
        running.as_("stranger") as stranger,
    ):
        assert (await watch(warden, "ch_y1")).status_code == 201
        role_id = await a_role(running, "duty", "stranger")
        by_role = await made(admin, role_id=role_id, actions=["live"], channel_id="ch_l1")
        assert (await watch(stranger, "ch_l1")).status_code == 201
        asking = {"channel": "11011200111310000001", "actions": ["live"], "minutes": 60}
        loan = await stranger.post("/api/v1/loans", json={**asking, "reason": "积水"})
        path = f"/api/v1/loans/{loan.json()['id']}"
        lent = (await warden.post(f"{path}/allow", json={})).json()
        assert (await watch(stranger, "ch_y1")).status_code == 201
        async with running.local() as local:
            assert (await watch(local, "ch_y1")).status_code == 201
        assert await grounds(running, "view_start") == [
            {"grant_ids": ["gr_warden"]},
            {"grant_ids": [by_role["id"]], "role_ids": [role_id]},
            {"grant_ids": [lent["grant_id"]], "loan_ids": [lent["id"]]},
            {},
        ]
        [allowed] = await running.audit_rows("loan_allow")
        assert allowed["detail"]["grant"] == lent["grant_id"]
        mine = (await stranger.get("/api/v1/audit/mine")).json()["items"]
        assert mine[0]["detail"]["loan_ids"] == [lent["id"]]
        async with running.services.store.read() as tx:
            assert (await tx.grants.get(lent["grant_id"])).loan_id == lent["id"]  # type: ignore[union-attr]
        assert (await running.services.store.verify_audit()).ok


async def test_what_only_allows_something_else_or_denies_elsewhere_is_no_ground(
    tmp_path: Path,
) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("lister") as lister,
    ):
        asked = await made(
            admin,
            subject_id="su_lister",
            actions=["live"],
            area_id="ar_yongshun",
            purpose_required=True,
        )
        free = await made(admin, subject_id="su_lister", actions=["live"], channel_id="ch_y1")
        await made(
            admin, subject_id="su_lister", actions=["live"], channel_id="ch_y2", effect="deny"
        )
        body = {"zh": "值守", "en": "Duty"}
        assert (await admin.put("/api/v1/purposes/duty", json=body)).status_code < 300
        assert (await watch(lister, "ch_y1")).status_code == 201
        said = {"Streamhub-Purpose": "duty"}
        assert (await watch(lister, "ch_y1", **said)).status_code == 201
        plain, for_duty = await grounds(running, "view_start")
        assert plain == {"grant_ids": [free["id"]]}
        assert sorted(for_duty["grant_ids"]) == sorted([free["id"], asked["id"]])


async def test_rows_of_what_is_taken_out_say_it_too(tmp_path: Path) -> None:
    async with (
        a_service(tmp_path) as running,
        running.local() as local,
        running.as_("auditor") as auditor,
        running.as_("warden") as warden,
    ):
        off = {"second_person": False}
        assert (await local.put("/api/v1/export-settings", json=off)).status_code == 200
        assert (await auditor.get("/api/v1/audit/export")).status_code == 200
        assert (await warden.get("/api/v1/channel-export?kind=csv")).status_code == 200
        assert (await local.get("/api/v1/channel-export?kind=csv")).status_code == 200
        assert await grounds(running, "audit_export") == [{"grant_ids": ["gr_auditor"]}]
        assert await grounds(running, "channels_export") == [{"grant_ids": ["gr_warden"]}, {}]
