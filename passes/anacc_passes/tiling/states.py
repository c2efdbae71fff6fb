"""The states of a recurrent layer: the initial ones, and what leaves of those that follow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from anacc.ir import Op
from anacc_passes.binary16 import LARGEST, binary16
from anacc_passes.calibrate import spread
from anacc_passes.ranges import LARGEST_CODE
from anacc_passes.tiling.builder import Builder, bounds
from anacc_passes.tiling.layout import natural, row_major, sample_dims
from anacc_passes.tiling.movement import Movement, move
from anacc_passes.tiling.samples import VECTORS, Vectors

RESULTS = ("y", "y_h", "y_c")


@dataclass(frozen=True)
class Initial:
    """An initial state, cut like the chunks.

    Attributes:
        parts: for each chunk a channel of one token, a constant, or "" for zeros.
        scale: real value of one unit of an element; 0 where there is none.
    """

    parts: tuple[str, ...]
    scale: float


def hidden_scale(op: Op) -> float:
    """Real value of one code of a layer's hidden states."""
    return op.number("hidden_scale", 1.0 / LARGEST_CODE)


def initial_state(
    builder: Builder, op: Op, position: int, direction: int, sizes: tuple[int, ...]
) -> Initial:
    """The initial state of one direction at a position of the operands."""
    none = Initial(("",) * len(sizes), 0.0)
    name = op.operands[position] if len(op.operands) > position else ""
    if not name:
        return none
    if name.startswith("@"):
        state = builder.module.constants[name][direction].reshape(-1)
        if not state.any():
            return none
        # Like a state that enters the chip, it saturates.
        state = np.clip(state, -LARGEST, LARGEST)
        pieces = (binary16(state[a:b], f"node `{op.origins[0]}`") for a, b in bounds(sizes))
        parts = tuple(builder.constant(f"{name[1:]}.chunk", piece) for piece in pieces)
        return Initial(parts, 1.0)
    found = builder.tokens[name]
    form = found.finest
    hidden = sum(sizes)
    strides = row_major(found.layout.dims)
    movement = Movement(math.prod(found.layout.dims), ((0, strides),), (direction * hidden, (1,)))
    one = move(
        builder,
        [found],
        movement,
        natural((hidden,)),
        found.scale,
        frozenset({form}),
        f"{name}.direction",
        op.origins,
    )
    return Initial(builder.regroup(one.parts[form], sizes, op.origins), found.scale)


def result_channels(
    builder: Builder,
    op: Op,
    stem: str,
    units: int,
    steps: int,
    wanted: dict[str, frozenset[str]],
) -> dict[str, dict[str, str]]:
    """New channels of the results of one chunk of hidden units, by result and format."""
    states: dict[str, dict[str, str]] = {name: {} for name in RESULTS}
    for name, forms in wanted.items():
        tokens = steps if name == "y" else 1
        scale = builder.scale(op.results[RESULTS.index(name)])
        for form in sorted(forms):
            states[name][form] = builder.channel(
                f"{stem}.{name}.{form}", form, units, tokens, scale
            )
    return states


def sampled_states(builder: Builder, op: Op, direction: int, scale: float) -> Vectors | None:
    """Hidden states on calibration data in units of their code, shape (n, hidden), if the model
    returns them."""
    if builder.samples is None or not builder.samples.holds(op.results[0]):
        return None
    dims = sample_dims(builder.module.tensor(op.results[0]))
    tokens = builder.samples.tokens(op.results[0], natural(dims), scale)
    states = tokens.reshape(-1, dims[1], dims[-1])[:, direction]
    return states[spread(len(states), VECTORS)]
