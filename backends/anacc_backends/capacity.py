"""How many tokens each channel can hold.

A stream that feeds several others must never wait for the slowest of them while another one waits
for it.  Every channel that leaves a fork (several readers, or a writer with several channels)
therefore holds all tokens of a sample; then a fork never blocks, and what comes behind it always
moves on.  So does one that leads to a later round, which begins when this one has ended.  Copies of
a layer whose rows are put back into order wait for their turn: a channel to
such a merge holds two such turns, one that comes while the other one waits.  Copies read the
same tokens, from a fork, so none waits for another one.  All other channels hold what the target's
links hold.
"""

from __future__ import annotations

from math import prod

from anacc.ir import Module, Op
from anacc.ir.chip_rules import channel
from anacc_passes.routing.sites import round_of


def capacities(module: Module, default: int) -> dict[str, int]:
    """Capacity of each channel of a chip-level module, in tokens.

    Args:
        module: chip level.
        default: capacity of a channel that leaves no fork and no round.
    """
    consumers = module.consumers()
    forks: set[str] = set()
    for op in module.ops:
        results = [name for name in op.results if name]
        if len(results) > 1:
            forks.update(results)
        forks.update(name for name in results if len(consumers[name]) > 1)
        forks.update(
            name
            for name in results
            if any(round_of(reader) != round_of(op) for reader in consumers[name])
        )
    found = {}
    for name in module.values:
        found[name] = max(default, channel(module, name).tokens) if name in forks else default
    for op in module.ops:
        if op.kind == "merge":
            for name in op.operands:
                found[name] = max(found[name], min(channel(module, name).tokens, 2 * _turn(op)))
    return found


def _turn(op: Op) -> int:
    """Tokens that a merge takes from a copy before it goes on to the next one, at most: those of
    one round of the outermost loop that copies share."""
    counts, ways = op.integers("counts"), op.integers("ways")
    shared = next((loop for loop, number in enumerate(ways) if number > 1), len(ways))
    return prod(-(-n // r) for n, r in zip(counts[shared + 1 :], ways[shared + 1 :], strict=True))
