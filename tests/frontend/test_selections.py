"""Constant choices of elements: Gather, Pad, Tile, Resize, DepthToSpace and its inverse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.frontend.selection import Choice, runs
from tests.frontend.check import check, floats, model
from tests.frontend.test_generated import agrees, single


@given(st.lists(st.integers(0, 4), min_size=1, max_size=24))
def test_a_choice_is_its_indices(indices: list[int]) -> None:
    choice = Choice.of(indices)
    assert [i for i in choice.base for _ in range(choice.each)] * choice.whole == indices
    assert [i for run in runs(indices) for i in run] == indices


@pytest.mark.parametrize(
    ("indices", "base", "each", "whole"),
    [
        ([0, 0, 1, 1, 0, 0, 1, 1], (0, 1), 2, 2),
        ([3, 3, 3], (3,), 3, 1),
        ([2, 1, 0, 1], (2, 1, 0, 1), 1, 1),
    ],
)
def test_repetitions(indices: list[int], base: tuple[int, ...], each: int, whole: int) -> None:
    assert Choice.of(indices) == Choice(base, each, whole)


@pytest.mark.parametrize(
    ("indices", "cut"),
    [
        ([2, 1, 0, 1, 2, 3], [(2, 1, 0), (1, 2, 3)]),
        ([0, 0, 0, 1, 2, 3, 3], [(0, 0, 0), (1, 2, 3), (3,)]),
        ([0, 5, 6, 7], [(0,), (5, 6, 7)]),
        ([0, 3, 1], [(0, 3), (1,)]),
    ],
)
def test_runs(indices: list[int], cut: list[tuple[int, ...]]) -> None:
    assert runs(indices) == cut


@given(st.data())
def test_gather(data: st.DataObject) -> None:
    axis = data.draw(st.sampled_from([1, 2, -1]))
    size = {1: 5, 2: 7, -1: 7}[axis]
    shape = data.draw(st.sampled_from([(), (1,), (4,), (2, 3)]))
    count = int(np.prod(shape))
    picked = st.lists(st.integers(-size, size - 1), min_size=count, max_size=count)
    indices = np.array(data.draw(picked), np.int64).reshape(shape)
    agrees(single("Gather", ["N", 5, 7], {"i": indices}, axis=axis), "host")


@given(st.data())
def test_pad(data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(["constant", "edge", "reflect", "wrap"]))
    low = -2 if mode == "constant" else 0
    amounts = [0, *(data.draw(st.integers(low, 3)) for _ in range(2))]
    amounts += [0, *(data.draw(st.integers(low, 3)) for _ in range(2))]
    weights = {"p": np.array(amounts, np.int64)}
    agrees(single("Pad", ["N", 5, 4], weights, 19, mode=mode), "host")


@given(st.lists(st.integers(1, 3), min_size=3, max_size=3))
def test_tile(repeats: list[int]) -> None:
    agrees(single("Tile", ["N", 2, 3, 4], {"r": np.array([1, *repeats], np.int64)}), "host")


@settings(max_examples=60)
@given(st.data())
def test_resize_to_the_nearest(data: st.DataObject) -> None:
    """Also by scales that are no integers: as long as the choice has few runs."""
    mode = data.draw(
        st.sampled_from(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
    )
    rounding = data.draw(
        st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    )
    empty = np.zeros(0, np.float32)
    by_size = data.draw(st.booleans())
    weights: dict[str, Any]
    if by_size:
        sizes = [data.draw(st.integers(1, 9)) for _ in range(2)]
        shape: list[int | str] = [2, 3, 4, 5]
        weights = {"roi": empty, "s": empty, "z": np.array([2, 3, *sizes], np.int64)}
    else:
        factors = st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0])
        scales = [1.0, 1.0, data.draw(factors), data.draw(factors)]
        shape = ["N", 3, 4, 5]
        weights = {"roi": empty, "s": np.array(scales, np.float32)}
    attributes = {"coordinate_transformation_mode": mode, "nearest_mode": rounding}
    agrees(single("Resize", shape, weights, 13, **attributes), "host")


CASES: dict[str, tuple[str, int, dict[str, Any], str]] = {
    "depth to space": (
        "g (float[N,12,2,3] x) => (float[N,3,4,6] y) { y = DepthToSpace <blocksize=2> (x) }",
        13,
        {},
        "reshape transpose reshape",
    ),
    "depth to space by columns": (
        "g (float[N,12,2,3] x) => (float[N,3,4,6] y) "
        '{ y = DepthToSpace <blocksize=2, mode="CRD"> (x) }',
        13,
        {},
        "reshape transpose reshape",
    ),
    "space to depth": (
        "g (float[N,3,4,6] x) => (float[N,12,2,3] y) { y = SpaceToDepth <blocksize=2> (x) }",
        13,
        {},
        "reshape transpose reshape",
    ),
    "upsample": (
        "g (float[N,3,4,6] x) => (float[N,3,8,12] y) { y = Upsample (x, s) }",
        9,
        {"s": np.array([1, 1, 2, 2], np.float32)},
        "reshape expand reshape",
    ),
    "upsample 7": (
        "g (float[N,3,4,6] x) => (float[N,3,8,12] y) "
        "{ y = Upsample <scales=[1.0,1.0,2.0,2.0]> (x) }",
        8,
        {},
        "reshape expand reshape",
    ),
    "resize 10": (
        "g (float[N,3,4,6] x) => (float[N,3,8,12] y) { y = Resize (x, s) }",
        10,
        {"s": np.array([1, 1, 2, 2], np.float32)},
        "reshape expand reshape",
    ),
    "resize 11": (
        "g (float[N,3,4,6] x) => (float[N,3,8,12] y) "
        '{ y = Resize <coordinate_transformation_mode="asymmetric"> (x, r, s) }',
        11,
        {"r": np.zeros(0, np.float32), "s": np.array([1, 1, 2, 2], np.float32)},
        "reshape expand reshape",
    ),
    "resize some axes": (
        "g (float[N,3,4,6] x) => (float[N,3,4,18] y) { y = Resize <axes=[-1]> (x, , s) }",
        18,
        {"s": np.array([3], np.float32)},
        "reshape expand reshape",
    ),
    "resize smaller": (
        "g (float[N,3,4,6] x) => (float[N,3,2,3] y) "
        '{ y = Resize <coordinate_transformation_mode="asymmetric", nearest_mode="floor"> '
        "(x, , s) }",
        13,
        {"s": np.array([1, 1, 0.5, 0.5], np.float32)},
        "slice",
    ),
    "tile": (
        "g (float[N,2,3] x) => (float[N,4,9] y) { y = Tile (x, r) }",
        13,
        {"r": np.array([1, 2, 3], np.int64)},
        "reshape expand reshape",
    ),
    "pad with a mirror": (
        'g (float[N,2,5] x) => (float[N,2,9] y) { y = Pad <mode="reflect"> (x, p) }',
        13,
        {"p": np.array([0, 0, 2, 0, 0, 2], np.int64)},
        "slice slice slice concat",
    ),
    "pad less than nothing": (
        "g (float[N,5] x) => (float[N,4] y) { y = Pad (x, p) }",
        13,
        {"p": np.array([0, -2, 0, 1], np.int64)},
        "slice pad",
    ),
    "gather in pairs": (
        "g (float[N,5] x) => (float[N,2,2] y) { y = Gather <axis=1> (x, i) }",
        13,
        {"i": np.array([[0, 4], [1, 2]], np.int64)},
        "slice slice concat reshape",
    ),
    "sum of three": (
        "g (float[N,3] x, float[N,3] z) => (float[N,3] y) { y = Sum (x, z, c, x) }",
        13,
        {"c": floats(3)},
        "add add affine",
    ),
    "mean of three": (
        "g (float[N,3,2] x, float[N,3,1] z) => (float[N,3,2] y) { y = Mean (x, z, x) }",
        13,
        {},
        "expand add add affine",
    ),
    "sum of what is the same for every sample": (
        "g (float[N,3] x) => (float[N,3] y, float[N,3] z) "
        "{ s = Shape (x)  t = ConstantOfShape (s)  y = Sum (t, c)  z = Relu (x) }",
        13,
        {"c": floats(3)},
        "host host host relu",
    ),
    "sum of one": ("g (float[N,3] x) => (float[N,3] y) { y = Sum (x) }", 13, {}, "identity"),
}


@pytest.mark.parametrize("name", CASES)
def test_operator(name: str) -> None:
    text, opset, constants, kinds = CASES[name]
    check(model(text, opset, **constants), *kinds.split())


@given(st.data())
def test_reductions(data: st.DataObject) -> None:
    """Any axes but the batch; without one, any axes."""
    kind = data.draw(st.sampled_from(["ReduceMean", "ReduceMax", "ReduceSum"]))
    rank = data.draw(st.integers(2, 5))
    shape: list[int | str] = [data.draw(st.integers(1, 4)) for _ in range(rank)]
    batched = data.draw(st.booleans())
    shape[0] = "N" if batched else shape[0]
    others = list(range(int(batched), rank))
    axes = data.draw(st.lists(st.sampled_from(others), min_size=1, unique=True))
    keep = data.draw(st.integers(0, 1))
    if kind == "ReduceSum":
        proto = single(kind, shape, {"a": np.array(axes, np.int64)}, 13, keepdims=keep)
    else:
        proto = single(kind, shape, {}, 13, axes=axes, keepdims=keep)
    agrees(proto, *(("host",) if keep or len(axes) < rank else ()))
