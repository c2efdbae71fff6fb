"""Recurrent networks."""

from __future__ import annotations

import numpy as np

from anacc.frontend.external import Array
from anacc.frontend.node import Node, Unsupported
from anacc.frontend.registry import imports
from anacc.ir import BATCH
from anacc.ir.graph_ops import LSTM_DIRECTIONS


def has_constant_weights(node: Node) -> bool:
    """its weights and biases are constants

    make them initialisers: weights that are inputs of the model, or computed, cannot be
    programmed
    """
    return all(node.constant(i) is not None for i in (1, 2, 3) if node.has(i))


def has_time_first(node: Node) -> bool:
    """its input is laid out as (time, batch, features), with layout 0

    transpose its input to (time, batch, features), and set layout to 0
    """
    shape = node.shape(0)
    return node.attribute("layout", 0) == 0 and len(shape) == 3 and shape[1] in (BATCH, 1)


def has_usual_activations(node: Node) -> bool:
    """its activations are Sigmoid, Tanh and Tanh

    train with the usual activations: cells of the digital units know no others
    """
    names = [name.lower() for name in node.attribute("activations", [])]
    return names in ([], ["sigmoid", "tanh", "tanh"], ["sigmoid", "tanh", "tanh"] * 2)


def does_not_clip(node: Node) -> bool:
    """it does not clip, and its input and forget gates are not coupled

    leave clip and input_forget at their defaults when the model is exported
    """
    return node.attribute("clip") is None and node.attribute("input_forget", 0) == 0


def has_no_peepholes(node: Node) -> bool:
    """it has no peepholes

    train without peepholes: cells of the digital units have none
    """
    peepholes = node.constant(7)
    return not node.has(7) or (peepholes is not None and not peepholes.any())


def has_full_sequences(node: Node) -> bool:
    """its sequences all have full length

    run each length by itself, or cut the outputs behind the network
    """
    lengths = node.sample(4)
    return not node.has(4) or (lengths is not None and bool(np.all(lengths == node.shape(0)[0])))


@imports(
    "LSTM",
    requires=(
        has_constant_weights,
        has_time_first,
        has_usual_activations,
        does_not_clip,
        has_no_peepholes,
        has_full_sequences,
    ),
)
def import_lstm(node: Node) -> None:
    """LSTM becomes `lstm` in ONNX's own layouts."""
    direction = node.attribute("direction", "forward")
    weights = np.asarray(node.constant(2)).shape
    if direction not in LSTM_DIRECTIONS or len(weights) != 3:
        raise Unsupported("its direction is forward, reverse or bidirectional")
    bias = node.weight(3) if node.has(3) else ""
    states = (_initial_state(node, 5), _initial_state(node, 6))
    operands: tuple[str, ...] = (node.value(0), node.weight(1), node.weight(2), bias, *states)
    results = tuple(node.output(i) if node.uses(i) else "" for i in range(3))
    node.emit("lstm", operands, results, direction=direction, hidden=int(weights[2]))


def _initial_state(node: Node, position: int) -> str:
    """The operand of an initial state: a value, a constant (D, 1, H), or "" for zeros."""
    if not node.has(position):
        return ""
    state = node.sample(position)
    if state is None:
        return node.value(position)
    first: Array = np.asarray(state)[:, :1]
    if state.ndim != 3 or not np.array_equal(np.broadcast_to(first, state.shape), state):
        raise Unsupported("its initial state is the same for every sample")
    return node.fresh_constant(first, f"{node.proto.input[position]}.state")
