"""The device service (ONVIF Core section 8, devicemgmt.wsdl): clock, services, who it is."""

from __future__ import annotations

from datetime import UTC, datetime

from .device import Device
from .operation import Call, Operation
from .pullpoint import MAX_SUBSCRIPTIONS
from .soap import TDS, TEV, TPTZ, TR2, TRT, Fault, escape

_VERSION = "<tt:Major>2</tt:Major><tt:Minor>6</tt:Minor>"


def get_system_date_and_time(call: Call) -> str:
    shown = datetime.fromtimestamp(call.device.clock(call.now), UTC)
    clock = (
        f"<tt:Time><tt:Hour>{shown.hour}</tt:Hour><tt:Minute>{shown.minute}</tt:Minute>"
        f"<tt:Second>{shown.second}</tt:Second></tt:Time>"
        f"<tt:Date><tt:Year>{shown.year}</tt:Year><tt:Month>{shown.month}</tt:Month>"
        f"<tt:Day>{shown.day}</tt:Day></tt:Date>"
    )
    return (
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime>"
        "<tt:DateTimeType>Manual</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings>"
        "<tt:TimeZone><tt:TZ>UTC0</tt:TZ></tt:TimeZone>"
        f"<tt:UTCDateTime>{clock}</tt:UTCDateTime><tt:LocalDateTime>{clock}</tt:LocalDateTime>"
        "</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
    )


def services_of(device: Device) -> dict[str, str]:
    """The services a device has now: namespace to its key in `PATHS`."""
    found = {TDS: "device", TEV: "events"}
    if device.has_media1:
        found[TRT] = "media"
    if device.has_media2:
        found[TR2] = "media2"
    if device.spec.has_ptz:
        found[TPTZ] = "ptz"
    return found


def _service_capabilities(device: Device) -> dict[str, str]:
    """What GetServices tells of each when asked to include capabilities."""
    media = (
        f'MaximumNumberOfProfiles="{len(device.profiles)}"/>'
        '<{0}:StreamingCapabilities RTP_RTSP_TCP="true"/></{0}:Capabilities>'
    )
    head = '<{0}:Capabilities SnapshotUri="true"><{0}:ProfileCapabilities '
    return {
        "device": '<tds:Capabilities><tds:Network/><tds:Security UsernameToken="true" '
        'HttpDigest="true"/><tds:System/></tds:Capabilities>',
        "events": f'<tev:Capabilities WSPullPointSupport="true" MaxPullPoints="{MAX_SUBSCRIPTIONS}'
        '"/>',
        "media": (head + media).format("trt"),
        "media2": (head + media).format("tr2"),
        "ptz": "<tptz:Capabilities/>",
    }


def get_services(call: Call) -> str:
    wanted = (call.value("IncludeCapability") or "").lower() in ("true", "1")
    capabilities = _service_capabilities(call.device) if wanted else {}
    body = ""
    for namespace, key in services_of(call.device).items():
        told = capabilities.get(key)
        inside = f"<tds:Capabilities>{told}</tds:Capabilities>" if told else ""
        body += (
            f"<tds:Service><tds:Namespace>{namespace}</tds:Namespace>"
            f"<tds:XAddr>{call.device.xaddr(key)}</tds:XAddr>{inside}"
            f"<tds:Version>{_VERSION}</tds:Version></tds:Service>"
        )
    return f"<tds:GetServicesResponse>{body}</tds:GetServicesResponse>"


def get_capabilities(call: Call) -> str:
    device = call.device
    parts = {"Device": _device_capabilities(device)}
    parts["Events"] = (
        f"<tt:XAddr>{device.xaddr('events')}</tt:XAddr>"
        "<tt:WSSubscriptionPolicySupport>false</tt:WSSubscriptionPolicySupport>"
        "<tt:WSPullPointSupport>true</tt:WSPullPointSupport>"
        "<tt:WSPausableSubscriptionManagerInterfaceSupport>false"
        "</tt:WSPausableSubscriptionManagerInterfaceSupport>"
    )
    if device.has_media1:
        parts["Media"] = (
            f"<tt:XAddr>{device.xaddr('media')}</tt:XAddr><tt:StreamingCapabilities>"
            "<tt:RTPMulticast>false</tt:RTPMulticast><tt:RTP_TCP>true</tt:RTP_TCP>"
            "<tt:RTP_RTSP_TCP>true</tt:RTP_RTSP_TCP></tt:StreamingCapabilities>"
        )
    if device.spec.has_ptz:
        parts["PTZ"] = f"<tt:XAddr>{device.xaddr('ptz')}</tt:XAddr>"
    category = call.value("Category") or "All"
    if category != "All":
        if category not in parts:
            raise Fault("Receiver", f"No {category}.", "ter:ActionNotSupported",
                        "ter:NoSuchService")  # fmt: skip
        parts = {category: parts[category]}
    body = "".join(f"<tt:{name}>{inside}</tt:{name}>" for name, inside in parts.items())
    return (
        f"<tds:GetCapabilitiesResponse><tds:Capabilities>{body}</tds:Capabilities>"
        "</tds:GetCapabilitiesResponse>"
    )


def _device_capabilities(device: Device) -> str:
    flags = ("DiscoveryResolve", "DiscoveryBye", "RemoteDiscovery", "SystemBackup",
             "SystemLogging", "FirmwareUpgrade")  # fmt: skip
    system = "".join(f"<tt:{flag}>false</tt:{flag}>" for flag in flags)
    return (
        f"<tt:XAddr>{device.xaddr('device')}</tt:XAddr>"
        f"<tt:System>{system}<tt:SupportedVersions>{_VERSION}</tt:SupportedVersions></tt:System>"
    )


def get_device_information(call: Call) -> str:
    is_ = call.device.spec.identity
    fields = {
        "Manufacturer": is_.vendor.manufacturer,
        "Model": is_.model,
        "FirmwareVersion": is_.vendor.firmware,
        "SerialNumber": is_.serial,
        "HardwareId": "1.0",
    }
    body = "".join(f"<tds:{name}>{escape(value)}</tds:{name}>" for name, value in fields.items())
    return f"<tds:GetDeviceInformationResponse>{body}</tds:GetDeviceInformationResponse>"


def get_scopes(call: Call) -> str:
    body = "".join(
        "<tds:Scopes><tt:ScopeDef>Fixed</tt:ScopeDef>"
        f"<tt:ScopeItem>{escape(scope)}</tt:ScopeItem></tds:Scopes>"
        for scope in call.device.scopes()
    )
    return f"<tds:GetScopesResponse>{body}</tds:GetScopesResponse>"


def get_network_interfaces(call: Call) -> str:
    spec = call.device.spec
    return (
        "<tds:GetNetworkInterfacesResponse>"
        '<tds:NetworkInterfaces token="eth0"><tt:Enabled>true</tt:Enabled>'
        f"<tt:Info><tt:Name>eth0</tt:Name><tt:HwAddress>{spec.identity.mac}</tt:HwAddress>"
        "<tt:MTU>1500</tt:MTU></tt:Info>"
        "<tt:IPv4><tt:Enabled>true</tt:Enabled><tt:Config><tt:Manual>"
        f"<tt:Address>{spec.address}</tt:Address><tt:PrefixLength>24</tt:PrefixLength>"
        "</tt:Manual><tt:DHCP>false</tt:DHCP></tt:Config></tt:IPv4>"
        "</tds:NetworkInterfaces></tds:GetNetworkInterfacesResponse>"
    )


OPERATIONS = {
    "GetSystemDateAndTime": Operation(get_system_date_and_time, is_open=True),
    "GetServices": Operation(get_services, is_open=True),
    "GetCapabilities": Operation(get_capabilities, is_open=True),
    "GetDeviceInformation": Operation(get_device_information),
    "GetScopes": Operation(get_scopes),
    "GetNetworkInterfaces": Operation(get_network_interfaces),
}
