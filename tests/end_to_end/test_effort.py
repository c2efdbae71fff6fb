"""However crossbars are placed and values routed, the results are the same bits."""

from __future__ import annotations

import numpy as np

from anacc.compiler import compile_image
from tests.end_to_end.checks import assert_same_bits
from tests.end_to_end.network import Network


def network() -> Network:
    """Products of 3 x 3, 3 x 2 and 2 x 1 crossbars, one behind the other, and a sum."""
    net = Network(1)
    x = net.input("N", 700)
    y = net.node("Relu", net.node("MatMul", x, net.weight(700, 700, sums=700)))
    z = net.node("Relu", net.node("MatMul", y, net.weight(700, 500, sums=700)))
    z = net.node("Tanh", net.node("MatMul", z, net.weight(500, 200, sums=500)))
    net.outputs.append(net.node("MatMul", z, net.weight(200, 20, sums=200)))
    return net


def test_efforts_and_seeds_give_the_same_bits() -> None:
    net = network()
    model, feed = net.model(), net.feed(4, seed=4)
    found, distances = [], []
    for effort, seed in ((0, 0), (1, 0), (1, 5), (2, 0)):
        image, _ = compile_image(model, calibration=[feed], effort=effort, seed=seed)
        found.append(assert_same_bits(image, feed))
        bounds = image.mapping["bounds"]
        distances.append(bounds["traffic_distance"]["value"])
        assert bounds["traffic_distance"]["bound"] <= distances[-1]
        assert bounds["busiest_link"]["bound"] <= bounds["busiest_link"]["value"]
    for other in found[1:]:
        assert other.keys() == found[0].keys()
        assert all(np.array_equal(other[name], found[0][name]) for name in other)
    assert distances[3] <= distances[1] <= distances[0]
