"""Boundaries out of GeoJSON: matched, thinned, converted; what can't be taken says why."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry import geo
from camera_registry.boundaries import MAX_GEOJSON_BYTES, read
from camera_registry.domain import Area, AreaKind
from camera_registry.importers.rows import FileRefused
from camera_registry.validation import MAX_BOUNDARY_POINTS

AREAS = [
    Area("ar_d", None, AreaKind.DISTRICT, "110112", "通州区"),
    Area("ar_y", "ar_d", AreaKind.STREET, "110112001", "永顺镇"),
    Area("ar_1", "ar_y", AreaKind.COMMUNITY, "110112001001", "一社区"),
    Area("ar_2", "ar_d", AreaKind.STREET, "110112002", "一社区"),
]
SQUARE = [[116.6, 39.8], [116.7, 39.8], [116.7, 39.9], [116.6, 39.9], [116.6, 39.8]]


def feature(geometry: Any = None, **properties: Any) -> dict[str, Any]:
    shape = {"type": "Polygon", "coordinates": [SQUARE]} if geometry is None else geometry
    return {"type": "Feature", "properties": properties, "geometry": shape}


def file(*features: Any) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def test_features_are_of_areas_by_code_and_else_by_name() -> None:
    found = read(
        file(
            feature(adcode=110112000000),
            feature(code="110112001", name="一社区"),
            feature(名称="永顺镇"),
            feature(name="一社区"),
            feature(code="999"),
            feature(name="某地"),
            feature(),
        ),
        AREAS,
    )
    assert [each.area_id for each in found] == ["ar_d", "ar_y", None, None, None, None, None]
    assert found[0].ring == tuple((lon, lat) for lon, lat in SQUARE[:-1])
    reasons = ["area_twice", "name_ambiguous", "code_unknown", "name_unknown", "nothing_known"]
    assert [each.reason for each in found] == ["", "", *reasons]
    said = [each.sentence for each in found]
    assert said[:2] == ["", ""]
    assert "of the same area as feature 2" in said[2]
    assert "Several areas are called 一社区" in said[3]
    assert "code 999" in said[4]
    assert all(sentence.endswith(".") and sentence for sentence in said[2:])


def test_what_an_area_cannot_have_is_left_out_and_said() -> None:
    small = [[[lon / 10 + 100, lat / 10 + 20] for lon, lat in SQUARE]]
    hole = [[lon + 0.01, lat + 0.01] for lon, lat in SQUARE[:4]]
    many = {"type": "MultiPolygon", "coordinates": [small, [SQUARE, hole]]}
    [found] = read(file(feature(many, code="110112")), AREAS)
    assert found.ring is not None
    assert found.ring[0] == (116.6, 39.8)
    assert (found.parts, found.has_holes, found.moved_m) == (2, True, 0)


def test_a_long_line_is_thinned_until_it_fits() -> None:
    points = 20_000
    ring = [
        [116.6 + math.cos(a) / 10, 39.8 + math.sin(a) / 10]
        for a in (2 * math.pi * n / points for n in range(points))
    ]
    circle = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    [found] = read(file(feature(circle, code="110112")), AREAS)
    assert found.ring is not None
    assert 100 < len(found.ring) <= MAX_BOUNDARY_POINTS
    assert (found.points_in_file, found.moved_m) == (points, 1)
    shape = geo.polygon(found.ring)
    assert max(geo.distance_m(shape, *point) for point in ring) < 1.5


def test_positions_of_another_datum_are_converted() -> None:
    shifted = [list(geo.wgs84_to_gcj02(lon, lat)) for lon, lat in SQUARE]
    shape = {"type": "Polygon", "coordinates": [shifted]}
    [found] = read(file(feature(shape, code="110112")), AREAS, "gcj02")
    assert found.ring is not None
    for (lon, lat), (wanted_lon, wanted_lat) in zip(found.ring, SQUARE, strict=False):
        assert (lon, lat) == pytest.approx((wanted_lon, wanted_lat), abs=1e-6)


@pytest.mark.parametrize("code", [10**400, 110112001001000000001])
def test_a_code_that_is_a_long_number_is_taken_digit_by_digit(code: int) -> None:
    [found] = read(file(feature(code=code)), AREAS)
    assert (found.code, found.ring) == (str(code)[:80], None)


def test_a_name_that_no_answer_could_hold_is_none() -> None:
    [found] = read(file(feature(name="\ud800", code="110112")), AREAS)
    assert (found.name, found.area_id) == ("", "ar_d")


def test_one_boundary_may_be_given_to_an_area_whatever_it_is_called() -> None:
    bare = json.dumps({"type": "Polygon", "coordinates": [SQUARE]}).encode()
    [found] = read(bare, AREAS, only="ar_2")
    assert (found.area_id, len(found.ring or ())) == ("ar_2", 4)
    with pytest.raises(FileRefused, match="has 2 boundaries"):
        read(file(feature(), feature()), AREAS, only="ar_2")


@pytest.mark.parametrize(
    "geometry",
    [
        {},
        {"type": "Point", "coordinates": [1, 2]},
        {"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]},
        {"type": "Polygon", "coordinates": [[[1, 2], [3, "x"], [5, 6], [1, 2]]]},
        {"type": "Polygon", "coordinates": [[[500, 2], [3, 4], [5, 6], [500, 2]]]},
        {"type": "Polygon", "coordinates": 7},
        {"type": "Polygon", "coordinates": [[[10**400, 2], [3, 4], [5, 6], [1, 2]]]},
    ],
)
def test_a_geometry_that_is_none_costs_only_its_feature(geometry: Any) -> None:
    bad, good = read(file(feature(geometry, code="110112"), feature(code="110112001")), AREAS)
    assert bad.ring is None
    assert bad.reason == "no_polygon"
    assert "export it again" in bad.sentence
    assert good.ring is not None


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "not_geojson"),
        (b"[" * 100_000, "not_geojson"),
        (b"\xff\xfe", "not_geojson"),
        (b'{"type": "FeatureCollection", "features": []}', "not_geojson"),
        (b'{"type": "FeatureCollection", "features": [7]}', "not_geojson"),
        (b'{"type": "Topology"}', "not_geojson"),
        (b" " * (MAX_GEOJSON_BYTES + 1), "boundaries_too_large"),
    ],
)
def test_what_is_no_geojson_is_refused_in_a_sentence(content: bytes, code: str) -> None:
    with pytest.raises(FileRefused) as caught:
        read(content, AREAS)
    assert caught.value.code == code
    assert str(caught.value).endswith(".")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_refused_or_read(content: bytes) -> None:
    with contextlib.suppress(FileRefused):
        read(content, AREAS)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@given(values, values)
def test_any_feature_is_read_or_says_why(geometry: Any, properties: Any) -> None:
    shape = {"type": "Polygon", "coordinates": geometry}
    told = {"code": "110112", "x": properties}
    for each in read(file({"geometry": shape, "properties": told}, {"geometry": geometry}), AREAS):
        assert each.ring or each.sentence
