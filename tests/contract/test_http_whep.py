"""WHEP, live views and stills over HTTP, on a fake core."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from streamhub.app import say_goodbye
from streamhub.settings import HttpSettings
from support.http_kit import OFFER, SDP, Running, a_service, problem
from support.patience import PATIENCE_S


async def _open(client: httpx.AsyncClient, channel: str = "ch_y1") -> str:
    answer = await client.post(f"/whep/{channel}", content=OFFER, headers=SDP)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


async def test_an_offer_is_answered_at_once(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("yongshun") as client:
        url = "/whep/ch_y1"
        answer = await client.post(url, params={"profile": "main"}, content=OFFER, headers=SDP)
        assert answer.status_code == 201
        assert answer.headers["content-type"] == "application/sdp"
        assert answer.text.startswith("v=0")
        location = answer.headers["location"]
        view_id = location.removeprefix("/whep/ch_y1/")
        assert len(view_id) == 32
        assert answer.headers["etag"] == f'"{view_id}"'
        assert answer.headers["link"] == (
            f'<{location}/events>; rel="urn:ietf:params:whep:ext:core:server-sent-events"'
        )
        assert running.core.viewers[view_id].stream_id == "ch_y1/main"
        for method in ("GET", "HEAD"):
            assert (await client.request(method, location)).status_code == 204
        trickle = {"Content-Type": "application/trickle-ice-sdpfrag"}
        patched = await client.patch(location, content="a=end-of-candidates", headers=trickle)
        assert patched.status_code == 204
        assert (await client.delete(location)).status_code == 200
        assert running.core.viewers == {}
        assert problem(await client.delete(location)) == (404, "not_found")


async def test_a_camera_whose_codec_the_offer_lacks_is_named(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("yongshun") as client:
        running.core.known_codecs["ch_y1/main"] = "H265"
        answer = await client.post(
            "/whep/ch_y1?profile=main", content=OFFER, headers={"Content-Type": "application/sdp"}
        )
        assert problem(answer) == (422, "no_common_codec")
        assert answer.json()["codec"] == "H265"
        assert "H265" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("channel", "body", "content_type", "expected"),
    [
        ("ch_y1", "rubbish", "application/sdp", (400, "malformed_sdp")),
        ("ch_y1", b"\xff\xfe", "application/sdp", (400, "malformed_sdp")),
        ("ch_y1", "v=0\r\n", "application/sdp", (422, "no_common_codec")),
        ("ch_y1", OFFER, "text/plain", (415, "not_sdp")),
        ("ch_y1", "v=0\r\n" + "x" * 70_000, "application/sdp", (413, "too_large")),
        ("ch_y1", "x" * 300_000, "application/sdp", (413, "too_large")),
        ("ch_l1", OFFER, "application/sdp", (404, "not_found")),
        ("ch_nowhere", OFFER, "application/sdp", (404, "not_found")),
        ("ch_off", OFFER, "application/sdp", (403, "channel_disabled")),
        ("ch_y1?profile=third", OFFER, "application/sdp", (422, "invalid_request")),
    ],
)
async def test_what_is_refused(
    channel: str,
    body: str | bytes,
    content_type: str,
    expected: tuple[int, str],
    tmp_path: Path,
) -> None:
    async with a_service(tmp_path) as running, running.as_("yongshun") as client:
        answer = await client.post(
            f"/whep/{channel}", content=body, headers={"Content-Type": content_type}
        )
        assert problem(answer) == expected
        assert answer.headers["access-control-allow-origin"] == "*"
        assert running.core.viewers == {}


async def test_a_full_core_says_when_to_come_back(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("yongshun") as client:
        running.core.max_viewers = 0
        answer = await client.post("/whep/ch_y1", content=OFFER, headers=SDP)
        assert problem(answer) == (503, "over_capacity")
        assert int(answer.headers["retry-after"]) > 0


async def test_other_origins_may_call_with_a_token(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.client() as client:
        headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
        for path in ("/whep/ch_y1", "/whep/ch_y1/abc", "/whep/ch_y1/abc/events"):
            answer = await client.options(path, headers=headers)
            assert answer.status_code == 204
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "PATCH" in answer.headers["access-control-allow-methods"]
            assert "Authorization" in answer.headers["access-control-allow-headers"]
            exposed = answer.headers["access-control-expose-headers"]
            assert {"Location", "ETag", "Link"} <= set(exposed.split(", "))
            assert "access-control-allow-credentials" not in answer.headers
        answer = await client.options("/whep/ch_y1", headers=headers)
        assert answer.headers["accept-post"] == "application/sdp"
        assert "access-control-allow-origin" not in (await client.get("/api/v1/me")).headers


async def test_origins_may_be_named(tmp_path: Path) -> None:
    http = HttpSettings(whep_origins=["https://wall.example"])
    async with a_service(tmp_path, http=http) as running, running.client() as client:
        named = await client.options("/whep/x", headers={"Origin": "https://wall.example"})
        assert named.headers["access-control-allow-origin"] == "https://wall.example"
        assert named.headers["vary"] == "Origin"
        other = await client.options("/whep/x", headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


async def test_a_view_is_there_for_its_viewer_and_whoever_manages_the_channel(
    tmp_path: Path,
) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("yongshun") as client:
            location = await _open(client)
            view_id = location.rsplit("/", 1)[1]
            # The two ids of the address belong together.
            assert problem(await client.get(f"/whep/ch_y2/{view_id}")) == (404, "not_found")
            mine = (await client.get("/api/v1/views")).json()["items"]
            assert [(each["id"], each["subject"]["username"]) for each in mine] == [
                (view_id, "yongshun")
            ]
            assert mine[0]["channel_name"] == "路口1"
        for other in ("lister", "stranger", "auditor"):
            async with running.as_(other) as client:
                for method in ("DELETE", "PATCH", "GET"):
                    answer = await client.request(method, location)
                    assert problem(answer) == (404, "not_found")
                assert problem(await client.get(f"{location}/events")) == (404, "not_found")
                refused = await client.delete(f"/api/v1/views/{view_id}")
                assert problem(refused) == (404, "not_found")
                assert (await client.get("/api/v1/views")).json()["items"] == []
        async with running.as_("warden") as client:
            assert (await client.get("/api/v1/views")).json()["total"] == 1
            assert (await client.delete(f"/api/v1/views/{view_id}")).status_code == 204
        assert running.core.viewers == {}


async def _revoke_by_api(running: Running) -> None:
    async with running.as_("admin") as client:
        assert (await client.delete("/api/v1/grants/gr_yongshun")).status_code == 204


async def _revoke_locally(running: Running) -> None:
    async with running.local() as client:
        assert (await client.delete("/api/v1/grants/gr_yongshun")).status_code == 204


async def _disable_the_subject(running: Running) -> None:
    async with running.as_("admin") as client:
        body = {"enabled": False}
        assert (await client.patch("/api/v1/subjects/su_yongshun", json=body)).status_code == 200


async def _switch_the_channel_off(running: Running) -> None:
    async with running.as_("warden") as client:
        body = {"enabled": False}
        assert (await client.patch("/api/v1/channels/ch_y1", json=body)).status_code == 200


async def _move_the_channel_away(running: Running) -> None:
    async with running.as_("admin") as client:
        body = {"area_id": "ar_liyuan"}
        assert (await client.patch("/api/v1/channels/ch_y1", json=body)).status_code == 200


async def _move_the_channel_back(running: Running) -> None:
    async with running.as_("admin") as client:
        body = {"area_id": "ar_yongshun"}
        assert (await client.patch("/api/v1/channels/ch_y1", json=body)).status_code == 200


async def _remove_the_channel(running: Running) -> None:
    async with running.as_("admin") as client:
        assert (await client.delete("/api/v1/channels/ch_y1")).status_code == 204


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (_revoke_by_api, "revoked"),
        (_revoke_locally, "revoked"),
        (_disable_the_subject, "revoked"),
        (_switch_the_channel_off, "channel_disabled"),
        (_move_the_channel_away, "revoked"),
        (_remove_the_channel, "channel_removed"),
    ],
)
async def test_what_ends_the_right_ends_the_view_before_the_call_returns(
    end: Callable[[Running], Awaitable[None]], cause: str, tmp_path: Path
) -> None:
    async with a_service(tmp_path) as running, running.as_("yongshun") as client:
        await _open(client)
        assert len(running.core.viewers) == 1
        await end(running)
        assert running.core.viewers == {}
        delivery = running.services.doors()
        await delivery.views.drained()
        await delivery._view_log.settled()
        [row] = await running.audit_rows("view_end")
        assert (row["detail"]["cause"], row["area_id"]) == (cause, "ar_yongshun")


async def test_a_channel_that_is_moved_stays_in_view_where_the_right_reaches(
    tmp_path: Path,
) -> None:
    """And for nobody else, whoever saw it where it was."""
    async with a_service(tmp_path) as running:
        for name, granted in (("lister", "ar_liyuan"), ("stranger", "ar_yongshun")):
            async with running.as_("admin") as admin:
                body = {"subject_id": f"su_{name}", "actions": ["live"], "area_id": granted}
                assert (await admin.post("/api/v1/grants", json=body)).status_code == 201
        async with running.as_("admin") as client:
            await _open(client)
        for name in ("yongshun", "stranger"):
            async with running.as_(name) as client:
                await _open(client)
        async with running.as_("warden") as warden:
            body = {"area_id": "ar_village"}  # below the area that they all have
            answer = await warden.patch("/api/v1/channels/ch_y1", json=body)
            assert answer.status_code == 200
        assert len(running.core.viewers) == 3
        await _move_the_channel_away(running)
        assert [each.subject_id for each in running.core.viewers.values()] == ["su_admin"]
        async with running.as_("lister") as client:
            await _open(client)
        await _move_the_channel_back(running)
        assert [each.subject_id for each in running.core.viewers.values()] == ["su_admin"]


def _events(text: str) -> list[tuple[str, dict[str, object]]]:
    events = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "event" in fields:
            events.append((fields["event"], json.loads(fields["data"])))
    return events


async def _follow(
    running: Running, client: httpx.AsyncClient, location: str
) -> asyncio.Task[httpx.Response]:
    """A client that reads the view's events; it is certain that it does when this returns."""
    views = running.services.doors().views
    watch, watched = views.watch, asyncio.Event()

    def noticed(view_id: str) -> object:
        watched.set()
        return watch(view_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "watch", noticed)
        following = asyncio.create_task(client.get(f"{location}/events"))
        await asyncio.wait_for(watched.wait(), PATIENCE_S)
    return following


async def test_events_tell_the_steps_and_end_with_the_view(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running, running.as_("yongshun") as client:
        location = await _open(client)
        following = await _follow(running, client, location)
        view_id = location.rsplit("/", 1)[1]
        # The core's events come when the loop gets to them: a view that ends sooner has no dial.
        async with asyncio.timeout(PATIENCE_S):
            async for event in running.services.doors().views.watch(view_id):
                if event.data.get("step") == "dial":
                    break
        async with running.as_("warden") as warden:
            assert (await warden.delete(f"/api/v1/views/{view_id}")).status_code == 204
        answer = await asyncio.wait_for(following, PATIENCE_S)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["access-control-allow-origin"] == "*"
        events = _events(answer.text)
        steps = [str(data["step"]) for name, data in events if name == "step"]
        assert steps[:2] == ["permit", "dial"]
        last_name, last = events[-1]
        assert (last_name, last["state"], last["reason"]) == (
            "state",
            "ended",
            "closed_by_operator",
        )


async def test_goodbye_ends_views_and_their_events(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("yongshun") as client:
            location = await _open(client)
            following = await _follow(running, client, location)
            await asyncio.wait_for(say_goodbye(running.app), PATIENCE_S)
            events = _events((await asyncio.wait_for(following, PATIENCE_S)).text)
            assert events[-1][1]["reason"] == "shutdown"
            refused = await client.post("/whep/ch_y1", content=OFFER, headers=SDP)
            assert problem(refused) == (503, "shutting_down")
        rows = await running.audit_rows("view_end")
        assert [row["detail"]["cause"] for row in rows] == ["shutdown"]


async def test_a_view_is_written_down_with_its_span(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("yongshun") as client:
            location = await _open(client)
            await client.delete(location)
        await say_goodbye(running.app)
        start = (await running.audit_rows("view_start"))[0]
        end = (await running.audit_rows("view_end"))[0]
        assert start["channel_id"] == end["channel_id"] == "ch_y1"
        assert start["subject_name"] == "yongshun"
        assert start["detail"]["view_id"] == end["detail"]["view_id"]


async def test_refusals_are_written_down_once(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("yongshun") as client:
            for _ in range(20):
                await client.post("/whep/ch_l1", content=OFFER, headers=SDP)
        text = (await running.client().get("/metrics")).text
        assert 'streamhub_refusals_total{action="live",reason="no_grant"} 20.0' in text
    async with a_service(tmp_path) as running:
        rows = await running.audit_rows("refused")
        about = [row for row in rows if row["channel_id"] == "ch_l1"]
        assert [row["detail"].get("more") for row in about] == [19, None]


async def test_a_still_that_cannot_be_had_says_why(tmp_path: Path) -> None:
    async with a_service(tmp_path) as running:
        async with running.as_("yongshun") as client:
            # The fake core's keyframe is no H.264.
            answer = await client.get("/api/v1/channels/ch_y1/snapshot.jpg")
            assert problem(answer) == (502, "still_undecodable")
            other = await client.get("/api/v1/channels/ch_l1/snapshot.jpg")
            assert problem(other) == (404, "not_found")
        async with running.as_("lister") as client:
            refused = await client.get("/api/v1/channels/ch_y1/snapshot.jpg")
            assert problem(refused) == (403, "forbidden")
