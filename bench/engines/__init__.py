"""The engines that are measured, one module for each kind.  A module's `prepare` makes all that a
run needs and returns a function that does one."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from bench.cases import Case, Engine

Figures = dict[str, float]
"""What one measurement gives, by name: `seconds`, or rates of the CPU."""


class Unavailable(Exception):
    """The engine is not there, or cannot run the case; the message says why in a few words."""


def prepare(case: Case, engine: Engine) -> Callable[[], Figures]:
    """Return a function that measures one run of the case.

    Raises:
        Unavailable: the engine is not installed, or does not have the case.
    """
    module = importlib.import_module(f"bench.engines.{engine.module}")
    function: Callable[[], Figures] = module.prepare(case, engine)
    return function
