"""Movements in a row: one stream carries them out as long as addresses stay affine."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.ir import BATCH, Level, Module, Op, TensorType, Value, verify
from anacc.ir.module import AttributeValue
from anacc_passes.tiling.views import Chain, View, chains

Step = tuple[str, tuple[int, ...], dict[str, AttributeValue]]


def module_of(shape: tuple[int, ...], steps: list[Step], outputs: tuple[int, ...] = ()) -> Module:
    """A layer module of movements in a row, the batch in front; also the outputs of some steps."""
    values = {"%v0": Value("%v0", TensorType("float32", (BATCH, *shape)), 1.0)}
    ops = []
    for number, (kind, result, attributes) in enumerate(steps):
        name = f"%v{number + 1}"
        values[name] = Value(name, TensorType("float32", (BATCH, *result)), 1.0)
        ops.append(Op(kind, (f"%v{number}",), (name,), attributes, (f"node{number}",)))
    returned = tuple((f"v{n}", f"%v{n}") for n in (*outputs, len(steps)))
    module = Module(Level.LAYER, "m", None, ("%v0",), returned, values, {}, tuple(ops))
    verify(module)
    return module


def reshape(*shape: int) -> Step:
    return "reshape", shape, {"shape": (BATCH, *shape)}


def transpose(shape: tuple[int, ...], order: tuple[int, ...]) -> Step:
    permutation = (0, *(axis + 1 for axis in order))
    return "transpose", tuple(shape[axis] for axis in order), {"permutation": permutation}


def cut(shape: tuple[int, ...], starts: list[int], steps: list[int], sizes: list[int]) -> Step:
    attributes: dict[str, AttributeValue] = {
        "starts": (0, *starts),
        "steps": (1, *steps),
        "sizes": (-1, *sizes),
    }
    return "slice", tuple(sizes), attributes


def numbers(steps: list[Step], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """The address of each element after the steps, by NumPy."""
    x = np.arange(math.prod(shape)).reshape(1, *shape)
    for kind, result, attributes in steps:
        if kind == "reshape":
            x = x.reshape(1, *result)
        elif kind == "expand":
            x = np.broadcast_to(x, (1, *result))
        elif kind == "transpose":
            order = attributes["permutation"]
            x = x.transpose([int(str(axis)) for axis in order] if isinstance(order, tuple) else [])
        else:
            columns = [attributes[name] for name in ("starts", "steps", "sizes")]
            rows = zip(*(c for c in columns if isinstance(c, tuple)), strict=True)
            for axis, (start, step, size) in enumerate(rows):
                count = x.shape[axis] if size == -1 else int(str(size))
                x = x.take(int(str(start)) + int(str(step)) * np.arange(count), axis)
    return np.asarray(x[0])


def addresses(view: View) -> npt.NDArray[np.int64]:
    found = np.full((), view.base)
    for count, stride in zip(view.dims, view.strides, strict=True):
        found = np.add.outer(found, np.arange(count) * stride)
    return found


@st.composite
def rows_of_steps(draw: st.DrawFn) -> tuple[tuple[int, ...], list[Step]]:
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=4)))
    first, steps = shape, list[Step]()
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["reshape", "transpose", "slice", "expand"]))
        if kind == "reshape":
            left, dims = math.prod(shape), []
            for _ in range(draw(st.integers(0, 3))):
                dims.append(draw(st.sampled_from([n for n in range(1, left + 1) if left % n == 0])))
                left //= dims[-1]
            steps.append(reshape(*dims, left))
        elif kind == "transpose":
            steps.append(transpose(shape, tuple(draw(st.permutations(range(len(shape)))))))
        elif kind == "slice":
            cuts = []
            for size in shape:
                start, step = draw(st.integers(0, size - 1)), draw(st.sampled_from([1, 2, -1]))
                most = len(range(start, size if step > 0 else -1, step))
                cuts.append((start, step, draw(st.integers(1, most))))
            steps.append(cut(shape, *([c[n] for c in cuts] for n in range(3))))
        else:
            wide = tuple(2 if size == 1 else size for size in shape)
            steps.append(("expand", wide, {"shape": (BATCH, *wide)}))
        shape = steps[-1][1]
    return first, steps


@settings(max_examples=200)
@given(rows_of_steps())
def test_views_are_where_numpy_finds_the_elements(
    drawn: tuple[tuple[int, ...], list[Step]],
) -> None:
    shape, steps = drawn
    module = module_of(shape, steps)
    found, between = chains(module)
    for number in range(1, len(steps) + 1):
        chain = found[f"%v{number}"]
        start = int(chain.source[2:])
        assert chain.source not in between
        source = shape if start == 0 else steps[start - 1][1]
        expected = numbers(steps[start:number], source)
        np.testing.assert_array_equal(addresses(chain.view), expected)
        assert chain.origins == tuple(f"node{n}" for n in range(start, number))


def test_depth_to_space_takes_two_streams() -> None:
    """The rows of a block and the rows of blocks do not follow on each other in the source."""
    steps = [reshape(3, 2, 2, 4, 5), transpose((3, 2, 2, 4, 5), (0, 3, 1, 4, 2)), reshape(3, 8, 10)]
    found, between = chains(module_of((12, 4, 5), steps))
    assert between == {"%v1"}
    assert [found[f"%v{n}"].source for n in (2, 3)] == ["%v0", "%v2"]


def test_a_shuffle_of_channels_takes_one_stream() -> None:
    steps = [reshape(2, 6, 20), transpose((2, 6, 20), (1, 0, 2))]
    found, between = chains(module_of((12, 4, 5), steps))
    assert between == {"%v1"}
    assert found["%v2"] == Chain("%v0", View(0, (6, 2, 20), (20, 120, 1)), ("node0", "node1"))


def test_what_something_else_reads_is_made() -> None:
    steps = [reshape(2, 6, 20), transpose((2, 6, 20), (1, 0, 2))]
    found, between = chains(module_of((12, 4, 5), steps, outputs=(1,)))
    assert not between
    assert found["%v2"].source == "%v1"
