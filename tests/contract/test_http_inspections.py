"""Inspections over HTTP: who may have what inspected, how it goes, and the cards it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from camera_registry.domain import Actor, EventKind
from camera_registry.inspection.card import Card, Facts, Verdict
from camera_registry.inspection.cases import Result
from support.http_kit import OFFER, SDP, Running, a_service, problem
from support.patience import PATIENCE_S

RUNS = "/api/v1/inspections"
CARDS = "/api/v1/channel-inspections"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with a_service(tmp_path) as running:
        yield running


async def over(client: httpx.AsyncClient, run: dict[str, Any]) -> dict[str, Any]:
    """Waits for it through the API, as a page would."""
    async with asyncio.timeout(PATIENCE_S):
        while run["state"] == "running":
            await asyncio.sleep(0.05)
            run = (await client.get(f"{RUNS}/{run['id']}")).json()
    return run


async def cards_made(running: Running) -> None:
    """Three cards by hand, one with a still: without any camera."""
    cases = running.services.inspections
    run = await cases.begin(Actor(None, "test"), channel_ids=["ch_y1", "ch_y2", "ch_l1"])
    found = {
        "ch_y1": (Verdict.PLAYS, (), b"\xff\xd8one"),
        "ch_y2": (Verdict.FAILS, ("b_frames", "clock_off"), None),
        "ch_l1": (Verdict.LIMITED, ("gop_long",), None),
    }
    targets, _ = await cases.left(run.id)
    results = []
    for target in targets:
        verdict, codes, jpeg = found[target.channel_id]
        facts = Facts(codec="H264", gop_ms=2000)
        at = datetime.now(UTC)
        card = Card(target.channel_id, "main", at, run.id, verdict, codes, facts)
        results.append(Result(target.number, card, jpeg))
    await cases.record(run.id, results)
    await cases.finish(run.id, Actor(None, "test"))


async def test_cameras_that_are_not_there_are_inspected_and_said_to_be_so(
    running: Running,
) -> None:
    """Nothing listens at the seeded address: the real process that looks finds that out, and who
    listens to events is told."""
    listener = running.services.events.listen("test")
    async with running.as_("admin") as client:
        answer = await client.post(RUNS, json={"profiles": ["main", "sub"]})
        assert answer.status_code == 202, answer.text
        run = answer.json()
        assert (run["total"], run["scope"], run["created_by"]) == (10, {"all": True}, "admin")
        again = await client.post(RUNS, json={})
        assert problem(again) == (409, "inspection_under_way")
        run = await over(client, run)
        assert (run["state"], run["counts"], run["done"]) == ("done", {"fails": 10}, 10)
        card = (await client.get("/api/v1/channels/ch_y1/inspection?profile=sub")).json()
        assert card["verdict"] == "fails"
        [finding] = card["findings"]
        assert (finding["code"], finding["severity"]) == ("connect_refused", "error")
        assert "RTSP" in finding["zh"]
        assert "menu" in finding["en"]
        assert card["facts"]["connected"] is False
        assert [each["id"] for each in (await client.get(RUNS)).json()["items"]] == [run["id"]]
    told = [each.event for each in await listener.take(PATIENCE_S)]
    assert {each.kind for each in told} == {EventKind.OFFLINE}
    assert {each.cause for each in told} == {"connect_refused"}
    filed_and_on = ["ch_l1", "ch_l2", "ch_y1", "ch_y2"]
    assert sorted(each.channel.id for each in told) == filed_and_on, "once each, both streams gone"
    [row] = await running.audit_rows("inspection_begin")
    assert row["detail"] == {"run_id": run["id"], "targets": 10, "profiles": ["main", "sub"]}
    assert len(await running.audit_rows("inspection_end")) == 1


async def test_one_has_inspected_what_one_manages(running: Running) -> None:
    async with running.as_("warden") as client:
        assert problem(await client.post(RUNS, json={})) == (403, "forbidden")
        elsewhere = await client.post(RUNS, json={"area_id": "ar_liyuan"})
        assert problem(elsewhere) == (404, "not_found")
        partly = await client.post(RUNS, json={"channel_ids": ["ch_y1", "ch_l1"]})
        assert problem(partly) == (404, "not_found")
        run = await over(client, (await client.post(RUNS, json={"area_id": "ar_yongshun"})).json())
        assert run["counts"] == {"fails": 3}
    async with running.as_("admin") as client:
        of_all = await over(client, (await client.post(RUNS, json={})).json())
    async with running.as_("warden") as client:
        assert [each["id"] for each in (await client.get(RUNS)).json()["items"]] == [run["id"]]
        hidden = await client.get(f"{RUNS}/{of_all['id']}")
        assert problem(hidden) == (403, "forbidden")


async def test_cards_are_listed_by_verdict_for_whom_they_concern(running: Running) -> None:
    await cards_made(running)
    async with running.as_("admin") as client:
        page = (await client.get(CARDS)).json()
        assert page["total"] == 3
        failing = (await client.get(CARDS, params={"verdict": "fails"})).json()["items"]
        assert [each["channel_id"] for each in failing] == ["ch_y2"]
        assert [each["code"] for each in failing[0]["findings"]] == ["b_frames", "clock_off"]
        assert failing[0]["name"] == "路口2"
        assert (failing[0]["area_id"], failing[0]["filing"]) == ("ar_village", "filed")
        two = (await client.get(CARDS, params={"channel_id": ["ch_y1", "ch_l1"]})).json()
        assert {each["channel_id"] for each in two["items"]} == {"ch_y1", "ch_l1"}
        reopened = {"channel_ids": ["ch_l1"], "step": "reopen"}
        (await client.post("/api/v1/channel-filing", json=reopened)).raise_for_status()
        drafts = (await client.get(CARDS, params={"filing": "draft"})).json()
        assert (drafts["total"], drafts["items"][0]["channel_id"]) == (1, "ch_l1")
        first = (await client.get(CARDS, params={"limit": 2})).json()
        params = {"limit": 2, "cursor": first["next_cursor"]}
        rest = (await client.get(CARDS, params=params)).json()
        assert len(first["items"]) + len(rest["items"]) == 3
    async with running.as_("warden") as client:
        mine = (await client.get(CARDS)).json()["items"]
        assert {each["channel_id"] for each in mine} == {"ch_y1", "ch_y2"}
        hidden = await client.get(CARDS, params={"channel_id": "ch_l1"})
        assert hidden.json()["items"] == []
        other = await client.get("/api/v1/channels/ch_l1/inspection")
        assert problem(other) == (404, "not_found")


async def test_the_still_comes_with_the_card_and_looking_at_it_is_written_down(
    running: Running,
) -> None:
    await cards_made(running)
    async with running.as_("warden") as client:  # who manages, but takes no stills
        seen = await client.get("/api/v1/channels/ch_y1/inspection.jpg")
        assert problem(seen) == (403, "forbidden")
    async with running.as_("admin") as client:
        answer = await client.get("/api/v1/channels/ch_y1/inspection.jpg")
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.content == b"\xff\xd8one"
        none = await client.get("/api/v1/channels/ch_y2/inspection.jpg")
        assert problem(none) == (404, "not_found")
        never = await client.get("/api/v1/channels/ch_off/inspection")
        assert problem(never) == (404, "not_found")
    async with running.as_("yongshun") as client:
        seen = await client.get("/api/v1/channels/ch_y1/inspection.jpg")
        assert problem(seen) == (403, "forbidden")
    [row] = await running.audit_rows("inspection_picture")
    assert (row["channel_id"], row["detail"]["profile"]) == ("ch_y1", "main")


async def test_one_that_broke_off_goes_on_and_is_stopped(running: Running) -> None:
    run = await running.services.inspections.begin(Actor(None, "test"))
    async with running.as_("admin") as client:
        resumed = await client.post(f"{RUNS}/{run.id}/resume")
        assert resumed.status_code == 202
        assert (await over(client, resumed.json()))["counts"] == {"fails": 5}
        run = await running.services.inspections.begin(Actor(None, "test"))
        stopped = await client.delete(f"{RUNS}/{run.id}")
        assert stopped.json()["state"] == "stopped"
        assert (await client.delete(f"{RUNS}/{run.id}")).json()["state"] == "stopped"
    assert len(await running.audit_rows("inspection_stop")) == 1


async def test_an_inspection_that_is_asked_for_again_is_the_same_one(running: Running) -> None:
    async with running.as_("admin") as client:
        key = {"Idempotency-Key": "round-1"}
        runs = [await client.post(RUNS, json={"channel_ids": ["ch_l1"]}, headers=key)]
        await over(client, runs[0].json())
        runs += [await client.post(RUNS, json={"channel_ids": ["ch_l1"]}, headers=key)]
        assert [each.status_code for each in runs] == [202, 202]
        assert runs[0].json()["id"] == runs[1].json()["id"]
        assert len((await client.get(RUNS)).json()["items"]) == 1


async def test_wrong_input_is_said(running: Running) -> None:
    async with running.as_("admin") as client:
        both = await client.post(RUNS, json={"area_id": "ar_liyuan", "channel_ids": ["ch_l1"]})
        assert problem(both) == (422, "scope_twice")
        none = await client.post(RUNS, json={"profiles": []})
        assert problem(none) == (422, "invalid_request")
        assert problem(await client.get(f"{RUNS}/in_none")) == (404, "not_found")


async def test_what_viewers_pull_is_known_by_device(running: Running) -> None:
    """What an inspection leaves free of a device's dials."""
    delivery = running.services.doors()
    assert delivery.dials_by_device() == {}
    async with running.as_("yongshun") as client:
        for channel_id in ("ch_y1", "ch_y2"):
            answer = await client.post(f"/whep/{channel_id}", content=OFFER, headers=SDP)
            assert answer.status_code == 201, answer.text
    assert delivery.dials_by_device() == {"de_1": 2}
