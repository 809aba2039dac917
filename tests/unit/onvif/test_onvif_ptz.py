"""Steering: a camera moves while somebody holds a key, and stops when they fall silent."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_registry.secret import Secret
from gateways.onvif import (
    CredentialSet,
    DeviceAddress,
    DeviceClient,
    HttpTransport,
    NoPtz,
    OnvifError,
    PtzControl,
    PtzStatus,
    Velocity,
    find_ptz,
)
from gateways.onvif import hold_to_move as machine
from gateways.onvif.errors import Fault
from gateways.onvif.hold_to_move import HOLD_S, STOP_AGAIN_S, STOP_TRIES, HoldToMove
from gateways.onvif.ptz_wire import (
    Position,
    Preset,
    absolute_move,
    continuous_move,
    read_presets,
    read_status,
)
from gateways.onvif.soap import body_of
from support import onvif_shapes as shapes
from support.onvif_device import PASSWORD, OnvifDevice, Request
from support.patience import PATIENCE_S

LEFT, RIGHT = Velocity(pan=-0.5, tilt=0.0), Velocity(pan=0.5, tilt=0.0)
GOOD = CredentialSet("good", "admin", Secret(PASSWORD))


class Camera:
    """A camera in memory that answers after `takes_s`; says what it was told and when."""

    def __init__(self, takes_s: float = 0.05) -> None:
        self.machine = HoldToMove()
        self.takes_s = takes_s
        self.now = 100.0
        self.told: list[tuple[float, Velocity | None]] = []
        self.moving_since: float | None = None
        self.deaf = False

    def run_until(self, until: float) -> None:
        """Virtual time, act by act."""
        while True:
            act = self.machine.poll(self.now)
            if act is None:
                at = self.machine.timeout()
                if at is None or at > until:
                    self.now = max(self.now, until)
                    return
                self.now = max(self.now, at)
                continue
            self.told.append((round(self.now - 100.0, 3), act.velocity))
            self.now += self.takes_s
            if self.deaf:
                self.machine.failed(self.now)
                continue
            self.moving_since = None if act.velocity is None else self.now
            self.machine.done(self.now)


def test_a_held_key_moves_and_silence_stops() -> None:
    camera = Camera()
    camera.machine.hold(100.0, LEFT)
    camera.run_until(110.0)
    assert camera.told == [(0.0, LEFT), (HOLD_S, None)]
    assert camera.moving_since is None


def test_a_key_that_is_held_on_keeps_it_moving_and_is_told_once_a_second() -> None:
    camera = Camera()
    for tick in range(16):  # a page repeats every 250 ms, for 4 s
        camera.machine.hold(camera.now, LEFT)
        camera.run_until(100.0 + 0.25 * (tick + 1))
    assert [velocity for _, velocity in camera.told] == [LEFT] * 4
    camera.run_until(110.0)
    assert camera.told[-1] == (3.75 + HOLD_S, None)


def test_letting_go_stops_at_once() -> None:
    camera = Camera()
    camera.machine.hold(100.0, LEFT)
    camera.run_until(100.2)
    camera.machine.release(100.2)
    camera.run_until(110.0)
    assert camera.told == [(0.0, LEFT), (0.2, None)]


def test_a_joystick_that_trembles_does_not_flood_the_camera() -> None:
    camera = Camera(takes_s=0.01)
    for tick in range(100):
        camera.machine.hold(camera.now, Velocity(pan=tick / 100, tilt=0.1))
        camera.run_until(100.0 + 0.01 * (tick + 1))
    assert 5 <= len(camera.told) <= 11
    assert len({velocity for _, velocity in camera.told}) == len(camera.told)


def test_a_stop_that_is_not_answered_is_sent_again_a_few_times() -> None:
    camera = Camera()
    camera.machine.hold(100.0, LEFT)
    camera.run_until(100.1)
    camera.deaf = True
    camera.machine.close(100.1)
    camera.run_until(120.0)
    stops = [at for at, velocity in camera.told if velocity is None]
    assert len(stops) == STOP_TRIES
    assert all(later - at >= STOP_AGAIN_S for at, later in pairwise(stops))
    assert camera.machine.over


def test_a_move_that_failed_may_have_moved_it_so_it_is_stopped() -> None:
    camera = Camera()
    camera.deaf = True
    camera.machine.hold(100.0, LEFT)
    assert camera.machine.poll(100.0) is not None
    camera.machine.failed(103.0)
    camera.deaf = False
    camera.run_until(104.0)
    assert camera.told == [(0.0, None)]


def test_nobody_steers_a_closed_one() -> None:
    camera = Camera()
    camera.machine.close(100.0)
    camera.machine.hold(100.0, LEFT)
    camera.run_until(110.0)
    assert camera.told == []
    assert camera.machine.over


COMMANDS = st.lists(
    st.tuples(
        st.sampled_from(["hold", "hold", "release"]),
        st.floats(0.0, 2.0),
        st.sampled_from([LEFT, RIGHT, Velocity(zoom=1.0), Velocity(pan=0.0)]),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(COMMANDS, st.floats(0.0, 0.3))
def test_whatever_is_pressed_it_stands_still_in_the_end(
    commands: list[tuple[str, float, Velocity]], takes_s: float
) -> None:
    camera = Camera(takes_s)
    last_hold = 100.0
    for what, wait_s, velocity in commands:
        if what == "hold":
            camera.machine.hold(camera.now, velocity)
            last_hold = camera.now
        else:
            camera.machine.release(camera.now)
        camera.run_until(camera.now + wait_s)
    # A move under way when the holder falls silent is answered, then the stop is sent.
    camera.run_until(last_hold + HOLD_S + 3 * takes_s + 0.001)
    assert camera.moving_since is None
    assert camera.machine.poll(camera.now) is None


# --- requests -------------------------------------------------------------------------------------


def test_an_axis_that_does_not_move_is_left_out() -> None:
    zoom = continuous_move("P<1>", Velocity(zoom=2.0)).body
    assert "PanTilt" not in zoom
    assert '<tt:Zoom x="1.000"/>' in zoom
    assert "<tptz:ProfileToken>P&lt;1&gt;</tptz:ProfileToken>" in zoom
    pan = continuous_move("P", Velocity(pan=-0.5), timeout=False).body
    assert '<tt:PanTilt x="-0.500" y="0.000"/>' in pan
    assert "Zoom" not in pan
    assert "Timeout" not in pan
    assert '<tt:Zoom x="0.000"/>' in absolute_move("P", Position(zoom=1e-9)).body


def test_presets_are_read_as_they_are_named() -> None:
    answer = body_of(shapes.PRESETS)
    assert not isinstance(answer, Fault)
    assert read_presets(answer) == [Preset("1", "Gate"), Preset("two words", "北门 & 停车场")]


# --- over HTTP ------------------------------------------------------------------------------------


class Steered:
    """A device that lets the test wait for what it is told."""

    def __init__(self, **answers: Any) -> None:
        self.told: asyncio.Queue[Request] = asyncio.Queue()
        self.device = OnvifDevice(
            answers={
                name: self.telling(answers.get(name, shapes.envelope(f"<tptz:{name}Response/>")))
                for name in ("ContinuousMove", "Stop")
            }
        )

    def telling(self, answer: Any) -> Any:
        def tell(request: Request) -> Any:
            self.told.put_nowait(request)
            return answer(request) if callable(answer) else answer

        return tell

    async def next(self) -> Request:
        return await asyncio.wait_for(self.told.get(), PATIENCE_S)

    def client(self, http: HttpTransport) -> tuple[DeviceClient, str]:
        address = DeviceAddress("127.0.0.1", self.device.port)
        return DeviceClient(address, http, [GOOD]), address.at("/onvif/ptz_service")


async def test_a_caller_that_falls_silent_does_not_leave_a_camera_turning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "HOLD_S", 0.5)
    steered = Steered()
    async with (
        steered.device.listening(),
        HttpTransport() as http,
        PtzControl(*steered.client(http), "main") as ptz,
    ):
        ptz.hold(LEFT)
        assert (await steered.next()).operation == "ContinuousMove"
        assert (await steered.next()).operation == "Stop"  # nobody said so
    assert steered.told.empty()


@pytest.mark.parametrize("how", ["leaves", "breaks", "is cancelled", "is cancelled twice"])
async def test_a_caller_that_is_gone_does_not_leave_a_camera_turning(how: str) -> None:
    steered, turning = Steered(), asyncio.Event()

    async def steer(http: HttpTransport) -> None:
        async with PtzControl(*steered.client(http), "main") as ptz:
            ptz.hold(LEFT)
            await steered.next()
            turning.set()
            if how == "breaks":
                raise RuntimeError
            if how.startswith("is cancelled"):
                await asyncio.Event().wait()

    async with steered.device.listening(), HttpTransport() as http:
        task = asyncio.create_task(steer(http))
        await turning.wait()
        if how.startswith("is cancelled"):
            task.cancel()
        if how == "is cancelled twice":
            await asyncio.sleep(0)  # it is on its way out now
            task.cancel()
        await asyncio.wait([task])
        assert (await steered.next()).operation == "Stop"
        assert task.cancelled() or how == "leaves" or isinstance(task.exception(), RuntimeError)


async def test_a_camera_that_refuses_a_timeout_moves_without() -> None:
    def picky(request: Request) -> Any:
        if "Timeout" in request.text:
            return 400, shapes.fault("ter:InvalidArgVal", "Timeout not supported")
        return shapes.envelope("<tptz:ContinuousMoveResponse/>")

    steered = Steered(ContinuousMove=picky)
    async with (
        steered.device.listening(),
        HttpTransport() as http,
        PtzControl(*steered.client(http), "main") as ptz,
    ):
        for velocity in (LEFT, RIGHT):
            ptz.hold(velocity)
            while "Timeout" in (await steered.next()).text:
                pass
    texts = [one.text for one in steered.device.requests if one.value("ProfileToken") == "main"]
    assert sum("Timeout" in text and "Username" in text for text in texts) == 1


async def test_what_a_camera_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: asyncio.Queue[OnvifError] = asyncio.Queue()
    steered = Steered(ContinuousMove=(500, shapes.fault("ter:NoPTZ", "motor jammed")))
    async with steered.device.listening(), HttpTransport() as http:
        client, url = steered.client(http)
        async with PtzControl(client, url, "main", on_error=errors.put_nowait) as ptz:
            ptz.hold(LEFT)
            error = await asyncio.wait_for(errors.get(), PATIENCE_S)
    assert "motor jammed" in str(error)
    assert steered.device.operations[-1] == "Stop"


async def test_presets_are_kept_and_gone_to() -> None:
    device = OnvifDevice()
    async with device.listening(), HttpTransport() as http:
        address = DeviceAddress("127.0.0.1", device.port)
        client = DeviceClient(address, http, [GOOD])
        async with PtzControl(client, address.at("/onvif/ptz_service"), "main") as ptz:
            assert [preset.token for preset in await ptz.presets()] == ["1", "two words"]
            await ptz.goto_preset("two words")
            assert device.requests[-1].value("PresetToken") == "two words"
            assert await ptz.set_preset("门") == "9"
            assert device.requests[-1].value("PresetName") == "门"
            await ptz.remove_preset("9")
            await ptz.absolute(Position(pan=0.1, tilt=-0.1, zoom=0.5))
    assert device.operations[-1] == "AbsoluteMove"  # nothing to stop


async def test_the_first_move_waits_for_what_the_camera_says() -> None:
    refuses = (500, shapes.fault("ter:NoPTZ", "motor jammed"))
    steered = Steered(ContinuousMove=refuses)
    stood = asyncio.Event()
    async with (
        steered.device.listening(),
        HttpTransport() as http,
        PtzControl(*steered.client(http), "main", on_still=stood.set) as ptz,
    ):
        with pytest.raises(OnvifError, match="motor jammed"):
            await ptz.begin(LEFT)
        await asyncio.wait_for(stood.wait(), PATIENCE_S)
        steered.device.answers["ContinuousMove"] = shapes.envelope("<tptz:ContinuousMoveResponse/>")
        await ptz.begin(LEFT)
        await ptz.settle()
        assert not ptz.moves
    assert steered.device.operations[-1] == "Stop"


async def test_a_stop_is_said_even_if_it_was_not_us_who_moved_it() -> None:
    steered = Steered()
    async with (
        steered.device.listening(),
        HttpTransport() as http,
        PtzControl(*steered.client(http), "main") as ptz,
    ):
        await ptz.stop()
        await ptz.begin(RIGHT)
        await ptz.stop()
    signed = [one.operation for one in steered.device.requests if one.value("Username")]
    assert signed == ["Stop", "ContinuousMove", "Stop"]


@pytest.mark.parametrize(
    ("told", "position", "moving"),
    [
        (
            '<tt:Position><tt:PanTilt x="-0.5" y=" 0.25 "/><tt:Zoom x="nan"/></tt:Position>'
            "<tt:MoveStatus><tt:PanTilt>MOVING</tt:PanTilt><tt:Zoom>IDLE</tt:Zoom></tt:MoveStatus>",
            Position(-0.5, 0.25, None),
            True,
        ),
        (
            "<tt:MoveStatus><tt:PanTilt>UNKNOWN</tt:PanTilt><tt:Zoom>IDLE</tt:Zoom>"
            "</tt:MoveStatus>",
            Position(),
            False,
        ),
        ("", Position(), None),
    ],
)
def test_a_status_says_no_more_than_the_camera(
    told: str, position: Position, moving: bool | None
) -> None:
    answer = body_of(
        shapes.envelope(
            f"<tptz:GetStatusResponse><tptz:PTZStatus>{told}</tptz:PTZStatus>"
            "</tptz:GetStatusResponse>"
        )
    )
    assert not isinstance(answer, Fault)
    assert read_status(answer) == PtzStatus(position, moving)


@pytest.mark.parametrize(
    ("services", "number", "found"),
    [
        (("media", "ptz"), None, "main"),
        (("media", "ptz"), 1, "main"),
        (("media", "ptz"), 2, "which_channel"),
        (("media",), None, "no_ptz_service"),
        (("media2", "ptz"), None, "no_ptz_profile"),
    ],
)
async def test_which_profile_is_steered(
    services: tuple[str, ...], number: int | None, found: str
) -> None:
    device = OnvifDevice(service_names=services)
    async with device.listening(), HttpTransport() as http:
        client = DeviceClient(DeviceAddress("127.0.0.1", device.port), http, [GOOD])
        if found == "main":
            assert (await find_ptz(client, number)).token == "main"
        else:
            with pytest.raises(NoPtz, match=found):
                await find_ptz(client, number)
