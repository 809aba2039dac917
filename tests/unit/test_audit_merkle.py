"""Roots as RFC 6962 has them; a proof shows the rows it is for, and nothing else."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry.audit import merkle

# The leaves and roots that implementations of RFC 6962 are tried with.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
LEAVES.append("606162636465666768696a6b6c6d6e6f")
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def by_the_letter(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    both = by_the_letter(leaves[:k]) + by_the_letter(leaves[k:])
    return hashlib.sha256(b"\x01" + both).digest()


def a_tree(size: int) -> list[bytes]:
    return [merkle.leaf(hashlib.sha256(b"%d" % place).hexdigest()) for place in range(size)]


@pytest.mark.parametrize("size", ROOTS)
def test_known_roots(size: int) -> None:
    assert merkle.root([merkle.leaf(each) for each in LEAVES[:size]]).hex() == ROOTS[size]


@given(st.integers(1, 70))
def test_the_root_is_that_of_the_standard(size: int) -> None:
    assert merkle.root(a_tree(size)) == by_the_letter(a_tree(size))


@given(st.integers(1, 70), st.data())
def test_a_proof_shows_any_selection(size: int, data: st.DataObject) -> None:
    leaves = a_tree(size)
    places = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    shown = {place: leaves[place] for place in places}
    given_ = merkle.proof(leaves, places)
    assert merkle.root_of(size, shown, given_) == merkle.root(leaves)
    if len(places) == size:
        assert given_ == []
    # One of them altered, left out, or said to stand elsewhere: another root, or none.
    place = data.draw(st.sampled_from(sorted(places)))
    forged = {**shown, place: hashlib.sha256(b"forged").digest()}
    assert merkle.root_of(size, forged, given_) != merkle.root(leaves)
    fewer = {key: value for key, value in shown.items() if key != place}
    with (
        pytest.raises(ValueError, match="proof is too")
        if fewer or size > 1
        else (pytest.raises(ValueError, match="proof"))
    ):
        if merkle.root_of(size, fewer, given_) != merkle.root(leaves):
            raise ValueError("the proof is too different")


def test_one_row_of_many_needs_few_hashes() -> None:
    assert len(merkle.proof(a_tree(10_000), [4_711])) <= 14


@pytest.mark.parametrize("places", [[-1], [3]])
def test_a_place_that_is_none(places: list[int]) -> None:
    leaves = a_tree(3)
    with pytest.raises(ValueError, match="not of this segment"):
        merkle.root_of(3, dict.fromkeys(places, leaves[0]), [])
