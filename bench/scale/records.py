"""What was measured of compilations: bench/scale/results.json."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

PATH = Path(__file__).with_name("results.json")
MEBIBYTE = 2**20


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Compilation(_Record):
    """One compilation, in a process of its own.

    Attributes:
        weights: parameters of the model.
        ops: nodes of the model.
        tiles: crossbar tiles of the program.
        seconds: of the passes but calibration, emission, checks and writing the file.
        cpu_seconds: of all threads of the process in the same stages.
        stages: the CPU seconds of each of them.
        peak_bytes: the most anonymous memory that the process ever had.
    """

    weights: int
    ops: int
    tiles: int
    seconds: float
    cpu_seconds: float
    stages: dict[str, float]
    peak_bytes: int


class Results(_Record):
    """All compilations by the name of the network, and the machine."""

    cpu: str
    cpus: int
    compilations: dict[str, Compilation]

    def save(self, path: Path = PATH) -> None:
        """Write the JSON file."""
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


def load(path: Path = PATH) -> Results:
    """Read the JSON file.

    Raises:
        pydantic.ValidationError: it is not what `Results.save` writes.
    """
    return Results.model_validate_json(path.read_text(encoding="utf-8"))


def growth(sizes: Sequence[float], times: Sequence[float]) -> float:
    """The exponent p of the power law time = c * size^p that fits best.

    Least squares over the logarithms, so that each size counts alike.

    Args:
        sizes, times: positive, of the same length, at least two different sizes.
    """
    x, y = [math.log(size) for size in sizes], [math.log(time) for time in times]
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    product = sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True))
    return product / sum((a - middle_x) ** 2 for a in x)
