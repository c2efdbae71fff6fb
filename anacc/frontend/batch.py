"""The symbols of a model's inputs, and which of them may be the batch.

Every symbol must get a size, from `shapes` or from a sample feed, but one: the batch, which stays
symbolic.  Which one it is cannot be read from the model.  So candidates are tried in turn, and
the importer judges: it raises `NotBatch` where an operator needs the batch on another axis.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto

from anacc.errors import CompileError, FeedError, ModelError, UsageError
from anacc.frontend.external import Array
from anacc.frontend.facts import Input
from anacc.frontend.ordering import inner_graphs
from anacc.frontend.sequences import RECURRENT
from anacc.ir import BATCH, TensorType

_STREAMED = (
    "for a model that streams, `--state INPUT=OUTPUT` names its states (`states` in Python): then, "
    "and only then, the first axis of other inputs is the step"
)
_BATCH_FIRST = {
    "AveragePool",
    "BatchNormalization",
    "Conv",
    "ConvTranspose",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "InstanceNormalization",
    "LRN",
    "MaxPool",
}


class NotBatch(Exception):
    """The axis that was taken for the batch is not one."""


@dataclass(frozen=True)
class Hypothesis:
    """Inputs with all symbols bound, but for `BATCH`.

    Attributes:
        inputs: the inputs in ONNX order.
        batch: the size of the batch if the model fixes it, else None.
        symbols: the symbols that are taken for the batch.
    """

    inputs: list[Input]
    batch: int | None
    symbols: tuple[str, ...] = ()


def inputs_of(graph: GraphProto, sample: Mapping[str, Array]) -> list[Input]:
    """The inputs of a graph; an axis without name and size is called `input:axis`.

    Raises:
        ModelError: if an input has a negative dimension, or no rank, and the sample does not show
            it.
    """
    inputs = []
    for entry in graph.input:
        if not entry.type.HasField("tensor_type"):
            inputs.append(Input(entry.name, 0, (), entry.type))
            continue
        tensor = entry.type.tensor_type
        if tensor.HasField("shape"):
            # -1 is how some exporters write an open dimension.
            if any(dim.dim_value < -1 for dim in tensor.shape.dim):
                raise ModelError(f"input `{entry.name}` has a negative dimension")
            shape = tuple(
                dim.dim_value
                if dim.HasField("dim_value") and dim.dim_value > 0
                else dim.dim_param or f"{entry.name}:{axis}"
                for axis, dim in enumerate(tensor.shape.dim)
            )
        elif entry.name in sample:
            rank = len(_shape_of(entry.name, sample[entry.name]))
            shape = tuple(f"{entry.name}:{axis}" for axis in range(rank))
        else:
            raise ModelError(
                f"input `{entry.name}` has no shape", "calibration data would show its rank"
            )
        inputs.append(Input(entry.name, tensor.elem_type, shape))
    return inputs


def zeros_in(graph: GraphProto) -> dict[str, int]:
    """The symbols (see `inputs_of`) of dimensions that are declared as zero: their size unless the
    user gives one, for some exporters write an open dimension so."""
    return {
        f"{entry.name}:{axis}": 0
        for entry in graph.input
        for axis, dim in enumerate(entry.type.tensor_type.shape.dim)
        if dim.HasField("dim_value") and dim.dim_value == 0
    }


def sizes_in(inputs: list[Input], sample: Mapping[str, Array]) -> dict[str, int]:
    """The sizes that a sample feed gives to the symbols.

    Raises:
        FeedError: if it does not fit the inputs.
    """
    sizes: dict[str, int] = {}
    names = {entry.name for entry in inputs}
    for name in sample:
        if name not in names:
            raise FeedError(f"the model has no input `{name}`", f"it has {_listed(names)}")
    for entry in inputs:
        if entry.name not in sample or entry.kind is not None:
            continue
        shape = _shape_of(entry.name, sample[entry.name])
        fits = len(shape) == len(entry.shape)
        for dim, size in zip(entry.shape, shape, strict=False):
            fits = fits and size == (dim if isinstance(dim, int) else sizes.setdefault(dim, size))
        if not fits:
            wanted = ", ".join(str(dim) for dim in entry.shape)
            raise FeedError(
                f"input `{entry.name}` has shape {shape}, not ({wanted})",
                _STREAMED if abs(len(shape) - len(entry.shape)) == 1 else None,
            )
    return sizes


def _shape_of(name: str, value: Any) -> tuple[int, ...]:
    """The shape of an array, or of a list of arrays of one shape.

    Raises:
        FeedError: their shapes differ.
    """
    try:
        return np.shape(value)
    except ValueError:
        raise FeedError(
            f"input `{name}` is a list of arrays of several shapes, no tensor"
        ) from None


def check_symbols(inputs: list[Input], shapes: Mapping[str, int]) -> None:
    """Refuse sizes of symbols that do not exist, and impossible sizes.

    Raises:
        UsageError: naming the symbol.
    """
    symbols = _symbols(inputs)
    for name, size in shapes.items():
        if size < 1:
            raise UsageError(f"--shape {name}={size}: a size is at least 1")
        if name not in symbols:
            close = difflib.get_close_matches(name, symbols, 1)
            meant = f"did you mean `{close[0]}`?" if close else f"it has {_listed(symbols)}"
            hint = meant if symbols else "all its shapes are fixed"
            raise UsageError(f"--shape {name}={size}: the model has no dimension `{name}`", hint)


def hypotheses(
    inputs: list[Input], shapes: Mapping[str, int], sample: Mapping[str, int], recurrent: bool
) -> Iterator[Hypothesis]:
    """The ways to see the batch, best first; the last one has no batch axis.

    Args:
        inputs: of the model.
        shapes: sizes of symbols that the user gave: none of these is the batch.
        sample: sizes of symbols in a sample feed.
        recurrent: whether the model has recurrent nodes, whose batch is on axis 1.

    Raises:
        CompileError: if a symbol has no size, naming those that a candidate lacks.
    """
    sizes = {**sample, **shapes}
    unknown = [symbol for symbol in _symbols(inputs) if symbol not in sizes]
    lacking: list[list[str]] = []
    for candidate in _candidates(inputs, shapes, recurrent):
        if len({sample[symbol] for symbol in candidate if symbol in sample}) > 1:
            continue
        missing = [symbol for symbol in unknown if symbol not in candidate]
        if missing:
            lacking.append(missing)
            continue
        binding: dict[str, int | str] = {**sizes, **dict.fromkeys(candidate, BATCH)}
        yield Hypothesis(_bound(inputs, binding), None, candidate)
    if len(lacking) > 1:
        raise CompileError(
            f"dimensions {_listed(unknown)} have no size, and not all of them can be the batch",
            "give a size to all but the batch with --shape NAME=SIZE, or calibration data",
        )
    for symbol in lacking[0] if lacking else unknown:
        raise CompileError(
            f"dimension `{symbol}` of input `{_owner(inputs, symbol)}` has no size",
            f"give it with --shape {symbol}=SIZE, or calibration data",
        )
    plain = _bound(inputs, sizes)
    for size in _fixed_sizes(plain, recurrent):
        first = [_with_batch(entry, size, (0, 1) if recurrent else (0,)) for entry in plain]
        yield Hypothesis(first, size)
        # Initial states of two directions and two samples: either axis may be the batch.
        second = [_with_batch(entry, size, (1, 0)) for entry in plain]
        if recurrent and second != first:
            yield Hypothesis(second, size)
    yield Hypothesis(plain, 1)


def judge(node: NodeProto, types: Mapping[str, TensorType]) -> None:
    """Judge the batch by the operators that have an axis for it.

    Raises:
        NotBatch: if what was taken for the batch is on another axis of the node's first input.
    """
    if node.domain != "" or node.op_type not in _BATCH_FIRST.union(RECURRENT):
        return
    layout = next((a.i for a in node.attribute if a.name == "layout"), 0)
    wanted = 1 if node.op_type in RECURRENT and layout == 0 else 0
    axis = types[node.input[0]].batch_axis
    if axis is not None and axis != wanted:
        raise NotBatch(f"node `{node.name}` has the batch on axis {wanted}, not {axis}")


def is_recurrent(graph: GraphProto) -> bool:
    """Whether a graph, or one in it, has recurrent nodes."""
    return any(
        node.op_type in RECURRENT or any(map(is_recurrent, inner_graphs(node)))
        for node in graph.node
    )


def _symbols(inputs: list[Input]) -> list[str]:
    return list(
        dict.fromkeys(dim for entry in inputs for dim in entry.shape if isinstance(dim, str))
    )


def _owner(inputs: list[Input], symbol: str) -> str:
    return next(entry.name for entry in inputs if symbol in entry.shape)


def _listed(names: Mapping[str, object] | set[str] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _candidates(
    inputs: list[Input], shapes: Mapping[str, int], recurrent: bool
) -> Iterator[tuple[str, ...]]:
    """Sets of symbols that may be the batch: all leading ones together, then each alone."""
    for axis in (0, 1) if recurrent else (0,):
        dims = [entry.shape[axis] for entry in inputs if len(entry.shape) > axis]
        names = [dim for dim in dims if isinstance(dim, str) and dim not in shapes]
        together = tuple(dict.fromkeys(names))
        once = all(sum(dim in together for dim in entry.shape) <= 1 for entry in inputs)
        if together and once:
            yield together
        if len(together) > 1 or not once:
            yield from ((name,) for name in together)


def _bound(inputs: list[Input], sizes: Mapping[str, int | str]) -> list[Input]:
    return [
        replace(
            entry, shape=tuple(dim if isinstance(dim, int) else sizes[dim] for dim in entry.shape)
        )
        for entry in inputs
    ]


def _fixed_sizes(inputs: list[Input], recurrent: bool) -> list[int]:
    """Sizes above one that may be a batch: of the first axis of the first input, or the next."""
    first = next((entry.shape for entry in inputs if entry.shape), ())
    dims = first[: 2 if recurrent else 1]
    return list(dict.fromkeys(dim for dim in dims if isinstance(dim, int) and dim > 1))


def _with_batch(entry: Input, size: int, axes: tuple[int, ...]) -> Input:
    for axis in axes:
        if len(entry.shape) > axis and entry.shape[axis] == size:
            return replace(entry, shape=(*entry.shape[:axis], BATCH, *entry.shape[axis + 1 :]))
    return entry
