"""Bridge streams that run on each chip that reads them, because they give more than they take.

The windows of a convolution (im2col) hold each activation many times over.  Where tiles on several
chips read them, less crosses the links if each chip makes its own from the activations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from anacc.ir import Module, Op
from anacc.ir.chip_rules import values_of

Site = tuple[int, int]
"""A round and a chip."""

_READERS = ("tile", "gather", "regroup", "merge", "pointwise")


def widening(module: Module, together: Sequence[Sequence[int]]) -> frozenset[int]:
    """Positions of the gathers that give more values than they take, to streams of chips only.

    Args:
        module: chip level.
        together: positions of ops that stay on one chip.  Those that read such a gather read all
            its results, so that no copy has one without reader.
    """
    group_of = {op: number for number, ops in enumerate(together) for op in ops}
    readers: dict[str, set[int]] = {}
    taken_by_host: set[str] = set()
    for position, op in enumerate(module.ops):
        for name in op.operands:
            readers.setdefault(name, set()).add(group_of[position])
        if op.kind not in _READERS:
            taken_by_host.update(op.operands)
    return frozenset(
        position
        for position, op in enumerate(module.ops)
        if op.kind == "gather"
        and _values(module, op.results) > _values(module, op.operands)
        and taken_by_host.isdisjoint(op.results)
        and all(readers[name] == readers[op.results[0]] for name in op.results)
    )


def copied(module: Module, sites: Sequence[Site | None]) -> tuple[Module, list[Site]]:
    """The module with a copy of each widening gather wherever it is read.

    Args:
        module: chip level, without units.
        sites: of each op; None for the gathers that are copied.

    Returns:
        The module, and the site of each of its ops.
    """
    readers: dict[str, set[Site]] = {}
    where: list[set[Site]] = [set() for _ in module.ops]
    for position in reversed(range(len(module.ops))):  # readers come first
        op, site = module.ops[position], sites[position]
        if site is not None:
            where[position].add(site)
        else:
            where[position].update(*(readers[name] for name in op.results))
        for name in op.operands:
            readers.setdefault(name, set()).update(where[position])
    values = dict(module.values)
    names: dict[tuple[str, Site], str] = {}  # of what a copy gives
    ops: list[Op] = []
    found: list[Site] = []
    for position, op in enumerate(module.ops):
        for number, site in enumerate(sorted(where[position])):
            results = op.results
            if number:
                results = tuple(_new(name, values) for name in op.results)
                for old, new in zip(op.results, results, strict=True):
                    values[new] = replace(values[old], name=new)
                    names[old, site] = new
            operands = tuple(names.get((name, site), name) for name in op.operands)
            ops.append(replace(op, operands=operands, results=results))
            found.append(site)
    return replace(module, ops=tuple(ops), values=values), found


def _new(name: str, values: Mapping[str, object]) -> str:
    number = 1
    while f"{name}.copy{number}" in values:
        number += 1
    return f"{name}.copy{number}"


def _values(module: Module, names: Sequence[str]) -> int:
    return sum(values_of(module, name) for name in names if name.startswith("%"))
