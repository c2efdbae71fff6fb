"""Programs of networks that hypothesis makes have no fault, for either order of proof."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.compiler import compile_image
from anacc.verification.check import verify
from tests.end_to_end.network import Network
from tests.end_to_end.operators import deep_convolutions, moved, products
from tests.end_to_end.recurrent import recurrent_networks
from tests.end_to_end.strategies import convolutional, moving, networks, pooled_layers

READ_MODES = st.sampled_from(["4-phase", "1-phase"])


def check(net: Network, read_mode: str) -> None:
    """Compile a network and prove its program."""
    model = net.model()
    feeds = [net.feed(3 if isinstance(net.batch, str) else net.batch, seed=net.seed)]
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        image, _ = compile_image(model, calibration=feeds, read_mode=read_mode)
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        findings = verify(image, path)
    assert [fault.message for fault in findings.faults] == []


@settings(max_examples=20)
@given(net=convolutional, read_mode=READ_MODES)
def test_convolutional_network(net: Network, read_mode: str) -> None:
    check(net, read_mode)


@settings(max_examples=20)
@given(net=pooled_layers(), read_mode=READ_MODES)
def test_pooling(net: Network, read_mode: str) -> None:
    check(net, read_mode)


@settings(max_examples=20)
@given(net=networks(), read_mode=READ_MODES)
def test_network_of_all_operators(net: Network, read_mode: str) -> None:
    check(net, read_mode)


@settings(max_examples=20)
@given(net=moving, read_mode=READ_MODES)
def test_moving_data(net: Network, read_mode: str) -> None:
    check(net, read_mode)


@settings(max_examples=20)
@given(net=st.one_of(deep_convolutions(), products(), moved()), read_mode=READ_MODES)
def test_other_operators(net: Network, read_mode: str) -> None:
    check(net, read_mode)


@settings(max_examples=20)
@given(net=recurrent_networks(), read_mode=READ_MODES)
def test_recurrent_network(net: Network, read_mode: str) -> None:
    check(net, read_mode)
