"""Pan, tilt, zoom: requests and answers. No I/O.

ONVIF PTZ Service Specification (ver20).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from lxml import etree

from gateways.onvif.errors import quoted
from gateways.onvif.hold_to_move import Velocity
from gateways.onvif.soap import (
    Operation,
    attribute,
    children,
    find,
    number,
    operation,
    text_of,
    xml,
)

# More presets than any camera has (300 are the most that are sold).
MAX_PRESETS = 512
# The device's own stop, should we or the network between be gone; some ignore it.
DEVICE_TIMEOUT_S = 2


@dataclass(frozen=True, slots=True)
class Preset:
    """A position that the device keeps. `token` is opaque and may be any text."""

    token: str
    name: str


@dataclass(frozen=True, slots=True)
class Position:
    """Where to go, in the generic spaces: pan and tilt -1 to 1, zoom 0 to 1. None: left as it is.

    Pan and tilt go together.
    """

    pan: float | None = None
    tilt: float | None = None
    zoom: float | None = None


@dataclass(frozen=True, slots=True)
class PtzStatus:
    """Where it looks, and whether it moves; None: the device does not say."""

    position: Position
    moving: bool | None


def continuous_move(profile_token: str, velocity: Velocity, *, timeout: bool = True) -> Operation:
    """`timeout`: with the device's own stop; some firmwares refuse the element."""
    parts = _vector(velocity.pan, velocity.tilt, velocity.zoom)
    own_stop = f"<tptz:Timeout>PT{DEVICE_TIMEOUT_S}S</tptz:Timeout>" if timeout else ""
    return operation(
        "tptz",
        "ContinuousMove",
        f"{_profile(profile_token)}<tptz:Velocity>{parts}</tptz:Velocity>{own_stop}",
    )


def absolute_move(profile_token: str, position: Position) -> Operation:
    parts = _vector(position.pan, position.tilt, position.zoom)
    content = f"{_profile(profile_token)}<tptz:Position>{parts}</tptz:Position>"
    return operation("tptz", "AbsoluteMove", content)


def stop(profile_token: str) -> Operation:
    content = (
        f"{_profile(profile_token)}<tptz:PanTilt>true</tptz:PanTilt><tptz:Zoom>true</tptz:Zoom>"
    )
    return operation("tptz", "Stop", content)


def get_presets(profile_token: str) -> Operation:
    return operation("tptz", "GetPresets", _profile(profile_token))


def goto_preset(profile_token: str, preset_token: str) -> Operation:
    return operation("tptz", "GotoPreset", _profile(profile_token) + _preset(preset_token))


def set_preset(profile_token: str, name: str, preset_token: str | None = None) -> Operation:
    """Keep where it looks now: as a new preset, or in place of one."""
    content = f"{_profile(profile_token)}<tptz:PresetName>{xml(name)}</tptz:PresetName>"
    return operation(
        "tptz", "SetPreset", content + ("" if preset_token is None else _preset(preset_token))
    )


def get_status(profile_token: str) -> Operation:
    return operation("tptz", "GetStatus", _profile(profile_token))


def remove_preset(profile_token: str, preset_token: str) -> Operation:
    return operation("tptz", "RemovePreset", _profile(profile_token) + _preset(preset_token))


def read_presets(answer: etree._Element) -> list[Preset]:
    """Of a GetPresetsResponse."""
    return [
        Preset(attribute(one, "token"), quoted(text_of(one, "Name")))
        for one in islice(children(answer, "Preset"), MAX_PRESETS)
    ]


def read_status(answer: etree._Element) -> PtzStatus:
    """Of a GetStatusResponse; what a device does not tell, or tells as no number, is None."""
    status = find(answer, "PTZStatus")
    told = [text_of(status, f"MoveStatus/{axis}").upper() for axis in ("PanTilt", "Zoom")]
    known = [word for word in told if word in ("MOVING", "IDLE")]
    pan_tilt, zoom = find(status, "Position/PanTilt"), find(status, "Position/Zoom")
    return PtzStatus(
        Position(
            number(attribute(pan_tilt, "x")),
            number(attribute(pan_tilt, "y")),
            number(attribute(zoom, "x")),
        ),
        ("MOVING" in known) if known else None,
    )


def _profile(token: str) -> str:
    return f"<tptz:ProfileToken>{xml(token)}</tptz:ProfileToken>"


def _preset(token: str) -> str:
    return f"<tptz:PresetToken>{xml(token)}</tptz:PresetToken>"


def _vector(pan: float | None, tilt: float | None, zoom: float | None) -> str:
    """What does not move is left out: some cameras stop both for a zero."""
    parts = ""
    if pan is not None or tilt is not None:
        parts += f'<tt:PanTilt x="{_number(pan)}" y="{_number(tilt)}"/>'
    if zoom is not None:
        parts += f'<tt:Zoom x="{_number(zoom)}"/>'
    return parts


def _number(value: float | None) -> str:
    """Within -1 to 1, without an exponent, which simple parsers do not know."""
    return f"{max(-1.0, min(1.0, value or 0.0)):.3f}"
