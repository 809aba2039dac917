"""The demo district as data: deterministic, so that two machines show the same 3,000 cameras."""

from __future__ import annotations

import base64
import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .demo_places import (
    ALLEYS,
    CROSSING_SIDES,
    DISTRICT_CODE,
    DISTRICT_NAME,
    DISTRICT_OUTLINE,
    LOOKOUTS,
    SHELTERS,
    STREETS,
    Rect,
    Street,
    outline,
    split,
)
from .domain import ID_BODY_CHARS, Area, AreaKind, Channel, Device, DeviceClass

SEED: Final = 110112
GRIDS_PER_COMMUNITY: Final = 3
CLASS_COUNTS: Final = {
    DeviceClass.POLICE_HD: 2_600,
    DeviceClass.HIGH_ALTITUDE: 163,
    DeviceClass.CIVIL_DEFENCE: 119,
    DeviceClass.ALLEY: 118,
}
# Industry (digits 9, 10), type (11 to 13), network (14) of GB/T 28181's code. The standard has
# no industry of civil defence: those go under 03, other public security.
_CODE_MIDDLE: Final = {
    DeviceClass.POLICE_HD: "00" "132" "1",
    DeviceClass.HIGH_ALTITUDE: "08" "132" "6",
    DeviceClass.CIVIL_DEFENCE: "03" "132" "6",
    DeviceClass.ALLEY: "01" "132" "6",
}  # fmt: skip
_ON_NVR: Final = frozenset({DeviceClass.CIVIL_DEFENCE, DeviceClass.ALLEY})
NVR_CHANNELS: Final = 16
H265_EVERY: Final = 100
H265_AT: Final = 55
CAMERA_DIALS: Final = 4  # main and sub, each for us and for one reconnect that overlaps


@dataclass(frozen=True, slots=True)
class Farm:
    """Where the camera simulator listens; its cameras are /cam/1 to /cam/3000.

    One in a hundred is set to H.265 on its main stream, as newer police cameras are.
    """

    host: str
    port: int
    username: str

    def url(self, number: int, profile: str) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rtsp://{host}:{self.port}/cam/{number}/{profile}"

    def main_url(self, number: int) -> str:
        return self.url(number, "main_h265" if sends_h265(number) else "main")


def sends_h265(number: int) -> bool:
    """Whether the main stream of the farm's camera `number` is H.265."""
    return number % H265_EVERY == H265_AT


@dataclass(frozen=True, slots=True)
class Plan:
    areas: list[Area]
    devices: list[Device]
    channels: list[Channel]


def demo_id(prefix: str, key: str) -> str:
    """The same opaque id on every machine."""
    digest = hashlib.sha256(f"streamhub demo {prefix} {key}".encode()).digest()
    return f"{prefix}_{base64.b32encode(digest).decode()[:ID_BODY_CHARS].lower()}"


def area_id(code: str) -> str:
    return demo_id("ar", code)


def street_code(index: int) -> str:
    return f"{DISTRICT_CODE}{index + 1:03d}"


def make_plan(farm: Farm) -> Plan:
    """Areas top down, then devices and channels in the order of the farm's camera numbers."""
    rng = random.Random(SEED)  # noqa: S311 (a drawing, not a secret)
    areas = [
        Area(
            area_id(DISTRICT_CODE),
            None,
            AreaKind.DISTRICT,
            DISTRICT_CODE,
            DISTRICT_NAME,
            DISTRICT_OUTLINE,
            True,
        )
    ]
    grids: list[list[tuple[Area, str, Rect]]] = []  # per street: (grid, community name, rect)
    for index, street in enumerate(STREETS):
        found = list(_areas_of(index, street))
        areas += [area for area, _, _ in found]
        grids.append([item for item in found if item[0].kind is AreaKind.GRID])
    devices: list[Device] = []
    channels: list[Channel] = []
    names: Counter[str] = Counter()
    shares = {kind: _shares(total) for kind, total in CLASS_COUNTS.items()}
    for index, street in enumerate(STREETS):
        for kind in CLASS_COUNTS:
            nvr: Device | None = None
            for nth in range(shares[kind][index]):
                number = len(channels) + 1
                grid, community, rect = grids[index][nth % len(grids[index])]
                name = _unique(_name(rng, street, kind, community), names)
                code = f"{DISTRICT_CODE}{index + 1:02d}{_CODE_MIDDLE[kind]}{number:06d}"
                if kind in _ON_NVR:
                    if nth % NVR_CHANNELS == 0:
                        what = "人防" if kind is DeviceClass.CIVIL_DEFENCE else "街巷"
                        nvr_name = f"{street.name}{what}录像机{nth // NVR_CHANNELS + 1}"
                        nvr = _device(farm, code, nvr_name, 2 * NVR_CHANNELS)
                        devices.append(nvr)
                    device = nvr
                else:
                    device = _device(farm, code, name, CAMERA_DIALS)
                    devices.append(device)
                assert device is not None  # noqa: S101 (nth 0 makes the first recorder)
                lon, lat = _inside(rng, rect)
                channels.append(
                    Channel(
                        id=demo_id("ch", code),
                        device_id=device.id,
                        area_id=grid.id,
                        code=code,
                        name=name,
                        device_class=kind,
                        main_url=farm.main_url(number),
                        sub_url=farm.url(number, "sub"),
                        lon=lon,
                        lat=lat,
                    )
                )
    return Plan(areas, devices, channels)


def _areas_of(index: int, street: Street) -> Iterator[tuple[Area, str, Rect]]:
    code = street_code(index)
    yield _area(code, DISTRICT_CODE, AreaKind.STREET, street.name, street.rect), "", street.rect
    cells = split(street.rect, len(street.communities))
    for nth, (community, cell) in enumerate(zip(street.communities, cells, strict=True), 1):
        community_code = f"{code}{nth:03d}"
        yield _area(community_code, code, AreaKind.COMMUNITY, community, cell), community, cell
        for part, rect in enumerate(split(cell, GRIDS_PER_COMMUNITY), 1):
            name = f"{community}第{'一二三'[part - 1]}网格"
            grid = _area(f"{community_code}{part:02d}", community_code, AreaKind.GRID, name, rect)
            yield grid, community, rect


def _area(code: str, parent_code: str, kind: AreaKind, name: str, rect: Rect) -> Area:
    return Area(area_id(code), area_id(parent_code), kind, code, name, outline(rect), True)


def _device(farm: Farm, code: str, name: str, max_dials: int) -> Device:
    return Device(demo_id("de", code), name, farm.host, farm.port, farm.username, True, max_dials)


def _shares(total: int) -> list[int]:
    """`total` cut by the streets' weights, whole numbers, nothing lost (largest remainders)."""
    weights = [street.weight for street in STREETS]
    exact = [total * weight / sum(weights) for weight in weights]
    shares = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (shares[i] - exact[i], i))
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares


def _name(rng: random.Random, street: Street, kind: DeviceClass, community: str) -> str:
    short = community.removesuffix("社区").removesuffix("村")
    if kind is DeviceClass.POLICE_HD:
        road, cross = rng.sample(street.roads, 2)
        return f"{short}{road}与{cross}路口{rng.choice(CROSSING_SIDES)}"
    if kind is DeviceClass.HIGH_ALTITUDE:
        return f"{short}{rng.choice(LOOKOUTS)}高点瞭望"
    if kind is DeviceClass.CIVIL_DEFENCE:
        return f"{short}{rng.choice(SHELTERS)}"
    return f"{short}{rng.choice(ALLEYS)}"


def _unique(name: str, names: Counter[str]) -> str:
    names[name] += 1
    return f"{name}{names[name]}号"


def _inside(rng: random.Random, rect: Rect) -> tuple[float, float]:
    """A point in the rectangle, a tenth of its side away from the edge."""
    west, south, east, north = rect
    lon = west + (east - west) * rng.uniform(0.1, 0.9)
    lat = south + (north - south) * rng.uniform(0.1, 0.9)
    return round(lon, 6), round(lat, 6)
