"""Copies of layers on two networks, beside what another compiler reports for the same hardware.

    python -m bench.replication [--run]

Weights are random: only shapes matter.  Hardware: crossbars of 256 x 256, one matrix-vector product
(MVM) of 133 ns at a time in a core (1-phase), one chip of 64 or 512 cores.  PIMCOMP is the compiler
of X. Sun et al., "PIMCOMP: An End-to-End DNN Compiler for Processing-In-Memory Accelerators"
(IEEE TCAD 2024, arXiv:2411.09159), its open version run on that hardware; it models one memory of
64 GB/s that all cores share.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anacc.compiler import compile_image
from anacc.program.image import Image
from anacc_runtime.native import NativeExecutor
from bench.shapes import build


@dataclass(frozen=True)
class Case:
    """A network on a chip, and times that were published for it, ms."""

    network: str
    rows: int
    columns: int
    published: str


CASES = (
    Case("squeezenet-1.0", 8, 8, "2.05 ms a stage or sample, free cores unused"),
    Case("resnet-18", 16, 32, "0.173 ms a stage when pipelined, 0.788 ms for one sample"),
)

TARGET = """\
inherit = "hermes"

[grid]
rows = {rows}
columns = {columns}

[bridge]
count = {cores}
"""


def compiled(case: Case, objective: str | None, folder: Path) -> tuple[Image, dict[str, float]]:
    """The program and the seconds of each pass."""
    path = folder / f"{case.rows}x{case.columns}.toml"
    sizes = {"rows": case.rows, "columns": case.columns, "cores": case.rows * case.columns}
    path.write_text(TARGET.format(**sizes), encoding="utf-8")
    model = build(case.network)
    (name,) = [each.name for each in model.graph.input]
    image, timings = compile_image(
        model,
        target=path,
        calibration=[{name: _images(1)}],
        read_mode="1-phase",
        row_copies="never",
        optimize=objective,
    )
    return image, {each.name: each.seconds for each in timings}


def _images(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(0).random((count, 3, 224, 224), np.float32)


def speed(image: Image, count: int = 8) -> float:
    """Samples a second in the native executor on one thread, the best of three runs."""
    executor = NativeExecutor(image)
    feed = {image.manifest.inputs[0].name: _images(count)}
    seconds = []
    for _ in range(4):  # the first one lowers the program
        start = time.perf_counter()
        executor.run(feed, 1)
        seconds.append(time.perf_counter() - start)
    executor.close()
    return count / min(seconds[1:])


def main() -> None:
    """Print a line for each network and objective."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.replication", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--run", action="store_true", help="also run the programs, and time that")
    run = parser.parse_args().run
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            print(f"{case.network} on {case.rows * case.columns} cores; PIMCOMP: {case.published}")
            for objective in (None, "throughput", "latency", "area"):
                image, seconds = compiled(case, objective, Path(folder))
                found = image.mapping["performance"]
                limits = ", ".join(
                    f"{kind} {each['ns'] / 1e6:.4g} ms"
                    for kind, each in found["busy"].items()
                    if kind != "core"
                )
                print(
                    f"  {objective or 'no copies'}: slowest stage {found['slowest_ns']:,.0f} ns "
                    f"({', '.join(found['slowest']['layers'][:2])}), bound "
                    f"{found['bound_ns']:,.0f} ns, all cores evenly "
                    f"{found['fractional_ns']:,.0f} ns; one sample "
                    f"{found['mvm_latency_ns'] / 1e6:.4g} ms in MVMs, "
                    f"{found['latency_ns'] / 1e6:.4g} ms with all assumed figures; "
                    f"{image.mapping['cores_used']} cores, {len(image.code.streams)} streams; "
                    f"busiest by assumed figures: {limits}; "
                    f"replicate {seconds['replicate']:.2f} s, "
                    f"place {seconds['place']:.2f} s"
                )
                if run:
                    print(f"    native executor, one thread: {speed(image):.2f} samples/s")


if __name__ == "__main__":
    main()
