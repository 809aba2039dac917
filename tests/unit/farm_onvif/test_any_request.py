"""Whatever a client puts into an operation, a device answers: no input is an error of ours."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamhub.farm_onvif import front
from streamhub.farm_onvif.device import Device
from streamhub.farm_onvif.http_message import Answer, HttpRequest
from streamhub.farm_onvif.operation import Waiting
from streamhub.farm_onvif.soap import read
from support.onvif_client import NOW, PATHS, STILLS, call, device, request, token

# Every operation with a parameter, and the names of its parameters.
PARAMETERS = {
    "tds:GetServices": ["IncludeCapability"],
    "tds:GetCapabilities": ["Category"],
    "trt:GetStreamUri": ["StreamSetup", "ProfileToken"],
    "trt:GetSnapshotUri": ["ProfileToken"],
    "tr2:GetProfiles": ["Token", "Type"],
    "tr2:GetStreamUri": ["Protocol", "ProfileToken"],
    "tr2:GetSnapshotUri": ["ProfileToken"],
    "tptz:GetNode": ["NodeToken"],
    "tptz:ContinuousMove": ["ProfileToken", "Velocity", "Timeout"],
    "tptz:AbsoluteMove": ["ProfileToken", "Position"],
    "tptz:Stop": ["ProfileToken", "PanTilt", "Zoom"],
    "tptz:SetPreset": ["ProfileToken", "PresetName", "PresetToken"],
    "tptz:GotoPreset": ["ProfileToken", "PresetToken"],
    "tptz:RemovePreset": ["ProfileToken", "PresetToken"],
    "tev:CreatePullPointSubscription": ["InitialTerminationTime"],
    "tev:PullMessages": ["Timeout", "MessageLimit"],
    "wsnt:Renew": ["TerminationTime"],
    "wsnt:Unsubscribe": [],
}
LETTERS = st.characters(codec="utf-8", min_codepoint=32, exclude_characters="<&\ufffe\uffff")
VALUES = st.one_of(
    st.sampled_from(["1-1", "1-2", "true", "All", "RTSP", "1", "", "PT5S", "P999999DT999999H"]),
    st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z", "PT999999999S", "-PT1S"]),
    st.builds(
        '<tt:PanTilt x="{}" y="{}"/><tt:Zoom x="{}"/>'.format,
        *[st.sampled_from(["0", "1", "-1", "1e400", "nan", "-0", "x"])] * 3,
    ),
    st.text(LETTERS, max_size=80),
)


def dome() -> Device:
    """The fourth device has PTZ; with Media2 alone it would not have Media."""
    asked = device(4, network="127.77.0.0/29")
    call(asked, "<tev:CreatePullPointSubscription/>")
    return asked


@pytest.mark.parametrize("operation", PARAMETERS)
@given(data=st.data())
@settings(max_examples=25)
def test_an_operation_with_any_values_is_answered(operation: str, data: st.DataObject) -> None:
    prefix, _, _ = operation.partition(":")
    asked = dome()
    if prefix == "tr2":
        asked.faults = asked.faults.adding("media2-only")
    given_ = data.draw(st.lists(st.tuples(st.sampled_from([*PARAMETERS[operation], "x"]), VALUES)))
    inside = "".join(f"<{prefix}:{name}>{value}</{prefix}:{name}>" for name, value in given_)
    path = f"/onvif/{PATHS[prefix]}"
    if operation in ("tev:PullMessages", "wsnt:Renew", "wsnt:Unsubscribe"):
        path += "/sub1"
    body = request(f"<{operation}>{inside}</{operation}>", token(NOW))
    got = front.answer(asked, HttpRequest("POST", path, {}, body), NOW, STILLS)
    if isinstance(got, Waiting):
        got = front.poll(asked, got, got.until)
    assert isinstance(got, Answer)
    assert got.status in (200, 400, 500)
    # What the client sent cannot break the answer's own form.
    assert read(got.body).children
    assert asked.gate.failed_tries == 0
