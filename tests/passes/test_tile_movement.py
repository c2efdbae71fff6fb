"""Data movement on the bridge equals the NumPy operation, for any layout and place of the batch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.ir import BATCH, Level, Module, Op, TensorType, Value, verify
from anacc.ir.module import AttributeValue, Dim
from anacc_passes.tiling.builder import Builder
from anacc_passes.tiling.layout import Layout, natural, sample_dims
from anacc_passes.tiling.movement import lower_move, relayout
from tests.passes.chip_interpreter import Array, feed, run, to_tokens, whole_tokens
from tests.passes.chips import target

SMALL = target(crossbar__rows=3, crossbar__columns=12)  # so that tokens come in several parts
Shape = tuple[Dim, ...]
BATCH_SIZE = 2


@dataclass(frozen=True)
class Move:
    """A movement op, and the same in NumPy."""

    kind: str
    operands: tuple[Shape, ...]
    result: Shape
    attributes: dict[str, AttributeValue]

    def numpy(self, *xs: Array) -> Array:
        """The result for whole tensors, batch included."""
        x, attributes = xs[0], self.attributes
        if self.kind == "reshape":
            return x.reshape(whole(self.result))
        if self.kind == "transpose":
            return x.transpose(integers(attributes["permutation"]))
        if self.kind == "expand":
            return np.broadcast_to(x, whole(self.result))
        if self.kind == "concat":
            return np.concatenate(xs, int(str(attributes["axis"])))
        if self.kind == "pad":
            pairs = list(
                zip(integers(attributes["before"]), integers(attributes["after"]), strict=True)
            )
            return np.pad(x, pairs, constant_values=float(str(attributes["value"])))
        steps = zip(*(integers(attributes[n]) for n in ("starts", "sizes", "steps")), strict=True)
        for axis, (start, size, step) in enumerate(steps):
            if size != -1:
                x = np.take(x, start + step * np.arange(size), axis)
        return x


def integers(value: AttributeValue) -> list[int]:
    assert isinstance(value, tuple)
    return [item for item in value if isinstance(item, int)]


def whole(shape: Shape) -> tuple[int, ...]:
    return tuple(BATCH_SIZE if dim == BATCH else int(dim) for dim in shape)


def module_of(move: Move, batch: int | None) -> Module:
    """A layer module of the op alone."""
    names = tuple(f"%{chr(ord('a') + k)}" for k in range(len(move.operands)))
    kinds = {**dict(zip(names, move.operands, strict=True)), "%y": move.result}
    values = {name: Value(name, TensorType("float32", s), 1.0) for name, s in kinds.items()}
    op = Op(move.kind, names, ("%y",), move.attributes, ("node",))
    module = Module(Level.LAYER, "m", batch, names, (("y", "%y"),), values, {}, (op,))
    verify(module)
    return module


def check(move: Move, orders: dict[str, tuple[int, ...]]) -> Builder:
    """Lower the op, with the axes of a sample in the given orders, and compare with NumPy.

    Returns:
        the builder after the lowering.
    """
    batched = any(BATCH in shape for shape in move.operands)
    module = module_of(move, None if batched else 1)
    arrays, count = [], 0
    for shape in move.operands:
        arrays.append(np.arange(count, count + math.prod(whole(shape))).reshape(whole(shape)))
        count += arrays[-1].size
    expected = move.numpy(*arrays)
    for sample in range(BATCH_SIZE if batched else 1):
        builder = Builder(module, SMALL, "4-phase")
        for name, order in orders.items():
            dims = sample_dims(module.tensor(name))
            builder.layouts[name] = Layout(dims, tuple(sorted(range(len(dims)), key=order.index)))
        channels: dict[str, Array] = {}
        for name, array in zip(module.inputs, arrays, strict=True):
            one = pick(array, module.tensor(name), sample)
            channels |= feed(builder, name, builder.layouts[name], one, limit=3)
        tokens = lower_move(builder, module.ops[0], frozenset({"i8"}))
        found = whole_tokens(tokens, "i8", run(builder, channels))
        wanted = pick(expected, module.tensor("%y"), sample)
        np.testing.assert_array_equal(found, to_tokens(builder.layouts["%y"], wanted))
        assert tokens.layout == builder.layouts["%y"]
    return builder


def pick(array: Array, kind: TensorType, sample: int) -> Array:
    return array if kind.batch_axis is None else np.take(array, sample, kind.batch_axis)


# Random movements.

SIZES = st.integers(1, 4)


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    dims: list[Dim] = list(draw(st.lists(SIZES, max_size=3)))
    place = draw(st.sampled_from([None, *range(len(dims) + 1)]))
    if place is not None:
        dims.insert(place, BATCH)
    return tuple(dims) or (1,)


def numbers(draw: st.DrawFn, shape: Shape, low: int, high: int, batch: int = 0) -> list[int]:
    return [batch if dim == BATCH else draw(st.integers(low, high)) for dim in shape]


@st.composite
def reshapes(draw: st.DrawFn) -> Move:
    shape = draw(shapes())
    place = shape.index(BATCH) if BATCH in shape else 0
    ends: list[Shape] = []
    for part in (shape[:place], shape[place + (BATCH in shape) :]):
        size = math.prod(int(dim) for dim in part)
        divisor = draw(st.sampled_from([n for n in range(1, size + 1) if size % n == 0]))
        ends.append(draw(st.sampled_from([(size,), (divisor, size // divisor), part[::-1]])))
    result = (*ends[0], *((BATCH,) if BATCH in shape else ()), *ends[1])
    return Move("reshape", (shape,), result, {"shape": result})


@st.composite
def transposes(draw: st.DrawFn) -> Move:
    shape = draw(shapes())
    order = tuple(draw(st.permutations(range(len(shape)))))
    return Move("transpose", (shape,), tuple(shape[k] for k in order), {"permutation": order})


@st.composite
def slices(draw: st.DrawFn) -> Move:
    shape = draw(shapes())
    starts, steps, sizes = [], [], []
    for dim in shape:
        if not isinstance(dim, int):
            start, step, size = 0, 1, -1
        else:
            start = draw(st.integers(0, dim - 1))
            step = draw(st.sampled_from([-3, -2, -1, 1, 2, 3]))
            room = (dim - 1 - start if step > 0 else start) // abs(step)
            size = draw(st.integers(1, room + 1))
        starts.append(start)
        steps.append(step)
        sizes.append(size)
    result = tuple(d if d == BATCH else n for d, n in zip(shape, sizes, strict=True))
    attributes = {"starts": tuple(starts), "steps": tuple(steps), "sizes": tuple(sizes)}
    return Move("slice", (shape,), result, dict(attributes))


@st.composite
def pads(draw: st.DrawFn) -> Move:
    shape = draw(shapes())
    before, after = numbers(draw, shape, 0, 2), numbers(draw, shape, 0, 2)
    triples = zip(shape, before, after, strict=True)
    result = tuple(d + b + a if isinstance(d, int) else d for d, b, a in triples)
    value = float(draw(st.integers(-127, 127)))
    return Move(
        "pad",
        (shape,),
        result,
        {"before": tuple(before), "after": tuple(after), "value": value},
    )


@st.composite
def concats(draw: st.DrawFn) -> Move:
    shape = draw(shapes().filter(lambda shape: any(dim != BATCH for dim in shape)))
    axis = draw(st.sampled_from([k for k, dim in enumerate(shape) if dim != BATCH]))
    sizes = draw(st.lists(SIZES, min_size=1, max_size=3))
    operands = tuple((*shape[:axis], size, *shape[axis + 1 :]) for size in sizes)
    result = (*shape[:axis], sum(sizes), *shape[axis + 1 :])
    return Move("concat", operands, result, {"axis": axis})


@st.composite
def expands(draw: st.DrawFn) -> Move:
    result = draw(shapes())
    first = draw(st.integers(0, result.index(BATCH) if BATCH in result else len(result) - 1))
    kept = result[first:]
    shape = tuple(d if d == BATCH or draw(st.booleans()) else 1 for d in kept)
    return Move("expand", (shape,), result, {"shape": result})


MOVES = st.one_of(reshapes(), transposes(), slices(), pads(), concats(), expands())


@given(MOVES, st.permutations(range(4)), st.permutations(range(4)), st.booleans())
@settings(max_examples=600)
def test_movement_equals_numpy(move: Move, left: list[int], right: list[int], other: bool) -> None:
    check(move, {"%a": tuple(left), "%y": tuple(right)} if other else {})


# Aliases: nothing is emitted where the tokens are already what is wanted.


@pytest.mark.parametrize(
    ("move", "orders", "ops"),
    [
        # NCHW to NHWC, where channels are last already: the same tokens; from a natural order not.
        (Move("transpose", (("N", 3, 2, 4),), ("N", 2, 4, 3), {"permutation": (0, 2, 3, 1)}),
         {"%a": (1, 2, 0), "%y": (0, 1, 2)}, 0),
        (Move("transpose", (("N", 3, 2, 4),), ("N", 2, 4, 3), {"permutation": (0, 2, 3, 1)}),
         {"%a": (0, 1, 2), "%y": (0, 1, 2)}, 1),
        # A square matrix: its transpose has its shape, but not its order.
        (Move("transpose", (("N", 3, 3),), ("N", 3, 3), {"permutation": (0, 2, 1)}), {}, 1),
        (Move("transpose", (("N", 3, 3),), ("N", 3, 3), {"permutation": (0, 2, 1)}),
         {"%a": (0, 1), "%y": (1, 0)}, 0),
        # The axes before the token merge and split freely; the token must stay whole.
        (Move("reshape", (("N", 2, 3, 4),), ("N", 6, 4), {"shape": ("N", 6, 4)}), {}, 0),
        (Move("reshape", (("N", 2, 3, 4),), ("N", 6, 1, 4), {"shape": ("N", 6, 1, 4)}), {}, 0),
        (Move("reshape", (("N", 2, 3, 4),), ("N", 2, 12), {"shape": ("N", 2, 12)}), {}, 1),
        # Flattened after a convolution: only a single position has its channels in order.
        (Move("reshape", (("N", 5, 1, 1),), ("N", 5), {"shape": ("N", 5)}), {"%a": (1, 2, 0)}, 0),
        (Move("reshape", (("N", 5, 2, 1),), ("N", 10), {"shape": ("N", 10)}), {"%a": (1, 2, 0)}, 1),
        # All of a tensor, backwards or forwards; or a part of it.
        (Move("slice", ((4,),), (4,), {"starts": (3,), "steps": (-1,), "sizes": (4,)}), {}, 1),
        (Move("slice", ((4, 2),), (3, 2), {"starts": (0, 0), "steps": (1, 1), "sizes": (3, 2)}),
         {}, 1),
        # One operand; an axis of one that is repeated once.
        (Move("concat", (("N", 4),), ("N", 4), {"axis": 1}), {}, 0),
        (Move("expand", ((1, "N", 4),), (1, "N", 4), {"shape": (1, "N", 4)}), {}, 0),
        (Move("expand", ((1, "N", 4),), (2, "N", 4), {"shape": (2, "N", 4)}), {}, 1),
    ],
)  # fmt: skip
def test_aliases(move: Move, orders: dict[str, tuple[int, ...]], ops: int) -> None:
    assert len(check(move, orders).ops) == ops


def test_a_tensor_of_another_order_is_laid_out_anew() -> None:
    move = Move("reshape", ((3, 2, 2),), (12,), {"shape": (12,)})
    builder = Builder(module_of(move, 1), SMALL, "4-phase")
    x = np.arange(12).reshape(3, 2, 2)
    channels = feed(builder, "%a", Layout((3, 2, 2), (1, 2, 0)), x)
    source, wanted = builder.tokens["%a"], natural((3, 2, 2))
    tokens = relayout(builder, source, wanted, frozenset({"i8"}), "%b", builder.module.ops[0])
    found = whole_tokens(tokens, "i8", run(builder, channels))
    np.testing.assert_array_equal(found, x.reshape(6, 2))


def test_operands_of_another_scale_are_requantised() -> None:
    move = Move("concat", ((2,), (3,)), (5,), {"axis": 0})
    module = module_of(move, 1)
    module = replace(
        module, values={**module.values, "%y": replace(module.values["%y"], scale=2.0)}
    )
    builder = Builder(module, SMALL, "4-phase")
    channels = feed(builder, "%a", natural((2,)), np.array([2, 4]), scale=2.0)
    channels |= feed(builder, "%b", natural((3,)), np.array([4, 8, 12]), scale=0.5)
    tokens = lower_move(builder, module.ops[0], frozenset({"i8"}))
    assert tokens.scale == 2.0
    found = whole_tokens(tokens, "i8", run(builder, channels))
    np.testing.assert_array_equal(found, [[2, 4, 1, 2, 3]])


def test_both_formats_are_moved() -> None:
    move = Move("reshape", ((2, 2),), (4,), {"shape": (4,)})
    builder = Builder(module_of(move, 1), SMALL, "4-phase")
    x = np.arange(4).reshape(2, 2)
    channels = feed(builder, "%a", natural((2, 2)), x)
    codes = builder.tokens["%a"]
    value = builder.channel("%a.f16", "f16", 2, 2, 1.0)
    builder.tokens["%a"] = replace(codes, parts={**codes.parts, "f16": (value,)})
    tokens = lower_move(builder, builder.module.ops[0], frozenset({"i8", "f16"}))
    found = run(builder, {**channels, value: x + 0.5})
    np.testing.assert_array_equal(whole_tokens(tokens, "i8", found), x.reshape(1, 4))
    np.testing.assert_array_equal(whole_tokens(tokens, "f16", found), x.reshape(1, 4) + 0.5)


@pytest.mark.parametrize(("form", "fill"), [("i8", 127), ("f16", 400)])
def test_padding_saturates_at_what_a_buffer_of_the_format_holds(form: str, fill: int) -> None:
    move = Move("pad", ((2,),), (3,), {"before": (1,), "after": (0,), "value": 400.0})
    builder = Builder(module_of(move, 1), SMALL, "4-phase")
    channels = feed(builder, "%a", natural((2,)), np.array([1, 2]))
    (part,) = channels
    builder.tokens["%a"] = replace(builder.tokens["%a"], parts={form: (part,)})
    tokens = lower_move(builder, builder.module.ops[0], frozenset({form}))
    found = whole_tokens(tokens, form, run(builder, channels))
    np.testing.assert_array_equal(found, [[fill, 1, 2]])
