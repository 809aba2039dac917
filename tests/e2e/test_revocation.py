"""A view lives as long as its right: however that ends, the last packet leaves within a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx

from streamhub.cli.demo import demo_password
from support.aiortc_viewer import AiortcViewer
from support.core_viewer import CoreViewer, core_on
from support.district import Farm, Service, eventually, farm_secret
from support.patience import HeldUp
from support.watching import (
    PATIENCE_S,
    assert_unharmed,
    audit_rows,
    channels_of,
    ended_views,
    watched,
)

# Required: from commit to the viewer's last packet.
LIMIT_S = 1.0
P99_S = 0.5
VIEWERS = 10
ROUNDS = 3
# A camera at 15 pictures a second that is not heard for so long has stopped.
QUIET_S = 0.5
LEASE_S = 2.0
# For a grant that soon ends to be there, and to take another's place.
SETTING_UP_S = 15.0
SHANGHAI = timezone(timedelta(hours=8))


def wall(packet_at: float) -> float:
    """A monotonic time as unix seconds."""
    return packet_at + (time.time() - time.monotonic())


async def subject_id_of(admin: httpx.AsyncClient, username: str) -> str:
    answer = await admin.get("/api/v1/subjects", params={"q": username})
    found = [row for row in answer.json()["items"] if row["username"] == username]
    subject_id: str = found[0]["id"]
    return subject_id


async def grant_of(admin: httpx.AsyncClient, subject_id: str) -> dict[str, Any]:
    answer = await admin.get("/api/v1/grants", params={"subject_id": subject_id})
    [grant] = answer.json()["items"]
    assert isinstance(grant, dict)
    return grant


async def last_packets(viewers: list[AiortcViewer]) -> list[float]:
    """Unix time of each viewer's last packet, once none has come to any for a while."""

    def quiet() -> bool:
        newest = max(viewer.packets[-1].at for viewer in viewers)
        return time.monotonic() - newest > QUIET_S

    await eventually("all viewers are quiet", quiet)
    return [wall(viewer.packets[-1].at) for viewer in viewers]


def share(values: list[float], part: float) -> float:
    """The value below or at which this part of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


async def test_ten_viewers_stop_within_a_second_of_the_revocation(service: Service) -> None:
    after_commit: list[float] = []
    after_answer: list[float] = []
    waited_s: list[float] = []
    async with service.client("yongshun") as client, service.client("admin") as admin:
        ids = [channel["id"] for channel in await channels_of(client, VIEWERS)]
        subject_id = await subject_id_of(admin, "yongshun")
        for round_number in range(ROUNDS):
            grant = await grant_of(admin, subject_id)
            async with watched(client, ids, decode=False) as viewers:
                held_up = HeldUp(*service.pids)
                answer = await admin.delete(f"/api/v1/grants/{grant['id']}")
                answered = time.time()
                assert answer.status_code == 204
                ended = await last_packets(viewers)
                revoked = (await audit_rows(admin, "grant_revoke"))[0]
                committed = datetime.fromisoformat(revoked["at"]).timestamp()
                assert committed <= answered
                after_commit += [at - committed for at in ended]
                after_answer += [at - answered for at in ended]
                waited_s.append(held_up.seconds())
                for viewer in viewers:
                    await viewer.wait_goodbye(PATIENCE_S)
                    assert_unharmed(viewer)
            if round_number == 0:
                for channel_id in ids:
                    gone = await client.get(f"/api/v1/channels/{channel_id}")
                    assert gone.status_code == 404
            body = {key: grant[key] for key in ("subject_id", "actions", "area_id")}
            assert (await admin.post("/api/v1/grants", json=body)).status_code == 201
        ends = await ended_views(admin, VIEWERS * ROUNDS)
    for name, values in (("commit", after_commit), ("answer", after_answer)):
        print(
            f"last packet after the {name}: p50 {share(values, 0.5) * 1000:.0f} ms,"
            f" p99 {share(values, 0.99) * 1000:.0f} ms (n={len(values)})"
        )
    assert min(after_commit) > -QUIET_S - max(waited_s), "all of them were running until then"
    assert max(after_commit) < LIMIT_S + max(waited_s)
    assert share(after_commit, 0.99) < P99_S + max(waited_s)
    assert [row["detail"]["cause"] for row in ends] == ["revoked"] * VIEWERS * ROUNDS


@dataclass
class Ending:
    """One way to lose a right: done by the admin at `act`, or by time at `at`."""

    cause: str
    viewer: AiortcViewer
    act: Callable[[], Awaitable[httpx.Response]] | None = None
    at: float = 0.0

    @property
    def view_id(self) -> str:
        return self.viewer.location.rpartition("/")[2]

    async def comes(self, service: Service) -> None:
        """The right ends, and the picture stops in time."""
        if self.act is None:
            await eventually("it is nearly time", lambda: time.time() > self.at - QUIET_S)
        held_up = HeldUp(*service.pids)
        if self.act is None:
            await eventually("it is time", lambda: time.time() > self.at)
        else:
            answer = await self.act()
            assert answer.status_code < 300, answer.text
            self.at = time.time()
        [last] = await last_packets([self.viewer])
        print(f"{self.cause}: last packet {(last - self.at) * 1000:+.0f} ms")
        assert last - self.at < LIMIT_S + held_up.seconds(), self.cause


@dataclass
class District:
    """Who watches what, and what the admin does about it."""

    service: Service
    stack: AsyncExitStack
    admin: httpx.AsyncClient

    async def client(self, username: str) -> httpx.AsyncClient:
        return await self.stack.enter_async_context(self.service.client(username))

    async def watch(self, username: str, channel: dict[str, Any] | None = None) -> AiortcViewer:
        """Of a channel, or of the first of their own."""
        client = await self.client(username)
        if channel is None:
            [channel] = await channels_of(client, 1)
        return await self.watch_by(client, channel)

    async def watch_by(self, client: httpx.AsyncClient, channel: dict[str, Any]) -> AiortcViewer:
        opened = watched(client, [channel["id"]], decode=False)
        [viewer] = await self.stack.enter_async_context(opened)
        return viewer

    async def grant(self, **body: Any) -> dict[str, Any]:
        answer = await self.admin.post("/api/v1/grants", json=body)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        grant: dict[str, Any] = answer.json()
        return grant

    async def ends_by_time(
        self, channel: dict[str, Any], when: Callable[[], tuple[datetime, dict[str, Any]]]
    ) -> Ending:
        """A view by a lasting grant on one camera of another township; then one that ends by itself
        takes its place, and the view goes on until then. `when`: its end, and what of it says so.
        """
        subject_id = await subject_id_of(self.admin, "yongshun")
        target = {"subject_id": subject_id, "actions": ["live"], "channel_id": channel["id"]}
        lasting = await self.grant(**target)
        viewer = await self.watch("yongshun", channel)
        end, terms = when()
        await self.grant(**target, **terms)
        revoked = await self.admin.delete(f"/api/v1/grants/{lasting['id']}")
        assert revoked.status_code == httpx.codes.NO_CONTENT
        assert datetime.now(UTC) < end, "this machine is too slow for a grant that ends so soon"
        return Ending("grant_ended", viewer, at=end.timestamp())


def in_a_while() -> tuple[datetime, dict[str, Any]]:
    end = datetime.now(UTC) + timedelta(seconds=SETTING_UP_S)
    return end, {"valid_until": end.isoformat()}


def with_the_hours() -> tuple[datetime, dict[str, Any]]:
    """An hour that ends with the first full minute that leaves the time to set it up; of the day it
    begins on, also where midnight is within it."""
    after = datetime.now(SHANGHAI) + timedelta(minutes=1, seconds=SETTING_UP_S)
    end = after.replace(second=0, microsecond=0)
    start = end - timedelta(hours=1)
    until = f"{end:%H:%M}" if end.hour or end.minute else "24:00"
    hours = {"days": [f"{start:%a}".lower()], "start": f"{start:%H:%M}", "end": until}
    return end, {"windows": [hours]}


async def ways_by_admin(district: District) -> list[Ending]:
    """All that an administrator may do, each to a view of its own."""
    admin, watch = district.admin, district.watch
    operator = await district.client("yongshun")
    yongshun = await subject_id_of(admin, "yongshun")
    closed, removed, switched_off, reopened, denied, moved = await channels_of(operator, 6)
    [by_role] = await channels_of(admin, 1, q="11011207")  # of another township
    disabled_id = await subject_id_of(admin, "liyuan")
    re_keyed_id = await subject_id_of(admin, "songzhuang")
    limited_id = await subject_id_of(admin, "taihu")
    role = await admin.post("/api/v1/roles", json={"name": "duty", "display_name": "Duty"})
    member = f"/api/v1/roles/{role.json()['id']}/members/{yongshun}"
    assert (await admin.put(member)).status_code == httpx.codes.NO_CONTENT
    await district.grant(role_id=role.json()["id"], actions=["live"], channel_id=by_role["id"])
    deny = {"subject_id": yongshun, "actions": ["live"], "channel_id": denied["id"]}
    reopen = {"step": "reopen", "channel_ids": [reopened["id"]]}
    by_operator = await watch("yongshun", closed)

    def patch(path: str, **body: Any) -> Callable[[], Awaitable[httpx.Response]]:
        return lambda: admin.patch(f"/api/v1/{path}", json=body)

    return [
        Ending("revoked", await watch("liyuan"), patch(f"subjects/{disabled_id}", enabled=False)),
        Ending(
            "revoked",
            await watch("songzhuang"),
            patch(f"subjects/{re_keyed_id}", password="another-pass-phrase-9"),
        ),
        Ending(
            "channel_removed",
            await watch("yongshun", removed),
            lambda: admin.delete(f"/api/v1/channels/{removed['id']}"),
        ),
        Ending(
            "channel_disabled",
            await watch("yongshun", switched_off),
            patch(f"channels/{switched_off['id']}", enabled=False),
        ),
        Ending(
            "channel_not_filed",
            await watch("yongshun", reopened),
            lambda: admin.post("/api/v1/channel-filing", json=reopen),
        ),
        Ending(
            "revoked",
            await watch("yongshun", moved),
            patch(f"channels/{moved['id']}", area_id=by_role["area_id"]),
        ),
        Ending(
            "revoked",
            await watch("yongshun", denied),
            lambda: admin.post("/api/v1/grants", json={**deny, "effect": "deny"}),
        ),
        Ending("revoked", await watch("yongshun", by_role), lambda: admin.delete(member)),
        Ending(
            "quota_lowered",
            await watch("taihu"),  # their second: the first goes on
            lambda: admin.put(f"/api/v1/quotas/subjects/{limited_id}", json={"max_views": 1}),
        ),
        Ending(
            "closed_by_operator",
            by_operator,
            lambda: admin.delete(f"/api/v1/views/{by_operator.location.rpartition('/')[2]}"),
        ),
    ]


async def sign_in_ended(district: District) -> Ending:
    """A view in the page, whose sign-in is ended."""
    page = await district.stack.enter_async_context(
        httpx.AsyncClient(base_url=district.service.url, timeout=PATIENCE_S)
    )
    signing_in = {"username": "yongshun", "password": demo_password("yongshun")}
    assert (await page.post("/api/v1/sign-in", json=signing_in)).status_code == 200
    [*_, shown] = await channels_of(page, 7)
    viewer = await district.watch_by(page, shown)
    path = f"/api/v1/sign-ins/{await sign_in_id_of(page)}"
    return Ending("sign_in_ended", viewer, lambda: page.delete(path))


async def token_ended(district: District) -> Ending:
    """A view by a script, whose token's sign-in is ended by who manages the district."""
    script = await district.client("yongshun")
    [*_, shown] = await channels_of(script, 8)
    viewer = await district.watch_by(script, shown)
    subject_id = await subject_id_of(district.admin, "yongshun")
    path = f"/api/v1/subjects/{subject_id}/sign-ins/{await sign_in_id_of(script)}"
    return Ending("sign_in_ended", viewer, lambda: district.admin.delete(path))


async def sign_in_id_of(client: httpx.AsyncClient) -> str:
    """Of the one that the client asks with."""
    rows = (await client.get("/api/v1/sign-ins")).json()["items"]
    [current] = [row["id"] for row in rows if row["current"]]
    return str(current)


async def test_every_way_a_right_ends_stops_the_picture(service: Service) -> None:
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(service.client("admin"))
        district = District(service, stack, admin)
        bystander = await district.watch("taihu")
        in_hours, for_a_while = await channels_of(admin, 2, q="11011208")
        async with asyncio.TaskGroup() as group:
            # The end of the hours may be a minute away: all the others come meanwhile.
            hours = await district.ends_by_time(in_hours, with_the_hours)
            group.create_task(hours.comes(service))
            by_admin = [
                *await ways_by_admin(district),
                await sign_in_ended(district),
                await token_ended(district),
            ]
            term = await district.ends_by_time(for_a_while, in_a_while)
            await term.comes(service)
            for ending in by_admin:
                await ending.comes(service)
        endings = [hours, term, *by_admin]
        views = (await admin.get("/api/v1/views")).json()["items"]
        assert [view["id"] for view in views] == [bystander.location.rpartition("/")[2]]
        await bystander.wait_packets(len(bystander.packets) + 50, PATIENCE_S)
        assert_unharmed(bystander)
        causes = {
            row["detail"]["view_id"]: row["detail"]["cause"]
            for row in await ended_views(admin, len(endings))
        }
        assert causes == {ending.view_id: ending.cause for ending in endings}


async def test_the_core_ends_a_lease_that_nobody_renews(farm: Farm, template: Any) -> None:
    """The control plane is not there: nobody renews, nobody drains events."""
    with core_on(farm, farm_secret(template)) as core:
        kept = CoreViewer(core, "kept", time.time() + 600)
        left = CoreViewer(core, "left", time.time() + 600)
        try:
            await kept.open()
            await left.open()
            await kept.viewer.wait_packets(20, PATIENCE_S)
            await left.viewer.wait_packets(1, PATIENCE_S)
            held_up, until = HeldUp(), time.time() + LEASE_S
            core.renew_viewers([("left", until)])
            [last] = await last_packets_after(left.viewer, until)
            print(f"lease of {LEASE_S} s: last packet {(last - until) * 1000:+.0f} ms after it")
            await eventually("BYE", lambda: left.viewer.byes > 0)
            slack_s = 0.5 + held_up.seconds()
            assert -slack_s < last - until < slack_s
            packets = len(kept.viewer.packets)
            await kept.viewer.wait_packets(packets + 20, PATIENCE_S)
            closed = [event for event in core.drain_events(10_000) if event[0] == "viewer_closed"]
            [(_, owner, fields)] = closed
            assert owner == "left"
            assert fields["cause"] == "lease_expired"
            # Milliseconds, cut.
            assert -0.002 < fields["at_ms"] / 1000 - until < slack_s
            assert fields["packets"] == len(left.viewer.packets)
        finally:
            await kept.viewer.close()
            await left.viewer.close()


async def last_packets_after(viewer: AiortcViewer, until: float) -> list[float]:
    await eventually("the lease is over", lambda: time.time() > until, PATIENCE_S)
    return await last_packets([viewer])


async def test_a_renewed_lease_goes_on(farm: Farm, template: Any) -> None:
    with core_on(farm, farm_secret(template)) as core:
        watching = CoreViewer(core, "renewed", time.time() + 600)
        try:
            await watching.open()
            await watching.viewer.wait_packets(1, PATIENCE_S)
            first = time.time() + LEASE_S
            for lease_s in (LEASE_S, 2 * LEASE_S):
                core.renew_viewers([("renewed", time.time() + lease_s)])
            await eventually("the first lease is over", lambda: time.time() > first)
            packets = len(watching.viewer.packets)
            await watching.viewer.wait_packets(packets + 5, PATIENCE_S)
            await eventually("BYE", lambda: watching.viewer.byes > 0, PATIENCE_S)
        finally:
            await watching.viewer.close()
