"""A program of anacc, with or without noise in each conversion."""

from __future__ import annotations

from collections.abc import Callable

import anacc
from anacc_runtime.noise import ConversionNoise
from bench.cases import Case, Engine, program_path
from bench.engines import Figures
from bench.engines.feeds import feed
from bench.engines.timing import timed


def prepare(case: Case, engine: Engine) -> Callable[[], Figures]:
    """Measure `Program.run`; the option `deviation` is that of the noise, in counts."""
    program = anacc.load(program_path(case.network, engine.options["mode"]), case.threads)
    inputs = feed(case)
    if "deviation" not in engine.options:
        return timed(lambda: program.run(inputs))
    noise = ConversionNoise(float(engine.options["deviation"]))
    return timed(lambda: program.run(inputs, noise=noise))
