"""Which GDPU runs which op, and which grid column the tiles that feed it must then lie in.

1. Where a core is wired only to the GDPU of its grid column, ops of GDPUs and the tiles that feed
   them directly hang together: all of one group go to one GDPU and its column.
2. The chunks of recurrent layers are dealt out in turn, chunk k of the model to GDPU k mod count,
   so that the chunks of a layer work side by side.
3. An elementwise op stays where its operands are made, if that is one GDPU.  Else, fed by tiles, it
   goes to the GDPU whose column has fewest such tiles and which has least work from tiles, and of
   these to the one next to the last one chosen so.  Parts of a layer that stand side by side then
   go to columns side by side, there and back, and the chain of row tiles that reads them can follow
   the columns, whatever stands between the layers.  What no tile feeds goes where least work is.
4. A tile that a user has put on a core lies in that core's column, and its group with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

from anacc.errors import CompileError
from anacc.ir import Module, Op
from anacc.ir.chip_ops import CELLS
from anacc.ir.chip_rules import values_of
from anacc.targets import Target
from anacc_passes.units import GDPU, unit_of

# Functions of the chip op `pointwise` that are called otherwise at the graph level.
_FUNCTIONS = {"none": "affine", "table": "function"}


def runs_on(op: Op, target: Target) -> str | None:
    """The kind of unit that computes an op: `gdpu` or `core`, None for all other ops.

    A tile is not meant: it is on a core, but placed for its crossbar.
    """
    if op.kind in CELLS:
        return GDPU
    if op.kind != "pointwise":
        return None
    function = op.text("function")
    return unit_of(target, _FUNCTIONS.get(function, function))


@dataclass(frozen=True)
class Wiring:
    """What is settled before tiles are placed.

    Attributes:
        gdpus: GDPU of each op that runs on one, by position of the op in the module.
        columns: grid column of each tile that is tied to one, or to a core, by position of the op.
    """

    gdpus: Mapping[int, int]
    columns: Mapping[int, int]


def wire(module: Module, target: Target, pinned: bool = False) -> Wiring:
    """Choose a GDPU for each op that needs one.

    Args:
        module: of the chip level.
        target: the chip.
        pinned: whether the crossbar of a tile that has one is the core that it must lie on.

    Raises:
        CompileError: if there are such ops and no GDPU, or none that is wired to the cores that a
            user has chosen.
    """
    ops = module.ops
    work = [index for index, op in enumerate(ops) if runs_on(op, target) == GDPU]
    fixed = {
        index: target.column_of(op.integer("crossbar"))
        for index, op in enumerate(ops)
        if pinned and "crossbar" in op.attributes
    }
    if not work:
        return Wiring({}, fixed)
    usable = range(target.gdpu.count.value)
    if not usable:
        raise CompileError(
            f"node `{_origin(ops[work[0]])}` needs a GDPU and the target has none",
            "raise `gdpu.count` in a target file and give it with --target",
        )
    tied = target.gdpu.wiring.value == "column"
    makers = {result: i for i, op in enumerate(ops) for result in op.results if result}
    gdpus: dict[int, int] = {}
    columns = dict(fixed)
    load, fed = dict.fromkeys(usable, 0), dict.fromkeys(usable, 0)
    tiles = dict.fromkeys(usable, 0)
    dealt = last = 0
    groups = _groups(ops, work, makers, tied)
    # Cells first: their turn decides, and elementwise ops fill up what they leave.
    groups.sort(key=lambda group: not any(ops[index].kind in CELLS for index in group))
    for group in groups:
        members = [index for index in group if ops[index].kind != "tile"]
        feeders = [index for index in group if ops[index].kind == "tile"]
        chosen_columns = {fixed[index]: index for index in feeders if index in fixed}
        if chosen_columns:
            chosen = _wired(chosen_columns, ops, len(usable))
        elif any(ops[index].kind in CELLS for index in members):
            chosen = usable[dealt % len(usable)]
            dealt += 1
        else:
            near = {gdpus.get(m) for index in members for m in _makers_of(ops[index], makers)}
            stay = near.pop() if len(near) == 1 and not feeders else None
            if feeders:
                chosen = min(usable, key=lambda g: (tiles[g], fed[g], abs(g - last), load[g], g))
                last = chosen
            elif stay is not None:
                chosen = stay
            else:
                chosen = min(usable, key=lambda g: (load[g], abs(g - last), g))
        gdpus.update(dict.fromkeys(members, chosen))
        columns.update(dict.fromkeys(feeders, chosen))
        work_of_group = sum(_values(module, ops[index]) for index in members)
        load[chosen] += work_of_group
        fed[chosen] += work_of_group if feeders else 0
        tiles[chosen] += len(feeders)
    return Wiring(gdpus, columns)


def _wired(columns: Mapping[int, int], ops: Sequence[Op], count: int) -> int:
    """The GDPU of a group of which a user has put tiles into grid columns.

    Args:
        columns: in each such column one of the tiles.
        ops: of the module.
        count: number of GDPUs.

    Raises:
        CompileError: no GDPU is wired to all of them.
    """
    column, tile = next(iter(columns.items()))
    if len(columns) == 1 and column < count:
        return column
    listed = " and ".join(str(each) for each in sorted(columns))
    raise CompileError(
        f"layer `{ops[tile].text('layer')}` feeds a GDPU, and its mapping puts all that feeds the "
        f"same one into grid columns {listed}, to which no GDPU is wired",
        "let the tiles that feed a GDPU lie in its grid column",
    )


def tied_groups(ops: Sequence[Op], target: Target) -> list[list[int]]:
    """Ops of GDPUs with the tiles that must lie in their grid column, by position; none where any
    core reaches any GDPU."""
    if target.gdpu.wiring.value != "column":
        return []
    work = [index for index, op in enumerate(ops) if runs_on(op, target) == GDPU]
    makers = {result: i for i, op in enumerate(ops) for result in op.results if result}
    return _groups(ops, work, makers, tied=True)


def _groups(
    ops: Sequence[Op], work: list[int], makers: Mapping[str, int], tied: bool
) -> list[list[int]]:
    """Ops of GDPUs with the tiles that are tied to them, in the order of their first GDPU op."""
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(work)
    if tied:
        for index in work:
            for maker in _makers_of(ops[index], makers):
                if ops[maker].kind == "tile":
                    graph.add_edge(index, maker)
    found = [sorted(group) for group in nx.connected_components(graph)]
    return sorted(found, key=lambda g: min(i for i in g if ops[i].kind != "tile"))


def _makers_of(op: Op, makers: Mapping[str, int]) -> list[int]:
    return [makers[name] for name in op.operands if name in makers]


def _values(module: Module, op: Op) -> int:
    """Elements that an op takes per sample, its main operand's."""
    return values_of(module, next(name for name in op.operands if name.startswith("%")))


def _origin(op: Op) -> str:
    return op.origins[0] if op.origins else op.kind
