"""The PTZ head on a virtual clock: a stop that never came is seen in where it stands."""

from __future__ import annotations

import pytest

from streamhub.farm_onvif.device import Device
from support.onvif_client import NOW, call, device, text_of


@pytest.fixture
def dome() -> Device:
    """Every fourth device has PTZ."""
    return device(4)


def profile(asked: Device) -> str:
    return f"<tptz:ProfileToken>{next(iter(asked.profiles))}</tptz:ProfileToken>"


def move(asked: Device, x: float, *, at: float = 0.0, timeout: str = "") -> None:
    body = (
        f"<tptz:ContinuousMove>{profile(asked)}<tptz:Velocity>"
        f'<tt:PanTilt x="{x}" y="0"/></tptz:Velocity>{timeout}</tptz:ContinuousMove>'
    )
    assert call(asked, body, now=NOW + at).status == 200


def status(asked: Device, at: float) -> tuple[float, bool]:
    """Pan, and whether it moves."""
    answer = call(asked, f"<tptz:GetStatus>{profile(asked)}</tptz:GetStatus>", now=NOW + at)
    pan = answer.body.decode().partition('<tt:PanTilt x="')[2].partition('"')[0]
    return float(pan), text_of(answer, "tt:PanTilt") == "MOVING"


def test_a_move_goes_on_until_the_stop(dome: Device) -> None:
    move(dome, 0.5)
    assert status(dome, 1.0) == (0.25, True)
    stop = f"<tptz:Stop>{profile(dome)}<tptz:PanTilt>true</tptz:PanTilt></tptz:Stop>"
    assert call(dome, stop, now=NOW + 2.0).status == 200
    assert status(dome, 9.0) == (0.5, False)


def test_a_forgotten_stop_ends_at_the_end_stop(dome: Device) -> None:
    move(dome, -1.0)
    assert status(dome, 1.9) == (-0.95, True)
    assert status(dome, 60.0) == (-1.0, False)
    [head] = dome.heads.values()
    assert (head.moves, head.stops) == (1, 0)


def test_a_timeout_stops_by_itself(dome: Device) -> None:
    move(dome, 1.0, timeout="<tptz:Timeout>PT0.5S</tptz:Timeout>")
    assert status(dome, 0.4) == (0.2, True)
    assert status(dome, 30.0) == (0.25, False)


def test_stopping_the_zoom_lets_pan_go_on(dome: Device) -> None:
    move(dome, 0.5)
    stop = f"<tptz:Stop>{profile(dome)}<tptz:Zoom>true</tptz:Zoom></tptz:Stop>"
    call(dome, stop, now=NOW + 1.0)
    assert status(dome, 2.0) == (0.5, True)


def test_a_preset_is_kept_gone_to_and_removed(dome: Device) -> None:
    there = (
        f"<tptz:AbsoluteMove>{profile(dome)}<tptz:Position>"
        '<tt:PanTilt x="0.5" y="-0.5"/><tt:Zoom x="1"/></tptz:Position></tptz:AbsoluteMove>'
    )
    assert call(dome, there).status == 200
    assert status(dome, 0.5) == (0.25, True)
    name = "<tptz:PresetName>Gate &lt;A&gt;</tptz:PresetName>"
    kept = call(dome, f"<tptz:SetPreset>{profile(dome)}{name}</tptz:SetPreset>", now=NOW + 5)
    token = text_of(kept, "tptz:PresetToken")
    listed = call(dome, f"<tptz:GetPresets>{profile(dome)}</tptz:GetPresets>").body.decode()
    assert f'token="{token}"><tt:Name>Gate &lt;A&gt;</tt:Name>' in listed
    assert '<tt:PanTilt x="0.5000" y="-0.5000"' in listed.partition("Gate")[2]
    move(dome, -1.0, at=5)
    named = f"{profile(dome)}<tptz:PresetToken>{token}</tptz:PresetToken>"
    call(dome, f"<tptz:GotoPreset>{named}</tptz:GotoPreset>", now=NOW + 6)
    assert status(dome, 20.0) == (0.5, False)
    assert call(dome, f"<tptz:RemovePreset>{named}</tptz:RemovePreset>").status == 200
    gone = call(dome, f"<tptz:GotoPreset>{named}</tptz:GotoPreset>")
    assert "ter:NoToken" in gone.body.decode()


@pytest.mark.parametrize(
    ("inside", "subcode"),
    [
        ('<tptz:Velocity><tt:PanTilt x="1.5" y="0"/></tptz:Velocity>', "ter:InvalidVelocity"),
        ('<tptz:Velocity><tt:PanTilt x="nan" y="0"/></tptz:Velocity>', "ter:InvalidVelocity"),
        ('<tptz:Velocity><tt:PanTilt x="1"/></tptz:Velocity>', "ter:InvalidVelocity"),
        ('<tptz:Velocity><tptz:PanTilt x="1" y="0"/></tptz:Velocity>', "ter:InvalidVelocity"),
        (
            '<tptz:Velocity><tt:Zoom x="1"/></tptz:Velocity><tptz:Timeout>2</tptz:Timeout>',
            "ter:TimeoutNotSupported",
        ),
    ],
)
def test_a_wrong_move_is_a_fault_and_moves_nothing(dome: Device, inside: str, subcode: str) -> None:
    answer = call(dome, f"<tptz:ContinuousMove>{profile(dome)}{inside}</tptz:ContinuousMove>")
    assert (answer.status, subcode in answer.body.decode()) == (400, True)
    assert status(dome, 5.0) == (0.0, False)


def test_a_preset_too_many_is_refused(dome: Device) -> None:
    save = f"<tptz:SetPreset>{profile(dome)}</tptz:SetPreset>"
    statuses = [call(dome, save).status for _ in range(64)]
    assert statuses == [200] * 63 + [500]


def test_a_device_without_ptz_has_no_such_service() -> None:
    answer = call(device(1), "<tptz:GetNodes/>")
    assert (answer.status, "ter:ActionNotSupported" in answer.body.decode()) == (500, True)
