"""All options of the mapper together, drawn at random: each program is proven as a whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.end_to_end.mapper_options import Options, check_mapped, mapper_options
from tests.end_to_end.network import Network
from tests.end_to_end.operators import deep_convolutions
from tests.end_to_end.quantised import Recipe, feeds_of, float_model, quantised
from tests.end_to_end.recurrent import recurrent_networks
from tests.end_to_end.strategies import convolutional, moving, networks

SAMPLES = st.sampled_from([1, 2, 5])


def check(net: Network, options: Options, samples: int) -> None:
    count = samples if isinstance(net.batch, str) else net.batch
    check_mapped(net.model(), net.feed(count, seed=net.seed), options)


@settings(max_examples=8)
@given(st.one_of(convolutional, deep_convolutions()), mapper_options(), SAMPLES)
def test_convolutions(net: Network, options: Options, samples: int) -> None:
    check(net, options, samples)


@settings(max_examples=8)
@given(st.one_of(networks(), moving, recurrent_networks()), mapper_options(), SAMPLES)
def test_other_layers(net: Network, options: Options, samples: int) -> None:
    check(net, options, samples)


@settings(max_examples=3)
@given(st.integers(0, 99), st.booleans(), st.booleans(), mapper_options())
def test_quantised_models(
    tmp_path_factory: pytest.TempPathFactory, seed: int, qdq: bool, each: bool, options: Options
) -> None:
    model = float_model(seed, convolutional=True)
    feeds = feeds_of(model, seed)
    recipe = Recipe(qdq, per_channel=each, unsigned=qdq, symmetric=each)
    folder = tmp_path_factory.mktemp("quantised")
    check_mapped(quantised(model, recipe, feeds, folder), feeds[0], options)


@pytest.mark.parametrize(
    "options",
    [
        {"optimize": "throughput", "chips": 3},
        {"packing": "densest", "chips": "auto"},
        {"packing": "always", "reload": True, "chips": 2},
        {"optimize": "latency", "reload": True, "effort": 0},
    ],
)
def test_a_separable_network(options: Options) -> None:
    """Residual inverted bottlenecks, squeezed and excited on GDPUs, on few small crossbars."""
    net = Network(seed=11)
    x = net.input("N", 3, 9, 9)
    x = net.node("Relu", net.node("Conv", x, net.weight(8, 3, 3, 3, sums=27), strides=[2, 2]))
    for _ in range(2):
        y = net.node("Relu", net.node("Conv", x, net.weight(40, 8, 1, 1, sums=8)))
        weight = net.weight(40, 1, 3, 3, sums=9)
        y = net.node("Relu", net.node("Conv", y, weight, group=40, pads=[1] * 4))
        gate = net.node("Conv", net.node("GlobalAveragePool", y), net.weight(40, 40, 1, 1, sums=40))
        y = net.node("Mul", y, net.node("Sigmoid", gate))
        x = net.node("Add", x, net.node("Conv", y, net.weight(8, 40, 1, 1, sums=40)))
    x = net.node("Flatten", net.node("GlobalAveragePool", x), shape=("N", 8))
    net.outputs.append(net.node("MatMul", x, net.weight(8, 100, sums=8)))
    settings_ = {"grid": "4x4", "crossbar": "48x40", "gdpu.count": 2}
    plain: Options = {"packing": "auto", "optimize": None, "row_copies": "never", "chips": 1,
                      "reload": False, "read_mode": "1-phase", "settings": settings_}  # fmt: skip
    assert check_mapped(net.model(), net.feed(3, seed=1), {**plain, **options}) is not None
