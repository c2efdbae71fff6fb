"""Cut layers into tiles and streams: layer ops become chip ops.

Before: every float32 value has a scale.  After: each op is one stream of one kind of unit, not yet
placed; every value is a channel whose consumers read all its tokens.  How each kind of layer is
cut is told in `anacc_passes.tiling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from anacc.errors import IrError
from anacc.ir import Level, Module, Op
from anacc.ir.cells import CELLS
from anacc.targets import Target
from anacc_passes.formats import BORDERS, MOVES, POINTWISE, demands
from anacc_passes.parallel import Crew, cpus, one_blas_thread
from anacc_passes.tiling.border import describe, enter, leave, lower_border, lower_host
from anacc_passes.tiling.builder import Builder
from anacc_passes.tiling.crossbar import lower_crossbar
from anacc_passes.tiling.held import held_tensors
from anacc_passes.tiling.movement import lower_move
from anacc_passes.tiling.pointwise import lower_pointwise
from anacc_passes.tiling.pooling import lower_pool
from anacc_passes.tiling.recurrent import lower_recurrent
from anacc_passes.tiling.samples import Feed, Samples


@dataclass(frozen=True)
class Tile:
    """Layer to chip.

    Attributes:
        target: sizes of crossbars and GDPUs, converters.
        read_mode: `4-phase` or `1-phase`.
        feeds: calibration data, on which ranges of columns and converters are chosen and judged.
        correction: see `anacc_passes.tiling.correction`.
        row_copies: whether rows that a tile leaves free hold copies of its rows where that helps
            the converters; not if there are more tiles than cores, which have to share crossbars.
        chips: whose cores there are.
    """

    target: Target
    read_mode: str
    feeds: Sequence[Feed] = ()
    correction: str = "none"
    row_copies: bool = False
    chips: int = 1
    name = "tile"

    def __call__(self, module: Module) -> Module:
        """Lower every op in order.

        Raises:
            CompileError: if a layer needs a unit that the target does not have.
        """
        samples = Samples.of(module, self.feeds) if self.feeds else None
        lowered = self._lower(module, samples, row_copies=True) if self.row_copies else None
        lowered = lowered or self._lower(module, samples, row_copies=False)
        if lowered is None:
            raise IrError("only tiles whose rows have copies can be too many")
        return lowered

    def _lower(self, module: Module, samples: Samples | None, row_copies: bool) -> Module | None:
        """The lowered module; None where rows have copies and there are more tiles than cores."""
        with one_blas_thread(), Crew(cpus()) as crew:
            builder = Builder(
                module, self.target, self.read_mode, samples, self.correction, row_copies, crew
            )
            demanded = _chip_demands(module)
            whole = _host_demands(module)
            for value in module.inputs:
                for channel, border in enter(builder, value, demanded[value], whole[value]):
                    builder.emit("input", (), (channel,), (), **border)
            for op in module.ops:
                _lower_op(builder, op, demanded, whole)
                if row_copies and builder.tiles > self.chips * self.target.cores:
                    return None
            for name, value in module.outputs:
                channel, layout = leave(builder, value, ())
                builder.emit("output", (channel,), (), (), **describe(builder, value, name, layout))
        return replace(
            module,
            level=Level.CHIP,
            inputs=(),
            outputs=(),
            values=builder.values,
            constants=builder.constants,
            ops=tuple(builder.ops),
            held=held_tensors(builder),
        )


def _lower_op(
    builder: Builder, op: Op, demanded: dict[str, frozenset[str]], whole: dict[str, bool]
) -> None:
    if op.kind == "host":
        lower_host(builder, op, demanded, whole)
    elif op.kind in CELLS:
        builder.tokens.update(lower_recurrent(builder, op, demanded))
    elif op.results[0] not in builder.between:
        result = op.results[0]
        lower = _LOWER[op.kind]
        builder.tokens[result] = lower(builder, op, demanded[result])


_LOWER = {
    "crossbar": lower_crossbar,
    "max_pool": lower_pool,
    "average_pool": lower_pool,
    **{kind: lower_move for kind in MOVES},
    **{kind: lower_pointwise for kind in POINTWISE},
    **{kind: lower_border for kind in BORDERS},
}


def _on_host(module: Module) -> set[str]:
    """Values that the host holds: model inputs and results of host ops."""
    made = {name for op in module.ops if op.kind == "host" for name in op.results}
    return made | set(module.inputs)


def _host_demands(module: Module) -> dict[str, bool]:
    """Which values of the host another host op or a model output takes whole."""
    held = _on_host(module)
    taken = {value for _, value in module.outputs}
    for op in module.ops:
        if op.kind == "host":
            taken.update(op.operands)
    return {name: name in held and name in taken for name in module.values}


def _chip_demands(module: Module) -> dict[str, frozenset[str]]:
    """The formats that the chip needs of each value; what the host passes to itself needs none."""
    held = _on_host(module)
    inner = replace(
        module,
        outputs=tuple(pair for pair in module.outputs if pair[1] not in held),
        ops=tuple(
            replace(op, operands=tuple(name for name in op.operands if name not in held))
            if op.kind == "host"
            else op
            for op in module.ops
        ),
    )
    return demands(inner)
