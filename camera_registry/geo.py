"""Positions: the datums that maps in China use, and whether a place lies in a district.

Degrees everywhere, longitude first. WGS-84 is the registry's datum and GB/T 28181's. GCJ-02 (AMap,
Tencent) shifts it by up to 700 m, mostly over 100; BD-09 (Baidu) shifts GCJ-02 again. Neither has
an official text: the forward formulas are those published everywhere since 2013 (Krasovsky 1940
ellipsoid); the ways back are found by iteration. Outside China's bounding box all three are the
same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import shapely

Datum = Literal["wgs84", "gcj02", "bd09"]
DATUMS: Final[tuple[Datum, ...]] = ("wgs84", "gcj02", "bd09")
DATUM_NAMES: Final = {"wgs84": "WGS-84", "gcj02": "GCJ-02", "bd09": "BD-09"}

Position = tuple[float, float]  # longitude, latitude

_AXIS_M: Final = 6_378_245.0
_ECCENTRICITY_SQUARED: Final = 0.00669342162296594323
_BAIDU: Final = math.pi * 3000 / 180
_BAIDU_SHIFT: Final = (0.0065, 0.006)
_CLOSE_DEG: Final = 1e-9  # 0.1 mm
_MAX_STEPS: Final = 10  # each takes the error to some 0.3%; three or four are enough
METRES_PER_DEGREE: Final = 6_371_008.8 * math.pi / 180  # of the mean sphere


def wgs84_to_gcj02(lon: float, lat: float) -> Position:
    if not _in_china(lon, lat):
        return lon, lat
    return _shifted(lon, lat)


def gcj02_to_wgs84(lon: float, lat: float) -> Position:
    """To within 0.1 mm; within a kilometre of the bounding box's edge the way there may differ."""
    return _inverse(_shifted, lon, lat)


def gcj02_to_bd09(lon: float, lat: float) -> Position:
    if not _in_china(lon, lat):
        return lon, lat
    return _baidu(lon, lat)


def bd09_to_gcj02(lon: float, lat: float) -> Position:
    return _inverse(_baidu, lon, lat)


def to_wgs84(datum: Datum, lon: float, lat: float) -> Position:
    """A position of any datum as WGS-84."""
    if datum == "bd09":
        lon, lat = bd09_to_gcj02(lon, lat)
    return (lon, lat) if datum == "wgs84" else gcj02_to_wgs84(lon, lat)


def from_wgs84(datum: Datum, lon: float, lat: float) -> Position:
    """A WGS-84 position as any datum."""
    if datum != "wgs84":
        lon, lat = wgs84_to_gcj02(lon, lat)
    return gcj02_to_bd09(lon, lat) if datum == "bd09" else (lon, lat)


@dataclass(frozen=True, slots=True)
class Polygon:
    """A boundary made ready for many questions: `polygon` makes it."""

    shape: Any  # shapely geometry in metres, prepared
    east_m: float  # metres per degree of longitude at its middle


def polygon(points: Sequence[Position]) -> Polygon:
    """A boundary of at least three points (WGS-84), closed or not.

    One that crosses itself is taken as the parts it encloses. Metres are true to 1% over a
    district's extent (100 km). Raises ValueError for fewer points.
    """
    if len(points) < 3:
        raise ValueError("a polygon has at least three points")
    middle = (min(lat for _, lat in points) + max(lat for _, lat in points)) / 2
    east_m = METRES_PER_DEGREE * math.cos(math.radians(middle))
    ring = [(lon * east_m, lat * METRES_PER_DEGREE) for lon, lat in points]
    shape = shapely.make_valid(shapely.Polygon(ring))
    shapely.prepare(shape)
    return Polygon(shape, east_m)


def inside(polygon: Polygon, lon: float, lat: float) -> bool:
    """Whether a WGS-84 position lies within the boundary or on it."""
    if not on_earth(lon, lat):
        return False
    return bool(shapely.intersects_xy(polygon.shape, lon * polygon.east_m, lat * METRES_PER_DEGREE))


def distance_m(polygon: Polygon, lon: float, lat: float) -> float:
    """Metres from a WGS-84 position to the boundary's nearest point; 0 inside, inf for no place."""
    if not on_earth(lon, lat):
        return math.inf
    point = shapely.Point(lon * polygon.east_m, lat * METRES_PER_DEGREE)
    return float(shapely.distance(polygon.shape, point))


def guess_datum(lon: float, lat: float, polygon: Polygon, read_as: Datum = "wgs84") -> Datum | None:
    """The other datum by which a position lies inside when it does not as it was read.

    None when it lies inside as read, or by no datum. Where two would do, the smaller shift: near
    the edge a position alone can't tell them apart, a whole file can.
    """
    if inside(polygon, *to_wgs84(read_as, lon, lat)):
        return None
    for datum in DATUMS:
        if datum != read_as and inside(polygon, *to_wgs84(datum, lon, lat)):
            return datum
    return None


def on_earth(lon: float, lat: float) -> bool:
    """Whether both are degrees of a place; NaN and infinity are not."""
    return -180 <= lon <= 180 and -90 <= lat <= 90


def _in_china(lon: float, lat: float) -> bool:
    """The bounding box that all who publish the formulas use: it holds some of the neighbours."""
    return 72.004 <= lon <= 137.8347 and 0.8293 <= lat <= 55.8271


def _shifted(lon: float, lat: float) -> Position:
    x, y = lon - 105.0, lat - 35.0
    both = 20 * math.sin(6 * math.pi * x) + 20 * math.sin(2 * math.pi * x)
    root = math.sqrt(abs(x))
    north_m = (
        (-100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root)
        + (both + _waves(y, 160, 320)) * 2 / 3
    )  # fmt: skip
    east_m = (
        (300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root)
        + (both + _waves(x, 150, 300)) * 2 / 3
    )  # fmt: skip
    phi = math.radians(lat)
    curve = 1 - _ECCENTRICITY_SQUARED * math.sin(phi) ** 2
    meridian_m = _AXIS_M * (1 - _ECCENTRICITY_SQUARED) / curve**1.5
    parallel_m = _AXIS_M / math.sqrt(curve) * math.cos(phi)
    return lon + math.degrees(east_m / parallel_m), lat + math.degrees(north_m / meridian_m)


def _waves(at: float, short: float, long: float) -> float:
    turn = math.pi * at
    return (
        20 * math.sin(turn)
        + 40 * math.sin(turn / 3)
        + short * math.sin(turn / 12)
        + long * math.sin(turn / 30)
    )


def _baidu(lon: float, lat: float) -> Position:
    radius = math.hypot(lon, lat) + 0.00002 * math.sin(lat * _BAIDU)
    angle = math.atan2(lat, lon) + 0.000003 * math.cos(lon * _BAIDU)
    return (
        radius * math.cos(angle) + _BAIDU_SHIFT[0],
        radius * math.sin(angle) + _BAIDU_SHIFT[1],
    )


def _inverse(way: Callable[[float, float], Position], lon: float, lat: float) -> Position:
    """Where `way` leads to (lon, lat) from: each step takes off what it goes too far."""
    if not _in_china(lon, lat):
        return lon, lat
    from_lon, from_lat = lon, lat
    for _ in range(_MAX_STEPS):
        to_lon, to_lat = way(from_lon, from_lat)
        off_lon, off_lat = to_lon - lon, to_lat - lat
        from_lon, from_lat = from_lon - off_lon, from_lat - off_lat
        if abs(off_lon) < _CLOSE_DEG and abs(off_lat) < _CLOSE_DEG:
            break
    return from_lon, from_lat
