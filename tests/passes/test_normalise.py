"""Normalise: each numbered rule on the smallest module that shows it."""

import pytest

from anacc_passes.normalise import Normalise
from tests.passes.golden_text import check


@pytest.mark.parametrize(
    "name",
    [
        "normalise_1_identity",
        "normalise_2_moves_that_change_nothing",
        "normalise_3_reshapes",
        "normalise_3_there_and_back",
        "normalise_4_5_clamps",
        "normalise_names_of_outputs",
        "normalise_unused",
    ],
)
def test_golden(name: str, update_golden: bool) -> None:
    check(name, Normalise(), update_golden)
