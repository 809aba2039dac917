"""Exports of the log by two people over HTTP: what is asked for, listed and fetched."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from camera_registry.audit.verify_export import verify_export
from streamhub.access.facts import Facts
from streamhub.api.audit_filter import Filter
from support.export_kit import EXPORTS, WHY, YONGSHUN, asked, rows_of, two_auditors
from support.http_kit import OFFER, SDP, problem


async def states(client: httpx.AsyncClient) -> list[tuple[str, bool, bool]]:
    listed = (await client.get(EXPORTS)).json()
    assert listed["second_person"] is True
    return [(each["state"], each["may_decide"], each["may_fetch"]) for each in listed["items"]]


async def test_what_two_people_made_says_so_itself(tmp_path: Path) -> None:
    async with two_auditors(tmp_path / "data") as (running, admin, auditor):
        direct = await admin.get("/api/v1/audit/export")
        assert problem(direct) == (409, "export_approval_wanted")
        before = await asked(admin, **YONGSHUN, act="area_update")
        path = f"{EXPORTS}/{before['id']}"
        assert (before["area_name"], before["purpose_note"]) == ("永顺镇", WHY["purpose_note"])
        assert before["asked"]["until"]  # what is written later was not asked for
        assert await states(admin) == [("pending", False, False)]
        assert await states(auditor) == [("pending", True, False)]
        assert problem(await admin.post(f"{path}/approve")) == (409, "export_own")
        assert problem(await admin.get(f"{path}/file")) == (409, "export_not_approved")
        approved = (await auditor.post(f"{path}/approve")).json()
        assert (approved["state"], approved["decided_by"]) == ("approved", "auditor")
        assert problem(await auditor.get(f"{path}/file")) == (409, "export_not_yours")
        assert await states(admin) == [("approved", False, True)]
        body = {"name": "永顺"}
        assert (await admin.patch("/api/v1/areas/ar_yongshun", json=body)).status_code == 200

        answer = await admin.get(f"{path}/file")
        assert answer.status_code == 200
        file = tmp_path / "case.zip"
        file.write_bytes(answer.content)
        key = running.services.audit_keeper.key
        found = verify_export(file, {key.key_id: key.public})
        assert (found.ok, found.rows) == (True, 0)
        said = found.statement
        assert said.items() >= {"by": "admin", "approved_by": "auditor", **WHY}.items()
        assert said["request_id"] == before["id"]
        [row] = await running.audit_rows("audit_export")
        assert (row["subject_name"], row["detail"]["approved_by"]) == ("admin", "auditor")
        assert row["area_id"] == "ar_yongshun"
        found_by = await auditor.get("/api/v1/audit", params={"purpose": "2026-17"})
        acts = [each["act"] for each in found_by.json()["items"]]
        assert acts == ["audit_export", "export_approve", "export_ask"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (403, "purpose_required")),
        ({"purpose": "nosy"}, (403, "purpose_required")),
        ({"purpose_note": "x"}, (422, "purpose_missing")),
        ({"purpose": "duty", "purpose_note": "x" * 161}, (422, "invalid_request")),
        ({"purpose": "duty", "format": "pdf"}, (422, "invalid_request")),
    ],
)
async def test_it_is_said_what_for(
    body: dict[str, str], expected: tuple[int, str], tmp_path: Path
) -> None:
    async with two_auditors(tmp_path) as (_running, admin, _auditor):
        assert problem(await admin.post(EXPORTS, json=body)) == expected


async def test_the_file_is_a_zip_of_the_rows_asked_for(tmp_path: Path) -> None:
    async with two_auditors(tmp_path / "data") as (_running, admin, auditor):
        body = {"name": "永顺"}
        assert (await admin.patch("/api/v1/areas/ar_yongshun", json=body)).status_code == 200
        request = await asked(admin, **YONGSHUN, act="area_update")
        assert (await auditor.post(f"{EXPORTS}/{request['id']}/approve")).status_code == 200
        answer = await admin.get(f"{EXPORTS}/{request['id']}/file")
        file = tmp_path / "case.zip"
        file.write_bytes(answer.content)
        with zipfile.ZipFile(file) as archive:
            rows = archive.read("rows.csv").decode("utf-8-sig").splitlines()
        assert len(rows) == 2
        assert "area_update" in rows[1]


async def test_a_view_that_ends_after_the_question_is_not_in_the_file(tmp_path: Path) -> None:
    async with two_auditors(tmp_path / "data") as (running, admin, auditor):
        opened = await admin.post("/whep/ch_y1", content=OFFER, headers=SDP)
        request = await asked(admin, channel_id="ch_y1")
        assert (await admin.delete(opened.headers["location"])).status_code == 200
        delivery = running.services.doors()
        await delivery.views.drained()
        await delivery._view_log.settled()
        assert len(await running.audit_rows("view_end")) == 1
        assert (await auditor.post(f"{EXPORTS}/{request['id']}/approve")).status_code == 200
        rows = await rows_of(admin, request["id"])
        assert [row["act"] for row in rows] == ["view_start"]


async def test_a_right_that_falls_while_rows_are_sealed_gives_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_auditors(tmp_path) as (running, admin, auditor):
        own = await asked(auditor, **YONGSHUN)
        await admin.post(f"{EXPORTS}/{own['id']}/approve")
        seal = running.services.audit_keeper.seal

        async def revoked_meanwhile(**given: Any) -> Any:
            assert (await admin.delete("/api/v1/grants/gr_auditor")).status_code in (200, 204)
            return await seal(**given)

        monkeypatch.setattr(running.services.audit_keeper, "seal", revoked_meanwhile)
        assert problem(await auditor.get(f"{EXPORTS}/{own['id']}/file")) == (403, "forbidden")
        assert running.services.audit_exports == 0


async def test_an_approval_is_for_the_cameras_that_the_area_had(tmp_path: Path) -> None:
    async with two_auditors(tmp_path) as (running, admin, auditor):
        requests = [await asked(admin, **YONGSHUN), await asked(admin, channel_id="ch_y1")]
        for request in requests:
            path = f"{EXPORTS}/{request['id']}"
            assert (await auditor.post(f"{path}/approve")).status_code == 200
        area, camera = (f"{EXPORTS}/{request['id']}/file" for request in requests)
        assert (await admin.get(area)).status_code == 200
        move = {"area_id": "ar_yongshun"}
        assert (await admin.patch("/api/v1/channels/ch_l1", json=move)).status_code == 200
        assert problem(await admin.get(area)) == (409, "export_changed")
        assert (await admin.get(camera)).status_code == 200
        assert len(await running.audit_rows("audit_export")) == 2
        back = {"area_id": "ar_liyuan"}
        assert (await admin.patch("/api/v1/channels/ch_l1", json=back)).status_code == 200
        assert (await admin.get(area)).status_code == 200


@pytest.mark.parametrize("moved", [False, True])
async def test_what_an_area_covers_is_worked_out_once_unless_it_changes(
    moved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_auditors(tmp_path) as (running, admin, auditor):
        request = await asked(admin, **YONGSHUN)
        path = f"{EXPORTS}/{request['id']}"
        assert (await auditor.post(f"{path}/approve")).status_code == 200
        keeper, covers = running.services.audit_keeper, Filter.covers
        seal = keeper.seal
        worked_out = []

        def counted(asked: Filter, facts: Facts) -> str | None:
            worked_out.append(facts)
            return covers(asked, facts)

        async def changed_meanwhile(**given: Any) -> Any:
            before = running.services.facts.current
            if moved:
                move = {"area_id": "ar_yongshun"}
                await admin.patch("/api/v1/channels/ch_l1", json=move)
            else:
                form = {"username": "lister", "password": "lister-pass"}
                async with running.client() as page:
                    assert (await page.post("/api/v1/sign-in", json=form)).status_code < 300
            assert running.services.facts.current is not before
            return await seal(**given)

        monkeypatch.setattr(Filter, "covers", counted)
        monkeypatch.setattr(keeper, "seal", changed_meanwhile)
        answer = await admin.get(f"{path}/file")
        if moved:
            assert problem(answer) == (409, "export_changed")
        else:
            assert answer.status_code == 200
        assert len(worked_out) == (2 if moved else 1)
        assert running.services.audit_exports == 0


async def test_a_file_is_about_whom_it_was_asked_about(tmp_path: Path) -> None:
    """Also when the account is deleted, and its name somebody else's."""
    async with two_auditors(tmp_path / "data") as (running, admin, _auditor):
        await running.token("lister")
        request = await asked(admin, subject="lister", act="token")
        assert request["asked"].items() >= {"subject": "lister", "subject_id": "su_lister"}.items()
        assert (await admin.delete("/api/v1/subjects/su_lister")).status_code == 204
        again = {"username": "lister", "display_name": "x", "password": "lister-pass-2"}
        assert (await admin.post("/api/v1/subjects", json=again)).status_code == 201
        path = f"{EXPORTS}/{request['id']}"
        async with running.local() as local:
            # What is shown before the decision is found by the very same.
            shown = (await local.get(path)).json()["asked"]["subject"]
            found = await local.get("/api/v1/audit", params={"subject": shown, "act": "token"})
            assert [row["subject_id"] for row in found.json()["items"]] == ["su_lister"]
            assert (await local.post(f"{path}/approve")).status_code == 200
        [row] = await rows_of(admin, request["id"])
        assert (row["subject_id"], row["subject_name"]) == ("su_lister", "lister")


async def test_nobody_s_rows_are_no_file(tmp_path: Path) -> None:
    async with two_auditors(tmp_path) as (_running, admin, _auditor):
        assert (await admin.delete("/api/v1/subjects/su_lister")).status_code == 204
        for gone in ("lister", "nobody"):
            answer = await admin.post(EXPORTS, params={"subject": gone}, json=WHY)
            assert problem(answer) == (422, "unknown_subject")
            answer = await admin.get("/api/v1/audit/export", params={"subject": gone})
            assert problem(answer) == (422, "unknown_subject")
        await asked(admin, subject="su_lister")


async def test_what_others_ask_for_hides_nothing(tmp_path: Path) -> None:
    async with two_auditors(tmp_path) as (running, admin, auditor):
        old = await asked(admin, **YONGSHUN)
        services = running.services
        request = await services.export_requests.get(old["id"])
        async with services.store.write() as tx:
            for number in range(600):
                await tx.export_requests.add(
                    replace(
                        request,
                        id=f"ex_{number}",
                        subject_id=f"su_{number}",
                        asked={},
                        created_at=request.created_at + timedelta(seconds=1),
                    )
                )
        listed = (await auditor.get(EXPORTS)).json()
        assert [each["id"] for each in listed["items"]] == [old["id"]]
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await admin.get(EXPORTS, params={"limit": 250, **cursor})).json()
            assert page["total"] == 601
            found += [each["id"] for each in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert len(set(found)) == len(found) == 601
        assert found[-1] == old["id"]
