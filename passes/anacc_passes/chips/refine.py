"""Moving nodes between the parts of a cut, as long as less crosses its boundaries.

A net costs its values times the boundaries between its first and its last part.  A move takes one
node to another part that its nets touch, if it fits there and the cost falls (Fiduccia and
Mattheyses [1]_ without their moves uphill).  Nodes without weight move freely: that is how what
no crossbar holds gets to where least is moved.

References:
    .. [1] C. M. Fiduccia, R. M. Mattheyses, "A linear-time heuristic for improving network
       partitions", 19th Design Automation Conference, 175-181 (1982).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from anacc_passes.chips.stream_graph import Net

ROUNDS = 8
"""How often each node may be looked at."""


class Parts:
    """A cut that is being changed.

    Args:
        parts: of each node, from 0.
        weights: of each node.
        nets: see `Net`.
        before: for each node those that may not come to a later part than it does; None where any
            order will do.
    """

    def __init__(
        self,
        parts: Sequence[int],
        weights: Sequence[int],
        nets: Sequence[Net],
        before: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.parts = list(parts)
        self.weights = weights
        self.nets = nets
        self.loads: Counter[int] = Counter()
        for part, weight in zip(self.parts, weights, strict=True):
            self.loads[part] += weight
        self.of_node: list[list[int]] = [[] for _ in self.parts]
        self.ends: list[Counter[int]] = []  # of each net: nodes in each part
        for number, net in enumerate(nets):
            self.ends.append(Counter(self.parts[node] for node in net.nodes))
            for node in net.nodes:
                self.of_node[node].append(number)
        self.before = before or [()] * len(self.parts)
        self.after: list[list[int]] = [[] for _ in self.parts]
        for node, sources in enumerate(self.before):
            for source in sources:
                self.after[source].append(node)

    def cost(self) -> int:
        """Values times boundaries that they cross."""
        return sum(
            net.values * (max(ends) - min(ends))
            for net, ends in zip(self.nets, self.ends, strict=True)
        )

    def improve(self, capacity: int) -> None:
        """Move nodes until nothing helps, or each was looked at often enough."""
        for _ in range(ROUNDS):
            moved = False
            for node in range(len(self.parts)):
                best = self._best(node, capacity)
                if best is not None:
                    self._move(node, best)
                    moved = True
            if not moved:
                return

    def _best(self, node: int, capacity: int) -> int | None:
        """The part to which a move saves most, or None; ties go to the lower number."""
        here, weight = self.parts[node], self.weights[node]
        touched = [n for n in self.of_node[node] if len(self.ends[n]) > 1]
        if not touched:
            return None
        low = max((self.parts[other] for other in self.before[node]), default=0)
        high = min((self.parts[other] for other in self.after[node]), default=len(self.parts))
        options = sorted(
            {
                part
                for number in touched
                for part in self.ends[number]
                if part != here and low <= part <= high and self.loads[part] + weight <= capacity
            }
        )
        gains = [(self._gain(node, part), -part) for part in options]
        gain, part = max(gains, default=(0, 0))
        return -part if gain > 0 else None

    def _gain(self, node: int, part: int) -> int:
        here, gain = self.parts[node], 0
        for number in self.of_node[node]:
            ends = self.ends[number]
            others = [p for p, count in ends.items() if p != here or count > 1]
            now, then = [*others, here], [*others, part]
            gain += self.nets[number].values * (max(now) - min(now) - max(then) + min(then))
        return gain

    def _move(self, node: int, part: int) -> None:
        here = self.parts[node]
        self.parts[node] = part
        self.loads[here] -= self.weights[node]
        self.loads[part] += self.weights[node]
        for number in self.of_node[node]:
            ends = self.ends[number]
            ends[part] += 1
            ends[here] -= 1
            if not ends[here]:
                del ends[here]
