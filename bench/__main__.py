"""`python -m bench`: measure, print the tables, and write them down."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bench import files, goals, report, results
from bench.cases import CASES, FOLDER
from bench.evaluate import case_result
from bench.limits import limits
from bench.machine import machine, u8s8_is_exact, versions
from bench.measure import EngineError, Series, run_case
from bench.results import Results
from bench.roofline import Roofline, RooflineError, native_isa

ROUNDS, QUICK_ROUNDS = 21, 3
TABLE_WIDTH = 120
BUSY = 0.5  # processes that want a CPU, on average


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 1 where an engine failed."""
    options = _options(arguments)
    console = Console(stderr=True)
    names = options.only or [*CASES]
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    if _is_busy():
        console.print("warning: this machine is busy; what is measured now will tell little")
    whole = not options.only and not options.quick
    try:
        Roofline()
    except RooflineError as error:
        if whole:
            reason = "a page without limits would replace one with them: set CC to a C compiler"
            console.print(f"error: {error}; {reason}")
            return 1
        console.print(f"warning: {error}, so that the limits of the CPU are not measured")
    console.print("writing models and programs to build/bench")
    files.write(names)
    series: dict[str, dict[str, Series]] = {}
    try:
        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console
        ) as progress:
            for name in names:
                task = progress.add_task(name, total=rounds)
                series[name] = run_case(
                    name, rounds, options.aihwkit_python, partial(progress.advance, task)
                )
    except EngineError as error:
        console.print(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    found = _results(series, options.aihwkit_python, rounds)
    report.show(found, _console())
    if whole:
        report.update_page(found)
    found.save(results.PATH if whole else FOLDER / results.PATH.name)
    return 0


def _is_busy() -> bool:
    """Whether other processes used the CPUs in the last minute."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > BUSY


def _console() -> Console:
    """Standard output, wide enough for the tables where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=TABLE_WIDTH)


def _results(series: dict[str, dict[str, Series]], aihwkit_python: str, rounds: int) -> Results:
    isa = native_isa()
    cases = {name: case_result(name, one, isa) for name, one in series.items()}
    return Results(
        machine=machine(),
        versions=versions(aihwkit_python),
        u8s8_is_exact=u8s8_is_exact(),
        limits=limits(rounds),
        cases=cases,
        ratios=goals.measured(series, cases),
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure anacc beside other engines; docs/performance.md says how. A complete "
        "run writes bench/results.json and the tables of that page, any other one "
        "build/bench/results.json.",
    )
    parser.add_argument(
        "--only", metavar="CASE", action="append", choices=[*CASES],
        help=f"measure this case only; may be repeated: {', '.join(CASES)}",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true",
        help=f"{QUICK_ROUNDS} rounds instead of {ROUNDS}, to see that all works",
    )  # fmt: skip
    parser.add_argument(
        "--aihwkit-python", metavar="PATH", default=sys.executable,
        help="the Python interpreter that has aihwkit, if not this one",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if shutil.which(options.aihwkit_python) is None:
        parser.error(f"there is no interpreter `{options.aihwkit_python}`")
    return options


if __name__ == "__main__":
    sys.exit(main())
