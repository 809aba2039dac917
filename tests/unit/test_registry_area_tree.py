"""The area tree answers like the plain definition does, whatever its shape."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from camera_registry.area_tree import AreaTree
from camera_registry.domain import Area, AreaKind


def area(name: str, parent: str | None) -> Area:
    return Area(name, parent, AreaKind.GRID, name, name)


@st.composite
def forests(draw: st.DrawFn) -> list[Area]:
    areas: list[Area] = []
    for number in range(draw(st.integers(0, 12))):
        parent = draw(st.sampled_from([None, *(found.id for found in areas)]))
        areas.append(area(f"a{number:02d}", parent))
    return draw(st.permutations(areas))


@given(forests())
def test_paths_descendants_and_within_agree(areas: list[Area]) -> None:
    tree = AreaTree(areas)
    parents = {found.id: found.parent_id for found in areas}

    def above(area_id: str) -> list[str]:
        parent = parents[area_id]
        return [] if parent is None else [parent, *above(parent)]

    order = [found.id for found in tree]
    assert sorted(order) == sorted(parents)
    for area_id in parents:
        assert tree.ancestors(area_id) == above(area_id)
        assert [found.id for found in tree.path(area_id)] == [*reversed(above(area_id)), area_id]
        beneath = {other for other in parents if other == area_id or area_id in above(other)}
        assert tree.descendants(area_id) == beneath
        for other in parents:
            assert tree.is_within(other, area_id) == (other in beneath)
        parent = parents[area_id]
        assert parent is None or order.index(parent) < order.index(area_id)
    assert tree.expand(parents) == set(parents) == tree.descendants_of_all()


def test_what_is_not_there_has_nothing() -> None:
    tree = AreaTree([area("a", None)])
    assert tree.get("x") is None
    assert tree.path("x") == []
    assert tree.ancestors("x") == []
    assert tree.descendants("x") == frozenset()
    assert not tree.is_within("x", "a")
    assert "x" not in tree


def test_a_damaged_tree_is_seen_and_ends() -> None:
    orphan = AreaTree([area("a", "gone")])
    assert [found.id for found in orphan.roots()] == ["a"]
    ring = AreaTree([area("a", "b"), area("b", "a")])
    assert len(ring.path("a")) == 2
    assert ring.descendants("a") == {"a", "b"}
    assert list(ring) == []
