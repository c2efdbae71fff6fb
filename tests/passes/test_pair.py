"""Pair: each numbered rule on the smallest module that shows it."""

import pytest

from anacc_passes.pair import Pair
from tests.passes.golden_text import check


@pytest.mark.parametrize(
    "name",
    [
        "pair_1_grids",
        "pair_2_moves",
        "pair_3_clamps",
        "pair_4_copies",
        "pair_5_another_grid",
        "pair_6_borders",
    ],
)
def test_golden(name: str, update_golden: bool) -> None:
    check(name, Pair(), update_golden)
