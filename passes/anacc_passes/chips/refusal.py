"""The error of a model that has no place on its chips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from anacc.errors import CompileError
from anacc.ir import Module
from anacc.targets import Target
from anacc_passes.packing.rectangles import Spot

LAYERS_NAMED = 5
"""How many layers the error names."""

_LARGER = (
    "take a larger chip with --set grid=ROWSxCOLUMNS (`grid.rows` and `grid.columns` of a target "
    "file)"
)


def refusal(
    module: Module,
    target: Target,
    spots: Mapping[int, Spot],
    reason: str | None,
    packing: str,
    chips: int | None = 1,
    reload: bool = False,
) -> CompileError:
    """The error, with all ways out.

    Args:
        module: chip level.
        target: each of the chips.
        spots: how its tiles were packed, by position of the op.
        reason: why one chip does not hold them; None where cores are too few, or parts.
        packing: the policy.
        chips: how many there are; None: as many as it takes.
        reload: whether there may be several rounds.
    """
    name, limit = target.chip.name.value, target.grid.max_chips.value
    needed = len({spot.crossbar for spot in spots.values()})
    several = chips is None or chips > 1
    count = limit if chips is None else chips
    room = count * target.cores
    if several or reason is None:
        where = f"{count} chips of target `{name}` have" if several else f"target `{name}` has"
        reason = f"the model needs {needed} cores and {where} {room}"
    if reload:
        reason = f"{reason}, and a part of it that must be there at once does not fit them"
    elif several and needed <= room:
        reason = f"{reason}, but no cut was found of which each part fits a chip"
    layers = _layers_by_crossbars(module, spots)
    most = ", ".join(f"`{layer}` ({bars})" for layer, bars in layers[:LAYERS_NAMED])
    ways = []
    if chips is not None:
        ways.append("give more with --chips N" if reload else "use more chips with --chips auto")
    if not reload:
        ways.append("run in rounds with --reload")
    if packing == "never":
        ways.append("let layers share cores with --packing always")
    elif packing == "always":
        ways.append("cut layers so that they fill cores with --packing densest")
    hint = ", or ".join((", ".join(ways), _LARGER)) if ways else _LARGER
    return CompileError(f"{reason}; the layers that take the most cores are {most}", hint)


def _layers_by_crossbars(module: Module, spots: Mapping[int, Spot]) -> list[tuple[str, int]]:
    """Each layer with the number of crossbars that it lies on, most first."""
    found: dict[str, set[int]] = defaultdict(set)
    for index, spot in spots.items():
        found[module.ops[index].text("layer")].add(spot.crossbar)
    return sorted(((name, len(bars)) for name, bars in found.items()), key=lambda x: (-x[1], x[0]))
