"""A sweep: every address once, gently, to be stopped and resumed; and over HTTP."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.onvif import HttpTransport
from gateways.onvif.errors import SweepInvalid
from gateways.onvif.sweep import MAX_CLOCK_BYTES, SweepHit, SweepProgress, sweep
from gateways.onvif.sweep_plan import SweepCursor, SweepPace, SweepPaceSettings, SweepPlan
from gateways.onvif.transport import Timeouts
from support import onvif_shapes as shapes
from support.onvif_device import OnvifDevice
from support.patience import PATIENCE_S


def pairs(plan: SweepPlan, start: int = 0) -> list[tuple[str, int]]:
    return [(target.host, target.port) for target in plan.targets(start)]


def test_each_usable_address_and_port_is_asked_once() -> None:
    plan = SweepPlan(["10.0.0.0/30", "10.0.0.2/31", "10.0.1.7/32", "192.168.0.1"], [80, 8000, 80])
    wanted = {"10.0.0.1", "10.0.0.2", "10.0.1.7", "192.168.0.1"}
    assert sorted(pairs(plan)) == sorted((host, port) for host in wanted for port in (80, 8000))
    assert len(plan) == len(pairs(plan)) == 8


def test_neighbours_in_time_are_not_neighbours_in_the_network() -> None:
    plan = SweepPlan(["10.0.0.0/22"], [80])
    first = [target.subnet for target in plan.targets()][:8]
    assert first == [0, 1, 2, 3, 0, 1, 2, 3]
    assert len({target.host for target in plan.targets()}) == len(plan) == 1022


NETWORKS = st.lists(
    st.builds(
        lambda a, b, bits: f"10.{a}.{b}.0/{bits}",
        st.integers(0, 2),
        st.integers(0, 3),
        st.integers(21, 32),
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=40)
@given(NETWORKS, st.lists(st.integers(1, 65535), min_size=1, max_size=3), st.floats(0, 1))
def test_a_plan_resumed_anywhere_goes_on_where_it_was(
    networks: list[str], ports: list[int], share: float
) -> None:
    plan = SweepPlan(networks, ports)
    whole = pairs(plan)
    assert len(whole) == len(set(whole)) == len(plan)
    start = round(len(whole) * share)
    assert pairs(plan, start) == whole[start:]
    assert [target.index for target in plan.targets(start)] == list(range(start, len(plan)))


@pytest.mark.parametrize(
    ("networks", "ports", "code"),
    [
        ([], [80], "bad_sweep"),
        (["10.0.0.0/24"], [], "bad_sweep"),
        (["10.0.0.0/33"], [80], "bad_sweep"),
        (["camera"], [80], "bad_sweep"),
        (["10.0.0.0/24"], [0], "bad_sweep"),
        (["10.0.0.0/8"], [80], "sweep_too_large"),
        (["2001:db8::/64"], [80], "sweep_too_large"),
        (["0.0.0.0/0", "::/0"], [80], "sweep_too_large"),
        (["10.0.0.0/12"], [80, 81], "sweep_too_large"),
    ],
)
def test_what_cannot_be_swept_is_refused(networks: list[str], ports: list[int], code: str) -> None:
    with pytest.raises(SweepInvalid) as caught:
        SweepPlan(networks, ports)
    assert caught.value.code == code


def test_a_subnet_is_asked_at_its_pace_and_no_more_at_once_than_allowed() -> None:
    plan = SweepPlan(["10.0.0.0/24"], [80])
    pace = SweepPace(plan, SweepPaceSettings(concurrency=3, every_s=0.0, subnet_every_s=0.5))
    first = pace.next(10.0)
    assert first is not None
    assert pace.next(10.0) is None
    assert pace.timeout(10.0) == 10.5
    assert pace.next(10.5)
    assert pace.next(11.0)
    assert pace.next(99.0) is None  # three at once
    assert pace.timeout(99.0) is None
    pace.finished(first)
    assert pace.next(99.0)


def test_many_subnets_do_not_wait_for_each_other() -> None:
    pace = SweepPace(SweepPlan(["10.0.0.0/16"], [80]), SweepPaceSettings(1000, 0.0, 0.5))
    started = 0
    while pace.next(0.0) is not None:
        started += 1
    assert started == 256


def test_all_subnets_together_have_a_pace_too() -> None:
    pace = SweepPace(SweepPlan(["10.0.0.0/16"], [80]), SweepPaceSettings(every_s=0.25))
    now, started = 10.0, []
    while now < 11.0:
        if pace.next(now) is not None:
            started.append(now)
        at = pace.timeout(now)
        assert at is not None
        now = at
    assert started == [10.0, 10.25, 10.5, 10.75]


def test_the_cursor_never_passes_what_has_not_answered() -> None:
    plan = SweepPlan(["10.0.0.0/28"], [80])
    pace = SweepPace(plan, SweepPaceSettings(every_s=0.0, subnet_every_s=0.0))
    targets = [pace.next(0.0) for _ in range(5)]
    for target in targets[1:]:
        assert target is not None
        pace.finished(target)
    cursor = pace.cursor()
    assert cursor.done == 0
    assert targets[0] is not None
    pace.finished(targets[0])
    cursor = SweepCursor.from_json(json.loads(json.dumps(pace.cursor().as_json())))
    assert cursor.done == 5
    resumed = SweepPace(plan, SweepPaceSettings(), cursor)
    following = resumed.next(0.0)
    assert following is not None
    assert following.index == 5


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"networks": ["10.0.0.0/28"], "ports": [80], "done": -1},
        {"networks": ["10.0.0.0/28"], "ports": ["80"], "done": 1},
        {"networks": "10.0.0.0/28", "ports": [80], "done": 1},
        {"networks": ["10.0.0.0/28"], "ports": [80], "done": 10**9},
        {"networks": ["10.0.0.0/29"], "ports": [80], "done": 1},
    ],
)
def test_a_cursor_of_another_sweep_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(SweepInvalid) as caught:
        SweepPace(
            SweepPlan(["10.0.0.0/28"], [80]), SweepPaceSettings(), SweepCursor.from_json(data)
        )
    assert caught.value.code == "bad_cursor"


# --- over HTTP ------------------------------------------------------------------------------------

QUICK = SweepPaceSettings(concurrency=4, every_s=0.0, subnet_every_s=0.0)
PATIENT = Timeouts(connect_s=PATIENCE_S, total_s=PATIENCE_S)


async def devices(stack: AsyncExitStack, *made: OnvifDevice) -> list[int]:
    for device in made:
        await stack.enter_async_context(device.listening())
    return [device.port for device in made]


async def test_a_sweep_finds_devices_without_any_password() -> None:
    odd = OnvifDevice(answers={"GetSystemDateAndTime": (400, shapes.NOT_AUTHORIZED)})
    asks_first = OnvifDevice(answers={"GetSystemDateAndTime": (401, b"<html>401</html>")})
    web = OnvifDevice(answers={"GetSystemDateAndTime": (200, b"<html>printer</html>")})
    other = OnvifDevice(answers={"GetSystemDateAndTime": shapes.DEVICE_INFORMATION})
    endless = OnvifDevice(raw=b"HTTP/1.1 200 OK\r\n\r\n" + b"<a>" * MAX_CLOCK_BYTES)
    camera, gone = OnvifDevice(wants="digest"), OnvifDevice()
    told: list[SweepProgress] = []
    async with AsyncExitStack() as stack:
        ports = await devices(stack, camera, odd, asks_first, web, other, endless)
        async with gone.listening():
            pass
        http = await stack.enter_async_context(HttpTransport())
        found = [
            hit
            async for hit in sweep(
                SweepPlan(["127.0.0.1/32"], [*ports, gone.port]),
                http,
                registered={("127.0.0.1", odd.port), ("10.0.0.1", camera.port)},
                pace=QUICK,
                timeouts=PATIENT,
                on_progress=told.append,
            )
        ]
    by_port = {hit.address.port: hit for hit in found}
    assert set(by_port) == {camera.port, odd.port, asks_first.port}
    assert [by_port[port].registered for port in ports[:3]] == [False, True, False]
    assert [by_port[port].certain for port in ports[:3]] == [True, True, False]
    assert by_port[camera.port].clock_offset_s == pytest.approx(0, abs=60)
    assert camera.failed_tries == 0
    assert camera.operations == ["GetSystemDateAndTime"]
    last = told[-1]
    assert (last.total, last.done, last.found, last.registered) == (7, 7, 3, 1)
    assert last.cursor.done == 7


async def test_a_sweep_that_is_stopped_and_resumed_misses_none() -> None:
    cameras = [OnvifDevice() for _ in range(8)]
    found: list[SweepHit] = []
    told: list[SweepProgress] = []
    async with AsyncExitStack() as stack:
        ports = await devices(stack, *cameras)
        http = await stack.enter_async_context(HttpTransport())
        plan = SweepPlan(["127.0.0.1/32"], ports)
        cursor: SweepCursor | None = None
        rounds = 0
        while cursor is None or cursor.done < len(plan):
            rounds += 1
            run = sweep(
                plan, http, pace=QUICK, timeouts=PATIENT, cursor=cursor, on_progress=told.append
            )
            left = rounds + 2  # a hit more each time: what answers last may come again
            async for hit in run:
                found.append(hit)
                left -= 1
                if left == 0:
                    break
            await run.aclose()
            cursor = SweepCursor.from_json(told[-1].cursor.as_json())
    assert {hit.address.port for hit in found} == set(ports)
    assert rounds > 1


async def test_a_sweep_that_is_cancelled_leaves_no_task_behind() -> None:
    reached, ended = asyncio.Event(), asyncio.Event()

    async def hang(_: object) -> bytes:
        reached.set()
        await ended.wait()
        return b""

    camera = OnvifDevice(answers={"GetSystemDateAndTime": hang})
    async with camera.listening(), HttpTransport() as http:

        async def all_of_it() -> list[SweepHit]:
            return [hit async for hit in sweep(SweepPlan(["127.0.0.1"], [camera.port]), http)]

        task = asyncio.create_task(all_of_it())
        await reached.wait()
        assert [one for one in asyncio.all_tasks() if "sweep" in one.get_name()]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not [one for one in asyncio.all_tasks() if "sweep" in one.get_name()]
