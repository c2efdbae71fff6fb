"""Hypothesis strategies for networks with an LSTM."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from tests.end_to_end.network import Network
from tests.end_to_end.strategies import BATCHES, Draw


def lstm(draw: Draw, net: Network, x: str) -> list[str]:
    """An LSTM behind (T, N, F); results Y, Y_h, Y_c as (T, D, N, H), (D, N, H), (D, N, H)."""
    features = int(net.shapes[x][2])
    hidden = draw(st.sampled_from([1, 2, 5, 16, 63, 64, 65, 100, 130, 200]))
    direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    count = 2 if direction == "bidirectional" else 1
    operands = [
        x,
        # Gates of a few units: the hidden state, of which a code is 1/127, is then not small.
        net.normal(count, 4 * hidden, features, scale=2 / math.sqrt(features)),
        net.normal(count, 4 * hidden, hidden, scale=1 / math.sqrt(hidden)),
        net.normal(count, 8 * hidden, scale=0.5) if draw(st.booleans()) else "",
        "",
        # A hidden state lies between -1 and 1, and so must the initial one.
        net.input(count, net.batch, hidden, largest=1.0) if draw(st.booleans()) else "",
        net.input(count, net.batch, hidden) if draw(st.booleans()) else "",
    ]
    while not operands[-1]:
        operands.pop()
    return net.nodes("LSTM", tuple(operands), 3, hidden_size=hidden, direction=direction)


def behind(draw: Draw, net: Network, y: str) -> str:
    """A layer behind the sequence (T, D, N, H)."""
    steps, count, batch, hidden = net.shapes[y]
    kind = draw(st.sampled_from(["none", "squeeze", "join", "batch first"]))
    if kind == "squeeze" and count == 1:
        y = net.node("Squeeze", y, net.integers(1))
    elif kind in ("join", "batch first"):
        y = net.node("Transpose", y, perm=[0, 2, 1, 3])
        width = int(count) * int(hidden)
        y = net.node("Reshape", y, net.integers(0, 0, width), shape=(steps, batch, width))
        if kind == "batch first":
            y = net.node("Transpose", y, perm=[1, 0, 2])
    width = int(net.shapes[y][-1])
    if draw(st.booleans()):
        shape = (*net.shapes[y][:-1], 7)
        y = net.node("MatMul", y, net.weight(width, 7, sums=width), shape=shape)
        y = net.node("Add", y, net.normal(7))
    if draw(st.integers(0, 3)) == 0:
        y = net.node(draw(st.sampled_from(["Relu", "Tanh"])), y)
    return y


@st.composite
def recurrent_networks(draw: Draw) -> Network:
    """One or two LSTMs, the batch on axis 1, with layers before and behind."""
    net = Network(draw(st.integers(0, 2**16)), draw(BATCHES))
    steps = draw(st.sampled_from([1, 2, 3, 6]))
    features = draw(st.sampled_from([1, 3, 40, 256, 300]))
    if draw(st.booleans()):
        x = net.input(steps, net.batch, features)
    else:
        x = net.node("Transpose", net.input(net.batch, steps, features), perm=[1, 0, 2])
    if draw(st.integers(0, 2)) == 0:
        shape = (*net.shapes[x][:-1], 20)
        x = net.node("MatMul", x, net.weight(features, 20, sums=features), shape=shape)
        x = net.node("Relu", x)
    y, y_h, y_c = lstm(draw, net, x)
    if math.prod(int(dim) for dim in net.shapes[y] if dim != net.batch) < 400:
        joined = net.node("Transpose", y, perm=[0, 2, 1, 3])
        shape = net.shapes[joined]
        width = int(shape[2]) * int(shape[3])
        x = net.node("Reshape", joined, net.integers(0, 0, width), shape=(*shape[:2], width))
        if draw(st.booleans()):
            y, y_h, y_c = lstm(draw, net, x)
    chosen = draw(st.sets(st.sampled_from(["y", "y_h", "y_c", "behind"]), min_size=1))
    named = {"y": y, "y_h": y_h, "y_c": y_c}
    net.outputs += [named[name] for name in sorted(chosen) if name != "behind"]
    if "behind" in chosen:
        last = behind(draw, net, y)
        net.outputs += [last] if last not in net.outputs else []
    return net
