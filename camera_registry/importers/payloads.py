"""Channels, devices and findings as the JSON of a planned row, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..domain import Channel, Device, DeviceClass, Filing
from .rows import Finding

HIDDEN: Final = "***"
_FACT: Final = "facts"
_COMPARED: Final = ("name", "main_url", "sub_url", "lon", "lat", "enabled")


def values_of(channel: Channel, area_code: str, username: str | None = None) -> dict[str, str]:
    """A channel as texts by field key, as a form holds it. Never a password."""
    values = {
        "code": channel.code,
        "area": area_code,
        "device_class": channel.device_class.value,
        "username": username,
        **{key: _text(getattr(channel, key)) for key in _COMPARED},
    }
    return {key: text for key, text in values.items() if text} | dict(channel.facts)


def differences(
    before: Channel | None, after: Channel, area_codes: Mapping[str, str]
) -> list[list[str]]:
    """[field key, before, after] of all that differs; of a new channel nothing: see `additions`."""
    if before is None:
        return []
    old = values_of(before, area_codes.get(before.area_id, ""))
    new = values_of(after, area_codes.get(after.area_id, ""))
    if before.device_id != after.device_id:
        old["device"], new["device"] = before.device_id, after.device_id
    for values, channel in ((old, before), (new, after)):
        values |= _marks(channel)
    return [
        [key, old.get(key, ""), new.get(key, "")]
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    ]


def additions(
    row: Mapping[str, Any], area_codes: Mapping[str, str], *, with_password: bool
) -> list[list[str]]:
    """[field key, "", value] of the channel that a planned row adds, from the row's payload, where
    it lies once already; of a password only that there is one. `area_codes` by the areas' ids."""
    channel = channel_of(row["after"])
    username = row.get("device", {}).get("username")
    values = values_of(channel, area_codes.get(channel.area_id, ""), username) | _marks(channel)
    if with_password:
        values["password"] = HIDDEN
    return [[key, "", value] for key, value in values.items() if value]


def _marks(channel: Channel) -> dict[str, str]:
    return {
        "filing": channel.filing.value,
        "filing_note": channel.filing_note or "",
        "sensitive": "true" if channel.sensitive else "",
    }


def channel_payload(channel: Channel) -> dict[str, Any]:
    return {
        "id": channel.id,
        "device_id": channel.device_id,
        "area_id": channel.area_id,
        "code": channel.code,
        "device_class": channel.device_class.value,
        **{key: getattr(channel, key) for key in _COMPARED},
        _FACT: dict(channel.facts),
        "filing": channel.filing.value,
        "filing_note": channel.filing_note,
        "sensitive": channel.sensitive,
    }


def channel_of(payload: Mapping[str, Any]) -> Channel:
    typed = {
        "device_class": DeviceClass(payload["device_class"]),
        # A plan of before there were states: nobody has reviewed it.
        "filing": Filing(payload.get("filing", Filing.DRAFT)),
    }
    return Channel(**{**payload, **typed})


def device_payload(device: Device) -> dict[str, Any]:
    return {
        "id": device.id,
        "name": device.name,
        "host": device.host,
        "port": device.port,
        "username": device.username,
        "max_dials": device.max_dials,
        "listen_to_events": device.listen_to_events,
    }


def device_of(payload: Mapping[str, Any], *, has_password: bool) -> Device:
    return Device(**payload, has_password=has_password)


def finding_payload(finding: Finding) -> dict[str, Any]:
    return {
        "column": finding.column,
        "field": finding.field,
        "code": finding.code,
        "sentence": finding.sentence,
        "severity": finding.severity,
    }


def finding_of(number: int, payload: Mapping[str, Any]) -> Finding:
    return Finding(row=number, **payload)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
