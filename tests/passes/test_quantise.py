"""Quantise: each numbered rule, and the formats that it rests on."""

import pytest

from anacc_passes.quantise import Quantise
from tests.passes.golden_text import check


@pytest.mark.parametrize(
    "name",
    [
        "quantise_1_unseen",
        "quantise_2_concat",
        "quantise_2_moves",
        "quantise_2_pad",
        "quantise_3_binary16",
        "quantise_3_lstm",
        "quantise_3_unbounded",
        "quantise_4_zero_points",
        "quantise_formats_states",
        "quantise_max_pool_output",
    ],
)
def test_golden(name: str, update_golden: bool) -> None:
    check(name, Quantise(), update_golden)
