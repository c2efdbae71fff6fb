"""What the lowering of every kind of layer builds on: channels, constants and streams."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.errors import IrError
from anacc.ir import Channel, Module, Op, Value
from anacc.ir.module import AttributeValue
from anacc.targets import Target
from anacc_passes.formats import nonnegative
from anacc_passes.parallel import Crew
from anacc_passes.spool import Spool
from anacc_passes.tiling.layout import Layout, Nest, layouts
from anacc_passes.tiling.samples import Samples
from anacc_passes.tiling.views import chains


@dataclass(frozen=True)
class Tokens:
    """A tensor on the chip.

    Attributes:
        layout: the order of its elements.
        parts: for each format that exists (`i8`, `f16`), the channels whose tokens, side by side,
            make the token of the layout.
        scale: real value of one unit of an element.
        zero: the code that stands for 0; 0 where there is another format than codes.
    """

    layout: Layout
    parts: Mapping[str, tuple[str, ...]]
    scale: float
    zero: int = 0

    @property
    def finest(self) -> str:
        """The most exact format that exists: binary16 values are not rounded to codes."""
        return "f16" if "f16" in self.parts else "i8"


@dataclass
class Builder:
    """The chip module under construction.

    Attributes:
        module: the layer-level module that is lowered.
        target: the chip.
        read_mode: `4-phase` or `1-phase`.
        samples: of calibration data; None if nothing depends on them.
        correction: what the LDPU undoes of the errors of codes and converters, one of
            `anacc_passes.tiling.correction.METHODS`.
        row_copies: whether rows that a tile leaves free may hold copies of its rows.
        crew: does what does not depend on order.  Ops, constants and values are complete when all
            its jobs are done.
        tokens: what layer values have become.
        tensors: channels of whole host tensors, by layer value.
        grids: scale and zero point of the integers of host tensors, by layer value.
        tiles: how many tiles there are so far.
        spool: keeps the weight codes.
    """

    module: Module
    target: Target
    read_mode: str
    samples: Samples | None = None
    correction: str = "none"
    row_copies: bool = False
    crew: Crew = field(default_factory=lambda: Crew(1))
    ops: list[Op] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    tokens: dict[str, Tokens] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=dict)
    grids: dict[str, tuple[float, int]] = field(default_factory=dict)
    tiles: int = 0
    spool: Spool = field(default_factory=Spool)
    _last: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.layouts = layouts(self.module)
        self.nonnegative = nonnegative(self.module)
        self.chains, self.between = chains(self.module)
        self.readers = {op.operands[0]: op for op in self.module.ops if op.kind == "dequantise"}

    def channel(
        self, stem: str, form: str, size: int, tokens: int, scale: float | None = None
    ) -> str:
        """A new channel; its name is the stem, made unique.

        Args:
            stem: readable name, with its `%`.
            form: `i8`, `f16` or `tensor`.
            size: elements of a token.
            tokens: tokens of one sample.
            scale: real value of one unit of an element.
        """
        name = self._unused(stem, self.values)
        self.values[name] = Value(name, Channel(form, size, tokens), scale)
        return name

    def constant(self, stem: str, array: npt.NDArray[Any]) -> str:
        """A new constant; its name is the stem, made unique."""
        name = self._unused(f"@{stem}", self.constants)
        self.constants[name] = array
        return name

    def _unused(self, stem: str, taken: Container[str]) -> str:
        """The stem, with the lowest number behind it, from 2 on, that makes it unique."""
        name, count = stem, self._last.get(stem, 1)
        if count > 1 or name in taken:
            # Names stay taken, so that the search goes on where it ended.
            count += 1
            while (name := f"{stem}#{count}") in taken:
                count += 1
        self._last[stem] = count
        return name

    def emit(
        self,
        kind: str,
        operands: Sequence[str],
        results: Sequence[str],
        origins: tuple[str, ...],
        **attributes: AttributeValue,
    ) -> None:
        """Add a chip op."""
        self.tiles += kind == "tile"
        self.ops.append(Op(kind, tuple(operands), tuple(results), attributes, origins))

    def complete(self, index: int, attributes: Mapping[str, AttributeValue]) -> None:
        """Give an op that was added the attributes that it still lacks."""
        op = self.ops[index]
        self.ops[index] = replace(op, attributes={**op.attributes, **attributes})

    def rescale(self, name: str, scale: float) -> None:
        """Set the scale of a channel whose scale was not known when it was added."""
        if name:
            self.values[name] = replace(self.values[name], scale=scale)

    def type(self, name: str) -> Channel:
        """The type of a channel."""
        kind = self.values[name].type
        if not isinstance(kind, Channel):
            raise TypeError(f"{name} is no channel")
        return kind

    def scale(self, name: str) -> float:
        """The scale of a layer value.

        Raises:
            IrError: if quantisation has left it without one.
        """
        scale = self.module.values[name].scale
        if scale is None:
            raise IrError(f"value {name} has no scale: quantise comes before tile")
        return scale

    def zero(self, name: str) -> int:
        """The zero point of a layer value."""
        return self.module.values[name].zero

    def sizes(self, parts: Sequence[str]) -> tuple[int, ...]:
        """Token sizes of the parts."""
        return tuple(self.type(part).token_size for part in parts)

    def regroup(
        self, parts: tuple[str, ...], sizes: tuple[int, ...], origins: tuple[str, ...]
    ) -> tuple[str, ...]:
        """The same tokens cut into parts of the given sizes; the same channels if they fit."""
        if self.sizes(parts) == sizes:
            return parts
        first = self.values[parts[0]]
        kind = self.type(parts[0])
        stem = f"{parts[0].split('#')[0]}.regrouped"
        results = tuple(
            self.channel(stem, kind.format, size, kind.tokens, first.scale) for size in sizes
        )
        self.emit("regroup", parts, results, origins)
        return results

    def gather(
        self,
        sources: Sequence[tuple[str, Nest]],
        load: Nest,
        results: tuple[str, ...],
        size: int,
        origins: tuple[str, ...],
        *,
        fill: int = 0,
        rescale: tuple[float, ...] | None = None,
        reduce: str = "none",
        window: int = 1,
        average: str = "",
        lead: int = 0,
        step: int = 0,
    ) -> None:
        """Add a bridge stream (see the chip op `gather`)."""
        self.emit(
            "gather",
            [average, *(name for name, _ in sources)],
            results,
            origins,
            size=size,
            fill=fill,
            stores=tuple(nest for _, nest in sources),
            rescale=rescale or (1.0,) * len(sources),
            load=load,
            reduce=reduce,
            window=window,
            lead=lead,
            step=step,
        )

    def store_nests(
        self, parts: Sequence[str], layout: Layout, base: int, strides: tuple[int, ...]
    ) -> list[tuple[str, Nest]]:
        """How the parts of a tensor are written to a buffer whose axis k has stride strides[k]."""
        token_stride = strides[layout.permutation[-1]]
        outer = tuple(strides[axis] for axis in layout.outer)
        nests: list[tuple[str, Nest]] = []
        for part in parts:
            size = self.type(part).token_size
            nests.append((part, (layout.counts, base, outer, ((size, token_stride),))))
            base += size * token_stride
        return nests


def load_nest(layout: Layout, base: int, strides: tuple[int, ...]) -> Nest:
    """How the tokens of a layout are read from a buffer whose axis k has stride strides[k]."""
    outer = tuple(strides[axis] for axis in layout.outer)
    token = ((layout.token_size, strides[layout.permutation[-1]]),)
    return (layout.counts, base, outer, token)


def balanced(total: int, limit: int) -> tuple[int, ...]:
    """The fewest sizes up to `limit` that add up to `total`, as equal as can be, larger first."""
    pieces = -(-total // limit)
    size, larger = divmod(total, pieces)
    return (size + 1,) * larger + (size,) * (pieces - larger)


def bounds(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """(first, last + 1) of consecutive pieces of the given sizes."""
    ends = np.cumsum(sizes).tolist()
    return [(end - size, end) for end, size in zip(ends, sizes, strict=True)]
