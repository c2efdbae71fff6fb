"""What crosses the links of a chip: which unit sends how many values to which, per sample.

1. Cores and GDPUs use links; what comes from the bridge or the host, or goes there, does not.
2. A value that several streams of one core read crosses the links to it once.
3. Where a core is wired only to the GDPU of its grid column, a crossbar whose tile feeds a GDPU is
   tied to that column; all else between cores and GDPUs crosses from column to column.  Where every
   core reaches every GDPU, no placement of crossbars makes that way longer or shorter.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from anacc.ir import Module, Op
from anacc.ir.chip_rules import values_of
from anacc.targets import Target
from anacc_passes.floorplan.traffic import Pull, Traffic, Transfer

PARTIAL = 3
"""Position among the operands of a tile of the partial sum that it adds to."""


@dataclass(frozen=True, order=True)
class Unit:
    """A unit of a chip: `core`, `gdpu`, `bridge` or `host`, and its number.  Before cores are
    chosen, the number of a `core` is that of a crossbar."""

    kind: str
    chip: int
    index: int

    @staticmethod
    def of(op: Op) -> Unit:
        """The unit of a placed op."""
        kind, _, place = str(op.unit).partition(" ")
        chip, _, index = place.partition(".")
        return Unit(kind, int(chip), int(index))


@dataclass(frozen=True)
class Sent:
    """A value that crosses links from one unit to another of the same chip.

    Attributes:
        name: of the value.
        values: elements per sample.
        source, destination: cores or GDPUs, which differ.
        partial: whether it is a partial sum.
        from_tile: whether a tile made it.
    """

    name: str
    values: int
    source: Unit
    destination: Unit
    partial: bool
    from_tile: bool


def sent(module: Module, units: Sequence[Unit | None]) -> Iterator[Sent]:
    """All that crosses links, in the order of the ops that read it.

    Args:
        module: chip ops.
        units: of each op; None where links do not matter.
    """
    makers = {name: index for index, op in enumerate(module.ops) for name in op.results if name}
    found: dict[tuple[str, Unit], Sent] = {}
    for op, unit in zip(module.ops, units, strict=True):
        for position, name in enumerate(op.operands):
            maker = makers.get(name)
            if maker is None or unit is None or unit.kind not in ("core", "gdpu"):
                continue
            source = units[maker]
            if source is None or source.kind not in ("core", "gdpu") or source == unit:
                continue
            if source.chip != unit.chip:
                continue
            partial = op.kind == "tile" and position == PARTIAL
            before = found.get((name, unit))
            if before is None or (partial and not before.partial):
                from_tile = module.ops[maker].kind == "tile"
                values = values_of(module, name)
                found[name, unit] = Sent(name, values, source, unit, partial, from_tile)
    yield from found.values()


def traffic(
    module: Module, target: Target, units: Sequence[Unit | None], count: int, chip: int = 0
) -> Traffic:
    """What the crossbars of a chip exchange with each other and with its GDPUs.

    Args:
        module: chip ops.
        target: the chip.
        units: of each op; cores are numbers of crossbars.
        count: crossbars of the chip.
        chip: its number.
    """
    wired = target.gdpu.wiring.value == "column"
    ties: dict[int, int] = {}
    transfers: Counter[tuple[int, int, bool]] = Counter()
    pulls: Counter[tuple[int, int]] = Counter()
    for each in sent(module, units):
        source, destination = each.source, each.destination
        if source.chip != chip:
            continue
        if source.kind == destination.kind == "core":
            transfers[source.index, destination.index, each.partial] += each.values
        elif wired and destination.kind == "core":
            pulls[destination.index, source.index] += each.values
        elif wired and source.kind == "core" and each.from_tile:
            ties[source.index] = destination.index
        elif wired and source.kind == "core":
            pulls[source.index, destination.index] += each.values
    return Traffic(
        [ties.get(bar) for bar in range(count)],
        _chains(module, units, chip),
        [Transfer(a, b, values, partial) for (a, b, partial), values in transfers.items()],
        [Pull(bar, column, values) for (bar, column), values in pulls.items()],
    )


def _chains(module: Module, units: Sequence[Unit | None], chip: int) -> list[list[int]]:
    """Crossbars in the order of their partial sums."""
    chain_of: dict[str, list[int]] = {}
    chains = []
    for op, unit in zip(module.ops, units, strict=True):
        if op.kind != "tile" or unit is None or unit.chip != chip:
            continue
        chain = chain_of.get(op.operands[PARTIAL])
        if chain is None:
            chain = []
            chains.append(chain)
        chain.append(unit.index)
        chain_of.update((name, chain) for name in op.results if name)
    return chains


def placed_traffic(module: Module, target: Target) -> Mapping[int, tuple[Traffic, list[int]]]:
    """For each chip that a placed module uses its traffic, and the core of each crossbar."""
    units = [Unit.of(op) for op in module.ops]
    cores: dict[int, set[int]] = defaultdict(set)
    for unit in units:
        if unit.kind == "core":
            cores[unit.chip].add(unit.index)
    ordered = {chip: sorted(used) for chip, used in sorted(cores.items())}
    numbers = {
        Unit("core", chip, core): Unit("core", chip, number)
        for chip, used in ordered.items()
        for number, core in enumerate(used)
    }
    crossbars = [numbers.get(unit, unit) for unit in units]
    return {
        chip: (traffic(module, target, crossbars, len(used), chip), used)
        for chip, used in ordered.items()
    }
