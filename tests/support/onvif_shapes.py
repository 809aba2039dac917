"""Answers of ONVIF devices as firmwares shape them: prefixes, spaces and gaps included."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import Any

NAMES = (
    'xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:tds="http://www.onvif.org/ver10/device/wsdl"'
    ' xmlns:trt="http://www.onvif.org/ver10/media/wsdl"'
    ' xmlns:tr2="http://www.onvif.org/ver20/media/wsdl"'
    ' xmlns:tptz="http://www.onvif.org/ver20/ptz/wsdl"'
    ' xmlns:tev="http://www.onvif.org/ver10/events/wsdl"'
    ' xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2"'
    ' xmlns:wsa5="http://www.w3.org/2005/08/addressing"'
    ' xmlns:ter="http://www.onvif.org/ver10/error"'
    ' xmlns:tt="http://www.onvif.org/ver10/schema"'
)


def envelope(body: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="utf-8" ?>\n<SOAP-ENV:Envelope {NAMES}>\n'
        f"<SOAP-ENV:Header/><SOAP-ENV:Body>\n{body}\n</SOAP-ENV:Body></SOAP-ENV:Envelope>\n"
    ).encode()


def fault(subcode: str, reason: str, code: str = "Sender") -> bytes:
    return envelope(
        f"<SOAP-ENV:Fault><SOAP-ENV:Code><SOAP-ENV:Value>SOAP-ENV:{code}</SOAP-ENV:Value>"
        f"<SOAP-ENV:Subcode><SOAP-ENV:Value>{subcode}</SOAP-ENV:Value></SOAP-ENV:Subcode>"
        f'</SOAP-ENV:Code><SOAP-ENV:Reason><SOAP-ENV:Text xml:lang="en">{reason}'
        "</SOAP-ENV:Text></SOAP-ENV:Reason></SOAP-ENV:Fault>"
    )


NOT_AUTHORIZED = fault("ter:NotAuthorized", "Sender not Authorized")


def date_and_time(at: Any, name: str = "UTCDateTime") -> str:
    """`at`: a `datetime`, or what has its six fields with numbers that are no date."""
    return (
        f"<tt:{name}><tt:Time><tt:Hour>{at.hour}</tt:Hour><tt:Minute> {at.minute} </tt:Minute>"
        f"<tt:Second>{at.second}</tt:Second></tt:Time><tt:Date><tt:Year>{at.year}</tt:Year>"
        f"<tt:Month>{at.month}</tt:Month><tt:Day>{at.day}</tt:Day></tt:Date></tt:{name}>"
    )


def clock(
    utc: datetime | Any | None,
    local: datetime | Any | None = None,
    zone: str = "CST-8",
    daylight: str = "false",
) -> bytes:
    times = (date_and_time(utc) if utc else "") + (
        date_and_time(local, "LocalDateTime") if local else ""
    )
    return envelope(
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime>"
        "<tt:DateTimeType>NTP</tt:DateTimeType>"
        f"<tt:DaylightSavings>{daylight}</tt:DaylightSavings>"
        f"<tt:TimeZone><tt:TZ>{escape(zone)}</tt:TZ></tt:TimeZone>{times}"
        "</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
    )


def services(where: str, names: tuple[str, ...] = ("media", "media2", "ptz", "events")) -> bytes:
    known = {
        "media": ("http://www.onvif.org/ver10/media/wsdl", "media_service"),
        "media2": ("http://www.onvif.org/ver20/media/wsdl", "media2_service"),
        "ptz": ("http://www.onvif.org/ver20/ptz/wsdl", "ptz_service"),
        "events": ("http://www.onvif.org/ver10/events/wsdl", "event_service"),
    }
    listed = "".join(
        f"<tds:Service><tds:Namespace>{known[name][0]}</tds:Namespace>"
        f"<tds:XAddr>http://{where}/onvif/{known[name][1]}</tds:XAddr>"
        "<tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version></tds:Service>"
        for name in names
    )
    return envelope(f"<tds:GetServicesResponse>{listed}</tds:GetServicesResponse>")


def capabilities(where: str) -> bytes:
    listed = "".join(
        f"<tt:{name}><tt:XAddr>http://{where}/onvif/{path}</tt:XAddr></tt:{name}>"
        for name, path in (
            ("Device", "device_service"),
            ("Media", "media_service"),
            ("Events", "event_service"),
            ("PTZ", "ptz_service"),
        )
    )
    return envelope(
        "<tds:GetCapabilitiesResponse><tds:Capabilities>"
        f"{listed}</tds:Capabilities></tds:GetCapabilitiesResponse>"
    )


DEVICE_INFORMATION = envelope(
    "<tds:GetDeviceInformationResponse><tds:Manufacturer>Example Vision</tds:Manufacturer>"
    "<tds:Model>EV-D4 球机</tds:Model>"
    "<tds:FirmwareVersion>V5.7.3 build 220112</tds:FirmwareVersion>"
    "<tds:SerialNumber>EV20220112AAWR001</tds:SerialNumber><tds:HardwareId>88</tds:HardwareId>"
    "</tds:GetDeviceInformationResponse>"
)
NETWORK_INTERFACES = envelope(
    "<tds:GetNetworkInterfacesResponse>"
    '<tds:NetworkInterfaces token="lo"><tt:Enabled>false</tt:Enabled><tt:Info>'
    "<tt:Name>wlan0</tt:Name><tt:HwAddress>00:11:22:33:44:55</tt:HwAddress></tt:Info>"
    '</tds:NetworkInterfaces><tds:NetworkInterfaces token="eth0"><tt:Enabled> true </tt:Enabled>'
    "<tt:Info><tt:Name>eth0</tt:Name><tt:HwAddress>C0-56-E3-0A-0B-0C</tt:HwAddress>"
    "<tt:MTU>1500</tt:MTU></tt:Info></tds:NetworkInterfaces></tds:GetNetworkInterfacesResponse>"
)


def profile(
    token: str,
    *,
    source: str = "VideoSource_1",
    encoder: str = "VideoEncoder_1",
    encoding: str = "H264",
    size: tuple[int, int] = (1920, 1080),
    ptz: bool = False,
    name: str = "mainStream",
    source_name: str = "VideoSourceConfig",
) -> str:
    """One profile of Media."""
    coding = (
        "<tt:H264><tt:GovLength>50</tt:GovLength><tt:H264Profile>High</tt:H264Profile></tt:H264>"
        if encoding == "H264"
        else ""
    )
    steered = '<tt:PTZConfiguration token="PTZ_1"/>' if ptz else ""
    return (
        f'<trt:Profiles token="{token}" fixed="true"><tt:Name>{name}</tt:Name>'
        f'<tt:VideoSourceConfiguration token="VSC_{source}"><tt:Name>{source_name}</tt:Name>'
        f"<tt:SourceToken>{source}</tt:SourceToken></tt:VideoSourceConfiguration>"
        f'<tt:VideoEncoderConfiguration token="{encoder}"><tt:Encoding>{encoding}</tt:Encoding>'
        f"<tt:Resolution><tt:Width> {size[0]} </tt:Width><tt:Height>{size[1]}</tt:Height>"
        "</tt:Resolution><tt:Quality>3</tt:Quality><tt:RateControl>"
        "<tt:FrameRateLimit>25</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval>"
        f"<tt:BitrateLimit>4096</tt:BitrateLimit></tt:RateControl>{coding}"
        f"</tt:VideoEncoderConfiguration>{steered}</trt:Profiles>"
    )


def profile2(
    token: str,
    *,
    source: str = "VideoSource_1",
    encoder: str = "VideoEncoder_1",
    encoding: str = "H265",
    size: tuple[int, int] = (2560, 1440),
    source_token: bool = True,
    name: str = "mainStream",
) -> str:
    """One profile of Media2. `source_token`: some firmwares name only the configuration."""
    named = f"<tt:SourceToken>{source}</tt:SourceToken>" if source_token else ""
    return (
        f'<tr2:Profiles token="{token}" fixed="true"><tr2:Name>{name}</tr2:Name>'
        f'<tr2:Configurations><tr2:VideoSource token="VSC_{source}">{named}</tr2:VideoSource>'
        f'<tr2:VideoEncoder token="{encoder}" GovLength="60" Profile="Main">'
        f"<tt:Encoding>{encoding}</tt:Encoding><tt:Resolution><tt:Width>{size[0]}</tt:Width>"
        f'<tt:Height>{size[1]}</tt:Height></tt:Resolution><tt:RateControl ConstantBitRate="true">'
        "<tt:FrameRateLimit>12.5</tt:FrameRateLimit><tt:BitrateLimit>2048</tt:BitrateLimit>"
        "</tt:RateControl></tr2:VideoEncoder></tr2:Configurations></tr2:Profiles>"
    )


def profiles(*listed: str, media2: bool = False) -> bytes:
    prefix = "tr2" if media2 else "trt"
    return envelope(
        f"<{prefix}:GetProfilesResponse>{''.join(listed)}</{prefix}:GetProfilesResponse>"
    )


def uri(operation: str, written: str, *, media2: bool = False) -> bytes:
    if media2:
        return envelope(
            f"<tr2:{operation}Response><tr2:Uri>{written}</tr2:Uri></tr2:{operation}Response>"
        )
    return envelope(
        f"<trt:{operation}Response><trt:MediaUri><tt:Uri>{written}</tt:Uri>"
        "<tt:InvalidAfterConnect>false</tt:InvalidAfterConnect></trt:MediaUri>"
        f"</trt:{operation}Response>"
    )


PRESETS = envelope(
    "<tptz:GetPresetsResponse><tptz:Preset token='1'><tt:Name>Gate</tt:Name></tptz:Preset>"
    "<tptz:Preset token='two words'><tt:Name>北门 &amp; 停车场</tt:Name></tptz:Preset>"
    "</tptz:GetPresetsResponse>"
)
SUBSCRIPTION = (
    "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>"
    "<wsa5:Address>http://{where}/onvif/Events/PullSubManager_4711</wsa5:Address>"
    '<wsa5:ReferenceParameters><dom0:SubscriptionId xmlns:dom0="http://example.com/2012/event"'
    ' kind="a&amp;b">8</dom0:SubscriptionId></wsa5:ReferenceParameters>'
    "</tev:SubscriptionReference><wsnt:CurrentTime>1970-01-01T00:00:00Z</wsnt:CurrentTime>"
    "<wsnt:TerminationTime>1970-01-01T00:02:00Z</wsnt:TerminationTime>"
    "</tev:CreatePullPointSubscriptionResponse>"
)
MOTION = (
    "<wsnt:NotificationMessage><wsnt:Topic Dialect='http://www.onvif.org/ver10/tev/topicExpression/"
    "ConcreteSet'>tns1:RuleEngine/tns1:CellMotionDetector/Motion</wsnt:Topic><wsnt:Message>"
    "<tt:Message UtcTime='1970-01-01T00:00:09Z' PropertyOperation='Changed'><tt:Source>"
    "<tt:SimpleItem Name='VideoSourceConfigurationToken' Value='VSC_1'/></tt:Source><tt:Data>"
    "<tt:SimpleItem Name='IsMotion' Value='true'/></tt:Data></tt:Message></wsnt:Message>"
    "</wsnt:NotificationMessage>"
)


def pulled(*messages: str) -> bytes:
    return envelope(
        "<tev:PullMessagesResponse><tev:CurrentTime>1970-01-01T00:00:10Z</tev:CurrentTime>"
        "<tev:TerminationTime>1970-01-01T00:02:10Z</tev:TerminationTime>"
        f"{''.join(messages)}</tev:PullMessagesResponse>"
    )


PROBE_MATCH = """<?xml version="1.0" encoding="UTF-8"?>
<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"
 xmlns:wsadis="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"
 xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><env:Header>
<wsadis:MessageID>urn:uuid:{message_id}</wsadis:MessageID>
<wsadis:RelatesTo>urn:uuid:00000000-0000-0000-0000-000000000000</wsadis:RelatesTo>
</env:Header><env:Body><d:ProbeMatches><d:ProbeMatch><wsadis:EndpointReference>
<wsadis:Address>urn:uuid:{endpoint}</wsadis:Address></wsadis:EndpointReference>
<d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>
<d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/Profile/Streaming
 onvif://www.onvif.org/Profile/T onvif://www.onvif.org/hardware/EV-D4
 onvif://www.onvif.org/name/North%20Gate%20%E5%8C%97%E9%97%A8
 onvif://www.onvif.org/location/city/tongzhou</d:Scopes>
<d:XAddrs>{xaddrs}</d:XAddrs><d:MetadataVersion>10</d:MetadataVersion>
</d:ProbeMatch></d:ProbeMatches></env:Body></env:Envelope>"""
