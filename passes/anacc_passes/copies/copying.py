"""Copies of a layer: its tiles several times, each with some of the positions.

Positions are the rounds of nested loops; along each loop there are some copies, and round i is copy
i mod ways (`anacc_passes.copies.replication`).  So whatever a nest of loops addresses with affine
strides, a copy addresses with a base and strides of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod

from anacc.ir import Channel, Module, Op, Value
from anacc.ir.chip_rules import channel
from anacc_passes.copies.grouping import Group
from anacc_passes.tiling.layout import Nest, row_major


@dataclass
class Copier:
    """A module while layers are copied.

    Attributes:
        module: as it was.
        values: all channels that there are now.
    """

    module: Module
    values: dict[str, Value] = field(init=False)

    def __post_init__(self) -> None:
        self.values = dict(self.module.values)

    def copied(self, group: Group, ways: tuple[int, ...]) -> list[Op]:
        """The streams that take the place of a group's tiles: each copy's gathers and tiles, then
        the merge that gives what the tiles gave.

        Args:
            group: a layer.
            ways: copies along each loop.
        """
        ops = self.module.ops
        tiles = [ops[index] for index in group.tiles]
        inside = {name for op in tiles for name in op.results if name}
        sources = _distinct(name for op in tiles for name in op.operands[5:])
        residuals = _distinct(op.operands[4] for op in tiles if op.operands[4])
        made = [op.results[k] for op in tiles for k in (0, 1) if op.results[k]]
        within = {op.operands[3] for op in tiles if op.operands[3]} & inside
        results = [name for name in made if name not in within]
        streams: list[Op] = []
        parts: list[str] = []
        for number, turn in enumerate(product(*map(range, ways))):
            share = _Share(group.counts, ways, turn)
            known: dict[str, str] = {}
            if group.window is not None:
                streams.append(self._restricted(ops[group.window], share, known))
            else:
                streams.append(self._selected(sources, share, known, tiles[0].origins))
            taken = dict(known)
            if residuals:
                taken = {}
                streams.append(self._selected(residuals, share, taken, tiles[0].origins))
            for op in tiles:
                given = {
                    name: self._channel(name, share.tokens) if name else "" for name in op.results
                }
                operands = (
                    *op.operands[:3],
                    known.get(op.operands[3], ""),
                    taken[op.operands[4]] if op.operands[4] else "",
                    *(known[name] for name in op.operands[5:]),
                )
                mark = {"replica": number} if number else {}
                streams.append(
                    replace(
                        op,
                        operands=operands,
                        results=tuple(given[name] for name in op.results),
                        attributes={**op.attributes, **mark},
                    )
                )
                known |= given
            parts += [known[name] for name in results]
        for name in within:
            del self.values[name]
        if group.window is not None:
            for name in ops[group.window].results:
                del self.values[name]
        attributes = {"counts": group.counts, "ways": ways}
        streams.append(Op("merge", tuple(parts), tuple(results), attributes, tiles[0].origins))
        return streams

    def _channel(self, like: str, tokens: int) -> str:
        """A new channel like another one, with some of its tokens."""
        value = self.module.values[like]
        kind = channel(self.module, like)
        number = 0
        while f"{like}.copy{number}" in self.values:
            number += 1
        name = f"{like}.copy{number}"
        self.values[name] = replace(
            value, name=name, type=Channel(kind.format, kind.token_size, tokens)
        )
        return name

    def _restricted(self, op: Op, share: _Share, known: dict[str, str]) -> Op:
        """A gather that reads only a copy's positions; `known` gets the names of its results."""
        for name in op.results:
            known[name] = self._channel(name, share.tokens)
        lead, step = op.integer("lead"), op.integer("step")
        if step:
            # The first round that is left is round `turn`; from one to the next, `ways` lie.
            rows = op.nested("stores")[0][0][0]
            lead = min(rows, lead + share.turn[0] * step)
            step *= share.ways[0]
        return replace(
            op,
            results=tuple(known[name] for name in op.results),
            attributes={
                **op.attributes,
                "load": share.nest(op.nested("load")),
                "lead": lead,
                "step": step,
            },
        )

    def _selected(
        self,
        names: Sequence[str],
        share: _Share,
        known: dict[str, str],
        origins: tuple[str, ...],
    ) -> Op:
        """A gather that passes on only a copy's tokens of some channels of codes."""
        for name in names:
            known[name] = self._channel(name, share.tokens)
        sizes = [channel(self.module, name).token_size for name in names]
        width = sum(sizes)
        strides = tuple(stride * width for stride in row_major(share.counts))
        starts = [sum(sizes[:k]) for k in range(len(sizes))]
        whole: Nest = (share.counts, 0, strides, ((width, 1),))
        return Op(
            "gather",
            ("", *names),
            tuple(known[name] for name in names),
            {
                "size": prod(share.counts) * width,
                "fill": 0,
                "stores": tuple(
                    (share.counts, start, strides, ((size, 1),))
                    for start, size in zip(starts, sizes, strict=True)
                ),
                "rescale": (1.0,) * len(names),
                "load": share.nest(whole),
                "reduce": "none",
                "window": 1,
                "lead": share.turn[0] + 1,
                "step": share.ways[0],
            },
            origins,
        )


@dataclass(frozen=True)
class _Share:
    """The positions of a copy: round turn[k], turn[k] + ways[k], ... of each loop k."""

    counts: tuple[int, ...]
    ways: tuple[int, ...]
    turn: tuple[int, ...]

    @property
    def rounds(self) -> tuple[int, ...]:
        """Rounds of each loop that are the copy's."""
        return tuple(
            -(-(count - first) // ways)
            for count, ways, first in zip(self.counts, self.ways, self.turn, strict=True)
        )

    @property
    def tokens(self) -> int:
        return prod(self.rounds)

    def nest(self, whole: Nest) -> Nest:
        """The rounds of a nest over all positions that are the copy's."""
        _, base, strides, dims = whole
        first = sum(turn * stride for turn, stride in zip(self.turn, strides, strict=True))
        steps = tuple(ways * stride for ways, stride in zip(self.ways, strides, strict=True))
        return self.rounds, base + first, steps, dims


def _distinct(names: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(names))


def with_copies(module: Module, chosen: Mapping[Group, tuple[int, ...]]) -> Module:
    """The module with layers copied.

    Args:
        module: chip level, not yet placed.
        chosen: for each group that gets copies, how many along each of its loops.
    """
    copier = Copier(module)
    last = {group.tiles[-1]: group for group in chosen}
    gone = {index for group in chosen for index in group.tiles}
    gone |= {group.window for group in chosen if group.window is not None}
    ops: list[Op] = []
    for index, op in enumerate(module.ops):
        if index in last:
            ops += copier.copied(last[index], chosen[last[index]])
        elif index not in gone:
            ops.append(op)
    order = {name: place for place, name in enumerate(n for op in ops for n in op.results if n)}
    values = {name: copier.values[name] for name in sorted(copier.values, key=order.__getitem__)}
    return replace(module, ops=tuple(ops), values=values)
