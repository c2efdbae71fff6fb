"""Fuse: each numbered rule, and what stops it."""

import pytest

from anacc_passes.fuse import Fuse
from tests.passes.chips import target
from tests.passes.golden_text import check


@pytest.mark.parametrize(
    "name",
    [
        "fuse_1_affine",
        "fuse_1_linear",
        "fuse_1_not_per_column",
        "fuse_2_residual",
        "fuse_2_residual_order",
        "fuse_2_twice_the_same",
        "fuse_3_affine_after_residual",
        "fuse_4_activation",
        "fuse_convolution",
        "fuse_names",
        "fuse_single_use",
    ],
)
def test_golden(name: str, update_golden: bool) -> None:
    check(name, Fuse(), update_golden)


def test_golden_target(update_golden: bool) -> None:
    lacking = target(ldpu__functions=["affine", "accumulate", "relu", "requantise"])
    check("fuse_target", Fuse(lacking), update_golden)
