"""`python -m bench.packing`: crossbars that networks take, beside what bounds them.

- one a matrix: a crossbar for each part of at most 256x256 of each matrix, groups along diagonals;
- rectangles: tiles of nearly equal size, packed as rectangles (`--packing always`);
- densest: layers cut for packing (`--packing densest`);
- strips: the proven least number for strips of these heights, cut between any columns
  (`anacc_passes.packing.strips`); the certificate is exact;
- cells: the cells of all strips over those of a crossbar: no packing of them can do with fewer.

Weights are random, and nothing depends on them.  No calibration is needed up to the cut.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from anacc.frontend import import_model
from anacc.ir import Module
from anacc.targets import Target, load_target
from anacc_passes.advance import Advance
from anacc_passes.cut_layers import regions, strips_of, usual_tiles
from anacc_passes.fuse import Fuse
from anacc_passes.integers import Integers
from anacc_passes.normalise import Normalise
from anacc_passes.packing.rectangles import Rect, pack
from anacc_passes.packing.strips import divide
from anacc_passes.pair import Pair
from anacc_passes.partition import Partition
from anacc_passes.tabulate import Tabulate
from bench.shapes import build

NETWORKS = (
    "squeezenet-1.0",
    "shufflenet",
    "mobilenet-v2",
    "googlenet",
    "resnet-18",
    "resnet-34",
    "inception-v3",
    "resnet-50",
    "vgg-16",
)


@dataclass(frozen=True)
class Row:
    """Crossbars of one network, by how they are counted; `seconds`: to cut and pour."""

    network: str
    one_each: int
    rectangles: int
    densest: int
    strips: int
    cells: int
    tiles: int
    seconds: float


def layers(name: str, target: Target) -> Module:
    """The layers of a network of `bench.shapes`."""
    module = import_model(build(name))
    for each in (
        Tabulate(target, ()),
        Integers(),
        Partition(target, strict=False),
        Pair(),
        Normalise(),
        Advance(target),
        Fuse(target),
    ):
        module = each(module)
    return module


def measure(name: str, target: Target) -> Row:
    """Count the crossbars of a network."""
    module = layers(name, target)
    rows, columns = target.crossbar.rows.value, target.crossbar.columns.value
    usual = [
        Rect(*size)
        for op in module.ops
        if op.kind == "crossbar"
        for size in usual_tiles(module, op, rows, columns)
    ]
    spots = pack(usual, rows, columns)
    start = time.perf_counter()
    placed = [region for found in regions(module, target).values() for region in found]
    seconds = time.perf_counter() - start
    widths: Counter[int] = Counter()
    for strip in strips_of(module, target):
        widths[strip.height] += strip.width
    cells = sum(height * width for height, width in widths.items())
    return Row(
        network=name,
        one_each=len(usual),
        rectangles=len({spot.crossbar for spot in spots}),
        densest=len({region.crossbar for region in placed}),
        strips=-(-divide(widths, rows).bound // columns),
        cells=-(-cells // (rows * columns)),
        tiles=len(placed),
        seconds=seconds,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.packing", description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--target", default="hermes")
    options = parser.parse_args(arguments)
    target = load_target(options.target)
    table = Table()
    for title in ("network", "one a matrix", "rectangles", "densest", "strips", "cells", "tiles"):
        table.add_column(title, justify="left" if title == "network" else "right")
    table.add_column("seconds", justify="right")
    for name in options.networks:
        row = measure(name, target)
        counts = (row.one_each, row.rectangles, row.densest, row.strips, row.cells, row.tiles)
        table.add_row(name, *(f"{count:,}" for count in counts), f"{row.seconds:.2f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
