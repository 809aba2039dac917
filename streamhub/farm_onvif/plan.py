"""From options and a plan file to the devices of a farm: addresses, channels, users, faults."""

from __future__ import annotations

import ipaddress
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from camera_registry.secret import Secret

from .auth import Credentials, Gate
from .device import Device, DeviceSpec
from .faults import FaultSet, FaultUnknown, spread
from .identity import PTZ_EVERY, identity

# Three sockets a device: well under the usual limit of open files, bound in half a second.
MAX_DEVICES = 4096
MAX_CHANNELS = 64
MAX_CREDENTIALS = 64
MAX_PLAN_BYTES = 1 << 20
_KEYS = {"numbers", "channels", "ptz", "credentials", "faults"}


class PlanInvalid(Exception):
    """The options or the plan can't be carried out; the message says what to change."""

    code = "farm_plan_invalid"


@dataclass(frozen=True, slots=True)
class OnvifOptions:
    """What `streamhub farm --onvif` was asked for. `faults` are words like `slow:5=0.1`; the
    streams are at each device's own address and `rtsp_port`."""

    network: str
    port: int = 8000
    devices: int | None = None
    channels: int = 1
    faults: tuple[str, ...] = ()
    plan: Path | None = None
    lockout_tries: int = 5
    credentials: tuple[Credentials, ...] = ()
    rtsp_port: int = 8554


@dataclass(slots=True)
class _Wish:
    """What the plan says of one device."""

    channels: int
    has_ptz: bool
    credentials: int
    faults: FaultSet = field(default_factory=FaultSet)


def build(options: OnvifOptions) -> list[Device]:
    """The devices, numbered from 1 in the order of their addresses. Raises PlanInvalid."""
    addresses = _addresses(options)
    count = len(addresses)
    try:
        chosen = spread(dict(_share(word) for word in options.faults), count)
        wishes = [
            _Wish(
                options.channels,
                number % PTZ_EVERY == 0,
                (number - 1) % max(len(options.credentials), 1) + 1,
                chosen.get(number, FaultSet()),
            )
            for number in range(1, count + 1)
        ]
        if options.plan is not None:
            _apply(_read(options.plan), wishes, options)
    except FaultUnknown as error:
        raise PlanInvalid(str(error)) from None
    key = secrets.token_bytes(32)
    devices: list[Device] = []
    camera = 1
    for number, (address, wish) in enumerate(zip(addresses, wishes, strict=True), 1):
        is_ = identity(number, channels=wish.channels, ptz=wish.has_ptz)
        spec = DeviceSpec(
            number, address, options.port, is_, wish.channels, camera, wish.has_ptz,
            options.rtsp_port,
        )  # fmt: skip
        user = options.credentials[wish.credentials - 1] if options.credentials else None
        algorithms = is_.vendor.digest_algorithms
        gate = Gate(user, algorithms, options.lockout_tries, key + number.to_bytes(4, "big"))
        devices.append(Device(spec, gate, wish.faults))
        camera += wish.channels
    return devices


def read_credentials(text: str) -> tuple[Credentials, ...]:
    """Credential sets from a JSON list of `[username, password]`. Raises PlanInvalid, whose
    message holds nothing of the text."""
    try:
        pairs = json.loads(text)
    except ValueError:
        pairs = None
    right = isinstance(pairs, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
        for pair in pairs
    )
    if not right or not 0 < len(pairs) <= MAX_CREDENTIALS:
        raise PlanInvalid(
            "The credential sets must be JSON, 1 to "
            f'{MAX_CREDENTIALS} pairs: [["admin", "password"], ["viewer", "other"]].'
        )
    return tuple(Credentials(username, Secret(password)) for username, password in pairs)


# --- inside ---------------------------------------------------------------------------------------


def _addresses(options: OnvifOptions) -> list[str]:
    try:
        network = ipaddress.IPv4Network(options.network)
    except ValueError as error:
        raise PlanInvalid(f"--onvif takes IPv4 addresses like 127.20.0.0/22: {error}.") from None
    if network.network_address.is_unspecified:
        raise PlanInvalid("--onvif needs the devices' own addresses, 0.0.0.0 is none of them.")
    wanted = MAX_DEVICES + 1 if options.devices is None else options.devices
    addresses = [str(each) for each in islice(network.hosts(), wanted)]
    if options.devices is not None and len(addresses) < options.devices:
        raise PlanInvalid(
            f"{options.network} has addresses for {len(addresses)} devices, not for "
            f"{options.devices}; take a larger network."
        )
    if len(addresses) > MAX_DEVICES:
        raise PlanInvalid(
            f"A farm has at most {MAX_DEVICES} devices; take a smaller network than "
            f"{options.network}, or give --onvif-devices."
        )
    return addresses


def _share(word: str) -> tuple[str, float]:
    kind, _, share = word.partition("=")
    try:
        return kind, float(share)
    except ValueError:
        raise PlanInvalid(f"--onvif-fault takes KIND=share like dead=0.2, not {word}.") from None


def _read(path: Path) -> list[Mapping[str, Any]]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_PLAN_BYTES + 1)
        plan = None if len(text) > MAX_PLAN_BYTES else yaml.safe_load(text)
    except OSError as error:
        raise PlanInvalid(f"The plan {path} can't be read ({error.strerror}).") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        # Its first line names what, the last where.
        reason = str(error).replace("\n", " ") or "too deep"
        raise PlanInvalid(f"The plan {path} is no YAML: {reason}.") from None
    entries = plan.get("devices") if isinstance(plan, dict) and set(plan) == {"devices"} else None
    if not isinstance(entries, list):
        raise PlanInvalid(f"The plan {path} must be a list under `devices` (docs/farm.md).")
    for entry in entries:
        if not isinstance(entry, dict) or not {"numbers"} <= set(entry) <= _KEYS:
            raise PlanInvalid(
                f"Each entry of {path} needs `numbers` and takes {', '.join(sorted(_KEYS))}: "
                f"{entry!r:.100} does not."
            )
    return entries


def _apply(entries: list[Mapping[str, Any]], wishes: list[_Wish], options: OnvifOptions) -> None:
    for entry in entries:
        for number in _numbers(entry["numbers"], len(wishes)):
            wish = wishes[number - 1]
            wish.channels = _whole(entry, "channels", wish.channels, MAX_CHANNELS)
            sets = max(len(options.credentials), 1)
            wish.credentials = _whole(entry, "credentials", wish.credentials, sets)
            wish.has_ptz = entry.get("ptz", wish.has_ptz)
            if not isinstance(wish.has_ptz, bool):
                raise PlanInvalid(f"`ptz` is true or false, not {wish.has_ptz!r:.50}.")
            words = entry.get("faults", [])
            if not isinstance(words, list):
                raise PlanInvalid("`faults` is a list like [digest-only, slow:5].")
            for word in words:
                wish.faults = wish.faults.adding(str(word))


def _numbers(value: object, count: int) -> range:
    """`7` or `3-9`."""
    found = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", str(value))
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last <= count:
        raise PlanInvalid(f"`numbers` is like 7 or 3-9 and up to {count}, not {value!r:.50}.")
    return range(first, last + 1)


def _whole(entry: Mapping[str, Any], key: str, otherwise: int, most: int) -> int:
    value = entry.get(key, otherwise)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise PlanInvalid(f"`{key}` is a number from 1 to {most}, not {value!r:.50}.")
    return value
