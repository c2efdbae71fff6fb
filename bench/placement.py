"""`python -m bench.placement`: how good placements and routes are, beside their bounds.

Each model is compiled up to its tiles once, then placed and routed with every effort.  Models are
files, or names of `bench.shapes`; `MODEL@ROWSxCOLUMNS` sets the grid, with a GDPU to each column.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from rich.console import Console
from rich.table import Table

from anacc.frontend import import_model
from anacc.ir import Module
from anacc.pipeline import PassOptions, pipeline
from anacc.targets import Target, load_target
from anacc.targets.load import target_from_data, target_to_data
from anacc_passes.infrastructure import run_pipeline
from anacc_passes.place import Place
from anacc_passes.placement_report import placement_report
from anacc_passes.route import Route
from anacc_passes.routing.bound import busiest_link
from anacc_passes.routing.report import link_report

MODELS = ("mobilenet-v2@12x12", "bert-base@36x36")
EFFORTS = (0, 1, 2, 3)
HEADER = ("model", "effort", "crossbars", "traffic x distance", "bound", "gap", "partial-sum hops",
          "bound", "busiest link, ns", "bound", "place, s", "route, s")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.placement", description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL[@ROWSxCOLUMNS]")
    parser.add_argument("--effort", type=int, action="append", choices=EFFORTS)
    parser.add_argument("--packing", default="auto")
    options = parser.parse_args(arguments)
    table = Table(*HEADER)
    for model in options.models:
        for row in rows(model, options.effort or EFFORTS, options.packing):
            table.add_row(*row)
    Console(width=170).print(table)
    return 0


def rows(model: str, efforts: Sequence[int], packing: str) -> Iterator[list[str]]:
    """A line of the table for each effort."""
    name, _, size = model.partition("@")
    target = _target(size)
    module = tiled(_model(name), target)
    for effort in efforts:
        started = time.perf_counter()
        placed = Place(target, packing, effort=effort)(module)
        between = time.perf_counter()
        routed = Route(target, effort)(placed)
        ended = time.perf_counter()
        report = placement_report(routed, target)
        distance, hops = (report["bounds"][key] for key in ("traffic_distance", "partial_sum_hops"))
        busiest = busiest_link(routed, target, link_report(routed, target)["busiest_ns"])
        yield [
            Path(name).stem, str(effort), str(report["cores_used"]),
            f"{distance['value']:,}", f"{distance['bound']:,}", _gap(distance),
            str(hops["value"]), str(hops["bound"]),
            f"{busiest['value']:,.0f}", f"{busiest['bound']:,.0f}",
            f"{between - started:.2f}", f"{ended - between:.2f}",
        ]  # fmt: skip


def _gap(entry: dict[str, Any]) -> str:
    return f"{entry['value'] / entry['bound'] - 1:.1%}" if entry["bound"] else ""


def tiled(model: onnx.ModelProto | Path, target: Target) -> Module:
    """A model in tiles that no core holds yet, calibrated on one random sample: places and routes
    do not depend on its values."""
    module = import_model(model, shapes={}, sample=None)
    random = np.random.default_rng(0)
    feed = {
        port.name: random.random([size or 1 for size in port.shape or ()]).astype(port.dtype)
        for port in module.source.ports.inputs
    }
    options = PassOptions(target, target.read_modes.default.value, (feed,), correction="none")
    return run_pipeline(module, pipeline(options)[:-2])[0]


def _model(name: str) -> onnx.ModelProto | Path:
    if Path(name).exists():
        return Path(name)
    built: onnx.ModelProto = import_module("bench.shapes").build(name)
    return built


def _target(size: str) -> Target:
    """HERMES, or a chip of that kind with another grid."""
    hermes = load_target("hermes")
    if not size:
        return hermes
    data = target_to_data(hermes)
    shape = dict(zip(("rows", "columns"), map(int, size.split("x")), strict=True))
    for key, value in shape.items():
        data["grid"][key]["value"] = value
    data["gdpu"]["count"]["value"] = shape["columns"]
    return target_from_data(data)


if __name__ == "__main__":
    raise SystemExit(main())
