"""What a run of the benchmark found: bench/results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

PATH = Path(__file__).with_name("results.json")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Spread(_Record):
    """The median of some rounds with its lower and upper quartile."""

    median: float
    lower: float
    upper: float
    rounds: int


class Measurement(_Record):
    """One engine in one case.

    Attributes:
        seconds: of a run.
        relative: its time, in times of the reference engine.
        limit: the share of what the CPU could do at most; None: not known.
        idle: seconds of CPU time that its process used while all other engines had their turns.
    """

    seconds: Spread
    relative: Spread
    limit: Spread | None
    idle: float


class CaseResult(_Record):
    """One case.

    Attributes:
        engines: the measurements by engine, in the order of the case.
        unavailable: why an engine has none.
        rates: of the CPU on as many threads as the case has: multiply-adds per second of products,
            and bytes per second of reading weights (`read`).
    """

    engines: dict[str, Measurement]
    unavailable: dict[str, str]
    rates: dict[str, Spread]


class Ratio(_Record):
    """A goal of the project beside what was measured.

    Attributes:
        text: what the figure is.
        value: the figure; None: an engine was not there.
        at_most, at_least: the goal.
    """

    text: str
    value: Spread | None
    at_most: float | None
    at_least: float | None

    @property
    def holds(self) -> bool | None:
        """Whether the median reaches the goal; None: it is not known."""
        if self.value is None:
            return None
        return (self.at_most is None or self.value.median <= self.at_most) and (
            self.at_least is None or self.value.median >= self.at_least
        )


class Limits(_Record):
    """The CPU: cycles per second; multiply-adds per second of one thread; bytes per second that are
    read from each level of memory by one thread, and from memory also by two."""

    clock: Spread
    products: dict[str, Spread]
    reads: dict[str, Spread]


class Machine(_Record):
    """The CPU's name, the features that the engines use, the CPUs that there are, and the
    operating system with its version."""

    cpu: str
    architecture: str
    features: list[str]
    cpus: int
    system: str


class Results(_Record):
    """All of it.

    Attributes:
        versions: of anacc, its kernel's instruction set, and the other engines.
        u8s8_is_exact: whether ONNX Runtime's products of unsigned activations and signed weights
            are right on this CPU, or saturate.
        limits: None where the micro-benchmark cannot be compiled.
    """

    machine: Machine
    versions: dict[str, str]
    u8s8_is_exact: bool
    limits: Limits | None
    cases: dict[str, CaseResult]
    ratios: list[Ratio]

    def save(self, path: Path = PATH) -> None:
        """Write the JSON file."""
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


def load(path: Path = PATH) -> Results:
    """Read the JSON file.

    Raises:
        pydantic.ValidationError: it is not what `Results.save` writes.
    """
    return Results.model_validate_json(path.read_text(encoding="utf-8"))


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of a value for each round, to five digits."""
    lower, middle, upper = np.percentile(values, [25, 50, 75])
    return _rounded(middle, lower, upper, len(values))


def ratio(above: Mapping[int, float], below: Mapping[int, float]) -> Spread:
    """The quotient of two medians, with the quartiles of the quotients of single rounds.

    Args:
        above, below: values by number of the round; they have a round in common.
    """
    common = sorted(above.keys() & below.keys())
    lower, upper = np.percentile([above[k] / below[k] for k in common], [25, 75])
    middle = np.median([above[k] for k in common]) / np.median([below[k] for k in common])
    return _rounded(middle, lower, upper, len(common))


def _rounded(middle: float, lower: float, upper: float, rounds: int) -> Spread:
    digits = (float(f"{value:.5g}") for value in (middle, lower, upper))
    middle, lower, upper = digits
    return Spread(median=middle, lower=lower, upper=upper, rounds=rounds)
