"""What a user may say of noise, and what is refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from anacc.errors import UsageError
from anacc_runtime import ConversionNoise
from anacc_runtime.program import LoadedProgram
from tests.runtime import examples


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConversionNoise("0.5"),  # type: ignore[arg-type]
        lambda: ConversionNoise(None),  # type: ignore[arg-type]
        lambda: ConversionNoise(0.5, seed="7"),  # type: ignore[arg-type]
        lambda: ConversionNoise(0.5, seed=1.5),  # type: ignore[arg-type]
        lambda: ConversionNoise(0.5, trial=1.5),  # type: ignore[arg-type]
    ],
)
def test_values_of_a_wrong_type_are_refused(make: Callable[[], ConversionNoise]) -> None:
    with pytest.raises(UsageError, match="of noise is"):
        make()


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_wrong_arguments_of_a_run_are_refused(executor: Any) -> None:
    image = examples.ALL["layer"]
    program, feed = LoadedProgram(image), examples.feed(image, 3)
    noise = ConversionNoise(0.5)
    for wrong in (0.5, "x", {"deviation": 1}):
        with pytest.raises(UsageError, match="noise cannot be"):
            program.run(feed, executor, noise=wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="first sample"):
        program.run(feed, executor, noise=noise, first_sample=1.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="threads"):
        program.run(feed, executor, threads=1.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="out of range"):
        program.run(feed, executor, noise=noise, first_sample=2**32 - 2)
    last = program.run(feed, executor, noise=noise, first_sample=2**32 - 3)
    assert all(len(array) == 3 for array in last.values())
