"""Networks that hypothesis makes: every way to run a program gives the same bits, and these are
what ONNX Runtime computes, but for the rounding to 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc import Program
from anacc.compiler import compile_image
from anacc.program.image import Image
from tests.end_to_end.checks import (
    Results,
    assert_accurate,
    assert_same_bits,
    onnx_results,
    precise_target,
)
from tests.end_to_end.network import Array, Network
from tests.end_to_end.recurrent import recurrent_networks
from tests.end_to_end.strategies import (
    convolutional,
    moving,
    networks,
    pooled_layers,
    single_layers,
)

READ_MODES = st.sampled_from(["4-phase", "1-phase"])
SAMPLES = 4  # in a feed, where the batch is symbolic
FEEDS = 4


@pytest.fixture(scope="module")
def precise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return precise_target(tmp_path_factory.mktemp("target"))


def beyond(feed: dict[str, Array]) -> dict[str, Array]:
    """The feed far outside the range that it was calibrated on: codes saturate, counts too."""
    return {name: (array * np.float32(8)).astype(array.dtype) for name, array in feed.items()}


def ties(feed: dict[str, Array]) -> dict[str, Array]:
    """Odd multiples of half an LSB, 1/128, from beyond one end of the range to beyond the other."""
    return {
        name: np.resize(np.float32(np.arange(-261, 262, 2)) / 128, array.shape)
        for name, array in feed.items()
    }


def check(
    net: Network, target: str | Path, read_mode: str, noise: float | None, least: float = 0.0
) -> Image:
    """Compile a network and run it on inputs that fit its calibration and on such that do not."""
    model = net.model()
    samples = SAMPLES if isinstance(net.batch, str) else net.batch
    feeds = [net.feed(samples, seed=net.seed + number) for number in range(FEEDS)]
    image, _ = compile_image(model, target=target, calibration=feeds, read_mode=read_mode)
    assert_same_bits(image, feeds[0])
    assert_same_bits(image, beyond(feeds[0]))
    assert_same_bits(image, ties(feeds[0]))
    if noise is not None:
        program = Program(image)
        found = [program.run(feed) for feed in feeds]
        expected = [onnx_results(model, feed) for feed in feeds]
        assert_accurate(stacked(found), stacked(expected), noise, least)
    return image


def stacked(results: list[Results]) -> Results:
    """The results of several feeds."""
    return {name: np.stack([each[name] for each in results]) for name in results[0]}


@settings(max_examples=50)
@given(net=single_layers(), read_mode=READ_MODES)
def test_single_layer(precise: Path, net: Network, read_mode: str) -> None:
    check(net, precise, read_mode, noise=0.06)


@settings(max_examples=50)
@given(net=pooled_layers(), read_mode=READ_MODES)
def test_pooling(precise: Path, net: Network, read_mode: str) -> None:
    check(net, precise, read_mode, noise=0.1)


@settings(max_examples=50)
@given(net=convolutional, read_mode=READ_MODES)
def test_convolutional_network(precise: Path, net: Network, read_mode: str) -> None:
    check(net, precise, read_mode, noise=0.15)


@settings(max_examples=50)
@given(net=networks(), read_mode=READ_MODES)
def test_network_of_all_operators(precise: Path, net: Network, read_mode: str) -> None:
    check(net, precise, read_mode, noise=0.2)


@settings(max_examples=50)
@given(net=moving, read_mode=READ_MODES)
def test_moving_data(precise: Path, net: Network, read_mode: str) -> None:
    check(net, precise, read_mode, noise=0.2)


@settings(max_examples=20)
@given(net=recurrent_networks(), read_mode=READ_MODES)
def test_recurrent_network(precise: Path, net: Network, read_mode: str) -> None:
    # A code of a hidden state is 1/127, however small the state is.
    check(net, precise, read_mode, noise=0.15, least=0.5 / 127)


@settings(max_examples=30)
@given(net=networks(), read_mode=READ_MODES)
def test_network_on_hermes(net: Network, read_mode: str) -> None:
    """Converters of 12 cells clip: the bits must be the same all the same."""
    check(net, "hermes", read_mode, noise=None)
