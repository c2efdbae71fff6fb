"""Streams of global digital units: the cells of recurrent layers, step by step.

The order of the operations, each of which rounds once, is that of docs/numerics.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from anacc.ir import Op
from anacc.ir.cells import Function
from anacc.program.model import Slice
from anacc_backends.emission.stream import Emission, StreamWriter


class Cell:
    """A stream of cells under construction.

    Attributes:
        emission: the program.
        op: the chip op.
        stream: its stream.
        units, steps: of the op.
        functions: what is left to do for each gate.
    """

    def __init__(self, emission: Emission, op: Op, stream: StreamWriter) -> None:
        self.emission, self.op, self.stream = emission, op, stream
        self.units, self.steps = op.integer("units"), op.integer("steps")
        self.functions = {gate: Function(*rest) for gate, *rest in op.nested("functions")}
        self._channels: Sequence[str] = ()
        self._blocks: list[Slice] = []

    def register(self, state: bool = False) -> Slice:
        """A binary16 register with an element for each hidden unit."""
        return self.stream.register("f16", self.units, state)

    def initial(self, name: str) -> Slice:
        """An initial state: the token of a channel, or a constant (0 * zero + constant)."""
        if not name.startswith("@"):
            return self.stream.receive(name)
        zero, value = self.register(state=True), self.register()
        constant = self.emission.vector(self.emission.module.constants[name])
        self.stream.op("affine", value, zero, self.emission.scalar(0.0), constant)
        return value

    def start(self, state: Slice | None = None) -> None:
        """Send the codes of the initial hidden state; keep it, in units of codes, in `state`."""
        feedback, initial = self.op.results[0], self.op.operands[1]
        if not initial:
            self.stream.send(feedback, self.stream.register("i8", self.units, state=True))
            return
        first, codes = self.register(), self.stream.register("i8", self.units)
        self.stream.scale(first, self.initial(initial), self.op.number("h_scale"))
        if state is not None:
            self.stream.op("copy", state, first)
        self.stream.op("quantise", codes, first)
        self.stream.send(feedback, codes)

    def blocks(self, channels: Sequence[str]) -> None:
        """Make room for blocks of gates, which these channels bring."""
        self._channels = channels
        sizes = [self.emission.channel(name).token_size for name in channels]
        self._blocks = [self.stream.register("f16", size) for size in sizes]

    def receive(self, *numbers: int) -> dict[str, list[Slice]]:
        """Receive some of the blocks, or all; for each gate where it stands in them."""
        found: dict[str, list[Slice]] = {}
        for number in numbers or range(len(self._blocks)):
            block = self._blocks[number]
            self.stream.receive(self._channels[number], block)
            for position, gate in enumerate(self.op.nested("gates")[number]):
                part = Slice(block.register, position * self.units, self.units)
                found.setdefault(gate, []).append(part)
        return found

    def whole(self, parts: list[Slice]) -> Slice:
        """The sum of what several blocks have of a gate."""
        for part in parts[1:]:
            self.stream.op("add", parts[0], parts[0], part)
        return parts[0]

    def apply(self, gate: str, slot: Slice) -> None:
        """Apply the function of a gate to a slice."""
        self.apply_to(slot, slot, self.functions[gate])

    def apply_to(self, into: Slice, source: Slice, function: Function) -> None:
        """into = function(source)."""
        scalar, op = self.emission.scalar, self.stream.op
        match function.name:
            case "sigmoid":
                table, half = self.emission.tanh(), scalar(0.5)
                op("scale", into, source, half)
                op("lookup", into, into, table)
                op("affine", into, into, half, half)
            case "tanh":
                op("lookup", into, source, self.emission.tanh())
            case "scaled_tanh":
                op("scale", into, source, scalar(function.beta))
                op("lookup", into, into, self.emission.tanh())
                op("scale", into, into, scalar(function.alpha))
            case "affine":
                op("affine", into, source, scalar(function.alpha), scalar(function.beta))
            case _:
                if into != source:
                    op("copy", into, source)

    def send(self, codes: Slice, hidden: Slice) -> None:
        """Quantise the hidden state of a step, in units of codes, and send it."""
        feedback, y_codes, y_values = self.op.results[:3]
        self.stream.op("quantise", codes, hidden)
        self.stream.send(feedback, codes)
        if y_codes:
            self.stream.send(y_codes, codes)
        if y_values:
            self.stream.send(y_values, hidden)

    def finish(self, codes: Slice, hidden: Slice) -> None:
        """Send the last hidden state."""
        last_codes, last_values = self.op.results[3:5]
        if last_codes:
            self.stream.send(last_codes, codes)
        if last_values:
            self.stream.send(last_values, hidden)


def emit_lstm_cell(emission: Emission, op: Op, stream: StreamWriter) -> None:
    """c = h(h(f c) + h(i a)); h = o tanh(c)."""
    cell = Cell(emission, op, stream)
    initial_c, peepholes = op.operands[2:4]
    c = cell.register(state=True)
    if initial_c:
        scaled = cell.register()
        stream.scale(scaled, cell.initial(initial_c), op.number("c_scale"))
        stream.op("copy", c, scaled)
    cell.start()
    cell.blocks((op.operands[0], *op.operands[4:]))
    unscaled, hidden = cell.register(), cell.register()
    codes = stream.register("i8", cell.units)
    seen = cell.register() if peepholes else unscaled
    coupled = unscaled  # f of a layer that couples it to i: used up before the state is made

    def look(number: int, gate: Slice) -> None:
        """Add what a gate sees of the cell state through its peephole."""
        if peepholes:
            factors = emission.module.constants[peepholes][number]
            stream.op("scale", seen, c, emission.vector(factors))
            stream.op("add", gate, gate, seen)

    with stream.loop(cell.steps, sequential=True):
        gates = {gate: parts[0] for gate, parts in cell.receive().items()}
        i, a, o = (gates[name] for name in ("input", "candidate", "output"))
        f = gates.get("forget")
        look(0, i)
        cell.apply("input", i)
        if f is None:
            f = coupled
            stream.op("affine", f, i, emission.scalar(-1.0), emission.scalar(1.0))
        else:
            look(2, f)
            cell.apply("forget", f)
        if not peepholes:
            cell.apply("output", o)
        cell.apply("candidate", a)
        stream.op("multiply", c, f, c)
        stream.op("multiply", a, i, a)
        stream.op("add", c, c, a)
        if peepholes:
            look(1, o)
            cell.apply("output", o)
        cell.apply_to(unscaled, c, cell.functions["state"])
        stream.op("multiply", unscaled, o, unscaled)
        stream.scale(hidden, unscaled, op.number("h_unit"))
        cell.send(codes, hidden)
    cell.finish(codes, hidden)
    if last_c := op.results[5]:
        out = cell.register()
        stream.scale(out, c, op.number("last_c_scale"))
        stream.send(last_c, out)


def emit_gru_cell(emission: Emission, op: Op, stream: StreamWriter) -> None:
    """h = h(h((1 - z) n) + h(z h)), all in units of codes but the gates."""
    cell = Cell(emission, op, stream)
    reset = op.results[5] if len(op.results) > 5 else ""
    hidden = cell.register(state=True)
    cell.start(hidden)
    cell.blocks((op.operands[0], *op.operands[2:]))
    codes, kept = stream.register("i8", cell.units), cell.register()
    count = len(op.nested("gates"))
    with stream.loop(cell.steps, sequential=True):
        gates = cell.receive(*range(count - 1 if reset else count))
        z, r = cell.whole(gates["update"]), cell.whole(gates["reset"])
        cell.apply("update", z)
        cell.apply("reset", r)
        if reset:
            stream.op("multiply", r, r, hidden)
            stream.op("quantise", codes, r)
            stream.send(reset, codes)
            (n,) = cell.receive(count - 1)["candidate"]
        else:
            n, inner = gates["candidate"]
            stream.op("multiply", inner, r, inner)
            stream.op("add", n, n, inner)
        cell.apply("candidate", n)
        stream.scale(n, n, op.number("h_unit"))
        stream.op("affine", kept, z, emission.scalar(-1.0), emission.scalar(1.0))
        stream.op("multiply", n, kept, n)
        stream.op("multiply", hidden, z, hidden)
        stream.op("add", hidden, n, hidden)
        cell.send(codes, hidden)
    cell.finish(codes, hidden)


def emit_rnn_cell(emission: Emission, op: Op, stream: StreamWriter) -> None:
    """h = f(...), where the LDPU has not done it."""
    cell = Cell(emission, op, stream)
    cell.start()
    cell.blocks(op.operands[:1])
    hidden, codes = cell.register(), stream.register("i8", cell.units)
    with stream.loop(cell.steps, sequential=True):
        (state,) = cell.receive()["candidate"]
        cell.apply("candidate", state)
        stream.scale(hidden, state, op.number("h_unit"))
        cell.send(codes, hidden)
    cell.finish(codes, hidden)
