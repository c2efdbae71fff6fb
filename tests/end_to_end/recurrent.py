"""Hypothesis strategies for networks with recurrent layers."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from tests.end_to_end.network import Network
from tests.end_to_end.strategies import BATCHES, Draw

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
# Activations besides the usual ones.
ACTIVATIONS: dict[str, list[tuple[str, ...]]] = {
    "LSTM": [("HardSigmoid", "Tanh", "Tanh"), ("Sigmoid", "Relu", "Tanh"),
             ("HardSigmoid", "HardSigmoid", "ScaledTanh"), ("Tanh", "Affine", "Sigmoid")],
    "GRU": [("HardSigmoid", "Tanh"), ("Sigmoid", "Relu"), ("Sigmoid", "ScaledTanh")],
    "RNN": [("Relu",), ("Sigmoid",), ("HardSigmoid",), ("Affine",), ("ScaledTanh",)],
}  # fmt: skip
PARAMETERS = {"HardSigmoid": (0.2, 0.5), "Affine": (0.5, 0.1), "ScaledTanh": (0.9, 0.7)}


def recurrent(draw: Draw, net: Network, x: str, operator: str | None = None) -> list[str]:
    """A recurrent node behind (T, N, F); results Y (T, D, N, H), Y_h and Y_c (D, N, H)."""
    operator = operator or draw(st.sampled_from(list(GATES)))
    features = int(net.shapes[x][2])
    hidden = draw(st.sampled_from([1, 2, 5, 16, 63, 64, 65, 100, 130, 200]))
    direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    count = 2 if direction == "bidirectional" else 1
    rows = GATES[operator] * hidden
    growth = 0.5 if operator == "RNN" else 1.0  # the states of some have no bounds
    operands = [
        x,
        # Gates of a few units: the hidden state, of which a code is 1/127, is then not small.
        net.normal(count, rows, features, scale=2 / math.sqrt(features)),
        net.normal(count, rows, hidden, scale=growth / math.sqrt(hidden)),
        net.normal(count, 2 * rows, scale=0.5) if draw(st.booleans()) else "",
        "",
        # A hidden state lies between -1 and 1, and so must the initial one.
        net.input(count, net.batch, hidden, largest=1.0) if draw(st.booleans()) else "",
    ]
    own = attributes(draw, operator, count)
    if operator == "LSTM":
        operands.append(net.input(count, net.batch, hidden) if draw(st.booleans()) else "")
        bare = "clip" not in own and "activations" not in own
        if bare and draw(st.booleans()):
            operands.append(net.normal(count, 3 * hidden, scale=0.5))
    while not operands[-1]:
        operands.pop()
    results = 3 if operator == "LSTM" else 2
    return net.nodes(
        operator, tuple(operands), results, hidden_size=hidden, direction=direction, **own
    )


def attributes(draw: Draw, operator: str, count: int) -> dict[str, Any]:
    """Attributes that the chip can do."""
    own: dict[str, Any] = {}
    if operator == "GRU":
        own["linear_before_reset"] = draw(st.integers(0, 1))
    if operator == "LSTM" and draw(st.integers(0, 3)) == 0:
        own["input_forget"] = 1
    linear = own.get("linear_before_reset") == 1
    if draw(st.integers(0, 3)) == 0 and not linear:
        own["clip"] = draw(st.sampled_from([0.5, 2.0]))
    if draw(st.integers(0, 1)) == 0:
        usable = [names for names in ACTIVATIONS[operator] if not (linear and "Relu" in names)]
        chosen = [draw(st.sampled_from(usable)) for _ in range(count)]
        own["activations"] = [name for names in chosen for name in names]
        numbers = [PARAMETERS[name] for name in own["activations"] if name in PARAMETERS]
        if numbers:
            own["activation_alpha"], own["activation_beta"] = map(list, zip(*numbers, strict=True))
    return own


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
    """One or two recurrent layers, the batch on axis 1, with layers before and behind."""
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
    states = recurrent(draw, net, x)
    y = states[0]
    if math.prod(int(dim) for dim in net.shapes[y] if dim != net.batch) < 400:
        joined = net.node("Transpose", y, perm=[0, 2, 1, 3])
        shape = net.shapes[joined]
        width = int(shape[2]) * int(shape[3])
        x = net.node("Reshape", joined, net.integers(0, 0, width), shape=(*shape[:2], width))
        if draw(st.booleans()):
            states = recurrent(draw, net, x)
    chosen = draw(st.sets(st.sampled_from([*states, "behind"]), min_size=1))
    net.outputs += [name for name in states if name in chosen]
    if "behind" in chosen:
        last = behind(draw, net, states[0])
        net.outputs += [last] if last not in net.outputs else []
    return net
