"""Merkle trees over the rows of a segment (RFC 6962, section 2.1). Pure.

One proof shows any selection of rows to be in the segment: the hashes of the largest subtrees that
have none of them, from left to right. All rows need none, one row needs log2(n).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence


def leaf(row_hash: str) -> bytes:
    """Of a row's hash (hex). Raises ValueError when it is none."""
    return hashlib.sha256(b"\x00" + bytes.fromhex(row_hash)).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Raises ValueError for none."""
    if not leaves:
        raise ValueError("a tree has a leaf")
    level = list(leaves)
    while len(level) > 1:
        # A lone one at the end goes up as it is: RFC 6962 splits at powers of two.
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [_node(left, right) for left, right in pairs]
        level = above if len(level) % 2 == 0 else [*above, level[-1]]
    return level[0]


def proof(leaves: Sequence[bytes], shown: Collection[int]) -> list[bytes]:
    """What `root_of` needs beside the leaves at the places `shown`."""
    places = sorted(set(shown))

    def walk(first: int, end: int, inside: list[int]) -> Iterator[bytes]:
        if not inside:
            yield root(leaves[first:end])
        elif len(inside) < end - first:
            middle = _split(first, end)
            yield from walk(first, middle, [place for place in inside if place < middle])
            yield from walk(middle, end, [place for place in inside if place >= middle])

    return list(walk(0, len(leaves), places))


def root_of(size: int, shown: Mapping[int, bytes], given: Sequence[bytes]) -> bytes:
    """The root of a tree of `size` leaves, of the leaves shown and their proof. Raises ValueError
    when the proof is not one for these places.
    """
    rest = iter(given)

    def walk(first: int, end: int, inside: list[int]) -> bytes:
        if not inside:
            found = next(rest, None)
            if found is None:
                raise ValueError("the proof is too short")
            return found
        if len(inside) == end - first:
            return root([shown[place] for place in inside])
        middle = _split(first, end)
        left = walk(first, middle, [place for place in inside if place < middle])
        return _node(left, walk(middle, end, [place for place in inside if place >= middle]))

    if any(not 0 <= place < size for place in shown):
        raise ValueError("a row is not of this segment")
    found = walk(0, size, sorted(shown))
    if next(rest, None) is not None:
        raise ValueError("the proof is too long")
    return found


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(first: int, end: int) -> int:
    """Behind the largest power of two that is smaller than the size."""
    return first + (1 << ((end - first - 1).bit_length() - 1))
