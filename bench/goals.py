"""What the project asks of its native executor, as ratios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.cases import AIHWKIT, CASES, ENGINES
from bench.evaluate import Rounds, seconds
from bench.measure import Series
from bench.results import CaseResult, Ratio, Spread, ratio, spread


@dataclass(frozen=True)
class Faster:
    """The time of `engine` is at most `at_most` times that of the fastest of `than`."""

    case: str
    engine: str
    than: tuple[str, ...]
    at_most: float

    @property
    def text(self) -> str:
        """What the figure is."""
        than = " or ".join(ENGINES[name].title for name in self.than)
        return f"{CASES[self.case].title}: time of {ENGINES[self.engine].title} / {than}"


@dataclass(frozen=True)
class FasterThanAll:
    """The time of the fastest of `others` is at least `at_least` times that of `engine`."""

    case: str
    others: tuple[str, ...]
    engine: str
    at_least: float

    @property
    def text(self) -> str:
        """What the figure is."""
        engine = ENGINES[self.engine].title
        return f"{CASES[self.case].title}: time of the faster aihwkit / {engine}"


@dataclass(frozen=True)
class ShareOfLimit:
    """The engine reaches at least the share `at_least` of the limit."""

    case: str
    engine: str
    at_least: float

    @property
    def text(self) -> str:
        """What the figure is."""
        return f"{CASES[self.case].title}: {ENGINES[self.engine].title}, share of the limit"


@dataclass(frozen=True)
class Time:
    """The engine takes at most `at_most` seconds."""

    case: str
    engine: str
    at_most: float

    @property
    def text(self) -> str:
        """What the figure is."""
        return f"{CASES[self.case].title}: {ENGINES[self.engine].title}, seconds"


Goal = Faster | FasterThanAll | ShareOfLimit | Time

_INT8 = ("onnxruntime-u8u8", "onnxruntime-u8s8")

GOALS: tuple[Goal, ...] = (
    *(
        ShareOfLimit(f"crossbar-{batch}", f"crossbar-{cells}-{phases}-phase-nonnegative", share)
        for batch in (64, 1024)
        for cells in ("int8", "int16")
        for phases, share in ((1, 0.85), (4, 0.80))
    ),
    *(
        ShareOfLimit(
            "crossbar-1024-avx2", f"crossbar-{cells}-{phases}-phase-nonnegative-avx2", share
        )
        for cells in ("int8", "int16")
        for phases, share in ((1, 0.85), (4, 0.80))
    ),
    Faster("resnet9-64", "anacc-1-phase", ("onnxruntime-u8u8",), 0.85),
    Faster("resnet9-64", "anacc-1-phase", ("onnxruntime-u8s8",), 1.15),
    Faster("resnet9-64", "anacc-4-phase", ("onnxruntime-u8u8",), 1.6),
    Faster("resnet9-1", "anacc-1-phase", ("onnxruntime-u8u8",), 1.0),
    Faster("resnet9-1", "anacc-4-phase", ("onnxruntime-u8u8",), 1.8),
    Faster("resnet9-64", "anacc-1-phase-noise", ("anacc-1-phase",), 1.25),
    Faster("resnet9-64", "anacc-4-phase-noise", ("anacc-4-phase",), 1.25),
    *(
        Faster(f"lstm-{batch}", f"anacc-{phases}-phase", _INT8, times)
        for batch in (1, 64)
        for phases, times in ((1, 1.3), (4, 2.0))
    ),
    FasterThanAll("resnet9-64", AIHWKIT, "anacc-1-phase", 15),
    FasterThanAll("lstm-1", AIHWKIT, "anacc-1-phase", 50),
    Time("load", "load", 0.3),
)


def measured(
    series: Mapping[str, Mapping[str, Series]], results: Mapping[str, CaseResult]
) -> list[Ratio]:
    """The goals of the cases that were measured, with their figures.

    Args:
        series: the measurements by case and engine.
        results: what came of them, by case.
    """
    found = []
    for goal in GOALS:
        if goal.case in series:
            found.append(
                Ratio(
                    text=goal.text,
                    value=_value(goal, series[goal.case], results[goal.case]),
                    at_most=goal.at_most if isinstance(goal, Faster | Time) else None,
                    at_least=None if isinstance(goal, Faster | Time) else goal.at_least,
                )
            )
    return found


def _value(goal: Goal, series: Mapping[str, Series], result: CaseResult) -> Spread | None:
    times = seconds(series)
    measurement = result.engines.get(goal.engine)
    if measurement is None:
        return None
    match goal:
        case Faster():
            fastest = _fastest(times, goal.than)
            return ratio(times[goal.engine], fastest) if fastest else None
        case FasterThanAll():
            fastest = _fastest(times, goal.others)
            return ratio(fastest, times[goal.engine]) if fastest else None
        case ShareOfLimit():
            return measurement.limit
        case Time():
            return measurement.seconds


def _fastest(times: Mapping[str, Rounds], names: tuple[str, ...]) -> Rounds | None:
    """The times of the fastest of some engines; None: none of them was measured."""
    found = [times[name] for name in names if name in times]
    return min(found, key=lambda rounds: spread([*rounds.values()]).median, default=None)
