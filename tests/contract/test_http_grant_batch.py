"""Many changes of grants at once, over HTTP: all of them, or none and which one it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from camera_registry.grant_batch import MAX_CHANGES
from support.http_kit import OFFER, SDP, Running, a_service, problem

BATCH = "/api/v1/grants/batch"


def grant(**more: Any) -> dict[str, Any]:
    target = {} if "channel_id" in more else {"area_id": "ar_yongshun"}
    return {"create": {"subject_id": "su_stranger", "actions": ["list"], **target, **more}}


async def changed(client: httpx.AsyncClient, *changes: dict[str, Any]) -> httpx.Response:
    return await client.post(BATCH, json={"changes": list(changes)})


async def acts(running: Running) -> list[str]:
    rows = await running.audit_rows("grant_create") + await running.audit_rows("grant_revoke")
    return sorted(row["act"] for row in rows)


async def test_grants_are_made_and_revoked_together(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        async with running.as_("yongshun") as client:
            opened = await client.post("/whep/ch_y1", content=OFFER, headers=SDP)
            assert opened.status_code == 201
        twice = {"revoke": "gr_yongshun"}
        answer = await changed(
            admin, grant(), twice, twice, grant(channel_id="ch_l1", effect="deny")
        )
        assert answer.status_code == 200, answer.text
        items = answer.json()["items"]
        assert [each["subject_name"] for each in items] == [
            "stranger",
            "yongshun",
            "yongshun",
            "stranger",
        ]
        assert [each["revoked_at"] is None for each in items] == [True, False, False, True]
        assert await acts(running) == ["grant_create", "grant_create", "grant_revoke"]
        assert (await admin.get("/api/v1/views")).json()["items"] == []  # its view has ended
        async with running.as_("stranger") as stranger:
            shown = (await stranger.get("/api/v1/channels")).json()["items"]
            assert {each["id"] for each in shown} == {"ch_y1", "ch_y2", "ch_off"}
        for each in items:
            kept = (await admin.get(f"/api/v1/grants/{each['id']}")).json()
            assert kept == each


async def test_one_that_is_refused_stops_them_all_and_is_named(tmp_path: Path) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("warden") as warden,
    ):
        before = await acts(running)
        good = grant()
        for client, bad, expected in (
            (admin, grant(subject_id="su_none"), (422, "unknown_subject")),
            (admin, grant(area_id="ar_none"), (404, "not_found")),
            (admin, grant(area_id=None), (422, "grant_target")),
            (admin, grant(valid_until="2001-01-01T00:00:00Z"), (422, "window_empty")),
            (admin, {"revoke": "gr_none"}, (404, "not_found")),
            (admin, {}, (422, "grant_change")),
            (admin, {**good, "revoke": "gr_yongshun"}, (422, "grant_change")),
            (warden, grant(area_id="ar_liyuan"), (404, "not_found")),
            (warden, grant(actions=["ptz"]), (403, "forbidden")),
            (warden, grant(effect="deny"), (403, "forbidden")),
            (warden, {"revoke": "gr_admin"}, (404, "not_found")),
        ):
            answer = await changed(client, good, good, bad, good)
            assert problem(answer) == expected, bad
            assert answer.json()["entry"] == 2, bad
        assert await acts(running) == before
        async with running.as_("stranger") as stranger:
            assert (await stranger.get("/api/v1/channels")).json()["total"] == 0
        for changes in ([], [good] * (MAX_CHANGES + 1)):
            assert problem(await changed(admin, *changes)) == (422, "invalid_request")


async def test_a_thousand_fit_and_come_once(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        hours = [{"days": ["mon", "tue"], "start": "22:00", "end": "06:00"}] * 8
        body = {"changes": [grant(windows=hours)] * MAX_CHANGES}
        key = {"Idempotency-Key": "once"}
        answers = [await admin.post(BATCH, json=body, headers=key) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].json() == answers[1].json()
        listed = await admin.get("/api/v1/grants", params={"subject_id": "su_stranger"})
        assert listed.json()["total"] == MAX_CHANGES
