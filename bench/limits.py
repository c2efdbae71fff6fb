"""Measures the limits of the CPU by themselves, for a table of their own."""

from __future__ import annotations

from collections.abc import Callable

from bench.results import Limits, Spread, spread
from bench.roofline import MEMORY_BYTES, Roofline, RooflineError, data_caches

SECONDS = 0.01  # for each measurement


def limits(rounds: int) -> Limits | None:
    """Measure each limit in each of `rounds` rounds; None: the micro-benchmark is not compiled."""
    try:
        roofline = Roofline()
    except RooflineError:
        return None
    reads: dict[str, tuple[int, int]] = {
        # Half of a cache, so that what else is there leaves room.
        f"L{cache.level}": (cache.size // 2, 1)
        for cache in data_caches()
    }
    reads |= {"memory": (MEMORY_BYTES, 1), "memory, 2 threads": (MEMORY_BYTES, 2)}
    measures: dict[str, Callable[[], float]] = {"clock": lambda: roofline.clock_rate(SECONDS)}
    for name in roofline.products:
        measures[name] = lambda name=name: roofline.product_rate(name, SECONDS)  # type: ignore[misc]
    for name, (size, threads) in reads.items():
        measures[name] = lambda size=size, threads=threads: (  # type: ignore[misc]
            roofline.read_rate(size, SECONDS, threads)
        )
    values: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            values[name].append(measure())

    def spreads(names: list[str] | dict[str, tuple[int, int]]) -> dict[str, Spread]:
        return {name: spread(values[name]) for name in names}

    return Limits(
        clock=spread(values["clock"]), products=spreads(roofline.products), reads=spreads(reads)
    )
