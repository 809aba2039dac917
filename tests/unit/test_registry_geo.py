"""Datums there and back, and places in and out of a district."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry import geo
from camera_registry.demo_places import outline

# Two kilometres and more within the bounding box: at its edge a shift ends.
LON = st.floats(72.05, 137.8)
LAT = st.floats(0.86, 55.8)
ANY = st.floats()
RECT = (116.52, 39.6, 116.95, 40.03)  # west, south, east, north
DISTRICT = geo.polygon(outline(RECT))


def metres(one: geo.Position, other: geo.Position) -> float:
    """On the mean sphere, by haversine."""
    (lon1, lat1), (lon2, lat2) = [(math.radians(x), math.radians(y)) for x, y in (one, other)]
    half = (
        math.sin((lat2 - lat1) / 2) ** 2
        + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * 6_371_008.8 * math.asin(math.sqrt(half))


def test_reference_positions_come_out_as_others_publish_them() -> None:
    # Test vectors that libraries in several languages share (eviltransform, coordtransform).
    assert geo.wgs84_to_gcj02(116.404, 39.915) == pytest.approx(
        (116.41024449916938, 39.91640428150164), abs=1e-9
    )
    assert geo.gcj02_to_bd09(116.404, 39.915) == pytest.approx(
        (116.41036949371029, 39.92133699351021), abs=1e-9
    )
    assert geo.gcj02_to_wgs84(116.41024449916938, 39.91640428150164) == pytest.approx(
        (116.404, 39.915), abs=1e-7
    )


@given(LON, LAT)
def test_there_and_back_is_the_same_place(lon: float, lat: float) -> None:
    for datum in geo.DATUMS:
        back = geo.to_wgs84(datum, *geo.from_wgs84(datum, lon, lat))
        assert metres(back, (lon, lat)) < 0.1
        assert back == pytest.approx((lon, lat), abs=1e-7)


@given(st.floats(97, 123), st.floats(22, 45))
def test_the_shifts_have_their_known_sizes(lon: float, lat: float) -> None:
    # 29 to 679 m over 600,000 places of this rectangle, 98.5% of them over 100 m.
    assert 10 < metres((lon, lat), geo.wgs84_to_gcj02(lon, lat)) < 700
    assert 700 < metres((lon, lat), geo.gcj02_to_bd09(lon, lat)) < 1_100


@pytest.mark.parametrize(
    "place", [(116.39, 39.91), (121.47, 31.23), (113.26, 23.13), (104.07, 30.67), (120.86, 32.01)]
)
def test_in_the_cities_gcj02_is_100_to_700_metres_away(place: geo.Position) -> None:
    assert 100 < metres(place, geo.wgs84_to_gcj02(*place)) < 700


@pytest.mark.parametrize("place", [(2.35, 48.85), (-74.0, 40.7), (151.2, -33.9), (0.0, 0.0)])
def test_outside_china_nothing_moves(place: geo.Position) -> None:
    for datum in geo.DATUMS:
        assert geo.from_wgs84(datum, *place) == place
        assert geo.to_wgs84(datum, *place) == place


@given(ANY, ANY)
def test_any_floats_have_an_answer(lon: float, lat: float) -> None:
    for datum in geo.DATUMS:
        for way in (geo.to_wgs84, geo.from_wgs84):
            assert len(way(datum, lon, lat)) == 2
    distance = geo.distance_m(DISTRICT, lon, lat)
    assert distance >= 0
    assert geo.inside(DISTRICT, lon, lat) == (distance == 0)
    assert geo.guess_datum(lon, lat, DISTRICT) in (None, "gcj02", "bd09")


def test_the_boundary_itself_is_inside() -> None:
    for lon, lat in outline(RECT):
        assert geo.inside(DISTRICT, lon, lat)
        assert geo.distance_m(DISTRICT, lon, lat) == 0


@given(st.floats(1, 20_000), st.sampled_from(["east", "north"]))
def test_the_distance_is_in_metres(metres_off: float, side: str) -> None:
    west, south, east, north = RECT
    lon, lat = (west + east) / 2, (south + north) / 2
    if side == "east":
        lon = east + metres_off / (111_195 * math.cos(math.radians(lat)))
        edge = (east, lat)
    else:
        lat = north + metres_off / 111_195
        edge = (lon, north)
    assert geo.distance_m(DISTRICT, lon, lat) == pytest.approx(metres((lon, lat), edge), rel=0.01)
    assert not geo.inside(DISTRICT, lon, lat)


def test_a_boundary_that_crosses_itself_still_answers() -> None:
    bow = geo.polygon([(116.0, 39.0), (117.0, 40.0), (117.0, 39.0), (116.0, 40.0)])
    assert geo.inside(bow, 116.1, 39.5)
    assert not geo.inside(bow, 116.5, 39.1)
    flat = geo.polygon([(116.0, 39.0), (116.5, 39.5), (117.0, 40.0)])
    assert not geo.inside(flat, 116.5, 39.1)
    with pytest.raises(ValueError, match="three"):
        geo.polygon([(116.0, 39.0), (117.0, 40.0)])


def test_a_position_by_another_datum_is_recognised() -> None:
    _, south, east, north = RECT
    edge = (east - 0.0005, (south + north) / 2)  # 40 m inside
    gcj = geo.wgs84_to_gcj02(*edge)
    baidu = geo.from_wgs84("bd09", *edge)
    assert geo.guess_datum(*edge, DISTRICT) is None
    assert geo.guess_datum(*gcj, DISTRICT) == "gcj02"
    assert geo.guess_datum(*baidu, DISTRICT) == "bd09"
    assert geo.guess_datum(2.35, 48.85, DISTRICT) is None
    west_edge = (RECT[0] + 0.0005, edge[1])
    assert geo.guess_datum(*west_edge, DISTRICT, read_as="gcj02") == "wgs84"
