"""How a tensor becomes tokens: which axis lies within a token, and in which order tokens come.

A convolution wants all channels of one position in one token, a product all features of one row.
Values that an elementwise op ties together share a layout, so that their tokens meet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import networkx as nx

from anacc.ir import Module, Op, TensorType
from anacc.ir.graph_shapes import INTEGERS
from anacc_passes.formats import BORDERS, POINTWISE

Nest = tuple[tuple[int, ...], int, tuple[int, ...], tuple[tuple[int, int], ...]]
"""Loop counts, base, a stride for each loop, and (count, stride) pairs within a token."""

_SPATIAL = ("max_pool", "average_pool")


@dataclass(frozen=True)
class Layout:
    """The order in which the elements of one sample travel.

    Attributes:
        dims: shape of one sample, at least one axis.
        permutation: of the axes of `dims`; the last one runs within a token.
    """

    dims: tuple[int, ...]
    permutation: tuple[int, ...]

    @property
    def token_size(self) -> int:
        """Elements of a token."""
        return self.dims[self.permutation[-1]]

    @property
    def outer(self) -> tuple[int, ...]:
        """Axes that run over tokens, outermost first, those of size 1 left out."""
        return tuple(axis for axis in self.permutation[:-1] if self.dims[axis] != 1)

    @property
    def counts(self) -> tuple[int, ...]:
        """Sizes of the axes `outer`: the loop nest over all tokens."""
        return tuple(self.dims[axis] for axis in self.outer)

    @property
    def tokens(self) -> int:
        """Tokens of one sample."""
        return math.prod(self.counts)


def sample_dims(kind: TensorType) -> tuple[int, ...]:
    """Shape of one sample; a scalar counts as one element on one axis."""
    return kind.dims or (1,)


def row_major(dims: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a dense array, in elements."""
    return tuple(math.prod(dims[axis + 1 :]) for axis in range(len(dims)))


def natural(dims: tuple[int, ...]) -> Layout:
    """Row-major order: the last axis is the token."""
    return Layout(dims, tuple(range(len(dims))))


def channels_last(kind: TensorType) -> Layout:
    """All channels (axis 1 of the whole shape) of one position in one token."""
    dims = sample_dims(kind)
    channel = 0 if kind.batch_axis == 0 else 1
    others = tuple(axis for axis in range(len(dims)) if axis != channel)
    return Layout(dims, (*others, channel))


def is_convolution(module: Module, op: Op) -> bool:
    """Whether a crossbar layer slides over space (its weight has kernel axes)."""
    return op.kind == "crossbar" and len(module.tensor(op.operands[1]).shape or ()) > 2


def layouts(module: Module) -> dict[str, Layout]:
    """The layout of every value of a layer-level module with a known shape, of float32 numbers or
    of integers that may be quantised ones."""
    tied: nx.Graph[str] = nx.Graph()
    spatial: set[str] = set()
    for op in module.ops:
        values = [name for name in (*op.operands, *op.results) if name.startswith("%")]
        if op.kind in (*POINTWISE, *BORDERS):
            nx.add_path(tied, values)
        elif op.kind in _SPATIAL or is_convolution(module, op):
            spatial.update(values)
        elif op.kind == "crossbar" and op.operands[4]:
            tied.add_edge(op.operands[4], op.results[0])
    for group in nx.connected_components(tied):
        if group & spatial:
            spatial.update(group)
    found = {}
    for name, value in module.values.items():
        kind = value.type
        if not isinstance(kind, TensorType) or kind.shape is None:
            continue
        if kind.dtype == "float32" or kind.dtype in INTEGERS:
            last = channels_last(kind) if name in spatial else natural(sample_dims(kind))
            found[name] = last
    return found
