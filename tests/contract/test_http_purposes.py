"""What for: purposes over HTTP, asked for, named, and written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from support.http_kit import OFFER, SDP, problem
from support.rights_kit import made, people, watch


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
        # What is not said stays: other words, and still a note.
        words = {"zh": "其它", "en": "Others"}
        assert (await admin.put("/api/v1/purposes/other", json=words)).json()["needs_note"] is True
        await admin.put("/api/v1/purposes/other", json=other)
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
        await running.rows_of("view_end", 1)
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
