"""The time of a call."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.engines import Figures


def timed(function: Callable[[], object]) -> Callable[[], Figures]:
    """A function that calls another one and returns how many seconds that took."""

    def measure() -> Figures:
        start = time.perf_counter()
        function()
        return {"seconds": time.perf_counter() - start}

    return measure
