"""References of the lowering: whatever way they are cut, they name the same elements."""

from __future__ import annotations

from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anacc_runtime.native.storage import (
    Reference,
    Storage,
    affine_strides,
    indices,
    merged,
    window_offsets,
)

STORAGE = Storage(0, 1 << 20)
DIMS = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from([-6, -2, 0, 1, 2, 4, 6, 12, 24])), max_size=4
).map(tuple)


def elements(reference: Reference) -> list[int]:
    """The address of each element."""
    if not reference.dims:
        return [reference.base + k * reference.item for k in range(reference.length)]
    offsets = window_offsets(reference.dims)[reference.first :][: reference.length]
    return [reference.base + int(offset) for offset in offsets]


@st.composite
def references(draw: st.DrawFn) -> Reference:
    """A part of a window, or of elements that lie side by side."""
    dims, item = draw(DIMS), draw(st.sampled_from([1, 2, 4]))
    length = prod(count for count, _ in dims) if dims else draw(st.integers(1, 20))
    whole = Reference(STORAGE, item, length, 1000, (), tuple((n, s * item) for n, s in dims))
    start = draw(st.integers(0, length - 1))
    return whole.part(start, draw(st.integers(1, length - start)))


@given(references(), st.data())
def test_a_part_is_a_part_of_the_elements(reference: Reference, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, reference.length - 1))
    length = data.draw(st.integers(1, reference.length - start))
    part = reference.part(start, length)
    assert elements(part) == elements(reference)[start : start + length]


@given(references())
def test_pieces_are_whole_and_few(reference: Reference) -> None:
    pieces = [*reference.pieces()]
    assert [address for piece in pieces for address in elements(piece)] == elements(reference)
    assert all(piece.whole for piece in pieces if piece.dims)
    assert len(pieces) <= 2 * len(reference.dims) + 1


@given(references())
def test_runs_name_the_bytes_of_the_elements(reference: Reference) -> None:
    found = [
        reference.base + offset + k for offset, length in reference.runs() for k in range(length)
    ]
    assert found == [a + k for a in elements(reference) for k in range(reference.item)]
    assert len(reference.runs()) <= max(reference.piece_count, 1)


@given(references())
def test_memory_order_says_which_element_each_one_was(reference: Reference) -> None:
    for piece in reference.pieces():
        if piece.dims:
            ordered, order = piece.in_memory_order()
            numbers = range(piece.length) if order is None else order
            assert elements(ordered) == [elements(piece)[k] for k in numbers]


@given(DIMS, st.sampled_from([1, 2, 4]))
def test_merged_dimensions_name_the_same_bytes(
    dims: tuple[tuple[int, int], ...], item: int
) -> None:
    dims = tuple((count, stride * item) for count, stride in dims)
    fewer, element = merged(dims, item)
    assert len(fewer) <= len(dims)
    before = window_offsets(dims)[:, None] + np.arange(item)
    after = window_offsets(fewer)[:, None] + np.arange(element)
    assert before.reshape(-1).tolist() == after.reshape(-1).tolist()


@given(st.integers(-9, 9), DIMS)
def test_strides_of_affine_offsets_are_found(base: int, dims: tuple[tuple[int, int], ...]) -> None:
    counts = tuple(count for count, _ in dims)
    offsets = indices((base, tuple(stride for _, stride in dims)), counts)
    strides = affine_strides(offsets, counts)
    assert strides is not None
    assert indices((base, strides), counts).tolist() == offsets.tolist()
    if len(offsets) > 2:
        offsets[-1] += 1
        found = affine_strides(offsets, counts)
        assert found is None or indices((base, found), counts).tolist() == offsets.tolist()
