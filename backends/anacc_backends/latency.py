"""How long one sample takes, estimated: one pass over the streams, from inputs to outputs.

What is known of a channel is when its first and its last token are there; tokens between come
evenly.  A stream starts a token when what it needs has come, and one token after another:

1. A tile, a pointwise op, a regroup or a merge needs a token of each operand for each of its own.
2. A `gather` needs the first `lead` rows for its first row of tokens and `step` more for each next
   one, or all of them (`anacc.ir.chip_ops`); what waits for the last row comes after it.
3. A recurrence goes round its streams once a step: the longest chain of tiles, then the cells.
4. The host takes no time but that of transfers: its own depends on the computer.

Streams of one unit are taken not to wait for each other, nor links to be busy: that makes the
estimate a lower one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

from anacc.ir import Module, Op
from anacc.ir.cells import CELLS
from anacc.ir.chip_rules import channel


@dataclass(frozen=True)
class Pace:
    """How fast a stream is.

    Attributes:
        delay: from the start of a token to its end, ns.
        interval: from the start of a token to that of the next one, ns.
    """

    delay: float
    interval: float


@dataclass(frozen=True)
class Arrival:
    """When the first and the last of some tokens are there, ns."""

    first: float
    last: float
    tokens: int

    def of(self, number: int) -> float:
        """When token `number`, counted from 1, is there."""
        if self.tokens < 2:
            return self.last
        return self.first + (self.last - self.first) * (number - 1) / (self.tokens - 1)


def rounds(module: Module) -> list[list[Op]]:
    """The ops of a chip-level module in the order in which tokens come to them; those of a
    recurrence together."""
    makers = {name: index for index, op in enumerate(module.ops) for name in op.results if name}
    streams: nx.DiGraph[int] = nx.DiGraph()
    streams.add_nodes_from(range(len(module.ops)))
    for index, op in enumerate(module.ops):
        streams.add_edges_from((makers[name], index) for name in op.operands if name in makers)
    whole = nx.condensation(streams)
    return [
        [module.ops[index] for index in sorted(whole.nodes[number]["members"])]
        for number in nx.topological_sort(whole)
    ]


def latency(module: Module, order: Sequence[Sequence[Op]], pace: Callable[[Op], Pace]) -> float:
    """The time in ns from the start of a sample to its last output.

    Args:
        module: chip level.
        order: what `rounds` gives for it.
        pace: of each op; for a border of the host, `delay` is that of a whole transfer.
    """
    arrivals: dict[str, Arrival] = {}
    total = 0.0
    for ops in order:
        if len(ops) == 1:
            found = _arrival(module, ops[0], arrivals, pace(ops[0]))
        else:
            found = _round(module, ops, arrivals, pace)
        total = max(total, found.last)
        for op in ops:
            for name in op.results:
                if name:
                    arrivals[name] = Arrival(found.first, found.last, channel(module, name).tokens)
    return total


def _arrival(module: Module, op: Op, arrivals: Mapping[str, Arrival], pace: Pace) -> Arrival:
    """When the results of a stream are there."""
    given = [arrivals[name] for name in op.operands if name in arrivals]
    complete = max((each.last for each in given), default=0.0)
    if op.kind in ("input", "output", "host"):
        return Arrival(complete + pace.delay, complete + pace.delay, 1)
    tokens = channel(module, next(name for name in op.results if name)).tokens
    started, tail = max((each.first for each in given), default=0.0), 1
    if op.kind == "gather":
        started, tail = _gathered(op, given, tokens)
    elif op.kind in CELLS:
        tokens = max(tokens, op.integer("steps"))
    first = started + pace.delay
    last = max(
        first + (tokens - 1) * pace.interval, complete + pace.delay + (tail - 1) * pace.interval
    )
    return Arrival(first, last, tokens)


def _gathered(op: Op, given: list[Arrival], tokens: int) -> tuple[float, int]:
    """When a gather has what its first token needs, and how many tokens need the last row."""
    step, lead = op.integer("step"), op.integer("lead")
    complete = max(each.last for each in given)
    if step == 0:
        return complete, tokens
    rows, rounds = op.nested("stores")[0][0][0], op.nested("load")[0][0]
    early = [each.of(max(1, -(-lead * each.tokens // rows))) for each in given]
    before = min(rounds - 1, -(-(rows - lead) // step))  # rounds that need not all rows
    return (max(early) if lead else 0.0), (rounds - before) * (tokens // rounds)


def _round(
    module: Module, ops: Sequence[Op], arrivals: Mapping[str, Arrival], pace: Callable[[Op], Pace]
) -> Arrival:
    """When the results of a recurrence are there: its streams wait for each other in each step."""
    start = max((arrivals[n].first for op in ops for n in op.operands if n in arrivals), default=0)
    complete = max(
        (arrivals[n].last for op in ops for n in op.operands if n in arrivals), default=0
    )
    chains: dict[str, float] = {}
    for op in ops:
        if op.kind == "tile":
            chain = pace(op).delay + chains.get(op.operands[3], 0.0)
            chains.update(dict.fromkeys((name for name in op.results if name), chain))
    cells = [op for op in ops if op.kind in CELLS]
    turns = 2 if any(op.kind == "gru_cell" and op.results[5:] for op in cells) else 1
    digital = max((pace(op).delay for op in ops if op.kind != "tile"), default=0.0)
    step = turns * max(chains.values(), default=0.0) + digital
    steps = max((op.integer("steps") for op in cells), default=1)
    return Arrival(start + step, max(start + steps * step, complete + step), steps)
