"""What was found, as JSON, and as rows of a file that an import takes. Pure."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from camera_registry.importers.fields import fields, tables
from camera_registry.jobs import FoundDevice
from gateways.onvif import (
    CredentialSet,
    DeviceAddress,
    DeviceDescription,
    OnvifError,
    StreamDescription,
)

DESCRIBED: Final = "described"
# Codes of tables.yaml, by what ONVIF calls an encoding.
_ENCODINGS: Final = {"MPEG4": "1", "H264": "2", "H265": "4"}
# Another maker's code is in the list too; it says so of itself.
_OTHER_MAKER: Final = "99"


def described(device: DeviceDescription, *, registered: bool) -> FoundDevice:
    payload = {
        "state": DESCRIBED,
        "registered": registered,
        "manufacturer": device.manufacturer,
        "model": device.model,
        "firmware": device.firmware,
        "serial": device.serial,
        "mac": device.mac,
        "clock_offset_s": device.clock_offset_s,
        "credential_set": device.credential_set,
        "has_ptz": device.has_ptz,
        "has_events": device.has_events,
        "channels": [
            {
                "token": channel.source_token,
                "name": channel.name,
                "main": _stream(channel.main),
                "sub": None if channel.sub is None else _stream(channel.sub),
                "snapshot_uri": channel.snapshot_uri,
            }
            for channel in device.channels
        ],
        "notes": [note.sentence for note in device.notes],
        "note_codes": [note.code for note in device.notes],
    }
    return FoundDevice(device.address.host, device.address.port, payload)


def refused(address: DeviceAddress, error: OnvifError, *, registered: bool) -> FoundDevice:
    """A device that answered but could not be described; the sentence says the next step."""
    payload = {
        "state": "refused",
        "registered": registered,
        "code": error.code,
        "sentence": str(error),
        "channels": [],
    }
    return FoundDevice(address.host, address.port, payload)


def by_address(host: str, port: int) -> tuple[bool, int, int, str, int]:
    """A key to sort by: addresses as numbers, .5 before .10, IPv4 first; then names, as texts."""
    try:
        ip = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return True, 0, 0, host, port
    return False, ip.version, int(ip), "", port


def rows(devices: Iterable[FoundDevice], sets: Mapping[str, CredentialSet]) -> bytes:
    """A file (JSON, template `full`) with a row for each channel that has a stream address.

    It holds passwords: it is for `Imports.create` alone, which seals it.
    """
    headings = {key: field.zh for key, field in fields().items()}
    found = [
        {headings[key]: text for key, text in row.items() if text}
        for device in devices
        for row in _rows_of(device, sets)
    ]
    return json.dumps(found, ensure_ascii=False).encode()


def _rows_of(device: FoundDevice, sets: Mapping[str, CredentialSet]) -> Iterable[dict[str, str]]:
    told = device.payload
    login = sets.get(told.get("credential_set") or "")
    several = len(told["channels"]) > 1
    for number, channel in enumerate(told["channels"], 1):
        main, sub = channel["main"], channel["sub"]
        if main["uri"] is None:
            continue
        name = f"{told['manufacturer']} {told['model']} {device.host}".strip()
        yield {
            "name": f"{name} {number}" if several else name,
            "main_url": main["uri"],
            "sub_url": "" if sub is None else sub["uri"] or "",
            "username": "" if login is None else login.username,
            "password": "" if login is None else login.password.reveal(),
            "manufacturer": _maker(told["manufacturer"]),
            "model": told["model"],
            "ipv4": "" if ":" in device.host else device.host,
            "ipv6": device.host if ":" in device.host else "",
            "mac": told["mac"] or "",
            "access_port": str(device.port),
            "protocol": "ONVIF",
            "channel_number": str(number) if several else "",
            "encoding": _ENCODINGS.get(main["encoding"], ""),
            "resolution": f"{main['width']}x{main['height']}" if main["width"] else "",
        }


def _stream(stream: StreamDescription) -> dict[str, Any]:
    return {
        "encoding": stream.encoding,
        "width": stream.width,
        "height": stream.height,
        "fps": stream.fps,
        "bitrate_bps": stream.bitrate_bps,
        "gov_length": stream.gov_length,
        "uri": stream.stream_uri,
    }


def _maker(told: str) -> str:
    words = told.casefold()
    for code, choice in tables()["manufacturer"].items():
        if choice.en.casefold() in words or choice.zh in told:
            return code
    return _OTHER_MAKER if told else ""
