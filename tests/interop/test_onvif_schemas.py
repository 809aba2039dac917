"""Every answer of the simulated devices, against ONVIF's own schemas.

They come with onvif-zeep-async, which does without Media2's: of those answers the parts that are
of the common schema are judged, and the encoder's elements are counted off.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path

import pytest
from lxml import etree

from streamhub.farm_onvif import front
from streamhub.farm_onvif.device import Device
from streamhub.farm_onvif.operation import Waiting
from support.onvif_client import NOW, STILLS, call, device, path_of, request, text_of, token

XSD = "http://www.w3.org/2001/XMLSchema"
BODY = "{http://www.w3.org/2003/05/soap-envelope}Body"
TT = "http://www.onvif.org/ver10/schema"
FILES = {"tds": "devicemgmt", "trt": "media", "tptz": "ptz", "tev": "events", "wsnt": "events"}

PTZ = "<tptz:ProfileToken>1-1</tptz:ProfileToken>"
PAN = '<tt:PanTilt x="0.5" y="0"/><tt:Zoom x="0.5"/>'
OPERATIONS = [
    "<tds:GetSystemDateAndTime/>",
    "<tds:GetServices><tds:IncludeCapability>true</tds:IncludeCapability></tds:GetServices>",
    "<tds:GetCapabilities/>",
    "<tds:GetDeviceInformation/>",
    "<tds:GetScopes/>",
    "<tds:GetNetworkInterfaces/>",
    "<trt:GetProfiles/>",
    "<trt:GetVideoSources/>",
    "<trt:GetSnapshotUri><trt:ProfileToken>1-1</trt:ProfileToken></trt:GetSnapshotUri>",
    "<trt:GetStreamUri><trt:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport>"
    "<tt:Protocol>RTSP</tt:Protocol></tt:Transport></trt:StreamSetup>"
    "<trt:ProfileToken>1-2</trt:ProfileToken></trt:GetStreamUri>",
    "<tptz:GetConfigurations/>",
    "<tptz:GetNodes/>",
    "<tptz:GetNode><tptz:NodeToken>PTZNode_1</tptz:NodeToken></tptz:GetNode>",
    f"<tptz:GetStatus>{PTZ}</tptz:GetStatus>",
    f"<tptz:GetPresets>{PTZ}</tptz:GetPresets>",
    f"<tptz:SetPreset>{PTZ}</tptz:SetPreset>",
    f"<tptz:GotoPreset>{PTZ}<tptz:PresetToken>1</tptz:PresetToken></tptz:GotoPreset>",
    f"<tptz:RemovePreset>{PTZ}<tptz:PresetToken>1</tptz:PresetToken></tptz:RemovePreset>",
    f"<tptz:ContinuousMove>{PTZ}<tptz:Velocity>{PAN}</tptz:Velocity></tptz:ContinuousMove>",
    f"<tptz:AbsoluteMove>{PTZ}<tptz:Position>{PAN}</tptz:Position></tptz:AbsoluteMove>",
    f"<tptz:Stop>{PTZ}</tptz:Stop>",
    "<tev:CreatePullPointSubscription/>",
]


def wsdl(name: str) -> Path:
    spec = importlib.util.find_spec("onvif")  # found, not imported: it warns
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "wsdl" / name


@functools.cache
def schema(prefix: str) -> etree.XMLSchema:
    """That of a service, out of its WSDL."""
    path = wsdl(f"{FILES[prefix]}.wsdl")
    [inside] = etree.parse(path).findall(f".//{{{XSD}}}schema")
    # With the file's name, from which the schemas it imports are found.
    alone = etree.fromstring(etree.tostring(inside), base_url=str(path))
    return etree.XMLSchema(alone.getroottree())


def content(body: bytes) -> etree._Element:
    """What is in the SOAP body, as a document of its own."""
    inside = etree.fromstring(body).find(BODY)
    assert inside is not None
    return etree.fromstring(etree.tostring(inside[0]))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: re.split(r"[<:>/]", o)[2])
def test_an_answer_is_valid(operation: str) -> None:
    answer = call(device(4), operation)
    assert answer.status == 200
    told = content(answer.body)
    asked = re.split(r"[<:>/]", operation)
    assert etree.QName(told).localname == f"{asked[2]}Response"
    schema(asked[1]).assertValid(told)


def test_the_schemas_do_refuse() -> None:
    body = call(device(4), "<tds:GetDeviceInformation/>").body
    told = content(body.replace(b"SerialNumber", b"Serial"))
    with pytest.raises(etree.DocumentInvalid, match="Serial"):
        schema("tds").assertValid(told)


def pulled(asked: Device) -> bytes:
    """The answer to the first pull of a new subscription."""
    created = call(asked, "<tev:CreatePullPointSubscription/>")
    path = text_of(created, "wsa5:Address").partition(":8000")[2]
    body = "<tev:Timeout>PT5S</tev:Timeout><tev:MessageLimit>9</tev:MessageLimit>"
    pull = request(f"<tev:PullMessages>{body}</tev:PullMessages>", token(NOW))
    waiting = front.answer(asked, front.HttpRequest("POST", path, {}, pull), NOW, STILLS)
    assert isinstance(waiting, Waiting)
    answer = front.poll(asked, waiting, NOW)
    assert answer is not None
    return answer.body


def test_messages_and_the_subscription_manager_are_valid() -> None:
    asked = device(4)
    told = content(pulled(asked))
    schema("tev").assertValid(told)
    common = etree.XMLSchema(etree.parse(wsdl("onvif.xsd")))
    messages = told.findall(f".//{{{TT}}}Message")
    assert len(messages) == 2
    for message in messages:
        common.assertValid(etree.fromstring(etree.tostring(message)))
    until = "<wsnt:TerminationTime>PT60S</wsnt:TerminationTime>"
    for operation in (f"<wsnt:Renew>{until}</wsnt:Renew>", "<wsnt:Unsubscribe/>"):
        answer = call(asked, operation, path=f"{path_of(operation)}/sub1")
        schema("wsnt").assertValid(content(answer.body))


def test_the_configurations_of_media2_are_of_the_common_schema() -> None:
    types = {"VideoSource": "VideoSourceConfiguration", "PTZ": "PTZConfiguration"}
    elements = "".join(f'<xs:element name="{n}" type="tt:{t}"/>' for n, t in types.items())
    judge = etree.XMLSchema(
        etree.fromstring(
            f'<xs:schema xmlns:xs="{XSD}" xmlns:tt="{TT}" elementFormDefault="qualified" '
            'targetNamespace="http://www.onvif.org/ver20/media/wsdl">'
            f'<xs:import namespace="{TT}" schemaLocation="{wsdl("onvif.xsd")}"/>'
            f"{elements}</xs:schema>"
        )
    )
    asked = device(4)
    asked.faults = asked.faults.adding("media2-only")
    told = content(call(asked, "<tr2:GetProfiles><tr2:Type>All</tr2:Type></tr2:GetProfiles>").body)
    configurations = told.findall(".//{*}Configurations/*")
    names = [etree.QName(each).localname for each in configurations]
    assert names == ["VideoSource", "VideoEncoder", "PTZ"] * 2
    for name, each in zip(names, configurations, strict=True):
        if name != "VideoEncoder":
            judge.assertValid(etree.fromstring(etree.tostring(each)))
            continue
        # VideoEncoder2Configuration and VideoRateControl2 of ONVIF's schema from 2016 on.
        assert [etree.QName(part).localname for part in each] == [
            "Name", "UseCount", "Encoding", "Resolution", "RateControl", "Quality",
        ]  # fmt: skip
        rate = each.find("{*}RateControl")
        assert rate is not None
        assert [etree.QName(part).localname for part in rate] == ["FrameRateLimit", "BitrateLimit"]
        assert set(each.attrib) == {"token", "GovLength", "Profile"}
