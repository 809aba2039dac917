"""WS-Discovery as devices answer it (OASIS WS-Discovery 2005/04, ONVIF Core section 7): pure."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from .device import Device
from .soap import SOAP, Malformed, escape, parse

PORT = 3702
GROUP = "239.255.255.250"
# A probe is under 1 KB.
MAX_PROBE_BYTES = 8 << 10
# All that hear a multicast probe answer within this (APP_MAX_DELAY, section 2.4).
MAX_DELAY_S = 0.5

_WSA = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
_WSD = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_TYPES = ("NetworkVideoTransmitter", "Device")


@dataclass(frozen=True, slots=True)
class Probe:
    """What a client looks for: local names of types, prefixes of scopes; none means all."""

    message_id: str
    types: tuple[str, ...]
    scopes: tuple[str, ...]


def read_probe(datagram: bytes) -> Probe | None:
    """The probe in a datagram; None for all else, which nobody answers."""
    if len(datagram) > MAX_PROBE_BYTES:
        return None
    try:
        request = parse(datagram)
    except Malformed:
        return None
    message_id = request.header.value((_WSA, "MessageID"))
    if request.operation.name != (_WSD, "Probe") or not message_id:
        return None
    types = request.operation.value((_WSD, "Types")) or ""
    scopes = request.operation.value((_WSD, "Scopes")) or ""
    # Prefixes in text are not resolved; the local names are not used by any other namespace.
    locals_ = tuple(word.rpartition(":")[2] for word in types.split())
    return Probe(message_id, locals_, tuple(scopes.split()))


def is_match(device: Device, probe: Probe) -> bool:
    """Whether every type is one of the device's, and every scope the beginning of one."""
    known = device.scopes()
    return all(each in _TYPES for each in probe.types) and all(
        any(scope.startswith(asked) for scope in known) for asked in probe.scopes
    )


def probe_match(device: Device, probe: Probe) -> bytes:
    """The answer of one device, a datagram of about 1.3 KB."""
    header = (
        f"<a:MessageID>uuid:{uuid.uuid4()}</a:MessageID>"
        f"<a:RelatesTo>{escape(probe.message_id)}</a:RelatesTo>"
        f"<a:To>{_WSA}/role/anonymous</a:To><a:Action>{_WSD}/ProbeMatches</a:Action>"
        '<d:AppSequence InstanceId="1" MessageNumber="1"/>'
    )
    match = (
        "<d:ProbeMatch><a:EndpointReference>"
        f"<a:Address>{device.spec.identity.endpoint}</a:Address></a:EndpointReference>"
        "<d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>"
        f"<d:Scopes>{escape(' '.join(device.scopes()))}</d:Scopes>"
        f"<d:XAddrs>{device.xaddr('device')}</d:XAddrs>"
        "<d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch>"
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope xmlns:s="{SOAP}" xmlns:a="{_WSA}" '
        f'xmlns:d="{_WSD}" xmlns:dn="http://www.onvif.org/ver10/network/wsdl" '
        'xmlns:tds="http://www.onvif.org/ver10/device/wsdl">'
        f"<s:Header>{header}</s:Header><s:Body><d:ProbeMatches>{match}</d:ProbeMatches></s:Body>"
        "</s:Envelope>"
    ).encode()
