"""The PTZ service (ver20, ptz.wsdl) over the heads of `ptz`."""

from __future__ import annotations

import math

from .device import Channel
from .operation import Call, Operation, vector
from .ptz import MAX_PRESETS, Axis, Position
from .soap import Element, Fault, escape, quoteattr
from .xsd import date_time, duration_s

_SPACES = "http://www.onvif.org/ver10/tptz"
PAN_TILT_POSITION = f"{_SPACES}/PanTiltSpaces/PositionGenericSpace"
ZOOM_POSITION = f"{_SPACES}/ZoomSpaces/PositionGenericSpace"
PAN_TILT_VELOCITY = f"{_SPACES}/PanTiltSpaces/VelocityGenericSpace"
ZOOM_VELOCITY = f"{_SPACES}/ZoomSpaces/VelocityGenericSpace"
MAX_NAME_CHARS = 64


def _range(axis: str, low: int) -> str:
    return f"<tt:{axis}Range><tt:Min>{low}</tt:Min><tt:Max>1</tt:Max></tt:{axis}Range>"


def _space(tag: str, uri: str, *ranges: str) -> str:
    return f"<tt:{tag}><tt:URI>{uri}</tt:URI>{''.join(ranges)}</tt:{tag}>"


_X, _Y = _range("X", -1), _range("Y", -1)
# No DefaultPTZTimeout: without a timeout in the call the head runs to its end stop.
_CONFIGURED = (
    "<tt:DefaultAbsolutePantTiltPositionSpace>" + PAN_TILT_POSITION
    + "</tt:DefaultAbsolutePantTiltPositionSpace><tt:DefaultAbsoluteZoomPositionSpace>"
    + ZOOM_POSITION + "</tt:DefaultAbsoluteZoomPositionSpace>"
    + "<tt:DefaultContinuousPanTiltVelocitySpace>" + PAN_TILT_VELOCITY
    + "</tt:DefaultContinuousPanTiltVelocitySpace><tt:DefaultContinuousZoomVelocitySpace>"
    + ZOOM_VELOCITY + "</tt:DefaultContinuousZoomVelocitySpace><tt:PanTiltLimits>"
    + _space("Range", PAN_TILT_POSITION, _X, _Y) + "</tt:PanTiltLimits><tt:ZoomLimits>"
    + _space("Range", ZOOM_POSITION, _range("X", 0)) + "</tt:ZoomLimits>"
)  # fmt: skip
_SUPPORTED = (
    _space("AbsolutePanTiltPositionSpace", PAN_TILT_POSITION, _X, _Y)
    + _space("AbsoluteZoomPositionSpace", ZOOM_POSITION, _range("X", 0))
    + _space("ContinuousPanTiltVelocitySpace", PAN_TILT_VELOCITY, _X, _Y)
    + _space("ContinuousZoomVelocitySpace", ZOOM_VELOCITY, _X)
)


def configuration(tag: str, channel: Channel) -> str:
    """A `tt:PTZConfiguration` under any tag; profiles carry it too."""
    return (
        f'<{tag} token="PTZConfig_{channel.number}"><tt:Name>PTZConfig_{channel.number}</tt:Name>'
        f"<tt:UseCount>2</tt:UseCount><tt:NodeToken>PTZNode_{channel.number}</tt:NodeToken>"
        f"{_CONFIGURED}</{tag}>"
    )


def _node(channel: Channel) -> str:
    return (
        f'<tptz:PTZNode token="PTZNode_{channel.number}" FixedHomePosition="true">'
        f"<tt:Name>PTZNode_{channel.number}</tt:Name>"
        f"<tt:SupportedPTZSpaces>{_SUPPORTED}</tt:SupportedPTZSpaces>"
        f"<tt:MaximumNumberOfPresets>{MAX_PRESETS}</tt:MaximumNumberOfPresets>"
        "<tt:HomeSupported>false</tt:HomeSupported></tptz:PTZNode>"
    )


def get_configurations(call: Call) -> str:
    body = "".join(configuration("tptz:PTZConfiguration", each) for each in call.device.channels)
    return f"<tptz:GetConfigurationsResponse>{body}</tptz:GetConfigurationsResponse>"


def get_nodes(call: Call) -> str:
    body = "".join(_node(each) for each in call.device.channels)
    return f"<tptz:GetNodesResponse>{body}</tptz:GetNodesResponse>"


def get_node(call: Call) -> str:
    token = call.value("NodeToken")
    for channel in call.device.channels:
        if token == f"PTZNode_{channel.number}":
            return f"<tptz:GetNodeResponse>{_node(channel)}</tptz:GetNodeResponse>"
    raise Fault("Sender", "No such node.", "ter:InvalidArgVal", "ter:NoEntity")


def continuous_move(call: Call) -> str:
    _, head = call.head()
    velocity = call.element.child(call.namespace, "Velocity")
    pan_tilt, zoom = vector(velocity, "PanTilt"), vector(velocity, "Zoom")
    timeout = call.value("Timeout")
    timeout_s = None if timeout is None else duration_s(timeout)
    if timeout is not None and timeout_s is None:
        raise Fault("Sender", "Timeout is no duration.", "ter:InvalidArgVal",
                    "ter:TimeoutNotSupported")  # fmt: skip
    wanted: list[tuple[Axis, float]] = []
    if pan_tilt is not None:
        wanted.append((head.pan, _number(pan_tilt, "x", "ter:InvalidVelocity")))
        wanted.append((head.tilt, _number(pan_tilt, "y", "ter:InvalidVelocity")))
    if zoom is not None:
        wanted.append((head.zoom, _number(zoom, "x", "ter:InvalidVelocity")))
    if not wanted:
        raise Fault("Sender", "No velocity.", "ter:InvalidArgVal", "ter:InvalidVelocity")
    # Only now, so that a wrong call moves nothing.
    for axis, speed in wanted:
        axis.run(speed, call.now, timeout_s)
    head.moves += 1
    return "<tptz:ContinuousMoveResponse/>"


def absolute_move(call: Call) -> str:
    _, head = call.head()
    given = call.element.child(call.namespace, "Position")
    pan_tilt, zoom = vector(given, "PanTilt"), vector(given, "Zoom")
    if pan_tilt is None and zoom is None:
        raise Fault("Sender", "No position.", "ter:InvalidArgVal", "ter:InvalidPosition")
    pan, tilt, zoomed = head.position(call.now)
    if pan_tilt is not None:
        pan = _number(pan_tilt, "x", "ter:InvalidPosition")
        tilt = _number(pan_tilt, "y", "ter:InvalidPosition")
    if zoom is not None:
        zoomed = _number(zoom, "x", "ter:InvalidPosition", low=0.0)
    head.go((pan, tilt, zoomed), call.now)
    return "<tptz:AbsoluteMoveResponse/>"


def stop(call: Call) -> str:
    """Without either element, or with both true, all of it stops (PTZ 5.3.5)."""
    _, head = call.head()
    named = {name: call.value(name) for name in ("PanTilt", "Zoom")}
    all_of_it = all(value is None for value in named.values())
    if all_of_it or named["PanTilt"] in ("true", "1"):
        head.pan.halt(call.now)
        head.tilt.halt(call.now)
    if all_of_it or named["Zoom"] in ("true", "1"):
        head.zoom.halt(call.now)
    head.stops += 1
    return "<tptz:StopResponse/>"


def get_status(call: Call) -> str:
    _, head = call.head()
    moving = ["MOVING" if each else "IDLE" for each in head.moving(call.now)]
    return (
        f"<tptz:GetStatusResponse><tptz:PTZStatus>"
        f"<tt:Position>{_position(head.position(call.now))}</tt:Position>"
        f"<tt:MoveStatus><tt:PanTilt>{moving[0]}</tt:PanTilt><tt:Zoom>{moving[1]}</tt:Zoom>"
        f"</tt:MoveStatus><tt:UtcTime>{date_time(call.device.clock(call.now))}</tt:UtcTime>"
        "</tptz:PTZStatus></tptz:GetStatusResponse>"
    )


def get_presets(call: Call) -> str:
    _, head = call.head()
    body = "".join(
        f"<tptz:Preset token={quoteattr(token)}><tt:Name>{escape(name)}</tt:Name>"
        f"<tt:PTZPosition>{_position(position)}</tt:PTZPosition></tptz:Preset>"
        for token, (name, position) in head.presets.items()
    )
    return f"<tptz:GetPresetsResponse>{body}</tptz:GetPresetsResponse>"


def set_preset(call: Call) -> str:
    _, head = call.head()
    name = (call.value("PresetName") or "")[:MAX_NAME_CHARS]
    asked = call.value("PresetToken") or None
    token = head.save(asked, name, call.now)
    if token is None and asked is None:
        raise Fault("Receiver", "No room for another.", "ter:Action", "ter:TooManyPresets")
    if token is None:
        raise _no_preset()
    return (
        f"<tptz:SetPresetResponse><tptz:PresetToken>{escape(token)}</tptz:PresetToken>"
        "</tptz:SetPresetResponse>"
    )


def goto_preset(call: Call) -> str:
    _, head = call.head()
    preset = head.presets.get(call.value("PresetToken") or "")
    if preset is None:
        raise _no_preset()
    head.go(preset[1], call.now)
    return "<tptz:GotoPresetResponse/>"


def remove_preset(call: Call) -> str:
    _, head = call.head()
    if head.presets.pop(call.value("PresetToken") or "", None) is None:
        raise _no_preset()
    return "<tptz:RemovePresetResponse/>"


def _no_preset() -> Fault:
    return Fault("Sender", "No such preset.", "ter:InvalidArgVal", "ter:NoToken")


def _number(element: Element, attribute: str, subcode: str, low: float = -1.0) -> float:
    try:
        number = float(element.attributes[attribute])
    except (KeyError, ValueError):
        number = math.nan
    if not low <= number <= 1:
        raise Fault("Sender", f"{attribute} is not in {low:g} to 1.", "ter:InvalidArgVal", subcode)
    return number


def _position(position: Position) -> str:
    pan, tilt, zoom = position
    return (
        f'<tt:PanTilt x="{pan:.4f}" y="{tilt:.4f}" space="{PAN_TILT_POSITION}"/>'
        f'<tt:Zoom x="{zoom:.4f}" space="{ZOOM_POSITION}"/>'
    )


OPERATIONS = {
    "GetConfigurations": Operation(get_configurations),
    "GetNodes": Operation(get_nodes),
    "GetNode": Operation(get_node),
    "ContinuousMove": Operation(continuous_move),
    "AbsoluteMove": Operation(absolute_move),
    "Stop": Operation(stop),
    "GetStatus": Operation(get_status),
    "GetPresets": Operation(get_presets),
    "SetPreset": Operation(set_preset),
    "GotoPreset": Operation(goto_preset),
    "RemovePreset": Operation(remove_preset),
}
