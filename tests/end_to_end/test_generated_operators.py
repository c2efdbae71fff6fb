"""Operators that become several ops: generated over their attributes, compiled, run, compared.

Nothing of them is left to the host."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.end_to_end.checks import precise_target
from tests.end_to_end.network import Network
from tests.end_to_end.operators import (
    deep_convolutions,
    moved,
    products,
    sums_of_products,
    transposed_convolutions,
)
from tests.end_to_end.test_generated_layers import READ_MODES, check


@pytest.fixture(scope="module")
def precise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return precise_target(tmp_path_factory.mktemp("target"))


@settings(max_examples=25)
@given(net=transposed_convolutions(), read_mode=READ_MODES)
def test_transposed_convolution(precise: Path, net: Network, read_mode: str) -> None:
    assert not check(net, precise, read_mode, noise=0.06).segments


@settings(max_examples=20)
@given(net=deep_convolutions(), read_mode=READ_MODES)
def test_convolution_of_three_axes(precise: Path, net: Network, read_mode: str) -> None:
    assert not check(net, precise, read_mode, noise=0.1).segments


@settings(max_examples=25)
@given(net=products(), read_mode=READ_MODES)
def test_product(precise: Path, net: Network, read_mode: str) -> None:
    assert not check(net, precise, read_mode, noise=0.06).segments


@settings(max_examples=20)
@given(net=sums_of_products(), read_mode=READ_MODES)
def test_sum_of_products(precise: Path, net: Network, read_mode: str) -> None:
    assert not check(net, precise, read_mode, noise=0.06).segments


@settings(max_examples=30)
@given(net=moved(), read_mode=READ_MODES)
def test_moved_and_reduced(precise: Path, net: Network, read_mode: str) -> None:
    assert not check(net, precise, read_mode, noise=0.2).segments
