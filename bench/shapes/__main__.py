"""`python -m bench.shapes`: list the networks, or write one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.shapes.catalogue import FAMILIES, NETWORKS, UnknownNetwork, network


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the network that is named, or list all; the exit status is 2 at an unknown name."""
    options = _options(arguments)
    if options.name is None:
        _list()
        return 0
    try:
        made = network(options.name)
    except UnknownNetwork as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    path = options.output or Path(f"{options.name}.onnx")
    made.write(path, options.seed)
    print(f"{path}: {made.parameter_count:,} parameters, {len(made.nodes)} nodes")
    return 0


def _list() -> None:
    for name, entry in NETWORKS.items():
        made = entry.make()
        print(f"{name:<16} {made.parameter_count:>12,} parameters; published: {entry.published}")
    for name, family in FAMILIES.items():
        summary = (family.__doc__ or "").split("\n\n")[0]
        print(f"{name + '-SIZE':<16} {' '.join(summary.split())}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.shapes", description=__doc__)
    parser.add_argument("name", nargs="?", help="network to write; without it, all are listed")
    parser.add_argument("-o", "--output", type=Path, help="file to write; NAME.onnx without it")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
