"""Chip ops of recurrent layers in real arithmetic, token by token."""

from __future__ import annotations

from functools import cache

import numpy as np

from anacc.ir import Op
from anacc.ir.cells import Function
from anacc_passes.tiling.builder import Builder
from tests.passes.chip_interpreter import Array, gather, tile
from tests.recurrent_layers import apply


def evaluate(builder: Builder, given: dict[str, Array]) -> dict[str, Array]:
    """All tokens of every channel; a token is computed from those that it depends on, so that a
    loop through time is no obstacle as long as nothing depends on itself."""
    makers = {name: op for op in builder.ops for name in op.results if name}

    def function(op: Op, gate: str, x: Array) -> Array:
        each = {gate: Function(*rest) for gate, *rest in op.nested("functions")}[gate]
        return x if each.name == "none" else apply(each, x)

    def gate(op: Op, name: str, step: int) -> list[Array]:
        """What the blocks of a step have of a gate."""
        first = 4 if op.kind == "lstm_cell" else 2
        channels, found = (op.operands[0], *op.operands[first:]), []
        for channel, names in zip(channels, op.nested("gates"), strict=True):
            if name in names:
                block = token(channel, step).reshape(len(names), -1)
                found.append(block[names.index(name)])
        return found

    def initial(op: Op, position: int, scale: str) -> Array:
        name = op.operands[position]
        if not name:
            return np.zeros(op.integer("units"))
        state = builder.constants[name] if name.startswith("@") else token(name, 0)
        return state.astype(np.float64) * op.number(scale)

    @cache
    def cell(place: int, step: int) -> tuple[Array, Array]:
        """Hidden state (in units of codes) and cell state after a number of steps."""
        op = builder.ops[place]
        if step == 0:
            h = initial(op, 1, "h_scale")
            return h, initial(op, 2, "c_scale") if op.kind == "lstm_cell" else h
        h, c = cell(place, step - 1)
        unit = op.number("h_unit")
        if op.kind == "rnn_cell":
            return unit * function(op, "candidate", gate(op, "candidate", step - 1)[0]), c
        if op.kind == "gru_cell":
            z = function(op, "update", np.sum(gate(op, "update", step - 1), axis=0))
            n = gate(op, "candidate", step - 1)
            if len(n) > 1:
                n = [n[0] + reset(place, step - 1) * n[1]]
            return (1 - z) * unit * function(op, "candidate", n[0]) + z * h, c
        p = builder.constants[op.operands[3]] if op.operands[3] else np.zeros(3)
        i = function(op, "input", gate(op, "input", step - 1)[0] + p[0] * c)
        forget = gate(op, "forget", step - 1)
        f = function(op, "forget", forget[0] + p[2] * c) if forget else 1 - i
        c = f * c + i * function(op, "candidate", gate(op, "candidate", step - 1)[0])
        o = function(op, "output", gate(op, "output", step - 1)[0] + p[1] * c)
        return unit * o * function(op, "state", c), c

    def reset(place: int, step: int) -> Array:
        op = builder.ops[place]
        return function(op, "reset", np.sum(gate(op, "reset", step), axis=0))

    @cache
    def moved(place: int) -> Array:
        op = builder.ops[place]
        return gather(op, builder.constants, [tokens(name) for name in op.operands[1:]])

    def part_of(op: Op, name: str, whole: Array) -> Array:
        first = sum(builder.sizes(op.results[: op.results.index(name)]))
        return whole[first : first + builder.type(name).token_size]

    @cache
    def token(name: str, index: int) -> Array:
        if name in given:
            return np.asarray(given[name][index])
        op = makers[name]
        place = builder.ops.index(op)
        if op.kind == "gather":
            return part_of(op, name, moved(place)[index])
        if op.kind == "regroup":
            return part_of(op, name, np.concatenate([token(n, index) for n in op.operands]))
        if op.kind.endswith("_cell"):
            steps, which = op.integer("steps"), op.results.index(name)
            if which == 5 and op.kind == "gru_cell":
                return reset(place, index) * cell(place, index)[0]
            if which == 5:
                return cell(place, steps)[1] * op.number("last_c_scale")
            return cell(place, (index, index + 1, index + 1, steps, steps)[which])[0]
        assert op.kind == "tile", op.kind
        needed = {n: token(n, index)[np.newaxis] for n in op.operands[3:] if n}
        return np.asarray(tile(op, builder.constants, needed)[0])

    def tokens(name: str) -> Array:
        return np.array([token(name, index) for index in range(builder.type(name).tokens)])

    return {name: tokens(name) for name in builder.values}
