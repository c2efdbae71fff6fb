"""Make functions of one element tables, where the target's GDPUs hold general tables.

1. Elementwise ops that together are one function of one value, and that more than an LDPU is needed
   for, become one `function` (`anacc_passes.composition`): one lookup does all their work.
2. A function gets the range that its operand has on the calibration data.
3. Where a table would be the least exact part of its surroundings, rule 1 leaves the ops as they
   are; a function that stays alone goes to the host, with the figure.
4. Where the target has no general tables, nothing changes.

A code of 8 bits errs by a root mean square of 1/127/sqrt(12) of the largest magnitude: 1 % of a
tensor with peaks of 4.4 times its root mean square, or -40 dB. A table that errs by more than that
is not worth its place on the chip.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.ir import Module, Op
from anacc.ir.functions import Steps, names
from anacc.ir.module import AttributeValue
from anacc.targets import Target
from anacc.targets.sections import FunctionTable
from anacc_passes.calibrate import activations
from anacc_passes.composition import Expression, expressions
from anacc_passes.reasons import Why, on_host
from anacc_passes.rewrite import rebuild
from anacc_passes.tables import Judgement, Range, judge, range_of

Feed = Mapping[str, npt.NDArray[Any]]
Array = npt.NDArray[np.float64]

LEAST_SNR = 40.0  # dB
KEPT = 1 << 16  # elements of a value that tables are judged on, in all,
KEPT_AT_ONCE = 1 << 13  # and of one part of the data


@dataclass
class Seen:
    """What calibration saw of a value."""

    low: float = math.inf
    high: float = -math.inf
    elements: list[Array] = field(default_factory=list)
    kept: int = 0

    def add(self, array: npt.NDArray[Any]) -> None:
        """Widen the range; keep some elements, evenly spaced."""
        if not array.size:
            return
        self.low = float(np.minimum(self.low, array.min()))
        self.high = float(np.maximum(self.high, array.max()))
        if self.kept < KEPT:
            step = -(-array.size // KEPT_AT_ONCE)
            self.elements.append(array.reshape(-1)[::step].astype(np.float64))
            self.kept += self.elements[-1].size

    @property
    def is_finite(self) -> bool:
        """Whether there is a range, and all in it are numbers."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Tabulate:
    """Graph to graph; see the module's docstring for the rules.

    Before: a graph module as imported.  After: every `function` has the range of its table, if the
    target has tables.

    Attributes:
        target: whose tables are meant; None: nothing changes.
        feeds: calibration data.
    """

    target: Target | None = None
    feeds: Sequence[Feed] = ()
    name = "tabulate"

    def __call__(self, module: Module) -> Module:
        """Apply the rules, from the last op to the first."""
        target = self.target
        if target is None or "table" not in target.gdpu.functions.value:
            return module
        table = target.gdpu.function_table
        chains = {
            name: found
            for name, found in expressions(module, target).items()
            if found.is_curve(module)
        }
        alone = [op for op in module.ops if op.kind == "function"]
        roots = {found.root for found in chains.values()} | {op.operands[0] for op in alone}
        if table is None or not roots:
            return module
        seen = self._look(module, sorted(roots))
        needed = {name for _, name in module.outputs}
        ops: list[Op] = []
        for op in reversed(module.ops):
            if needed.isdisjoint(op.results):
                continue
            chain = chains.get(op.results[0])
            done = None if chain is None else _composed(module, op, chain, seen, table)
            if done is None and op.kind == "function":
                done = _alone(op, seen, table)
            ops.append(done or op)
            needed.update(ops[-1].operands)
        return rebuild(module, reversed(ops))

    def _look(self, module: Module, wanted: Iterable[str]) -> dict[str, Seen]:
        """What the calibration data make of some values."""
        seen = {name: Seen() for name in wanted}
        for name, array in activations(module, self.feeds, seen):
            seen[name].add(array)
        return seen


def _composed(
    module: Module, op: Op, chain: Expression, seen: Mapping[str, Seen], table: FunctionTable
) -> Op | None:
    """One `function` in the place of a chain, or None if its table would not be good enough."""
    found = _judged(chain.steps, seen[chain.root], table)
    if found is None or not found[1].snr_db >= LEAST_SNR:
        return None
    return Op(
        "function",
        (chain.root,),
        op.results,
        {"steps": chain.steps, **_attributes(*found)},
        chain.origins(module),
    )


def _alone(op: Op, seen: Mapping[str, Seen], table: FunctionTable) -> Op:
    """The `function` with its range, or a `host` op in its place."""
    steps: Steps = op.nested("steps")
    found = _judged(steps, seen[op.operands[0]], table)
    if found is None:  # nothing is known: calibration will say why
        return op
    where, judgement = found
    if judgement.snr_db >= LEAST_SNR:
        return replace(op, attributes={**op.attributes, **_attributes(where, judgement)})
    return on_host(op, _why(steps, where, judgement, table))


def _judged(steps: Steps, seen: Seen, table: FunctionTable) -> tuple[Range, Judgement] | None:
    if not seen.is_finite:
        return None
    where = range_of(steps, seen.low, seen.high)
    return where, judge(steps, where, np.concatenate(seen.elements), table)


def _attributes(where: Range, judgement: Judgement) -> dict[str, AttributeValue]:
    return {"low": where.low, "high": where.high, "nonnegative": judgement.nonnegative}


def _why(steps: Steps, where: Range, judgement: Judgement, table: FunctionTable) -> Why:
    """Why a function is not tabulated, and what helps."""
    bounds = f"{where.low:.3g} to {where.high:.3g}"
    if judgement.snr_db == -math.inf:
        return (
            f"{names(steps)} is not finite everywhere from {bounds}, the range of its operand",
            "clip its operand in the model to where it is finite",
        )
    wrong = 100 * 10 ** (-judgement.snr_db / 20)
    most = 100 * 10 ** (-LEAST_SNR / 20)
    return (
        f"a table of {names(steps)} with {table.segments.value} segments from {bounds} would be "
        f"wrong by {wrong:.2g} %, and at most {most:.2g} % are worth it",
        "clip its operand in the model to where it matters, or raise "
        "`gdpu.function_table.segments` in a target file",
    )
