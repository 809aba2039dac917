"""Boundaries of areas out of a GeoJSON file (RFC 7946): read, matched to areas, thinned. Pure.

An area has one ring. Of several the largest counts, holes are left out, and both are said. Files of
maps in China may be in GCJ-02 or BD-09, against RFC 7946 section 4, so the datum is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import shapely

from . import geo
from .domain import Area
from .importers.rows import FileRefused
from .importers.texts import unprintable
from .validation import MAX_BOUNDARY_POINTS

MAX_GEOJSON_BYTES: Final = 2 << 20  # a tenth of a second of the interpreter; 100,000 points
MAX_FEATURES: Final = 5_000  # as many as there may be areas
# What files call an area's code and its name; the first that is there counts.
CODE_PROPERTIES: Final = ("code", "adcode", "区划代码", "行政区划代码", "行政区划编码")
NAME_PROPERTIES: Final = ("name", "名称", "区划名称")
# Metres that thinning may move the line by, tried in turn.
TOLERANCES_M: Final = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)

Ring = tuple[geo.Position, ...]


@dataclass(frozen=True, slots=True)
class FoundBoundary:
    """One feature. `ring`: (lon, lat) WGS-84, not closed; None where it can't be taken, and
    `reason` (a code) and `sentence` say why. Of `parts` the largest was taken; thinned from
    `points_in_file`, the line moved by up to `moved_m` metres."""

    number: int
    code: str
    name: str
    area_id: str | None
    ring: Ring | None
    reason: str = ""
    sentence: str = ""
    parts: int = 1
    has_holes: bool = False
    points_in_file: int = 0
    moved_m: float = 0.0


@dataclass(frozen=True, slots=True)
class _Reason:
    """Why a feature can't be taken."""

    code: str
    sentence: str


def read(
    file: bytes, areas: Iterable[Area], datum: geo.Datum = "wgs84", only: str | None = None
) -> list[FoundBoundary]:
    """The features in order, each with the area that it is of by code, else by name; `only`: the
    id of the area that the file's one feature is of, whatever it calls itself.

    Raises FileRefused where it is no GeoJSON of areas.
    """
    features = _features(file)
    known = list(areas)
    if only is not None and len(features) != 1:
        raise FileRefused(
            "several_features",
            f"The file has {len(features)} boundaries; for one area give a file with one.",
        )
    by_code = {area.code: area for area in known}
    by_name: dict[str, list[Area]] = {}
    for area in known:
        by_name.setdefault(area.name, []).append(area)
    found: list[FoundBoundary] = []
    taken: dict[str, int] = {}
    for number, feature in enumerate(features, 1):
        given = feature.get("properties")
        properties = given if isinstance(given, Mapping) else {}
        code = _text(properties, CODE_PROPERTIES)
        name = _text(properties, NAME_PROPERTIES)
        of = only or _match(code, name, by_code, by_name)
        if isinstance(of, str) and of in taken:
            told = f"It is of the same area as feature {taken[of]}; leave one of them out."
            of = _Reason("area_twice", told)
        if isinstance(of, _Reason):
            found.append(FoundBoundary(number, code, name, None, None, of.code, of.sentence))
            continue
        line = _line(feature.get("geometry"), datum)
        if isinstance(line, _Reason):
            found.append(FoundBoundary(number, code, name, of, None, line.code, line.sentence))
            continue
        taken[of] = number
        found.append(replace(line, number=number, code=code, name=name, area_id=of))
    return found


def _features(file: bytes) -> list[Mapping[str, Any]]:
    if len(file) > MAX_GEOJSON_BYTES:
        raise FileRefused(
            "boundaries_too_large",
            f"A file of boundaries has at most {MAX_GEOJSON_BYTES >> 20} MiB; thin its lines, or"
            " cut it in two.",
        )
    try:
        told = json.loads(file.decode("utf-8-sig"))
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise FileRefused(
            "not_geojson", "The file is no GeoJSON in UTF-8; export it as GeoJSON (RFC 7946)."
        ) from None
    features: Any = None
    if isinstance(told, Mapping):
        if told.get("type") == "FeatureCollection":
            features = told.get("features")
        elif told.get("type") == "Feature":
            features = [told]
        elif told.get("type") in ("Polygon", "MultiPolygon"):
            features = [{"geometry": told}]
    if (
        not isinstance(features, list)
        or not features
        or not all(isinstance(each, Mapping) for each in features)
    ):
        raise FileRefused(
            "not_geojson",
            "The file has no features; export the areas as a FeatureCollection of polygons.",
        )
    if len(features) > MAX_FEATURES:
        raise FileRefused(
            "too_many_features", f"A file has at most {MAX_FEATURES} features; cut it in two."
        )
    return features


def _text(properties: Mapping[str, Any], keys: Iterable[str]) -> str:
    for key in keys:
        value = properties.get(key)
        if not isinstance(value, str | int) or isinstance(value, bool):
            continue
        text = str(value).strip()
        if text and not unprintable(text):
            return text[:80]
    return ""


def _match(
    code: str, name: str, by_code: Mapping[str, Area], by_name: Mapping[str, list[Area]]
) -> str | _Reason:
    """The id of its area."""
    if code in by_code:
        return by_code[code].id
    if code:
        # 110112000000 is 110112 with what lies below left open.
        ends = (code[:length] for length in range(len(code) - 1, 1, -1))
        short = next((c for c in ends if c in by_code and not code[len(c) :].strip("0")), None)
        if short is not None:
            return by_code[short].id
        told = f"There is no area with the code {code}; add it, or mend the code."
        return _Reason("code_unknown", told)
    found = by_name.get(name, [])
    if len(found) == 1:
        return found[0].id
    if found:
        told = f"Several areas are called {name}; write the code into its properties."
        return _Reason("name_ambiguous", told)
    if name:
        told = f"There is no area called {name}; write the code into its properties."
        return _Reason("name_unknown", told)
    told = "It has neither code nor name; write the area's code into its properties (code)."
    return _Reason("nothing_known", told)


def _line(geometry: Any, datum: geo.Datum) -> FoundBoundary | _Reason:
    """The ring, and what was left out of it; of no area yet."""
    try:
        polygons = list(_polygons(geometry))
        rings = [[_position(point) for point in polygon[0]] for polygon in polygons]
        shapes = [shapely.Polygon(ring) for ring in rings if len(ring) >= 4]
    except (TypeError, ValueError, OverflowError, IndexError, KeyError):
        shapes, polygons = [], []
    if not shapes:
        told = "Its geometry is no polygon of longitudes and latitudes; export it again."
        return _Reason("no_polygon", told)
    largest = max(shapes, key=lambda shape: float(shape.area))
    points, metres = _thinned(largest, datum)
    if len(points) > MAX_BOUNDARY_POINTS:
        told = f"Its line has {len(points)} points even when thinned; simplify it."
        return _Reason("too_many_points", told)
    return FoundBoundary(
        *(0, "", "", None, points),
        parts=len(shapes),
        has_holes=any(len(polygon) > 1 for polygon in polygons),
        points_in_file=len(largest.exterior.coords) - 1,
        moved_m=metres,
    )


def _polygons(geometry: Any) -> Iterator[list[Any]]:
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind == "Polygon":
        yield coordinates
    elif kind == "MultiPolygon":
        yield from coordinates
    else:
        raise ValueError(kind)


def _position(point: Any) -> geo.Position:
    lon, lat = float(point[0]), float(point[1])
    if not geo.on_earth(lon, lat):
        raise ValueError("no place")
    return lon, lat


def _thinned(shape: shapely.Polygon, datum: geo.Datum) -> tuple[Ring, float]:
    """With as many points as an area may have, and by how many metres the line moved. Thinned as it
    stands: the datums differ by a shift that hardly changes over such distances."""
    metres = 0.0
    thin = shape
    for tolerance in TOLERANCES_M:
        if len(thin.exterior.coords) - 1 <= MAX_BOUNDARY_POINTS:
            break
        thinner = shape.simplify(tolerance / geo.METRES_PER_DEGREE)
        if isinstance(thinner, shapely.Polygon):  # which keeping the topology gives
            thin, metres = thinner, tolerance
    # The last point is the first again (RFC 7946 section 3.1.6); seven digits are a centimetre.
    points = [(lon, lat) for lon, lat, *_ in thin.exterior.coords[:-1]]
    if len(points) <= MAX_BOUNDARY_POINTS:
        points = [geo.to_wgs84(datum, *point) for point in points]
    return tuple((round(lon, 7), round(lat, 7)) for lon, lat in points), metres
