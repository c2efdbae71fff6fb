"""Loading a program and its first inference."""

from __future__ import annotations

from collections.abc import Callable

import anacc
import anacc_runtime.native  # Loaded only with the first run otherwise.
from anacc.program import check, container
from bench.cases import Case, Engine, program_path
from bench.engines import Figures
from bench.engines.feeds import feed
from bench.engines.timing import timed

# What `anacc.load` and the first run import, so that their time is without imports.
IMPORTED = (anacc_runtime.native, check, container)


def prepare(case: Case, engine: Engine) -> Callable[[], Figures]:
    """Measure `anacc.load` with the first `Program.run`; only the first call tells anything."""
    path = program_path(case.network, engine.options["mode"])
    inputs = feed(case)
    return timed(lambda: anacc.load(path, case.threads).run(inputs))
