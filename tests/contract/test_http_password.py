"""Passwords over HTTP: one's own changed, one that somebody else has set changed first."""

from __future__ import annotations

from pathlib import Path

from support.http_kit import OFFER, SDP, a_service, problem

OWN = "/api/v1/me/password"
SIGN_IN = {"username": "yongshun", "password": "yongshun-pass"}
NEW = "quiet-harbour-maple"
CHANGE = {"current": "yongshun-pass", "new": NEW}


async def test_a_changed_password_ends_all_but_where_it_was_changed(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as page, running.client() as other:
        await page.post("/api/v1/sign-in", json=SIGN_IN)
        await other.post("/api/v1/sign-in", json=SIGN_IN)
        await other.post("/whep/ch_y1", content=OFFER, headers=SDP)
        async with running.as_("yongshun") as script:
            wrong = await page.put(OWN, json={**CHANGE, "current": "x"})
            assert problem(wrong) == (403, "wrong_password")
            for new in ("yongshun1", "password123", "short", "yongshun-pass"):
                weak = await page.put(OWN, json={**CHANGE, "new": new})
                assert problem(weak) == (422, "password_too_weak"), new
            assert (await other.get("/api/v1/me")).status_code == 200
            assert (await page.put(OWN, json=CHANGE)).status_code == 204
            assert (await page.get("/api/v1/me")).status_code == 200
            assert problem(await other.get("/api/v1/me")) == (401, "sign_in_ended")
            assert problem(await script.get("/api/v1/me")) == (401, "sign_in_ended")
            assert (await page.get("/api/v1/views")).json()["items"] == []
        old = await other.post("/api/v1/sign-in", json=SIGN_IN)
        assert problem(old) == (401, "bad_credentials")
        body = {**SIGN_IN, "password": NEW}
        assert (await other.post("/api/v1/sign-in", json=body)).status_code == 200
        [row] = await running.audit_rows("subject_password")
        assert row["subject_name"] == "yongshun"


async def test_guessing_the_current_password_is_limited(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as page:
        await page.post("/api/v1/sign-in", json=SIGN_IN)
        answers = [await page.put(OWN, json={**CHANGE, "current": "x"}) for _ in range(8)]
        assert problem(answers[0]) == (403, "wrong_password")
        assert problem(answers[-1]) == (429, "too_many_attempts")


async def test_what_an_administrator_has_set_is_changed_first(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as page:
        path = "/api/v1/subjects/su_yongshun"
        async with running.as_("admin") as admin:
            answer = await admin.patch(path, json={"password": "set-by-somebody"})
            assert answer.json()["must_change_password"]
        body = {**SIGN_IN, "password": "set-by-somebody"}
        assert (await page.post("/api/v1/sign-in", json=body)).status_code == 200
        assert (await page.get("/api/v1/me")).json()["due"] == "password_change_due"
        for where in ("ch_y1", "ch_nowhere"):
            refused = await page.post(f"/whep/{where}", content=OFFER, headers=SDP)
            assert problem(refused) == (403, "password_change_due")
        change = {"current": "set-by-somebody", "new": NEW}
        assert (await page.put(OWN, json=change)).status_code == 204
        assert (await page.get("/api/v1/me")).json()["due"] is None
        assert (await page.post("/whep/ch_y1", content=OFFER, headers=SDP)).status_code == 201
        async with running.as_("admin") as admin:
            answer = await admin.patch(path, json={"enabled": True, "display_name": "Y"})
            assert not answer.json()["must_change_password"]


async def test_services_and_who_asks_so_need_not_change_theirs(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as admin:
        body = {"display_name": "x", "password": NEW}
        for extra, due in (
            ({"username": "program", "kind": "service"}, False),
            ({"username": "kept", "must_change_password": False}, False),
            ({"username": "without", "password": None}, False),
            ({"username": "person"}, True),
        ):
            made = await admin.post("/api/v1/subjects", json={**body, **extra})
            assert made.status_code == 201, made.text
            assert made.json()["must_change_password"] == due, extra
        weak = await admin.post(
            "/api/v1/subjects", json={**body, "username": "gatekeeper", "password": "Gatekeeper1"}
        )
        assert problem(weak) == (422, "password_too_weak")
