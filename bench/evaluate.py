"""From the measurements of a case to its result: shares of the limit, times of the reference."""

from __future__ import annotations

from collections.abc import Mapping

from bench.cases import CASES, ENGINES, LIMIT, Case, Engine
from bench.measure import Series
from bench.results import CaseResult, Measurement, ratio, spread
from bench.roofline import best_products

Rounds = dict[int, float]


def case_result(name: str, series: Mapping[str, Series], isa: str) -> CaseResult:
    """The result of a case.

    Args:
        name: its key.
        series: the measurements by engine.
        isa: the instruction set that anacc's kernel used.
    """
    case = CASES[name]
    times = seconds(series)
    rates = _rates(series.get(LIMIT))
    engines = {}
    for engine, rounds in times.items():
        least = least_seconds(case, ENGINES[engine], rates, isa)
        reference = times.get(case.reference, rounds)
        engines[engine] = Measurement(
            seconds=spread([*rounds.values()]),
            relative=ratio(rounds, reference),
            limit=ratio(least, rounds) if least else None,
            idle=float(f"{series[engine].idle:.2g}"),
        )
    return CaseResult(
        engines=engines,
        unavailable={key: one.unavailable for key, one in series.items() if one.unavailable},
        rates={rate: spread([*rounds.values()]) for rate, rounds in rates.items()},
    )


def seconds(series: Mapping[str, Series]) -> dict[str, Rounds]:
    """The seconds of each engine in each round."""
    return {
        engine: {number: figures["seconds"] for number, figures in one.rounds.items()}
        for engine, one in series.items()
        if engine != LIMIT and one.rounds
    }


def least_seconds(case: Case, engine: Engine, rates: Mapping[str, Rounds], isa: str) -> Rounds:
    """The least seconds of a run in each round: what its multiply-adds need at the rate of the
    fastest exact product, or what reading its weights needs, whichever is longer.  Empty where no
    rate is known.

    Args:
        case: has the work.
        engine: has the number of sums, and the size of weights.
        rates: of the CPU, by round.
        isa: the instruction set of the kernel.
    """
    products = [
        rates[name]
        for name in best_products(engine.isa or isa, engine.cells, case.is_nonnegative(engine))
        if name in rates
    ]
    if engine.sums == 0 or not products:
        return {}
    work = case.multiply_adds * engine.sums
    weight_bytes = case.layers.weights * (2 if engine.cells == "int16" else 1)
    return {
        number: max(
            work / max(rounds[number] for rounds in products),
            case.layers.passes * weight_bytes / read,
        )
        for number, read in rates["read"].items()
    }


def _rates(limit: Series | None) -> dict[str, Rounds]:
    rates: dict[str, Rounds] = {}
    for number, figures in (limit.rounds if limit else {}).items():
        for name, rate in figures.items():
            rates.setdefault(name, {})[number] = rate
    return rates
