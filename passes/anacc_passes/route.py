"""Give each transfer on the chip the links that it crosses.

Before: every op has a unit.  After: every op of a core, GDPU or bridge has `routes`, for each
result the numbers of the links that its values cross, sorted, each once; () where there are none.

1. Cores have links to their neighbours, each way.  A core column shares one link to its GDPU and
   one from it; where any core reaches any GDPU, all cores share one link to and from each.
2. What goes to or comes from the bridge or the host uses no link on the chip: activations between
   layers leave the chip, as in the demonstrations of the chip.  The host reaches every chip.
3. Chips form a chain.  A transfer between two of them crosses the link between each two neighbours
   on the way and no other: it leaves and enters a chip at its port, as what the bridge moves does.
   What waits for a later round waits in the memory of the host, and crosses none.
4. A transfer on a chip takes no detour and turns twice at most, where it needs fewest new links, or
   else meets least traffic.  What comes from a GDPU enters the grid in the row of the core that it
   is for.  Several readers share links: a value crosses each link once, and goes on to the next
   reader from the nearest core that it reaches.
5. Then each value in turn, the largest first, gives up its links and is routed anew, as long as
   that helps and as often as the effort allows: with fewer links, or as many of less traffic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from anacc.ir import Module
from anacc.ir.chip_ops import CELLS
from anacc.ir.chip_rules import values_of
from anacc.targets import Target
from anacc_passes.routing.router import Router
from anacc_passes.routing.sites import chips_of

_ROUTED = ("tile", "regroup", "gather", "merge", "pointwise", *CELLS)

ROUNDS = (0, 2, 8, 32)
"""How often each value is routed anew at most, by effort."""


@dataclass(frozen=True)
class Route:
    """Placed chip to routed chip.

    Attributes:
        target: the chip.
        effort: 0 to 3, how often values are routed anew.
    """

    target: Target
    effort: int = 1
    name = "route"

    def __call__(self, module: Module) -> Module:
        """Route every transfer.

        Raises:
            CompileError: if the target lacks the links for one.
        """
        router = Router(self.target, chips_of(module))
        consumers = module.consumers()
        found = {
            name: router.route(module, op, name, consumers[name])
            for op in module.ops
            if op.kind in _ROUTED
            for name in op.results
            if name
        }
        makers = module.producers()
        crossing = [name for name in found if len(found[name]) > 1]
        crossing.sort(key=lambda name: -values_of(module, name))
        for _ in range(ROUNDS[self.effort]):
            before = dict(found)
            for name in crossing:
                found[name] = router.rerouted(
                    module, makers[name], name, consumers[name], found[name]
                )
            if found == before:
                break
        routed = []
        for op in module.ops:
            if op.kind in _ROUTED:
                routes = tuple(found[name] if name else () for name in op.results)
                op = replace(op, attributes={**op.attributes, "routes": routes})
            routed.append(op)
        return replace(module, ops=tuple(routed))
