"""Programs of networks that hypothesis makes have no fault, for either order of proof."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
from hypothesis import given, settings
from hypothesis import strategies as st

from anacc.compiler import compile_image
from anacc.errors import CompileError
from anacc.verification.check import verify
from tests.end_to_end.network import Network
from tests.end_to_end.operators import deep_convolutions, moved, products
from tests.end_to_end.recurrent import recurrent_networks
from tests.end_to_end.strategies import convolutional, moving, networks, pooled_layers

READ_MODES = st.sampled_from(["4-phase", "1-phase"])
SMALL = {"crossbar": "64x64", "grid": "4x4"}


OPTIONS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"optimize": "throughput"},
        {"optimize": "latency", "packing": "always"},
        {"packing": "densest"},
        {"settings": SMALL},
        {"settings": SMALL, "packing": "densest"},
        {"settings": SMALL, "chips": "auto", "packing": "never"},
        {"settings": SMALL, "chips": 2, "reload": True, "packing": "never"},
        {"settings": SMALL, "chips": "auto", "optimize": "throughput"},
    ]
)


def check(net: Network, read_mode: str, **options: Any) -> None:
    """Compile a network and prove its program."""
    model = net.model()
    feeds = [net.feed(3 if isinstance(net.batch, str) else net.batch, seed=net.seed)]
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        try:
            image, _ = compile_image(model, calibration=feeds, read_mode=read_mode, **options)
        except CompileError:
            if not options:
                raise
            return  # too large for these chips
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        findings = verify(image, path)
    # Small networks on many chips can need the links between them longer than any unit: that is
    # found, and is no error of the compiler.
    slow = "of the slowest stage" if "chips" in options else "\0"
    assert [fault.message for fault in findings.faults if slow not in fault.message] == []


@settings(max_examples=20)
@given(net=convolutional, read_mode=READ_MODES)
def test_convolutional_network(net: Network, read_mode: str) -> None:
    check(net, read_mode)


@settings(max_examples=30)
@given(net=st.one_of(convolutional, networks(), recurrent_networks()), options=OPTIONS)
def test_copies_chips_rounds_and_cuts(net: Network, options: dict[str, Any]) -> None:
    check(net, "4-phase", **options)


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
