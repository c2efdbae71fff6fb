"""Turn integer tensors into values that are held in codes: what a quantised model means.

A `dequantise` of a `quantise` gives back what went in, on the grid of the integers.  The chip holds
all values that crossbars take on such a grid, so that the pair costs nothing:

1.  The value takes the grid if the chip can have it as it is (see `anacc_passes.grids`): its scale
    and zero point are set, and calibration leaves them alone.  Any other gets a range from the
    tensor behind the pair, which is saturated.
    Where it alone is what a reshape, transpose, slice, pad, expand, concatenation or maximum
    pooling moved, so does what these moved.
2.  Integers that are moved between the two are moved as that value.
3.  What saturating to the integer type does beyond what saturating to the chip's codes does becomes
    a `clamp`, or merges with the relu or clamp before: a zero point at the end of the type's range
    stands for a relu.  Exceptions: what is known to lie in the range; and, unless it stands for a
    relu, what crossbars take from the host, and what only operations read that the LDPU does next,
    in binary16, where nothing saturates.
4.  Where the value before the pair has other readers, an `affine` makes a copy that takes the grid
    or range, unless it lies in it anyway.
5.  A `dequantise` with another scale or zero point than its integers were made with is an `affine`.
6.  `dequantise` of what the host gives, and `quantise` of what it takes, are left: they are
    borders.  No other op takes or gives integers afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.frontend import SourceModel
from anacc.ir import Module, Op, TensorType, Value
from anacc.ir.module import AttributeValue
from anacc_passes.formats import MOVES
from anacc_passes.grids import Grid
from anacc_passes.integers import INTEGER_MOVES, is_integer
from anacc_passes.rewrite import rebuild, resolve
from anacc_passes.saturation import EVERYTHING, LARGEST, Bounds, beyond, bounds_of, inside, readers


@dataclass(frozen=True)
class Pair:
    """Graph to graph; see the module's docstring for the rules.

    Before: every integer value on the chip has a scale and a zero point (`integers`).
    """

    name = "pair"

    def __call__(self, module: Module) -> Module:
        """Apply the rules above."""
        if not any(op.kind in ("quantise", "dequantise") for op in module.ops):
            return module
        return _Pairing(module).run()


@dataclass
class _Pairing:
    """The module under construction.

    Attributes:
        real: the float32 value for each integer value that has one.
        pinned: the grid's own codes, scale and zero point, of float32 values.
        bounds: what float32 values lie in, where that is known.
        grids: the integer tensor behind a float32 value, and its scale.
    """

    module: Module
    ops: list[Op] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    real: dict[str, str] = field(default_factory=dict)
    integers: set[str] = field(default_factory=set)
    pinned: dict[str, tuple[float, int]] = field(default_factory=dict)
    bounds: dict[str, Bounds] = field(default_factory=dict)
    grids: dict[str, tuple[str, float]] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)  # of the op that gives a value, in `ops`

    def __post_init__(self) -> None:
        self.consumers = self.module.consumers()
        self.producers = self.module.producers()
        self.returned = {value for _, value in self.module.outputs}

    def run(self) -> Module:
        """The new module."""
        for op in self.module.ops:
            if op.kind == "quantise" or (op.kind in INTEGER_MOVES and self._moves_integers(op)):
                continue  # where something needs its result
            if op.kind == "dequantise":
                self._dequantise(op)
            else:
                self._keep(op)
        outputs = []
        for name, value in self.module.outputs:
            self._integers_of(value)
            outputs.append((name, resolve(value, self.renamed)))
        for name, (scale, zero) in self.pinned.items():
            held = self.values.get(name) or self.module.values[name]
            self.values[name] = replace(held, scale=scale, zero=zero)
        return rebuild(
            replace(self.module, outputs=tuple(outputs), grids=self.grids, source=self._source()),
            self.ops,
            renamed=self.renamed,
            values=self.values.values(),
            constants=self.constants,
        )

    def _source(self) -> Any:
        """The source, which knows what the new values stand for."""
        source = self.module.source
        if not isinstance(source, SourceModel):
            return source
        stands_for, integers = dict(source.stands_for), dict(source.integers)
        for name, real in self.real.items():
            if real[1:] not in source.types and real not in stands_for:
                grid = self._grid(name)
                stands_for[real] = name[1:]
                integers[real] = (grid.scale, grid.zero)
        return replace(source, stands_for=stands_for, integers=integers)

    def _moves_integers(self, op: Op) -> bool:
        return is_integer(self.module, op.results[0])

    def _add(self, op: Op) -> None:
        self.places.update((result, len(self.ops)) for result in op.results if result)
        self.ops.append(op)

    # What stays, and what it needs.

    def _keep(self, op: Op) -> None:
        """An op that neither makes nor moves integers of the chip."""
        if op.kind == "host":
            op = replace(op, operands=tuple(dict.fromkeys(map(self._for_host, op.operands))))
            self._add(op)
            return
        operands = tuple(resolve(name, self.renamed) for name in op.operands)
        self._add(replace(op, operands=operands))
        if len(op.results) == 1:
            self._describe(op.results[0], op, operands)

    def _for_host(self, name: str) -> str:
        """The operand of a host op, by an ONNX name: what ONNX Runtime computes `name` from.

        Where the value of a pair is called after another tensor, the host gets the integers.
        """
        self._integers_of(name)
        value = resolve(name, self.renamed)
        producer = self.producers.get(name)
        paired = producer is not None and producer.kind == "dequantise"
        if value == name or not paired or self._is_held(value):
            return value
        integers = self.producers[name].operands[0]
        self._integers_of(integers)
        return integers

    def _is_held(self, name: str) -> bool:
        """Whether the host holds a value: a model input, or what a host op gives."""
        return name not in self.producers or self.producers[name].kind == "host"

    def _integers_of(self, name: str) -> None:
        """Make an integer value that the chip computes exist: the host or an output needs it."""
        if not is_integer(self.module, name) or self._is_held(name) or name in self.integers:
            return
        self.integers.add(name)
        producer = self.producers[name]
        made = producer.kind == "quantise" and name not in self.real
        source = resolve(producer.operands[0], self.renamed) if made else self._real_of(name)
        grid = self._grid(name)
        attributes: dict[str, AttributeValue] = {"scale": grid.scale, "zero": grid.zero}
        attributes["dtype"] = grid.dtype
        self._add(Op("quantise", (source,), (name,), attributes, producer.origins))

    def _describe(self, result: str, op: Op, operands: tuple[str, ...]) -> None:
        """Note the grid and the bounds of what an op gives."""
        pins = {self.pinned.get(name) for name in operands if name.startswith("%")}
        pin = pins.pop() if len(pins) == 1 else None
        if op.kind in (*MOVES, "max_pool", "identity") and pin is not None:
            self.pinned[result] = pin
        self.bounds[result] = bounds_of(op, [self._bounds(name) for name in operands])

    def _bounds(self, name: str) -> Bounds:
        return self.bounds.get(name, EVERYTHING)

    def _grid(self, name: str) -> Grid:
        value = self.module.values[name]
        return Grid(self.module.tensor(name).dtype, value.scale or 1.0, value.zero)

    # Pairs.

    def _dequantise(self, op: Op) -> None:
        integers, result = op.operands[0], op.results[0]
        grid = self._grid(integers)
        real = self._real_of(integers)
        factor = op.number("scale") / grid.scale
        shift = (grid.zero - op.integer("zero")) * op.number("scale")
        if factor != 1.0 or shift != 0.0:
            self._affine(real, result, factor, shift, op.origins)
            if shift == 0.0 and real in self.pinned:
                scale, zero = self.pinned[real]
                self.pinned[result] = (scale * factor, zero)
        elif real != result:
            self.renamed[result] = real

    def _name_of(self, integers: str) -> str:
        """The name of the value for some integers: the ONNX tensor with its numbers, if one is."""
        grid = self._grid(integers)
        for op in self.consumers[integers]:
            if op.kind == "dequantise":
                same = op.number("scale") == grid.scale and op.integer("zero") == grid.zero
                if same:
                    return op.results[0]
        name = f"{integers}.real"
        while name in self.module.values:
            name += "#2"
        return name

    def _real_of(self, integers: str) -> str:
        """The float32 value for some integers; its ops are added when it is first needed."""
        if integers not in self.real:
            real = self._make_real(integers)
            self.real[integers] = real
            self.grids.setdefault(real, (integers[1:], self._grid(integers).scale))
        return resolve(self.real[integers], self.renamed)

    def _make_real(self, integers: str) -> str:
        grid, result = self._grid(integers), self._name_of(integers)
        kind = TensorType("float32", self.module.tensor(integers).shape)
        self.values[result] = Value(result, kind)
        if self._is_held(integers):
            origins = self.consumers[integers][0].origins
            described = {"scale": grid.scale, "zero": grid.zero}
            self._add(Op("dequantise", (integers,), (result,), described, origins))
            self._pin(result, grid.codes)
            self.bounds[result] = (grid.low, grid.high)
            return result
        op = self.producers[integers]
        if op.kind == "quantise":
            return self._quantised(op, grid, result)
        operands = tuple(self._real_of(name) for name in op.operands)
        attributes = dict(op.attributes)
        if op.kind == "pad":
            attributes["value"] = (op.number("value") - grid.zero) * grid.scale
        op = replace(op, operands=operands, results=(result,), attributes=attributes)
        self._add(op)
        self._describe(result, op, operands)
        return result

    def _quantised(self, op: Op, grid: Grid, result: str) -> str:
        """What `dequantise(quantise(x))` is: x on a grid."""
        source = resolve(op.operands[0], self.renamed)
        if math.isclose(grid.high, 2.0**31 * grid.scale, rel_tol=1e-3):
            return source  # 32 bits: no coarser than the LDPU's own numbers
        pin = grid.codes
        low, high = self._beyond(op, grid, source)
        same = inside(grid, self._bounds(source)) if pin is None else self.pinned.get(source) == pin
        if low is None and high is None and same:
            return source
        alone = len(self.consumers[op.operands[0]]) == 1 and source == op.operands[0]
        alone = alone and source not in self.returned
        self._pin(result, pin)
        self.bounds[result] = (
            max(self._bounds(source)[0], grid.low),
            min(self._bounds(source)[1], grid.high),
        )
        if low is not None or high is not None:
            bounds = {"low": -LARGEST if low is None else low}
            bounds["high"] = LARGEST if high is None else high
            self._clamp(source, result, bounds, alone, op.origins)
        elif not alone:
            self._affine(source, result, 1.0, 0.0, op.origins)
        elif self._is_held(source):
            del self.values[result]
            self._pin(source, self.pinned.pop(result, None))
            self.bounds[source] = self.bounds.pop(result)
            return source
        else:
            if pin is not None:
                self._pin_moved(source, pin, (op.results[0][1:], grid.scale))
            place = self.places.pop(source)
            maker = self.ops[place]
            results = tuple(result if name == source else name for name in maker.results)
            self.ops[place] = replace(maker, results=results, origins=(*maker.origins, *op.origins))
            self.places[result] = place
            self.renamed[source] = result
        return result

    def _pin(self, name: str, codes: tuple[float, int] | None) -> None:
        if codes is not None:
            self.pinned[name] = codes

    def _pin_moved(self, name: str, pin: tuple[float, int], grid: tuple[str, float]) -> None:
        """Give the grid also to what was only moved to make a value."""
        place = self.places.get(name)
        if place is None or self.ops[place].kind not in (*MOVES, "max_pool", "identity"):
            return
        for operand in self.ops[place].operands:
            if operand not in self.pinned and len(self.consumers.get(operand, ())) == 1:
                if operand not in self.returned:
                    self.pinned[operand] = pin
                    self.grids[operand] = grid
                    self._pin_moved(operand, pin, grid)

    def _beyond(self, op: Op, grid: Grid, source: str) -> tuple[float | None, float | None]:
        """The bounds of the grid that a clamp must keep."""
        place = self.places.get(source)
        moved = place is not None and self.ops[place].kind in (*MOVES, "max_pool")
        own_codes = not (moved and self._is_pinned_below(source))
        takers = readers(self.consumers, self.returned, op.results[0])
        return beyond(grid, self._bounds(source), takers, self._is_held(source), own_codes)

    def _is_pinned_below(self, name: str) -> bool:
        """Whether what was moved to make a value has a grid already."""
        return any(operand in self.pinned for operand in self.ops[self.places[name]].operands)

    def _clamp(
        self,
        source: str,
        result: str,
        bounds: Mapping[str, float],
        alone: bool,
        origins: tuple[str, ...],
    ) -> None:
        place = self.places.get(source)
        before = self.ops[place] if place is not None else None
        if alone and before is not None and place is not None and before.kind in ("relu", "clamp"):
            low, high = bounds_of(before, [EVERYTHING])
            merged = {"low": max(low, bounds["low"]), "high": min(high, bounds["high"])}
            if merged["low"] <= merged["high"]:
                self.ops[place] = replace(
                    before,
                    kind="clamp",
                    results=(result,),
                    attributes=merged,
                    origins=(*before.origins, *origins),
                )
                self.places[result] = self.places.pop(source)
                self.renamed[source] = result
                return
        self._add(Op("clamp", (source,), (result,), dict(bounds), origins))

    def _affine(
        self, source: str, result: str, factor: float, shift: float, origins: tuple[str, ...]
    ) -> None:
        names = []
        for label, number in (("scale", factor), ("offset", shift)):
            name = f"@{result[1:]}.{label}"
            while name in self.module.constants or name in self.constants:
                name += "#2"
            self.constants[name] = np.full(1, number, np.float32)
            names.append(name)
        kind = TensorType("float32", self._type(source).shape)
        self.values.setdefault(result, Value(result, kind))
        self._add(Op("affine", (source, *names), (result,), {}, origins))

    def _type(self, name: str) -> TensorType:
        kind = self.values[name].type if name in self.values else self.module.values[name].type
        if not isinstance(kind, TensorType):
            raise TypeError(f"{name} is a channel")
        return kind
