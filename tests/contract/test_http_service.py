"""What holds for every address: problems, headers, limits, health, figures, audit."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streamhub.api import page
from support.http_kit import OFFER, SDP, a_service, problem


async def test_every_error_is_a_problem(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as client:
        assert problem(await client.get("/nowhere")) == (404, "unknown_route")
        assert problem(await client.get("/api/v1/nowhere")) == (404, "unknown_route")
        assert problem(await client.put("/api/v1/me")) == (405, "method_not_allowed")
        broken = await client.post(
            "/api/v1/sign-in", content="{", headers={"Content-Type": "application/json"}
        )
        assert problem(broken) == (422, "invalid_request")
        large = await client.post("/api/v1/sign-in", content="x" * 300_000)
        assert problem(large) == (413, "too_large")


async def test_a_bug_tells_the_client_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:

        async def broken(**_: object) -> None:
            raise RuntimeError("rtsp://user:hunter2@camera")

        monkeypatch.setattr(running.services.people, "list_subjects", broken)
        with capture_logs() as logged:
            answer = await client.get("/api/v1/subjects")
        assert problem(answer) == (500, "internal_error")
        assert [each["route"] for each in logged if each["event"] == "request_failed"] == [
            "/api/v1/subjects"
        ]
        assert "hunter2" not in answer.text


async def test_nothing_is_kept_by_caches_or_framed(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("admin") as client:
        answer = await client.get("/api/v1/channels")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_health_and_figures(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("yongshun") as client:
            await client.post("/whep/ch_y1", content=OFFER, headers=SDP)
        async with running.client() as client:
            health = (await client.get("/healthz")).json()
            assert (health["status"], health["channels"], health["views"]) == ("ok", 5, 1)
            await client.get("/nowhere/ch_y1")
            text = (await client.get("/metrics")).text
        assert "streamhub_views 1.0" in text
        assert "streamhub_core_viewers 1.0" in text
        assert 'route="/whep/{channel_id}",status="2xx"' in text
        for name in ("ch_y1", "yongshun", "192.0.2.7", "nowhere"):
            assert name not in text


async def test_health_says_when_the_store_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_service(tmp_path) as running, running.client() as client:

        async def broken() -> int:
            raise OSError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(running.services.store, "latest_change_seq", broken)
            answer = await client.get("/healthz")
        assert problem(answer) == (503, "store_unavailable")


async def test_health_says_when_a_part_of_the_core_has_ended(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as client:
        running.core.counters["shards_ended"] = 1
        answer = await client.get("/healthz")
        assert problem(answer) == (503, "core_fault")


async def test_without_a_service_there_are_no_views(tmp_path: Path) -> None:
    async with a_service(tmp_path, with_media=False) as running, running.local() as client:
        assert problem(await client.get("/api/v1/views")) == (503, "no_service")
        assert len((await client.get("/api/v1/channels")).json()["items"]) == 5


async def test_an_auditor_of_an_area_sees_what_is_about_it(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("admin") as client:
            for channel in ("ch_y2", "ch_l1"):
                opened = await client.post(f"/whep/{channel}", content=OFFER, headers=SDP)
                assert opened.status_code == 201
            whole = (await client.get("/api/v1/audit")).json()
            assert whole["items"][0]["seq"] > whole["items"][-1]["seq"]
            pages = await client.get("/api/v1/audit", params={"limit": 1})
            assert pages.json()["next_cursor"]
        async with running.as_("auditor") as client:
            seen = (await client.get("/api/v1/audit")).json()["items"]
            assert {row["channel_id"] for row in seen} == {"ch_y2"}
            assert seen[0]["channel_name"] == "路口2"
        async with running.as_("lister") as client:
            assert problem(await client.get("/api/v1/audit")) == (403, "forbidden")
        async with running.as_("stranger") as client:
            assert problem(await client.get("/api/v1/audit")) == (404, "not_found")


async def test_the_page_and_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web = tmp_path / "web"
    (web / "assets").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    monkeypatch.setattr(page, "WEB_DIR", web)
    async with a_service(tmp_path / "data") as running, running.client() as client:
        assert problem(await client.get("/")) == (404, "page_not_built")
        (web / "index.html").write_text("<!doctype html>")
        (web / "assets" / "index-abc.js").write_text("1")
        index = await client.get("/")
        assert index.headers["cache-control"] == "no-cache"
        assert index.headers["content-type"].startswith("text/html")
        asset = await client.get("/assets/index-abc.js")
        assert "immutable" in asset.headers["cache-control"]
        for path in ("/assets/none.js", "/assets/%2e%2e/%2e%2e/secret.txt", "/favicon.svg"):
            assert problem(await client.get(path)) == (404, "not_found")


async def test_the_description_names_every_noun(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as client:
        paths = (await client.get("/api/v1/openapi.json")).json()["paths"]
        for noun in ("areas", "channels", "devices", "subjects", "grants", "views", "audit"):
            assert f"/api/v1/{noun}" in paths
