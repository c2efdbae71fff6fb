"""The gates of a recurrent layer as columns of crossbars.

The pre-activation of a gate is one column for each hidden unit.  A *block* is what one column of
tiles gives for some hidden units: gates side by side, each as wide as these units.

1. The functions of gates that are clamped lines (relu, hard sigmoid, what is clipped) are the
   LDPU's, behind the last tile; the GDPU computes the others.  Gates that are clamped alike share
   a block.
2. The candidate of a GRU needs the product with the hidden state apart from that with the input,
   or a product with the reset hidden state.  In the former case (`linear_before_reset`) the blocks
   of input and hidden state have all gates each, and the GDPU adds them, as long as none is the
   LDPU's to finish.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from anacc.errors import IrError
from anacc.ir import Op
from anacc.ir.cells import CELLS, PEEPHOLES, Function, functions_of

INPUT, HIDDEN, RESET = "input", "hidden", "reset"
"""What drives rows: the input, the hidden state, and that multiplied by the reset gate."""

_NONE = Function("none")


@dataclass(frozen=True)
class Line:
    """slope * x + offset, then clamped to [low, high]."""

    slope: float = 1.0
    offset: float = 0.0
    low: float = -math.inf
    high: float = math.inf

    @property
    def bounds(self) -> tuple[float, float]:
        """Where it is clamped."""
        return self.low, self.high

    @property
    def is_clamped(self) -> bool:
        """Whether it is more than a line."""
        return self.bounds != (-math.inf, math.inf)


@dataclass(frozen=True)
class Block:
    """Gates that one column of tiles computes.

    Attributes:
        gates: in the order of the columns.
        rows: what drives its rows, in their order.
        lines: what the LDPU does to each gate, all clamped alike.
        label: distinguishes the blocks of a layer, "" where there is one.
    """

    gates: tuple[str, ...]
    rows: tuple[str, ...]
    lines: tuple[Line, ...]
    label: str = ""


def functions_of_gates(op: Op, direction: int) -> dict[str, Function]:
    """The function of each gate of a recurrent layer; that of an LSTM's cell state is `state`."""
    functions = functions_of(op, direction)
    if op.kind == "lstm":
        gate, candidate, state = functions
        gates = dict.fromkeys(("input", "output", "forget"), gate)
        return {**gates, "candidate": candidate, "state": state}
    if op.kind == "gru":
        return {"update": functions[0], "reset": functions[0], "candidate": functions[1]}
    return {"candidate": functions[0]}


def on_gdpu(functions: Mapping[str, Function]) -> dict[str, Function]:
    """What is left to the GDPU of the functions of gates."""
    return {gate: _NONE if _line(each) else each for gate, each in functions.items()}


def blocks_of(op: Op, direction: int) -> tuple[Block, ...]:
    """The blocks of one direction of a recurrent layer; those of what a GRU resets are the last."""
    functions = functions_of_gates(op, direction)
    clip = op.number("clip") if "clip" in op.attributes else math.inf
    lines = {gate: _clipped(each, clip) for gate, each in functions.items()}
    _check_clamps(op, functions, lines)
    whole = (INPUT, HIDDEN)
    if op.kind == "rnn":
        blocks = _blocks(("candidate",), whole, lines)
    elif op.kind == "lstm":
        # In the order of the chip's GDPU.
        gates: tuple[str, ...] = ("input", "candidate", "forget", "output")
        if op.attributes.get("input_forget") is True:
            gates = tuple(gate for gate in gates if gate != "forget")
        blocks = _blocks(gates, whole, lines)
    else:
        blocks = _gru_blocks(op.attributes["linear_before_reset"] is True, lines)
    # Where there is one, the layer's name says enough.
    return (replace(blocks[0], label=""),) if len(blocks) == 1 else tuple(blocks)


def _check_clamps(op: Op, functions: Mapping[str, Function], lines: Mapping[str, Line]) -> None:
    """Only what a column of tiles sums up can be clamped behind it.

    Raises:
        IrError: if a gate is that the GDPU adds to first, or multiplies.
    """
    added: set[str] = set()
    if op.attributes.get("linear_before_reset") is True:
        added = {"candidate"}
    if len(op.operands) > PEEPHOLES and op.operands[PEEPHOLES]:
        added = set(CELLS[op.kind].peepholes)
    clamped = {gate for gate in added if lines[gate].is_clamped}
    if "state" in functions and _line(functions["state"]) is not None:
        clamped.add("state")
    if clamped:
        raise IrError(
            f"op `{op.kind}` of {op.origins} clamps {', '.join(sorted(clamped))} too late"
        )


def _gru_blocks(linear_before_reset: bool, lines: Mapping[str, Line]) -> list[Block]:
    gates = ("update", "reset")
    if not linear_before_reset:
        candidate = _blocks(("candidate",), (INPUT, RESET), lines)
        return _blocks(gates, (INPUT, HIDDEN), lines) + candidate
    finished: list[Block] = []
    left: tuple[str, ...] = (*gates, "candidate")
    if lines["update"].is_clamped:
        finished, left = _blocks(gates, (INPUT, HIDDEN), lines), left[2:]
    return finished + [_block(left, (rows,), lines, f" of {rows}") for rows in (INPUT, HIDDEN)]


def _blocks(gates: Iterable[str], rows: tuple[str, ...], lines: Mapping[str, Line]) -> list[Block]:
    """One block for all gates that are clamped alike."""
    alike: dict[tuple[float, float], list[str]] = {}
    for gate in gates:
        alike.setdefault(lines[gate].bounds, []).append(gate)
    return [_block(tuple(chosen), rows, lines) for chosen in alike.values()]


def _block(
    gates: tuple[str, ...], rows: tuple[str, ...], lines: Mapping[str, Line], which: str = ""
) -> Block:
    return Block(gates, rows, tuple(lines[gate] for gate in gates), "+".join(gates) + which)


def _line(function: Function) -> Line | None:
    """A function that the LDPU can do, None where it is the GDPU's."""
    if function.name == "relu":
        return Line(low=0.0)
    if function.name == "hard_sigmoid":
        return Line(function.alpha, function.beta, 0.0, 1.0)
    return None


def _clipped(function: Function, clip: float) -> Line:
    """What the LDPU does for a function of what is clipped to [-clip, clip].

    A clamped line of what is clipped is that line, clamped where it is at the ends.
    """
    line = _line(function)
    if line is None:
        return Line(low=-clip, high=clip)
    if math.isinf(clip):
        return line
    ends = sorted(
        min(max(line.slope * end + line.offset, line.low), line.high) for end in (-clip, clip)
    )
    return Line(line.slope, line.offset, ends[0], ends[1])
