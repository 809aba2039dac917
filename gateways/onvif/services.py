"""What a device is and which services it has: requests and answers. No I/O.

ONVIF Core section 8 (device management): GetServices, and GetCapabilities of older firmwares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lxml import etree

from gateways.onvif.address import DeviceAddress, read_uri, service_url
from gateways.onvif.errors import quoted
from gateways.onvif.soap import NAMESPACES, attribute, children, find, flag, operation, text_of

GET_SERVICES = operation(
    "tds", "GetServices", "<tds:IncludeCapability>false</tds:IncludeCapability>"
)
GET_CAPABILITIES = operation("tds", "GetCapabilities", "<tds:Category>All</tds:Category>")
GET_DEVICE_INFORMATION = operation("tds", "GetDeviceInformation")
GET_NETWORK_INTERFACES = operation("tds", "GetNetworkInterfaces")

# Our short name of a service -> its namespace, and its element in GetCapabilities.
SERVICES = {
    "media": (NAMESPACES["trt"], "Media"),
    "media2": (NAMESPACES["tr2"], ""),
    "ptz": (NAMESPACES["tptz"], "PTZ"),
    "events": (NAMESPACES["tev"], "Events"),
}
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-]?[0-9A-Fa-f]{2}){5}")


@dataclass(frozen=True, slots=True)
class Services:
    """URLs of a device's services by our short names (`SERVICES`), at the server that answered.

    `web_port`: the port that the device believes to have, from its XAddrs; None if it names none.
    """

    urls: Mapping[str, str] = field(default_factory=dict)
    web_port: int | None = None

    def url(self, name: str) -> str | None:
        return self.urls.get(name)


@dataclass(frozen=True, slots=True)
class DeviceInformation:
    """As the device says it; "" where it says nothing."""

    manufacturer: str = ""
    model: str = ""
    firmware: str = ""
    serial: str = ""
    hardware_id: str = ""


def read_services(answer: etree._Element, address: DeviceAddress) -> Services:
    """Of a GetServicesResponse."""
    short = {namespace: name for name, (namespace, _) in SERVICES.items()}
    found = [
        (short[namespace], text_of(service, "XAddr"))
        for service in children(answer, "Service")
        if (namespace := text_of(service, "Namespace").rstrip("/")) in short
    ]
    return _services(found, address)


def read_capabilities(answer: etree._Element, address: DeviceAddress) -> Services:
    """Of a GetCapabilitiesResponse. Media2 is not in it."""
    capabilities = find(answer, "Capabilities")
    found = [
        (name, text_of(capabilities, f"{element}/XAddr"))
        for name, (_, element) in SERVICES.items()
        if element
    ]
    return _services(found, address)


def read_device_information(answer: etree._Element) -> DeviceInformation:
    """Of a GetDeviceInformationResponse."""
    return DeviceInformation(
        *(
            quoted(text_of(answer, name))
            for name in (
                "Manufacturer",
                "Model",
                "FirmwareVersion",
                "SerialNumber",
                "HardwareId",
            )
        )
    )


def read_mac(answer: etree._Element) -> str | None:
    """Of a GetNetworkInterfacesResponse: of the first interface that is on, else of the first.

    In lower case with colons; None if no interface names a MAC address.
    """
    interfaces = list(children(answer, "NetworkInterfaces"))
    interfaces.sort(key=lambda one: not flag(text_of(one, "Enabled") or attribute(one, "Enabled")))
    for interface in interfaces:
        named = text_of(interface, "Info/HwAddress")
        if _MAC.fullmatch(named):
            digits = re.sub(r"[:-]", "", named).lower()
            if digits != "0" * 12:
                return ":".join(digits[at : at + 2] for at in range(0, 12, 2))
    return None


def _services(found: list[tuple[str, str]], address: DeviceAddress) -> Services:
    urls: dict[str, str] = {}
    web_port: int | None = None
    for name, xaddr in found:
        url = service_url(address, xaddr)
        if url is None or name in urls:
            continue
        urls[name] = url
        named = read_uri(xaddr)
        if named is not None and web_port is None:
            web_port = named.port or (443 if named.scheme == "https" else 80)
    return Services(urls, web_port)
