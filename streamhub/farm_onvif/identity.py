"""Who a simulated device says it is: vendor, model, serial and MAC, all made from its number."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

# Devices of one number are the same on every machine and in every run.
_ENDPOINTS = uuid.UUID("6d1f1c1e-7d2c-5a0e-9a64-0c5f2b7f6b51")
PTZ_EVERY = 4


@dataclass(frozen=True, slots=True)
class Vendor:
    """What sets one vendor's devices apart on the wire. Tokens are format strings of a channel."""

    manufacturer: str
    camera: str
    dome: str
    nvr: str
    firmware: str
    serial_prefix: str
    main_token: str
    sub_token: str
    # Offered in this order (RFC 7616 section 3.7: the first is preferred).
    digest_algorithms: tuple[str, ...]
    has_media2: bool


VENDORS = (
    Vendor(
        "HIKVISION", "DS-2CD2T47G2-L", "DS-2DE4425IW-DE", "DS-7616NI-K2", "V5.7.15 build 231204",
        "DS-2CD", "Profile_{channel}01", "Profile_{channel}02", ("SHA-256", "MD5"), True,
    ),
    Vendor(
        "Dahua", "IPC-HFW2849S-S-IL", "SD49425GB-HNR", "NVR4216-4KS3", "2.840.0000000.15.R",
        "8K0", "MediaProfile0{channel}000", "MediaProfile0{channel}001", ("MD5",), True,
    ),
    Vendor(
        "UNIVIEW", "IPC2124LB-SF40", "IPC6424SR-X25", "NVR302-16E2", "QIPC-B2202.6.1",
        "21023", "media profile {channel} main", "media profile {channel} sub", ("SHA-256", "MD5"),
        True,
    ),
    Vendor(
        "Tiandy", "TC-C34WP", "TC-H324S", "TC-R3116", "V5.20.11 build 2021-08-02",
        "TD", "{channel}-1", "{channel}-2", ("MD5",), False,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Identity:
    """What GetDeviceInformation, GetNetworkInterfaces and discovery tell of one device."""

    vendor: Vendor
    model: str
    serial: str
    mac: str
    endpoint: str


def identity(number: int, *, channels: int, ptz: bool) -> Identity:
    """The device of this number, from 1. The MAC is a locally administered one (IEEE 802 8.2)."""
    vendor = VENDORS[(number - 1) % len(VENDORS)]
    model = vendor.nvr if channels > 1 else vendor.dome if ptz else vendor.camera
    serial = f"{vendor.serial_prefix}{number:09d}"
    mac = "02:53:48:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(3, "big"))
    return Identity(vendor, model, serial, mac, f"urn:uuid:{uuid.uuid5(_ENDPOINTS, serial)}")
