"""Cut the matrices of layers so that they fill crossbars.

Before: layers.  After: each crossbar layer that is cut has the regions of its matrix, with the
number of the crossbar that each lies on; nothing else changes.  Tiling cuts all others.

Tiling by itself makes tiles of nearly equal size, which suits converters and lets a layer run in as
few steps as can be.  Here cells are what counts:

1. Rows are cut at multiples of the crossbar's rows; what remains is a strip of less height.
2. Groups of a grouped layer share a strip along its diagonal, which wastes all cells off it.  Few
   groups a strip waste less and take more products one after another: as few are taken as leave
   the layer no slower than the slowest dense one, and not below a fourth (`MOST_PRODUCTS`) of what
   fits.
3. Columns are cut where strips fill crossbars (`anacc_passes.packing.strips`, with a proven bound).

Layers that feed a GDPU that is wired to their core, and recurrent layers, keep their tiles.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from anacc.ir import Module, Op
from anacc.ir.cells import CELLS
from anacc.ir.module import AttributeValue
from anacc.mapping_file import MappingFile
from anacc.targets import Target
from anacc_passes.given.gate_matrices import gate_matrices
from anacc_passes.given.mapped import regions_of
from anacc_passes.packing.rectangles import Rect, pack
from anacc_passes.packing.regions import ATTRIBUTE, Region, as_attribute
from anacc_passes.packing.strips import divide, pour
from anacc_passes.tiling.blocks import groups_together
from anacc_passes.tiling.builder import balanced, bounds
from anacc_passes.units import GDPU, is_elementwise, unit_of

MOST_PRODUCTS = 4
"""How many times the fewest products that a grouped layer may take.  For ShuffleNet and MobileNetV2
less saves few crossbars: `python -m bench.packing`."""


@dataclass(frozen=True)
class Strip:
    """Rows of the matrix of a layer that may be cut between any columns.

    Attributes:
        layer: position of its op in the module.
        rows, columns: (first, last + 1) of the layer's matrix.
    """

    layer: int
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.rows[1] - self.rows[0]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.columns[1] - self.columns[0]


@dataclass(frozen=True)
class Cut:
    """Layers to layers with regions, where crossbars are short.

    Attributes:
        target: the chip.
        packing: `densest` cuts all layers where that saves a crossbar; `auto` does so only if the
            tiles that tiling would make do not fit the crossbars however they share them; `always`
            and `never` cut none.
        crossbars: how many there are; None: enough.
        mapping: where a user wants layers to lie; where any is named, no others are cut.
    """

    target: Target
    packing: str = "auto"
    crossbars: int | None = None
    mapping: MappingFile | None = None
    name = "cut"

    def __call__(self, module: Module) -> Module:
        """Attach regions.

        Raises:
            MappingError: the mapping does not fit the model or the target.
        """
        found = self._given(module)
        if not found and self._needed(module):
            settled = regions(module, self.target)
            if self._saves(module, settled):
                found = {index: as_attribute(members) for index, members in settled.items()}
        return replace(
            module,
            ops=tuple(
                replace(op, attributes={**op.attributes, ATTRIBUTE: found[index]})
                if index in found
                else op
                for index, op in enumerate(module.ops)
            ),
        )

    def _given(self, module: Module) -> dict[int, AttributeValue]:
        """The regions of the layers that the mapping names, as attributes of their ops."""
        if self.mapping is None:
            return {}
        given = regions_of(self.mapping, module, self.target)
        found: dict[int, AttributeValue] = {}
        for index, op in enumerate(module.ops):
            if op.kind == "crossbar" and op.origins and op.origins[0] in given:
                found[index] = as_attribute(given[op.origins[0]])
            elif op.kind in CELLS:
                named = [name for name in gate_matrices(module, op) if name in given]
                if named:
                    found[index] = tuple((name, as_attribute(given[name])) for name in named)
        return found

    def _needed(self, module: Module) -> bool:
        if self.packing != "auto" or self.crossbars is None:
            return self.packing == "densest"
        layers = [op for op in module.ops if op.kind == "crossbar"]
        return self._crossbars_uncut(module, layers, self.crossbars) > self.crossbars

    def _saves(self, module: Module, settled: Mapping[int, Sequence[Region]]) -> bool:
        """Whether layers need fewer crossbars cut than uncut.  Pieces of a layer on one crossbar
        run one after another, so that cutting for nothing is slow."""
        cut = len({region.crossbar for members in settled.values() for region in members})
        return self._crossbars_uncut(module, [module.ops[index] for index in settled], cut) > cut

    def _crossbars_uncut(self, module: Module, layers: Sequence[Op], enough: int) -> int:
        """Crossbars of the tiles that tiling makes of layers by itself: one for each if that is
        enough, else as few as packing finds."""
        shape = self.target.crossbar.rows.value, self.target.crossbar.columns.value
        rects = [
            Rect(rows, columns)
            for op in layers
            for rows, columns in usual_tiles(module, op, *shape)
        ]
        if len(rects) <= enough:
            return len(rects)
        return len({spot.crossbar for spot in pack(rects, *shape)})


def regions(module: Module, target: Target) -> dict[int, Sequence[Region]]:
    """The regions of all layers that may be cut, by the position of their op."""
    rows, columns = target.crossbar.rows.value, target.crossbar.columns.value
    strips = strips_of(module, target)
    widths: Counter[int] = Counter()
    for strip in strips:
        widths[strip.height] += strip.width
    pieces = pour(
        [(strip.height, strip.width) for strip in strips], divide(widths, rows).zones, columns
    )
    found: dict[int, list[Region]] = {}
    for piece in pieces:
        strip = strips[piece.strip]
        first, last = (strip.columns[0] + end for end in piece.columns)
        place = (piece.crossbar, piece.row, piece.column)
        found.setdefault(strip.layer, []).append(Region(strip.rows, (first, last), *place))
    return {layer: tuple(members) for layer, members in found.items()}


def strips_of(module: Module, target: Target) -> list[Strip]:
    """The strips of all layers that may be cut, in order."""
    rows, columns = target.crossbar.rows.value, target.crossbar.columns.value
    tied = _tied(module, target)
    layers = [
        index
        for index, op in enumerate(module.ops)
        if op.kind == "crossbar" and op.results[0] not in tied
    ]
    positions = {index: _positions(module, module.ops[index]) for index in layers}
    slowest = max((positions[i] for i in layers if module.ops[i].integer("group") == 1), default=0)
    found = []
    for index in layers:
        group, group_rows, group_columns = _groups(module, module.ops[index])
        most = groups_together(group_rows, group_columns, rows, columns) if group > 1 else 0
        unhurried = -(-group * positions[index] // max(slowest, 1))
        together = max(min(most, max(unhurried, -(-most // MOST_PRODUCTS))), 1)
        for first, last in bounds(balanced(group, together)):
            top, bottom = first * group_rows, last * group_rows
            span = (first * group_columns, last * group_columns)
            found += [
                Strip(index, (row, min(row + rows, bottom)), span)
                for row in range(top, bottom, rows)
            ]
    return found


def _tied(module: Module, target: Target) -> set[str]:
    """Values that a GDPU takes from a core that must be wired to it."""
    if target.gdpu.wiring.value != "column":
        return set()
    return {
        name
        for op in module.ops
        if is_elementwise(op.kind) and unit_of(target, op.kind) == GDPU
        for name in op.operands
    }


def _groups(module: Module, op: Op) -> tuple[int, int, int]:
    """Groups of a layer, rows and columns of each one's matrix."""
    outputs, *inner = module.constants[op.operands[1]].shape
    group = op.integer("group")
    return group, math.prod(inner), outputs // group


def _positions(module: Module, op: Op) -> int:
    """Products of one sample with the matrix of a layer."""
    outputs = int(module.constants[op.operands[1]].shape[0])
    return math.prod(module.tensor(op.results[0]).dims) // outputs


def usual_tiles(module: Module, op: Op, rows: int, columns: int) -> list[tuple[int, int]]:
    """Sizes of the tiles that tiling makes of a layer by itself."""
    group, group_rows, group_columns = _groups(module, op)
    most = groups_together(group_rows, group_columns, rows, columns) if group > 1 else 0
    return [
        (row, column)
        for together in balanced(group, max(most, 1))
        for row in balanced(together * group_rows, rows)
        for column in balanced(together * group_columns, columns)
    ]
