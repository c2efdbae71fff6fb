"""`python -m bench.scale`: compile networks of growing size, and write down time and memory."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from anacc_passes.parallel import cpus
from bench.cases import FOLDER
from bench.machine import CPU_INFO, cpu_fields
from bench.scale import page, records
from bench.scale.records import MEBIBYTE, Compilation, Results
from bench.shapes.catalogue import UnknownNetwork, network

NETWORKS = (
    "weights-1e6", "weights-1e7", "weights-1e8", "weights-1e9",
    "chain-1e2", "chain-1e3", "chain-1e4", "wide-1e2", "wide-1e3", "wide-1e4",
    "resnet-50", "gpt2-small",
)  # fmt: skip
CROSSBAR = 256 * 256  # cells of one of HERMES
SPARE = 4  # cores for each crossbar that the weights would fill

CHIP = """inherit = "hermes"

[chip.name]
value = "hermes-{side}"
unit = "name"
source = "assumed"
note = "Not a chip that exists: HERMES with a grid that holds the network"
"""
GRID = """
[grid.{axis}]
value = {side}
unit = "{axis}"
source = "assumed"
note = "Large enough for the network"
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit status is 1 where a compilation failed."""
    options = _options(arguments)
    names = options.only or NETWORKS
    found = {} if not options.only else _known()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names:
        try:
            found[name] = _measured(name)
        except (subprocess.CalledProcessError, UnknownNetwork) as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            return 1
        one = found[name]
        print(
            f"{name}: {one.seconds:.1f} s, {one.cpu_seconds:.1f} CPU s, "
            f"{one.peak_bytes / MEBIBYTE:,.0f} MiB",
            flush=True,
        )
    ordered = {name: found[name] for name in (*NETWORKS, *found) if name in found}
    fields = cpu_fields(CPU_INFO.read_text() if CPU_INFO.exists() else "")
    results = Results(cpu=fields.get("model name", "unknown"), cpus=cpus(), compilations=ordered)
    results.save()
    page.write(results)
    return 0


def _known() -> dict[str, Compilation]:
    return dict(records.load().compilations) if records.PATH.exists() else {}


def _measured(name: str) -> Compilation:
    """Write the network and a target for it, and compile it in a process of its own."""
    made = network(name)
    weights, ops = made.parameter_count, len(made.nodes)
    side = 8
    while side**2 < max(SPARE * weights // CROSSBAR, ops):
        side *= 2
    with tempfile.TemporaryDirectory(dir=FOLDER) as place:
        folder = Path(place)
        model, target = folder / f"{name}.onnx", folder / "chip.toml"
        made.write(model)
        grid = "".join(GRID.format(axis=axis, side=side) for axis in ("rows", "columns"))
        target.write_text(CHIP.format(side=side) + grid, encoding="utf-8")
        command = [sys.executable, "-m", "bench.scale.worker"]
        command += [str(model), str(target), str(weights), str(ops), str(folder)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return Compilation.model_validate_json(done.stdout)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale",
        description="Compile networks of growing size; write bench/scale/results.json and the "
        "section of docs/performance.md.",
    )
    parser.add_argument(
        "--only", metavar="NETWORK", action="append",
        help="measure this network only, and keep the other figures; may be repeated",
    )  # fmt: skip
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
