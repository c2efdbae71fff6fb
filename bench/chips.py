"""How a model is cut over chips and rounds: python -m bench.chips MODEL.onnx [--chips N|auto] ...

Prints the table of chips or rounds, what passes between them beside its bound, and how long
programming takes, as `anacc inspect` of the compiled program does; and the time of each pass.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx

from anacc.compiler import compile_image
from anacc.reports.chip_text import chip_tables
from anacc.reports.mapping import report

SEED = 0


def calibration(path: Path) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """One sample of uniform random numbers: where a model is cut does not depend on scales."""
    rng = np.random.default_rng(SEED)
    graph = onnx.load(path, load_external_data=False).graph
    feed = {}
    for each in graph.input:
        shape = [dim.dim_value or 1 for dim in each.type.tensor_type.shape.dim]
        feed[each.name] = rng.random(shape, np.float32)
    return feed


def main(arguments: list[str]) -> None:
    """Compile and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.chips")
    parser.add_argument("model", type=Path)
    parser.add_argument("--chips", default="1")
    parser.add_argument("--reload", action="store_true")
    parser.add_argument("--target", default="hermes")
    options = parser.parse_args(arguments)
    image, timings = compile_image(
        options.model,
        target=options.target,
        calibration=[calibration(options.model)],
        chips=options.chips if options.chips == "auto" else int(options.chips),
        reload=options.reload,
    )
    made = report(image)
    print(chip_tables(made, 120, True), end="")
    for name, bound in made["bounds"].items():
        print(f"{name}: {bound['value']:,} (bound {bound['bound']:,})")
    loads = [entry["cores"] for entry in made["chips"]]
    print(
        f"cores of a chip: {min(loads)} to {max(loads)}, {sum(loads) / len(loads):.1f} on average"
    )
    programming = made["programming"]
    before, each_batch = (programming[key] / 1e6 for key in ("ns_before", "ns_per_batch"))
    print(f"programming: {before:,.1f} ms for all rounds once, {each_batch:,.1f} ms for each batch")
    print(programming["meaning"])
    print(", ".join(f"{each.name} {each.seconds:.2f} s" for each in timings))


if __name__ == "__main__":
    main(sys.argv[1:])
