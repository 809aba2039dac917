"""Tickets for the RTSP door over HTTP, and a client that shows one, on a fake core."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamhub.delivery import DeliverySettings
from streamhub.media.contract import RtspAsked, RtspTicketRefused
from streamhub.settings import RtspSettings
from support.delivery_kit import a_room
from support.http_kit import Running, a_service, problem

PORT = 8554


async def issue(client: httpx.AsyncClient, channel: str = "ch_y1", **wanted: Any) -> httpx.Response:
    return await client.post(f"/api/v1/channels/{channel}/rtsp-tickets", json=wanted)


async def show(running: Running, text: str, connection_id: str = "rtsp-1") -> None:
    """As the core does for a client with this ticket."""
    _, _, expires, ticket_id, profiles, channel_id, subject_id, version, _ = text.split(".")
    running.core.ask_by_rtsp(
        RtspAsked(
            connection_id,
            channel_id,
            profiles.partition("-")[0],
            subject_id,
            int(version),
            ticket_id,
            float(expires),
            "192.0.2.7",
        )
    )
    async with asyncio.timeout(20):
        while connection_id in running.core.rtsp_waiting:
            await asyncio.sleep(0.01)


async def test_a_ticket_is_an_address_and_its_parts(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("yongshun") as client:
        running.core.rtsp_port = PORT
        before = running.services.now()
        answer = await issue(client, profiles=["main"], valid_s=600)
        assert answer.status_code == 201
        out = answer.json()
        [stream] = out["streams"]
        host = client.base_url.host
        assert stream["address"] == f"rtsp://{host}:{PORT}/ch_y1/main"
        assert stream["url"] == f"{stream['address']}?ticket={out['password']}"
        assert out["username"] == "ticket"
        valid_s = (datetime.fromisoformat(out["expires_at"]) - before).total_seconds()
        assert 590 < valid_s <= 601
        [row] = await running.audit_rows("rtsp_ticket")
        assert row["detail"]["ticket_id"] == out["id"]
        assert out["password"] not in str(row)
        assert len((await issue(client)).json()["streams"]) == 2


async def test_a_view_by_it_is_seen_and_ended_as_any_other(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("yongshun") as client:
        running.core.rtsp_port = PORT
        out = (await issue(client, profiles=["sub"])).json()
        await show(running, out["password"])
        [view] = (await client.get("/api/v1/views")).json()["items"]
        assert view["reception"]["transport"] == "rtsp"
        assert (view["channel_id"], view["subject"]["username"]) == ("ch_y1", "yongshun")
        assert (await client.delete(f"/api/v1/views/{view['id']}")).status_code == 204
        assert running.core.viewers == {}


async def test_a_ticket_that_is_not_good_is_a_row_of_the_audit(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("yongshun") as client:
        running.core.rtsp_port = PORT
        out = (await issue(client, profiles=["sub"])).json()
        for _ in range(3):
            running.core.emit(RtspTicketRefused("192.0.2.8", "ticket_forged"))
        async with running.as_("admin") as admin:
            await admin.patch("/api/v1/subjects/su_yongshun", json={"enabled": False})
        await show(running, out["password"])
        async with asyncio.timeout(20):  # they are written behind the answer
            while len(rows := await running.audit_rows("credential_refused")) < 2:
                await asyncio.sleep(0.01)
    by_place = {row["remote"]: row for row in rows}
    forged, void = by_place["192.0.2.8"], by_place["192.0.2.7"]
    assert (forged["detail"]["came_with"], forged["detail"]["code"]) == ("ticket", "ticket_forged")
    assert forged["subject_id"] is None
    assert (void["subject_id"], void["detail"]["ticket_id"]) == ("su_yongshun", out["id"])
    assert out["password"] not in str(rows)


@pytest.mark.parametrize("remembered", [True, False])
async def test_a_ticket_of_a_revoked_key_is_a_row_of_whose_it_was(
    tmp_path: Path, remembered: bool
) -> None:
    async with a_service(tmp_path) as running, running.as_("yongshun") as client:
        running.core.rtsp_port = PORT
        wanted = {"name": "recorder", "expires_in_days": 1}
        key = (await client.post("/api/v1/keys", json=wanted)).json()
        async with running.client(Authorization=f"Bearer {key['key']}") as recorder:
            out = (await issue(recorder, profiles=["sub"])).json()
        assert (await client.delete(f"/api/v1/keys/{key['id']}")).status_code == 204
        if not remembered:  # as after a restart
            running.services.facts.departed._keys.clear()
        await show(running, out["password"])
        assert running.core.rtsp_answers[-1][:2] == ("rtsp-1", 401)
        await running.services.refusals.stop()
        [void] = await running.audit_rows("credential_refused")
        [refused] = await running.audit_rows("refused")
    whose = ("su_yongshun", "yongshun") if remembered else (None, None)
    for row in (void, refused):
        assert (row["subject_id"], row["subject_name"]) == whose
    assert void["detail"].items() >= {"key": key["id"], "ticket_id": out["id"]}.items()
    assert refused["as_role"] == f"key {key['id']}"


async def test_it_is_asked_for_with_a_purpose_which_its_views_are_written_with(
    tmp_path: Path,
) -> None:
    async with (
        a_service(tmp_path) as running,
        running.as_("admin") as admin,
        running.as_("yongshun") as client,
    ):
        running.core.rtsp_port = PORT
        await admin.patch("/api/v1/channels/ch_y1", json={"sensitive": True})
        assert problem(await issue(client)) == (403, "purpose_required")
        said = {"Streamhub-Purpose": "incident", "Streamhub-Purpose-Note": "2026-17"}
        client.headers.update(said)
        tickets = [(await issue(client, profiles=["sub"])).json() for _ in range(2)]
        for header in said:
            del client.headers[header]
        expected = {"purpose": "incident", "purpose_note": "2026-17"}
        for row in await running.audit_rows("rtsp_ticket"):
            assert row["detail"].items() >= expected.items()
        await show(running, tickets[0]["password"])
        [view] = (await client.get("/api/v1/views")).json()["items"]
        switched = await client.put(f"/api/v1/views/{view['id']}/profile", json={"profile": "main"})
        assert problem(switched) == (409, "one_stream_only")
        [row] = await running.audit_rows("view_start")
        assert row["detail"].items() >= expected.items()
        # It falls with the purpose; the other ticket opens nothing any more.
        await admin.delete("/api/v1/purposes/incident")
        assert (await client.get("/api/v1/views")).json()["items"] == []
        await show(running, tickets[1]["password"], "rtsp-2")
        assert running.core.rtsp_answers[-1][:2] == ("rtsp-2", 403)


async def test_who_may_not_gets_none(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        running.core.rtsp_port = PORT
        async with running.as_("yongshun") as client:
            assert problem(await issue(client, "ch_l1")) == (404, "not_found")
            assert problem(await issue(client, "ch_off")) == (403, "channel_disabled")
            assert problem(await issue(client, valid_s=0)) == (422, "invalid_request")
            assert problem(await issue(client, profiles=[])) == (422, "invalid_request")
        async with running.as_("lister") as client:
            assert (await issue(client)).status_code == 403
        assert (await issue(running.client())).status_code == 401
        async with running.local() as local:
            assert problem(await issue(local)) == (403, "ticket_needs_subject")
        assert await running.audit_rows("rtsp_ticket") == []


async def test_without_a_door_it_is_said_who_opens_one(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("yongshun") as client:
        answer = await issue(client)
        assert problem(answer) == (409, "rtsp_off")
        assert "rtsp.listen" in answer.json()["detail"]


async def test_a_ticket_holds_no_longer_than_the_setting(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("yongshun") as client:
        running.core.rtsp_port = PORT
        out = (await issue(client, valid_s=366 * 24 * 3600)).json()
        valid_s = datetime.fromisoformat(out["expires_at"]) - running.services.now()
        assert valid_s.total_seconds() <= RtspSettings().ticket_max_s


@pytest.mark.parametrize(
    ("told", "reached_at", "place"),
    [
        (None, "192.0.2.1", "192.0.2.1:8554"),
        (None, "2001:db8::1", "[2001:db8::1]:8554"),
        ("video.example.cn", "192.0.2.1", "video.example.cn:8554"),
        ("video.example.cn:554", "192.0.2.1", "video.example.cn:554"),
        ("[2001:db8::1]:554", "192.0.2.1", "[2001:db8::1]:554"),
    ],
)
async def test_clients_are_told_where_the_door_is(
    told: str | None, reached_at: str, place: str
) -> None:
    async with a_room(settings=DeliverySettings(rtsp_advertise=told)) as kit:
        kit.core.rtsp_port = PORT
        assert kit.delivery.rtsp_places(reached_at) == [f"rtsp://{place}"]


@pytest.mark.parametrize(
    ("told", "told_tls", "places"),
    [
        (None, None, ["rtsps://192.0.2.1:8322", "rtsp://192.0.2.1:8554"]),
        ("a.example:554", None, ["rtsps://a.example:8322", "rtsp://a.example:554"]),
        ("[2001:db8::1]:554", None, ["rtsps://[2001:db8::1]:8322", "rtsp://[2001:db8::1]:554"]),
        ("a.example", "b.example:322", ["rtsps://b.example:322", "rtsp://a.example:8554"]),
    ],
)
async def test_of_two_doors_the_one_by_tls_is_told_first(
    told: str | None, told_tls: str | None, places: list[str]
) -> None:
    told_of = DeliverySettings(rtsp_advertise=told, rtsps_advertise=told_tls)
    async with a_room(settings=told_of) as kit:
        kit.core.rtsp_port, kit.core.rtsps_port = PORT, 8322
        assert kit.delivery.rtsp_places("192.0.2.1") == places
        kit.core.rtsp_port = None
        assert kit.delivery.rtsp_places("192.0.2.1") == places[:1]


async def test_a_ticket_names_each_stream_by_tls_before_it_is_named_in_the_clear(
    tmp_path: Path,
) -> None:
    async with a_service(tmp_path) as running, running.as_("yongshun") as client:
        running.core.rtsp_port, running.core.rtsps_port = PORT, 8322
        streams = (await issue(client)).json()["streams"]
        assert [(row["profile"], row["encrypted"]) for row in streams] == [
            ("main", True),
            ("main", False),
            ("sub", True),
            ("sub", False),
        ]
        assert streams[0]["address"] == f"rtsps://{client.base_url.host}:8322/ch_y1/main"
        running.core.rtsp_port = None
        streams = (await issue(client, profiles=["sub"])).json()["streams"]
        assert [row["url"].partition(":")[0] for row in streams] == ["rtsps"]


async def test_the_door_by_tls_hears_of_a_new_certificate() -> None:
    async with a_room() as kit:
        kit.delivery.certificate_changed(b"certificate", b"key")
        assert kit.core.rtsp_identities == [], "there is no such door"
        kit.core.rtsps_port = 8322
        kit.delivery.certificate_changed(b"certificate", b"key")
        assert kit.core.rtsp_identities == [(b"certificate", b"key")]
