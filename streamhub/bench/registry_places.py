"""A district of any size for `bench registry`: names from parts, the same for the same number."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Final

from camera_registry.demo_places import CROSSING_SIDES, STREETS
from camera_registry.domain import Area, AreaKind, Channel, Device, DeviceClass

DISTRICT: Final = "110112"
COMMUNITIES_PER_STREET: Final = 8
GRIDS_PER_COMMUNITY: Final = 3
CHANNELS_PER_DEVICE: Final = 16
SEED: Final = 5
_CLASSES: Final = tuple(DeviceClass)
_WEIGHTS: Final = (87, 5, 4, 4)  # of a hundred, as in the demo
_MIDDLE: Final = ("001321", "081326", "031326", "011326")
_PREFIXES: Final = "东西南北上下前后大小新老"
_STEMS: Final = "王李张刘陈杨赵黄周吴徐孙马朱胡林郭何高罗郑梁谢宋唐许邓冯韩曹"
_PLACES: Final = ("庄", "村", "营", "店", "屯", "桥", "园", "里", "湾", "府", "各庄", "家务")
_ROADS: Final = ("东路", "西路", "南路", "北路", "大街", "南街", "北街", "中路", "环路", "胡同")
_LANDMARKS: Final = ("小学", "中学", "医院", "菜市场", "公交站", "公园", "银行", "派出所", "停车场")


def areas() -> list[Area]:
    """A district, its streets, 128 communities, 384 grids; parents before children."""
    found = [Area("ar_d", None, AreaKind.DISTRICT, DISTRICT, "通州区")]
    for s, street in enumerate(STREETS):
        code = f"{DISTRICT}{s + 1:03d}"
        found.append(Area(f"ar_{s}", "ar_d", AreaKind.STREET, code, street.name))
        for c in range(COMMUNITIES_PER_STREET):
            name = street.communities[c % len(street.communities)]
            found.append(
                Area(f"ar_{s}_{c}", f"ar_{s}", AreaKind.COMMUNITY, f"{code}{c + 1:03d}", name)
            )
            for g in range(GRIDS_PER_COMMUNITY):
                found.append(
                    Area(
                        f"ar_{s}_{c}_{g}",
                        f"ar_{s}_{c}",
                        AreaKind.GRID,
                        f"{code}{c + 1:03d}{g + 1:02d}",
                        f"{name}第{g + 1}网格",
                    )
                )
    return found


def grid_id(street: int, number: int) -> str:
    c, g = divmod(number % (COMMUNITIES_PER_STREET * GRIDS_PER_COMMUNITY), GRIDS_PER_COMMUNITY)
    return f"ar_{street}_{c}_{g}"


def channel_id(number: int) -> str:
    return f"ch_{number}"


def cameras(count: int) -> Iterator[tuple[Device | None, Channel]]:
    """Channels, and with the first of each device's the device."""
    rng = random.Random(SEED)  # noqa: S311  (a drawing, not a secret)
    weights = [street.weight for street in STREETS]
    device: Device | None = None
    serials: Counter[tuple[int, int]] = Counter()
    for n in range(count):
        new = n % CHANNELS_PER_DEVICE == 0
        if new:
            host = f"10.{n >> 20 & 255}.{n >> 12 & 255}.{n >> 4 & 255}"
            device = Device(f"de_{n}", f"NVR {n}", host, 554)
        assert device is not None  # noqa: S101
        s = rng.choices(range(len(STREETS)), weights)[0]
        kind = rng.choices(range(len(_CLASSES)), _WEIGHTS)[0]
        serials[s, kind] += 1
        place = _place(rng, s)
        road, cross = _road(rng, s), _road(rng, s)
        if rng.random() < 0.8:
            name = f"{place}{road}与{cross}路口{rng.choice(CROSSING_SIDES)}"
        else:
            name = f"{place}{rng.choice(_LANDMARKS)}{rng.choice(CROSSING_SIDES)}"
        facts = {"address": f"{STREETS[s].name}{place}{road}{rng.randrange(1, 400)}号"}
        if rng.random() < 0.1:
            facts["common_name"] = f"{rng.choice(_STEMS)}家{rng.choice(_LANDMARKS)}"
        yield (
            device if new else None,
            Channel(
                id=channel_id(n),
                device_id=device.id,
                area_id=grid_id(s, rng.randrange(24)),
                code=f"{DISTRICT}{s + 1:02d}{_MIDDLE[kind]}{serials[s, kind]:06d}",
                name=f"{name}{rng.randrange(1, 30)}号",
                device_class=_CLASSES[kind],
                main_url=f"rtsp://{device.host}:554/{n}/main",
                sub_url=f"rtsp://{device.host}:554/{n}/sub",
                enabled=rng.random() < 0.97,
                facts=facts,
            ),
        )


def _place(rng: random.Random, street: int) -> str:
    if rng.random() < 0.5:
        name = rng.choice(STREETS[street].communities)
        return name.removesuffix("社区").removesuffix("村")
    return f"{rng.choice(_PREFIXES)}{rng.choice(_STEMS)}{rng.choice(_PLACES)}"


def _road(rng: random.Random, street: int) -> str:
    if rng.random() < 0.5:
        return rng.choice(STREETS[street].roads)
    return f"{rng.choice(_STEMS)}{rng.choice(_PLACES)}{rng.choice(_ROADS)}"
