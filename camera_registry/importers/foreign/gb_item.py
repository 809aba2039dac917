"""An item of a GB/T 28181 catalogue in our words, whoever wrote it down.

The same item has its fields as `DeviceID` in the protocol's XML (GB/T 28181-2022 annex A), as
`deviceId` or `gbDeviceId` in WVP's JSON and as `device_id` or `gb_device_id` in its tables; keys
are compared without case and underscores.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ..fields import tables
from ..rows import CameraRow
from .config import Gathering, label, like_a_url

# WVP keeps what a user set beside what the device reported: first `gb_…` (2.7.3 on), before that
# `custom_…`.
_SET_BY_USER: Final = ("gb", "custom", "")
# A key of ours -> keys of theirs. Texts as they are.
_TEXTS: Final = {
    "name": ("name",),
    "model": ("model",),
    "address": ("address",),
    "owner": ("owner",),
    "management_unit": ("managementunit",),
    "management_contact": ("contactinfo",),
    "record_days": ("recordsavedays",),
    "mac": ("mac",),
}
# Codes that mean here what they mean there; others are kept as unknown.
_CODES: Final = {
    "camera_type": ("ptztype", ("1", "2", "3", "4")),  # 5: a half dome there, a checkpoint gun here
    "position_type": ("positiontype", tuple(map(str, range(1, 11)))),
    "room_type": ("roomtype", ("1", "2")),
    "direction": ("directiontype", tuple(map(str, range(1, 9)))),
    "supply_light": ("supplylighttype", ("1", "2", "3", "4", "9")),
    "point_type": ("pointtype", ("1", "2", "3", "9")),
}
# Shown beside the row, for a person to judge.
_KEPT: Final = ("status", "block", "businessgroupid", "resolution")
_CODE = re.compile(r"[0-9]{20}")
# Digits 11 to 13 of a code whose owner has no picture: decoders, matrices, alarms, sound, doors.
_NO_PICTURE: Final = frozenset(
    {"114", "115", "116", "117", "133", "134", "135", "136", "137", "140", "141", "142", "143"}
)
_MAX_CAMERA_TYPE: Final = 199  # from 200 on: platforms, groups, users
# Words that firmware sends where it has no value.
_EMPTY: Final = frozenset({"", "null", "none", "unknown", "owner", "civilcode", "address", "model"})
# What devices call their makers beside the labels of tables.yaml.
_MAKERS: Final = {"hik": "1", "海康": "1", "dahua": "2", "dh": "2", "unv": "9", "univiewtech": "9"}


def flat(values: Mapping[str, object]) -> dict[str, str]:
    """Keys without case and underscores, values as trimmed texts; empty ones are left out."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, str | int | float) and (text := str(value).strip()):
            found.setdefault(key.replace("_", "").lower(), text)
    return found


def put(found: Gathering, row: CameraRow, item: Mapping[str, str], at: str) -> bool:
    """Fills the row from a flat item; False when the item is no camera: it is skipped then.

    `at` is where the item stands: a table, `Item`. Passwords of an item are those of its SIP
    registration, no use for RTSP: they are neither taken nor kept as unknown.
    """
    code = item.get("gbdeviceid") or item.get("channelid") or item.get("deviceid", "")
    ours = {"code": code} | {key: _get(item, *theirs) for key, theirs in _TEXTS.items()}
    refusal = _no_camera(code, item.get("channeltype", "0"))
    if refusal:
        sentence = f"{label(ours['name'] or code)} {refusal}."
        found.skip(row, at, "not_a_camera", sentence, "warning")
        return False
    if like_a_url(ours["name"]):
        ours["name"] = ""
    for key, (theirs, known) in _CODES.items():
        text = _get(item, theirs)
        if text in known:
            ours[key] = text
        elif text not in ("", "0"):
            row.unknown[theirs] = text
    ours["parent_device"] = _parent(item, code)
    ours |= _position(item) | _address(item)
    civil = _get(item, "civilcode")
    maker = _get(item, "manufacturer", "manufacture")
    ours["manufacturer"] = manufacturer(maker) or ""
    ours["area"] = civil if re.fullmatch(r"[0-9]{6}", civil) else ""
    installed = _get(item, "installtime")[:10]
    ours["installed_on"] = installed if re.fullmatch(r"[0-9]{4}(-[0-9]{2}){2}", installed) else ""
    for key, text, of_ours in (
        ("civilcode", civil, "area"),
        ("manufacturer", maker, "manufacturer"),
        *((key, _get(item, key), "") for key in _KEPT),
    ):
        if text and not ours.get(of_ours):
            row.unknown[key] = text
    for key, text in ours.items():
        if text:
            row.values[key], row.columns[key] = text, at
    return True


@lru_cache(maxsize=1_024)  # a catalogue names a handful, 100,000 times
def manufacturer(text: str) -> str | None:
    """The code of a maker's name in tables.yaml; None when it isn't sure."""
    plain = _plain(text)
    if plain in _MAKERS:
        return _MAKERS[plain]
    for code, choice in tables()["manufacturer"].items():
        for known in {_plain(choice.zh), _plain(choice.en)} - {code, _plain("其他"), "other"}:
            if plain.startswith(known):
                return code
    return None


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).casefold())


def _get(item: Mapping[str, str], *keys: str) -> str:
    for prefix in _SET_BY_USER:
        for key in keys:
            text = item.get(prefix + key, "")
            if text.lower() not in _EMPTY:
                return text
    return ""


def _no_camera(code: str, channel_type: str) -> str:
    """Why an item is none, as the end of a sentence; "" when it is one."""
    if channel_type not in ("", "0"):
        return "is a region or group of the tree"
    if not _CODE.fullmatch(code):
        return "has no code of 20 digits; it is a region, or not from a catalogue"
    kind = code[10:13]
    if kind in _NO_PICTURE:
        return f"is of the type {kind}, which has no picture"
    return f"is of the type {kind}: a platform or group" if int(kind) > _MAX_CAMERA_TYPE else ""


def _parent(item: Mapping[str, str], code: str) -> str:
    # Older tables: the channel's code in channel_id, that of its device in device_id.
    above = _get(item, "parentid") or (item.get("deviceid", "") if "channelid" in item else "")
    nearest = above.rpartition("/")[2]  # several are joined, the nearest last
    return "" if nearest == code else nearest


def _position(item: Mapping[str, str]) -> dict[str, str]:
    """A pair from one source; 0, 0 is what an unset position looks like."""
    for prefix in _SET_BY_USER:
        lon, lat = item.get(f"{prefix}longitude", ""), item.get(f"{prefix}latitude", "")
        if lon.strip("0.") and lat.strip("0."):
            return {"lon": lon, "lat": lat}
    return {}


def _address(item: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        address = ipaddress.ip_address(_get(item, "ipaddress"))
    except ValueError:
        return found
    if not address.is_unspecified:
        found[f"ipv{address.version}"] = str(address)
        port = _get(item, "port")
        if port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65_535:
            found["access_port"] = port
    return found
