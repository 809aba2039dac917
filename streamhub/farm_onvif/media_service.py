"""Media (ver10, media.wsdl) and Media2 (ver20): profiles, sources and URIs."""

from __future__ import annotations

from .device import Channel, Profile
from .operation import Call, Operation, size
from .ptz_service import configuration as ptz_configuration
from .soap import TT, Fault, escape, quoteattr

_MULTICAST = (
    "<tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address>"
    "</tt:Address><tt:Port>0</tt:Port><tt:TTL>1</tt:TTL><tt:AutoStart>false</tt:AutoStart>"
    "</tt:Multicast>"
)
MEDIA2_PROTOCOLS = {"RTSP", "RtspUnicast"}


def _source_configuration(tag: str, channel: Channel) -> str:
    return (
        f'<{tag} token="VideoSourceConfig_{channel.number}">'
        f"<tt:Name>VideoSourceConfig_{channel.number}</tt:Name><tt:UseCount>2</tt:UseCount>"
        f"<tt:SourceToken>{channel.source_token}</tt:SourceToken>"
        f'<tt:Bounds x="0" y="0" width="1920" height="1080"/></{tag}>'
    )


def _encoder_token(profile: Profile) -> str:
    return f"VideoEncoder_{profile.channel.number}_{profile.stream.name}"


def _encoder1(profile: Profile) -> str:
    stream, token = profile.stream, _encoder_token(profile)
    return (
        f'<tt:VideoEncoderConfiguration token="{token}"><tt:Name>{token}</tt:Name>'
        "<tt:UseCount>1</tt:UseCount><tt:Encoding>H264</tt:Encoding>"
        f"<tt:Resolution>{size(stream.width, stream.height)}</tt:Resolution>"
        "<tt:Quality>3</tt:Quality>"
        f"<tt:RateControl><tt:FrameRateLimit>{stream.fps}</tt:FrameRateLimit>"
        "<tt:EncodingInterval>1</tt:EncodingInterval>"
        f"<tt:BitrateLimit>{stream.bitrate_kbps}</tt:BitrateLimit></tt:RateControl>"
        f"<tt:H264><tt:GovLength>{stream.gop_pictures}</tt:GovLength>"
        f"<tt:H264Profile>Baseline</tt:H264Profile></tt:H264>{_MULTICAST}"
        "<tt:SessionTimeout>PT60S</tt:SessionTimeout></tt:VideoEncoderConfiguration>"
    )


def get_profiles1(call: Call) -> str:
    body = ""
    for profile in call.device.profiles.values():
        channel = profile.channel
        body += (
            f'<trt:Profiles token={quoteattr(profile.token)} fixed="true">'
            f"<tt:Name>{escape(profile.token)}</tt:Name>"
            f"{_source_configuration('tt:VideoSourceConfiguration', channel)}{_encoder1(profile)}"
        )
        if channel.has_ptz:
            body += ptz_configuration("tt:PTZConfiguration", channel)
        body += "</trt:Profiles>"
    return f"<trt:GetProfilesResponse>{body}</trt:GetProfilesResponse>"


def get_video_sources(call: Call) -> str:
    body = "".join(
        f'<trt:VideoSources token="{channel.source_token}"><tt:Framerate>25</tt:Framerate>'
        f"<tt:Resolution>{size(1920, 1080)}</tt:Resolution></trt:VideoSources>"
        for channel in call.device.channels
    )
    return f"<trt:GetVideoSourcesResponse>{body}</trt:GetVideoSourcesResponse>"


def get_stream_uri1(call: Call) -> str:
    setup = (call.namespace, "StreamSetup")
    stream = call.element.value(setup, (TT, "Stream"))
    protocol = call.element.value(setup, (TT, "Transport"), (TT, "Protocol"))
    if stream != "RTP-Unicast" or protocol not in ("UDP", "TCP", "RTSP"):
        raise Fault(
            "Sender", "Only RTP-Unicast by UDP or RTSP.", "ter:InvalidArgVal",
            "ter:InvalidStreamSetup",
        )  # fmt: skip
    return _media_uri("GetStreamUri", call.device.stream_uri(call.profile()))


def get_snapshot_uri1(call: Call) -> str:
    return _media_uri("GetSnapshotUri", call.device.snapshot_uri(call.profile().channel))


def _media_uri(operation: str, uri: str) -> str:
    return (
        f"<trt:{operation}Response><trt:MediaUri><tt:Uri>{escape(uri)}</tt:Uri>"
        "<tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>"
        "<tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout>"
        f"</trt:MediaUri></trt:{operation}Response>"
    )


# --- Media2 ---------------------------------------------------------------------------------------


def _encoder2(profile: Profile) -> str:
    stream, token = profile.stream, _encoder_token(profile)
    return (
        f'<tr2:VideoEncoder token="{token}" GovLength="{stream.gop_pictures}" Profile="Baseline">'
        f"<tt:Name>{token}</tt:Name><tt:UseCount>1</tt:UseCount><tt:Encoding>H264</tt:Encoding>"
        f"<tt:Resolution>{size(stream.width, stream.height)}</tt:Resolution>"
        f'<tt:RateControl ConstantBitRate="false"><tt:FrameRateLimit>{stream.fps}'
        f"</tt:FrameRateLimit><tt:BitrateLimit>{stream.bitrate_kbps}</tt:BitrateLimit>"
        "</tt:RateControl><tt:Quality>3</tt:Quality></tr2:VideoEncoder>"
    )


def get_profiles2(call: Call) -> str:
    """Configurations are told for the types asked for, none when none was (Media2 5.3.2)."""
    asked = call.element.children
    types = {e.text.strip() for e in asked if e.name == (call.namespace, "Type")}
    token = call.value("Token")
    if token is not None and token not in call.device.profiles:
        raise Fault("Sender", "No such profile.", "ter:InvalidArgVal", "ter:NoProfile")
    body = ""
    for profile in call.device.profiles.values():
        if token not in (None, profile.token):
            continue
        parts = {
            "VideoSource": _source_configuration("tr2:VideoSource", profile.channel),
            "VideoEncoder": _encoder2(profile),
        }
        if profile.channel.has_ptz:
            parts["PTZ"] = ptz_configuration("tr2:PTZ", profile.channel)
        inside = "".join(part for name, part in parts.items() if types & {"All", name})
        if types:
            inside = f"<tr2:Configurations>{inside}</tr2:Configurations>"
        body += (
            f'<tr2:Profiles token={quoteattr(profile.token)} fixed="true">'
            f"<tr2:Name>{escape(profile.token)}</tr2:Name>{inside}</tr2:Profiles>"
        )
    return f"<tr2:GetProfilesResponse>{body}</tr2:GetProfilesResponse>"


def get_stream_uri2(call: Call) -> str:
    if call.value("Protocol") not in MEDIA2_PROTOCOLS:
        raise Fault(
            "Sender", "Only RTSP and RtspUnicast.", "ter:InvalidArgVal", "ter:InvalidStreamSetup"
        )
    return _uri("GetStreamUri", call.device.stream_uri(call.profile()))


def get_snapshot_uri2(call: Call) -> str:
    return _uri("GetSnapshotUri", call.device.snapshot_uri(call.profile().channel))


def _uri(operation: str, uri: str) -> str:
    return f"<tr2:{operation}Response><tr2:Uri>{escape(uri)}</tr2:Uri></tr2:{operation}Response>"


OPERATIONS1 = {
    "GetProfiles": Operation(get_profiles1),
    "GetVideoSources": Operation(get_video_sources),
    "GetStreamUri": Operation(get_stream_uri1),
    "GetSnapshotUri": Operation(get_snapshot_uri1),
}
OPERATIONS2 = {
    "GetProfiles": Operation(get_profiles2),
    "GetStreamUri": Operation(get_stream_uri2),
    "GetSnapshotUri": Operation(get_snapshot_uri2),
}
