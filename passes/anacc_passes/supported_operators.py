"""Generate docs/supported-operators.md: python -m anacc_passes.supported_operators."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from anacc.frontend import importer as _  # noqa: F401  (fills the table of importers)
from anacc.frontend.conditions import GENERAL, HOST_OPERATORS
from anacc.frontend.inspection import conditions, emitted_kinds, raised_conditions
from anacc.frontend.node import DEFAULT_HINT, Node, spatial
from anacc.frontend.registry import Importer, condition_of, hint_of, importers
from anacc.ir import Op
from anacc.targets import Target, load_target, shipped_targets
from anacc_passes.units import CORE, GDPU, fuses, is_elementwise, missing, on_bridge, unit_of

_HEAD = """\
# Supported operators

Generated from the importers in `anacc/frontend/operators/` and the shipped targets by
`python -m anacc_passes.supported_operators`: change those, not this.

A model may hold any ONNX operator. Those listed here run on the chip where their conditions hold;
all others run on the host, in ONNX Runtime. `anacc inspect --nodes` says of each node of a program
where it runs, with the reason if that is the host, and `anacc compile --strict` refuses a model of
which a node does. The sentences are the same there and here.

- **crossbar**: products with constant weights. They are what the chip is for: a node that could run
  on either side goes to the chip only if a product is near it, and to where less time is spent on
  crossing the border.
- **LDPU**: the digital unit of a core. It does elementwise work on what its crossbar gives (bias,
  batch norm, residual addition, ReLU, clipping); away from a product, such work is a GDPU's where
  that can do it.
- **GDPU**: global digital units: tables and elementwise work of any operands.
- **bridge**: movement of data and pooling, between layers.
"""


def render() -> str:
    """The whole page."""
    groups = _groups()
    parts = [
        _HEAD,
        "## For every node\n\nIt runs on the chip only if\n",
        _listed([*((condition_of(rule), hint_of(rule)) for rule in GENERAL), *_of_nodes()]),
        "## Where operators run\n",
        _units(groups),
        "## Conditions\n\nA node of these operators runs on the chip only if\n",
        "\n".join(_section(names, importer) for names, importer in groups),
        _host(),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _groups() -> list[tuple[list[str], Importer]]:
    """Operators with one importer and the same constraints, in order of the first of them."""
    found: dict[tuple[Any, ...], list[Importer]] = {}
    for each in importers():
        found.setdefault((each.build, each.requires), []).append(each)
    return [([each.operator for each in group], group[0]) for group in found.values()]


def _of_nodes() -> Iterable[tuple[str, str]]:
    """The conditions that every importer has by what `Node` gives it."""
    for method in (Node.value, Node.weight, Node.emit, spatial):
        yield from raised_conditions(method)


def _listed(found: Iterable[tuple[str, str]]) -> str:
    """Conditions as a list, each with its hint below."""
    lines = []
    for condition, hint in found:
        lines.append(f"- {condition}")
        if hint and hint != DEFAULT_HINT:
            lines.append(f"  <br>*{hint}*")
    return "\n".join(lines) + "\n"


def _section(names: list[str], importer: Importer) -> str:
    found = conditions(importer)
    text = _listed(found) if found else "- nothing else is needed\n"
    return f"### {', '.join(names)}\n\n{text}"


def _units(groups: list[tuple[list[str], Importer]]) -> str:
    """A table of operators and the units that work for them on each shipped target."""
    targets = {name: load_target(name) for name in shipped_targets()}
    lines = [
        f"| operator | {' | '.join(f'`{name}`' for name in targets)} |",
        f"|---{'|---' * len(targets)}|",
    ]
    for names, importer in groups:
        kinds = emitted_kinds(importer)
        cells = (_cell(target, kinds) for target in targets.values())
        lines.append(f"| {', '.join(names)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


_UNITS = ("crossbar", "LDPU", "GDPU", "bridge", "host")


def _cell(target: Target, kinds: list[str]) -> str:
    """The units that a target has for some graph ops."""
    units = {unit for kind in kinds for unit in units_of(target, kind)}
    return ", ".join(name for name in _UNITS if name in units) or "nothing to do"


def units_of(target: Target, kind: str) -> set[str]:
    """What may work for a graph op, of `_UNITS`; none for one that does nothing."""
    if kind == "identity":
        return set()
    if on_bridge(kind):
        return {"host" if missing(target, Op(kind, (), ())) else "bridge"}
    if is_elementwise(kind):
        alone = {GDPU: {"GDPU"}, CORE: {"LDPU"}}.get(unit_of(target, kind) or "", set())
        return (alone | ({"LDPU"} if fuses(target, kind) else set())) or {"host"}
    return {"crossbar"} if kind in ("conv", "linear") else {"crossbar", "GDPU"}


def _host() -> str:
    rows = "\n".join(f"| {name} | {hint} |" for name, hint in sorted(HOST_OPERATORS.items()))
    return (
        "## What stays on the host\n\n"
        "Every operator that is not listed above, operators of other domains, and nodes whose "
        "neighbours are all on\nthe host. Shape arithmetic is no work at all once the shapes are "
        "known: it folds. Operators that networks\noften have, and what helps if they are in the "
        "way:\n\n| operator | hint |\n|---|---|\n" + rows + "\n"
    )


if __name__ == "__main__":
    sys.stdout.write(render())
