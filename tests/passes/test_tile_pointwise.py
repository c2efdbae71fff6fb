"""Elementwise functions: the formula on elements with any scales equals the one on real values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.ir import Op
from anacc.ir.module import AttributeValue
from anacc_passes.tiling.builder import Builder
from anacc_passes.tiling.layout import Layout
from anacc_passes.tiling.pointwise import lower_pointwise
from tests.passes.chip_interpreter import Array, feed, run, to_tokens, whole_tokens
from tests.passes.chips import target
from tests.passes.layers import layer_module

SMALL = target(crossbar__rows=3)  # so that tokens come in several parts

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "none": lambda v: v,
    "relu": lambda v: np.maximum(v, 0),
    "tanh": np.tanh,
    "sigmoid": lambda v: np.asarray(1 / (1 + np.exp(-v))),
}


def pointwise(op: Op, builder: Builder, channels: dict[str, Array]) -> Array:
    """A `pointwise` chip op by the formula of its declaration."""
    scale, offset = (builder.constants[name].astype(np.float64) for name in op.operands[:2])
    left = scale * channels[op.operands[2]] + offset
    function, out = op.text("function"), op.number("out_scale")
    if function in ("add", "multiply"):
        right = op.number("right_scale") * channels[op.operands[3]]
        return np.asarray((left + right if function == "add" else left * right) * out)
    if function == "clamp":
        return np.asarray(np.clip(left, op.number("low"), op.number("high")) * out)
    return FUNCTIONS[function](left) * out


def check(
    kind: str,
    dims: tuple[int, ...],
    orders: Mapping[str, tuple[int, ...]],
    expected: Callable[..., Array],
    *,
    count: int = 1,
    constants: dict[str, Array] | None = None,
    attributes: dict[str, AttributeValue] | None = None,
) -> None:
    """Lower an op on operands of scales 0.5 and 0.25 and a result of scale 2."""
    names = ("%a", "%b")[:count]
    shapes = {name: dims for name in (*names, "%y")}
    operands = (*names, *(constants or {}))
    module = layer_module(kind, shapes, operands, constants or {}, attributes or {})
    builder = Builder(module, SMALL, "4-phase")
    for name in shapes:
        order = tuple(axis for axis in orders[name] if axis < len(dims))
        builder.layouts[name] = Layout(dims, order)
    channels: dict[str, Array] = {}
    arrays = []
    for position, name in enumerate(names):
        scale = (0.5, 0.25)[position]
        codes = np.random.default_rng(position).integers(-9, 10, dims)
        channels |= feed(builder, name, builder.layouts[name], codes, scale, 3 - position)
        arrays.append(codes * scale)
    ops = len(builder.ops)
    tokens = lower_pointwise(builder, module.ops[0], frozenset({"i8", "f16"}))
    assert len(builder.ops) > ops and tokens.scale == 2.0
    moves = replace_ops(builder, kind="pointwise")
    found = run(moves, channels)
    for op in builder.ops:
        if op.kind == "pointwise":
            found.update((name, pointwise(op, builder, found)) for name in op.results if name)
    wanted = to_tokens(builder.layouts["%y"], expected(*arrays))
    for form in ("i8", "f16"):
        y = whole_tokens(tokens, form, found) * tokens.scale
        np.testing.assert_allclose(y, wanted, atol=2e-3, rtol=2e-3)


def replace_ops(builder: Builder, kind: str) -> Builder:
    """The builder without the ops of a kind."""
    return replace(builder, ops=[op for op in builder.ops if op.kind != kind])


DIMS = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
ORDERS = st.fixed_dictionaries(
    {name: st.permutations(range(3)).map(tuple) for name in ("%a", "%b", "%y")}
)


@given(DIMS, ORDERS)
@settings(max_examples=40)
def test_add_and_multiply(dims: tuple[int, ...], orders: dict[str, tuple[int, ...]]) -> None:
    check("add", dims, orders, lambda a, b: a + b, count=2)
    check("multiply", dims, orders, lambda a, b: a * b, count=2)


@given(DIMS, ORDERS, st.data())
@settings(max_examples=80)
def test_affine_with_constants_of_any_shape(
    dims: tuple[int, ...], orders: Mapping[str, tuple[int, ...]], data: st.DataObject
) -> None:
    constants: dict[str, Array] = {}
    for name in ("@s", "@t"):
        first = data.draw(st.integers(0, len(dims)))
        shape = tuple(n if data.draw(st.booleans()) else 1 for n in dims[first:])
        shape = (1, *shape) if data.draw(st.booleans()) and first == 0 else shape
        values = np.random.default_rng(len(constants)).uniform(-2, 2, shape)
        constants[name] = values.astype(np.float32)
    s, t = constants.values()
    aligned = [array.reshape(array.shape[-len(dims) :]) for array in (s, t)]
    check("affine", dims, orders, lambda a: a * aligned[0] + aligned[1], constants=constants)


@pytest.mark.parametrize("kind", ["relu", "tanh", "sigmoid"])
def test_functions(kind: str) -> None:
    orders = {"%a": (0, 1), "%y": (1, 0)}
    check(kind, (3, 4), orders, FUNCTIONS[kind])


def test_clamp() -> None:
    bounds: dict[str, AttributeValue] = {"low": -1.5, "high": 2.0}
    orders = {"%a": (0, 1), "%y": (0, 1)}
    check("clamp", (3, 4), orders, lambda a: np.clip(a, -1.5, 2.0), attributes=bounds)
