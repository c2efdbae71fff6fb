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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from anacc.errors import CompileError
from anacc.ir import Module, Op
from anacc.ir.chip_ops import CELLS
from anacc.ir.chip_rules import channel
from anacc.targets import Target

_ROUTED = ("tile", "regroup", "gather", "merge", "pointwise", *CELLS)
_BITS = {"i8": 8, "f16": 16}

ROUNDS = (0, 2, 8, 32)
"""How often each value is routed anew at most, by effort."""

TURNS_TRIED = 16
"""Links of a transfer up to which all places for its turns are tried, not only the corners."""

Node = tuple[str, int]
"""A unit on the grid: (`core` or `gdpu`, its index), or the cores of a (`column`, its index)."""


@dataclass(frozen=True)
class Link:
    """A link, one way.

    Attributes:
        index: its number in the program.
        source: `core 0.1`, `gdpu 0.1`, `column 0.1` (any core of a grid column), `cores 0.0` (any),
            `chip 0.0` (its port).
        destination: likewise.
    """

    index: int
    source: str
    destination: str


@lru_cache(maxsize=8)
def links(target: Target, chips: int = 1) -> tuple[Link, ...]:
    """All links of a chain of chips, in the order of their numbers.

    For each chip: for each core in order those to its right, left, lower and upper neighbour, as
    far as they exist; then for each GDPU the one to it; then for each the one from it.  Behind
    those of all chips, for each chip but the last the link to the next one and the link back.
    """
    inner = _numbers(target)
    found = [
        Link(chip * len(inner) + index, _text(source, chip), _text(destination, chip))
        for chip in range(chips)
        for (source, destination), index in inner.items()
    ]
    for chip in range(chips - 1):
        for source, destination in ((chip, chip + 1), (chip + 1, chip)):
            found.append(Link(len(found), f"chip {source}.0", f"chip {destination}.0"))
    return tuple(found)


def _text(node: Node, chip: int) -> str:
    return f"{node[0]} {chip}.{node[1]}"


@lru_cache(maxsize=8)
def _numbers(target: Target) -> Mapping[tuple[Node, Node], int]:
    """The number of the link between two nodes."""
    rows, columns = target.grid.rows.value, target.grid.columns.value
    directions = target.links.directions.value
    steps = [(0, 1), (0, -1)] * ("horizontal" in directions)
    steps += [(1, 0), (-1, 0)] * ("vertical" in directions)
    ends: list[tuple[Node, Node]] = []
    for core in range(target.cores):
        row, column = target.core_position(core)
        for down, right in steps:
            if 0 <= row + down < rows and 0 <= column + right < columns:
                other = target.core_at(row + down, column + right)
                ends.append((("core", core), ("core", other)))
    gdpus = range(target.gdpu.count.value)
    ends += [(_cores_of(target, gdpu), ("gdpu", gdpu)) for gdpu in gdpus]
    ends += [(("gdpu", gdpu), _cores_of(target, gdpu)) for gdpu in gdpus]
    return {pair: index for index, pair in enumerate(ends)}


def _cores_of(target: Target, gdpu: int) -> Node:
    """The cores that a GDPU is wired to."""
    return ("column", gdpu) if target.gdpu.wiring.value == "column" else ("cores", 0)


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
        router = _Router(self.target, chips_of(module))
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
        crossing.sort(key=lambda name: -_values(module, name))
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


def chips_of(module: Module) -> int:
    """How many chips a placed module uses."""
    return 1 + max((chip_of(op) for op in module.ops), default=0)


def chip_of(op: Op) -> int:
    """The chip of a placed op; 0 on the host."""
    return int(str(op.unit).partition(" ")[2].partition(".")[0])


def round_of(op: Op) -> int:
    """The round of an op."""
    return op.integer("round") if "round" in op.attributes else 0


def between_chips(op: Op, readers: Iterable[Op]) -> tuple[int, int]:
    """The first and the last chip that a value of an op meets, its own among them."""
    ends = [chip_of(op), *(chip_of(reader) for reader in readers if _meet(op, reader))]
    return min(ends), max(ends)


def _node(op: Op) -> Node:
    """The unit of an op."""
    kind, _, place = str(op.unit).partition(" ")
    return kind, int(place.rpartition(".")[2])


def _on_links(node: Node) -> bool:
    return node[0] in ("core", "gdpu")


def _meet(op: Op, other: Op) -> bool:
    """Whether values go from one op to the other over links: both on chips, in the same round."""
    on_chips = "host" not in (_node(op)[0], _node(other)[0])
    return on_chips and round_of(op) == round_of(other)


def _values(module: Module, name: str) -> int:
    """Values of a channel per sample."""
    kind = channel(module, name)
    return kind.tokens * kind.token_size


@dataclass
class _Router:
    """Routes one channel after the other; `load`: values per sample on each link so far."""

    target: Target
    chips: int = 1
    numbers: Mapping[tuple[Node, Node], int] = field(init=False)
    load: list[int] = field(init=False)
    ends: list[int] = field(init=False)  # the core at the end of each link, or -1

    def __post_init__(self) -> None:
        self.numbers = _numbers(self.target)
        self.ends = [to[1] if to[0] == "core" else -1 for _, to in self.numbers]
        self.load = [0] * len(links(self.target, self.chips))

    def route(self, module: Module, op: Op, name: str, readers: Iterable[Op]) -> tuple[int, ...]:
        readers, source, chip = list(readers), _node(op), chip_of(op)
        taken = set(self.between_chips(op, readers))
        near = [reader for reader in readers if _meet(op, reader) and chip_of(reader) == chip]
        reached: set[int] = set()  # cores that the value passes
        for destination in self._nearest_first(source, map(_node, near)):
            if not (_on_links(source) and _on_links(destination)) or source == destination:
                continue
            ways = self.ways(source, destination)
            ways += self._onward(reached, destination)
            options = [path for path in (self._path(way, chip) for way in ways) if path is not None]
            if not options:
                raise CompileError(
                    f"value `{name[1:]}` goes from {op.unit} to {_text(destination, chip)}, and no "
                    "links of the target join them",
                    "add `horizontal` and `vertical` to `links.directions` in the target file",
                )
            costs = [self._cost(path, taken) for path in options]
            taken.update(options[costs.index(min(costs))])
            inner = len(self.numbers)
            on_chip = {self.ends[link % inner] for link in taken if link < self.chips * inner}
            reached = on_chip - {-1}
        for link in taken:
            self.load[link] += _values(module, name)
        return tuple(sorted(taken))

    def between_chips(self, op: Op, readers: Iterable[Op]) -> Iterable[int]:
        """The links that a value crosses between its chip and those of its readers."""
        inner, here = self.chips * len(self.numbers), chip_of(op)
        first, last = between_chips(op, readers)
        yield from (inner + 2 * chip for chip in range(here, last))
        yield from (inner + 2 * chip + 1 for chip in range(first, here))

    def rerouted(
        self, module: Module, op: Op, name: str, readers: Iterable[Op], route: tuple[int, ...]
    ) -> tuple[int, ...]:
        """A route in the place of one, if it has fewer links or meets less traffic."""
        values = _values(module, name)
        for link in route:
            self.load[link] -= values
        found = self.route(module, op, name, readers)
        for link in found:
            self.load[link] -= values
        best = min(route, found, key=lambda links: self._cost(list(links), set()))
        for link in best:
            self.load[link] += values
        return best

    def _nearest_first(self, source: Node, destinations: Iterable[Node]) -> list[Node]:
        """Different destinations; the way to a near one may be part of that to a far one."""
        found = list(dict.fromkeys(destinations))
        if len(found) < 2 or not _on_links(source):
            return found
        start = self._entries(source, source)[0]
        return sorted(found, key=lambda node: self._far(start, node) if _on_links(node) else 0)

    def _far(self, core: int, node: Node) -> int:
        """Links between a core and a unit, or its column, at least."""
        (row, column) = self.target.core_position(core)
        if node[0] == "gdpu":
            return abs(column - node[1]) if self.target.gdpu.wiring.value == "column" else 0
        to_row, to_column = self.target.core_position(node[1])
        return abs(row - to_row) + abs(column - to_column)

    def _onward(self, reached: set[int], destination: Node) -> list[list[tuple[Node, Node]]]:
        """Ways from the nearest of the cores that a value reaches already."""
        if not reached:
            return []
        nearest = min(reached, key=lambda core: (self._far(core, destination), core))
        return self.ways(("core", nearest), destination)

    def _cost(self, path: list[int], taken: set[int]) -> tuple[int, int, int]:
        """New links, traffic on the busiest of them, traffic on all of them."""
        new = [self.load[link] for link in path if link not in taken]
        return len(new), max(new, default=0), sum(new)

    def _path(self, way: list[tuple[Node, Node]], chip: int) -> list[int] | None:
        """The links of a way on a chip, or None if one is missing."""
        found = [self.numbers.get(step) for step in way]
        first = chip * len(self.numbers)
        return [first + link for link in found if link is not None] if None not in found else None

    def ways(self, source: Node, destination: Node) -> list[list[tuple[Node, Node]]]:
        """Ways from one unit to another; the first of equally good ones is taken."""
        first: list[tuple[Node, Node]] = []
        last: list[tuple[Node, Node]] = []
        starts, ends = self._entries(source, destination), self._entries(destination, source)
        if source[0] == "gdpu":
            first = [(source, _cores_of(self.target, source[1]))]
        if destination[0] == "gdpu":
            last = [(_cores_of(self.target, destination[1]), destination)]
        if source[0] == destination[0] == "gdpu":
            pairs = list(zip(starts, ends, strict=True))
        else:
            pairs = [(start, end) for start in starts for end in ends]
        return [
            [*first, *middle, *last] for start, end in pairs for middle in self._between(start, end)
        ]

    def _entries(self, node: Node, other: Node) -> list[int]:
        """The cores by which a transfer enters or leaves the grid on its side of `node`."""
        if node[0] == "core":
            return [node[1]]
        if other[0] == "core":
            if self.target.gdpu.wiring.value == "any":
                return [other[1]]
            row, _ = self.target.core_position(other[1])
            return [self.target.core_at(row, node[1])]
        rows = self.target.grid.rows.value
        column = node[1] if self.target.gdpu.wiring.value == "column" else 0
        return [self.target.core_at(row, column) for row in range(rows)]

    def _between(self, start: int, end: int) -> list[list[tuple[Node, Node]]]:
        """Ways without detour and with two turns at most; of long ones only those with one."""
        (row, column), (to_row, to_column) = map(self.target.core_position, (start, end))
        # Along the columns, with all rows passed at one column; and the other way round.
        at_columns, at_rows = [to_column, column], []
        if abs(row - to_row) + abs(column - to_column) <= TURNS_TRIED:
            at_columns += list(_to(column, to_column))[:-1]
            at_rows = list(_to(row, to_row))[:-1]
        turns = [
            [(row, c) for c in _to(column, at)]
            + [(r, at) for r in _to(row, to_row)]
            + [(to_row, c) for c in _to(at, to_column)]
            for at in dict.fromkeys(at_columns)
        ] + [
            [(r, column) for r in _to(row, at)]
            + [(at, c) for c in _to(column, to_column)]
            + [(r, to_column) for r in _to(at, to_row)]
            for at in at_rows
        ]
        if row == to_row or column == to_column:
            turns = turns[:1]
        ways = []
        for turn in turns:
            cores = [start, *(self.target.core_at(r, c) for r, c in turn)]
            ways.append(
                [(("core", a), ("core", b)) for a, b in zip(cores, cores[1:], strict=False)]
            )
        return ways


def _to(first: int, last: int) -> Iterable[int]:
    """The numbers after `first` up to `last`, in either direction."""
    return range(first + 1, last + 1) if last >= first else range(first - 1, last - 1, -1)


def link_report(module: Module, target: Target) -> dict[str, Any]:
    """The traffic of a routed module on the links, per sample, as JSON data.

    Returns:
        - `links`: for each link in use its `link` (number), `source`, `destination`, `values`,
          `ns` (how long it is busy), and its `schedule`: [channel, values] in the order in
          which the streams stand, which is the order in which the link serves them.
        - `busiest`: number of the link that is busy longest, None without traffic; `busiest_ns`.
        - `value_hops`: values times links that they cross, with its `bound`: a value crosses at
          least as many links as its farthest reader is away, and one into each of its readers.

    A link that is narrower than a value takes several cycles for it, which `ns` counts.
    """
    chips = chips_of(module)
    every = links(target, chips)
    inner = chips * len(_numbers(target))
    schedule: dict[int, list[list[Any]]] = {}
    busy: dict[int, float] = {}
    hops = bound = 0
    consumers = module.consumers()
    distances = _Router(target, chips)
    for op in module.ops:
        for name, route in zip(op.results, op.nested("routes"), strict=False):
            if not name:
                continue
            values = _values(module, name)
            cycles = -(-_BITS[channel(module, name).format] // target.links.bits_per_value.value)
            for link in route:
                schedule.setdefault(link, []).append([name[1:], values])
                width = target.links.values_per_ns if link < inner else (
                    target.links.chip_values_per_ns)  # fmt: skip
                time = values * cycles / width.value
                busy[link] = busy.get(link, 0.0) + time
            hops += values * len(route)
            bound += values * _least(distances, op, consumers[name])
    busiest = max(sorted(busy), key=lambda link: busy[link], default=None)
    return {
        "links": [
            {
                "link": link,
                "source": every[link].source,
                "destination": every[link].destination,
                "values": sum(values for _, values in schedule[link]),
                "ns": busy[link],
                "schedule": schedule[link],
            }
            for link in sorted(schedule)
        ],
        "busiest": busiest,
        "busiest_ns": 0.0 if busiest is None else busy[busiest],
        "value_hops": {
            "value": hops,
            "bound": bound,
            "meaning": "values per sample times links that they cross; with this placement, none "
            "can cross fewer than its farthest reader is away, nor fewer than it has readers",
        },
    }


def _least(router: _Router, op: Op, readers: Iterable[Op]) -> int:
    """Links that a value of an op crosses at least, wherever it turns."""
    source, readers = _node(op), [reader for reader in readers if _meet(op, reader)]
    far = len(list(router.between_chips(op, readers)))
    near = [reader for reader in readers if chip_of(reader) == chip_of(op)]
    nodes = [node for node in dict.fromkeys(map(_node, near)) if node != source]
    if not _on_links(source):
        return far
    ways = [router.ways(source, node) for node in nodes if _on_links(node)]
    farthest = max((min(map(len, options)) for options in ways), default=0)
    return far + max(farthest, _entered(router.target, source, [n for n in nodes if _on_links(n)]))


def _entered(target: Target, source: Node, readers: Sequence[Node]) -> int:
    """Links that end at a reader: one each, but one for all cores that a GDPU is wired to."""
    wired = [
        source[0] == "gdpu" and reader[0] == "core" and source[1] in target.gdpus_of(reader[1])
        for reader in readers
    ]
    return wired.count(False) + (source[0] == "gdpu" and bool(readers))
