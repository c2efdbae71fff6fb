"""Integers: each numbered rule on the smallest module that shows it."""

import pytest

from anacc_passes.integers import Integers
from tests.passes.golden_text import check


@pytest.mark.parametrize("name", ["integers_1_known", "integers_2_unknown"])
def test_golden(name: str, update_golden: bool) -> None:
    check(name, Integers(), update_golden)
