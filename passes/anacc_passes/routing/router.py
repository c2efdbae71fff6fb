"""The router: links for one value after the other; see `anacc_passes.route`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from anacc.errors import CompileError
from anacc.ir import Module, Op
from anacc.ir.chip_rules import values_of
from anacc.targets import Target
from anacc_passes.routing.links import Node, cores_of, numbers, text_of
from anacc_passes.routing.sites import between_chips, chip_of, meet, node_of, on_links

TURNS_TRIED = 16
"""Links of a transfer up to which all places for its turns are tried, not only the corners."""


@dataclass
class Router:
    """Routes one channel after the other; `load`: values per sample on each link so far."""

    target: Target
    chips: int = 1
    numbers: Mapping[tuple[Node, Node], int] = field(init=False)
    load: list[int] = field(init=False)
    ends: list[int] = field(init=False)  # the core at the end of each link, or -1
    places: list[tuple[int, int]] = field(init=False)  # (row, column) of each core

    def __post_init__(self) -> None:
        self.numbers = numbers(self.target)
        self.ends = [to[1] if to[0] == "core" else -1 for _, to in self.numbers]
        self.load = [0] * (self.chips * len(self.numbers) + 2 * (self.chips - 1))
        self.places = [self.target.core_position(core) for core in range(self.target.cores)]

    def route(self, module: Module, op: Op, name: str, readers: Iterable[Op]) -> tuple[int, ...]:
        readers, source, chip = list(readers), node_of(op), chip_of(op)
        taken = set(self.between_chips(op, readers))
        near = [reader for reader in readers if meet(op, reader) and chip_of(reader) == chip]
        reached: set[int] = set()  # cores that the value passes
        for destination in self._nearest_first(source, map(node_of, near)):
            if not (on_links(source) and on_links(destination)) or source == destination:
                continue
            ways = self.ways(source, destination)
            ways += self._onward(reached, destination)
            options = [path for path in (self._path(way, chip) for way in ways) if path is not None]
            if not options:
                raise CompileError(
                    f"value `{name[1:]}` goes from {op.unit} to {text_of(destination, chip)}, "
                    "and no links of the target join them",
                    "add `horizontal` and `vertical` to `links.directions` in the target file",
                )
            costs = [self._cost(path, taken) for path in options]
            taken.update(options[costs.index(min(costs))])
            inner = len(self.numbers)
            on_chip = {self.ends[link % inner] for link in taken if link < self.chips * inner}
            reached = on_chip - {-1}
        for link in taken:
            self.load[link] += values_of(module, name)
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
        values = values_of(module, name)
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
        if len(found) < 2 or not on_links(source):
            return found
        start = self._entries(source, source)[0]
        return sorted(found, key=lambda node: self._far(start, node) if on_links(node) else 0)

    def _far(self, core: int, node: Node) -> int:
        """Links between a core and a unit, or its column, at least."""
        row, column = self.places[core]
        if node[0] == "gdpu":
            return abs(column - node[1]) if self.target.gdpu.wiring.value == "column" else 0
        to_row, to_column = self.places[node[1]]
        return abs(row - to_row) + abs(column - to_column)

    def least(self, source: Node, destination: Node) -> int:
        """Links between two units at least: those of the shortest of `ways`."""
        if source[0] == destination[0] == "gdpu":
            wired = self.target.gdpu.wiring.value == "column"
            return 2 + (abs(source[1] - destination[1]) if wired else 0)
        if source[0] == "gdpu":
            return 1 + self._far(destination[1], source)
        return self._far(source[1], destination) + (destination[0] == "gdpu")

    def _onward(self, reached: set[int], destination: Node) -> list[list[tuple[Node, Node]]]:
        """Ways from the nearest of the cores that a value reaches already."""
        if not reached:
            return []
        if destination[0] == "core":
            row, column = self.places[destination[1]]
            far = [abs(r - row) + abs(c - column) for r, c in map(self.places.__getitem__, reached)]
        else:
            far = [self._far(core, destination) for core in reached]
        nearest = min(zip(far, reached, strict=True))[1]
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
            first = [(source, cores_of(self.target, source[1]))]
        if destination[0] == "gdpu":
            last = [(cores_of(self.target, destination[1]), destination)]
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
            row, _ = self.places[other[1]]
            return [self.target.core_at(row, node[1])]
        rows = self.target.grid.rows.value
        column = node[1] if self.target.gdpu.wiring.value == "column" else 0
        return [self.target.core_at(row, column) for row in range(rows)]

    def _between(self, start: int, end: int) -> list[list[tuple[Node, Node]]]:
        """Ways without detour and with two turns at most; of long ones only those with one."""
        (row, column), (to_row, to_column) = self.places[start], self.places[end]
        # Along the columns, with all rows passed at one column; and the other way round.
        at_columns, at_rows = [to_column, column], []
        if abs(row - to_row) + abs(column - to_column) <= TURNS_TRIED:
            at_columns += list(towards(column, to_column))[:-1]
            at_rows = list(towards(row, to_row))[:-1]
        turns = [
            [(row, c) for c in towards(column, at)]
            + [(r, at) for r in towards(row, to_row)]
            + [(to_row, c) for c in towards(at, to_column)]
            for at in dict.fromkeys(at_columns)
        ] + [
            [(r, column) for r in towards(row, at)]
            + [(at, c) for c in towards(column, to_column)]
            + [(r, to_column) for r in towards(at, to_row)]
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


def towards(first: int, last: int) -> Iterable[int]:
    """The numbers after `first` up to `last`, in either direction."""
    return range(first + 1, last + 1) if last >= first else range(first - 1, last - 1, -1)
