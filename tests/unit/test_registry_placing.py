"""Where a camera belongs: rules by priority, then the deepest boundary that has its position."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from camera_registry.area_tree import AreaTree
from camera_registry.domain import Area, AreaKind, AssignmentRule, Channel, RuleKind
from camera_registry.geo import Position, inside, polygon
from camera_registry.placing import Placement, Placer, Places
from support.http_kit import channels

CAMERA = channels()[0]


def box(west: float, south: float, east: float, north: float) -> tuple[Position, ...]:
    return ((west, south), (east, south), (east, north), (west, north))


# Degrees about 116, 39: one district, two streets side by side, a grid in the west one.
DISTRICT = Area("ar_d", None, AreaKind.DISTRICT, "110112", "区", box(116, 39, 117, 40))
WEST = Area("ar_w", "ar_d", AreaKind.STREET, "110112001", "西", box(116, 39, 116.5, 40), True)
EAST = Area("ar_e", "ar_d", AreaKind.STREET, "110112002", "东", box(116.5, 39, 117, 40))
VILLAGE = Area("ar_v", "ar_w", AreaKind.COMMUNITY, "110112001001", "村")  # no boundary
GRID = Area("ar_g", "ar_v", AreaKind.GRID, "11011200100101", "格", box(116.1, 39.1, 116.2, 39.2))
TREE = AreaTree([DISTRICT, WEST, EAST, VILLAGE, GRID])


def at(lon: float | None, lat: float | None, **more: object) -> Channel:
    fields = {"area_id": "ar_d", "lon": lon, "lat": lat, **more}
    return replace(CAMERA, **fields)  # type: ignore[arg-type]


def placed(channel: Channel, *rules: AssignmentRule, boundaries: bool = True) -> Placement | None:
    return Placer(TREE, rules, boundaries=boundaries).place([channel])[0]


def rule(kind: RuleKind, area: Area, priority: int = 100, **fields: str) -> AssignmentRule:
    return AssignmentRule(f"ru_{priority}", priority, kind, area.id, **fields)


def test_the_deepest_boundary_has_it() -> None:
    assert placed(at(116.15, 39.15)) == Placement(GRID, None, schematic=False)
    assert placed(at(116.3, 39.5)) == Placement(WEST, None, schematic=True)  # said to be a drawing
    assert placed(at(116.7, 39.5)) == Placement(EAST, None, schematic=False)
    assert placed(at(115.0, 39.5)) is None
    assert placed(at(None, None)) is None
    assert placed(at(116.15, 39.15), boundaries=False) is None


def test_on_the_edge_of_two_it_is_always_the_same_one() -> None:
    edge = at(116.5, 39.5)
    assert [placed(edge) for _ in range(3)] == [Placement(WEST, None, schematic=True)] * 3


def test_rules_are_asked_by_priority_and_before_the_boundaries() -> None:
    camera = at(
        116.15, 39.15, name="东关桥", facts={"address": "东关街1号", "police_station": "东关所"}
    )
    by_address = rule(RuleKind.ADDRESS_PREFIX, EAST, 20, text="东关街")
    by_name = rule(RuleKind.NAME_PREFIX, WEST, 10, text="东关")
    by_fact = rule(RuleKind.FACT, DISTRICT, 5, field="police_station", text="东关所")
    other = rule(RuleKind.FACT, DISTRICT, 1, field="police_station", text="东关")  # not all of it
    assert placed(camera, by_address) == Placement(EAST, "ru_20", schematic=False)
    assert placed(camera, by_address, by_name) == Placement(WEST, "ru_10", schematic=False)
    assert placed(camera, by_address, by_name, by_fact, other) == Placement(
        DISTRICT, "ru_5", schematic=False
    )
    assert placed(at(116.15, 39.15), by_address, by_name) == Placement(GRID, None, schematic=False)


def test_a_rule_by_boundaries_looks_beneath_its_area() -> None:
    camera = at(116.15, 39.15, facts={"address": "东关街1号"})
    first = rule(RuleKind.POLYGON, WEST, 1)
    by_address = rule(RuleKind.ADDRESS_PREFIX, EAST, 2, text="东关街")
    assert placed(camera, by_address, first) == Placement(GRID, "ru_1", schematic=False)
    elsewhere = rule(RuleKind.POLYGON, EAST, 1)
    assert placed(camera, by_address, elsewhere) == Placement(EAST, "ru_2", schematic=False)
    assert placed(camera, first, boundaries=False) == Placement(GRID, "ru_1", schematic=False)


def test_a_rule_whose_area_is_gone_says_nothing() -> None:
    gone = AssignmentRule("ru_1", 1, RuleKind.NAME_PREFIX, "ar_gone", text=CAMERA.name)
    assert placed(at(116.7, 39.5), gone) == Placement(EAST, None, schematic=False)


def test_a_broader_area_moves_nothing_out_of_a_narrower_one() -> None:
    placer = Placer(TREE, [])
    there = at(116.3, 39.5, area_id="ar_g")
    assert placer.stays(there, WEST)
    assert placer.stays(there, GRID)
    assert not placer.stays(there, EAST)


def test_a_boundary_that_crosses_itself_has_what_it_encloses() -> None:
    knot = replace(GRID, boundary=((116, 39), (116.2, 39.2), (116.2, 39), (116, 39.2)))
    [left, middle_top] = Places(AreaTree([DISTRICT, WEST, VILLAGE, knot])).containing(
        [at(116.02, 39.1), at(116.1, 39.19)]
    )
    assert knot in left
    assert knot not in middle_top


SIDE = st.integers(1, 12)
SPOT = st.integers(0, 20)


@given(
    boxes=st.lists(st.tuples(SPOT, SPOT, SIDE, SIDE), min_size=1, max_size=8),
    spots=st.lists(st.tuples(SPOT, SPOT), max_size=10),
)
def test_the_index_finds_what_looking_at_each_boundary_finds(
    boxes: list[tuple[int, int, int, int]], spots: list[tuple[int, int]]
) -> None:
    streets = []
    for number, (x, y, width, height) in enumerate(boxes):
        west, south = 116 + x / 10, 39 + y / 10
        boundary = box(west, south, west + width / 10, south + height / 10)
        code = f"110112{number:03}"
        streets.append(Area(f"ar_{number}", "ar_d", AreaKind.STREET, code, code, boundary))
    places = Places(AreaTree([replace(DISTRICT, boundary=None), *streets]))
    where = [(116 + x / 10 + 0.03, 39 + y / 10 + 0.03) for x, y in spots]  # on no edge
    found = places.containing([at(lon, lat) for lon, lat in where])
    for (lon, lat), areas in zip(where, found, strict=True):
        expected = {s.id for s in streets if inside(polygon(s.boundary or ()), lon, lat)}
        assert {area.id for area in areas} == expected
