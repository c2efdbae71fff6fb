"""Recurrent networks: nodes of layout 0, see `anacc.frontend.sequences`."""

from __future__ import annotations

import numpy as np

from anacc.frontend.external import Array
from anacc.frontend.node import Node, Unsupported
from anacc.frontend.operators.activations import Functions, functions, is_piecewise
from anacc.frontend.registry import imports
from anacc.ir import BATCH
from anacc.ir.cells import CELLS, DIRECTIONS, Function
from anacc.ir.module import AttributeValue


def has_constant_weights(node: Node) -> bool:
    """its weights, biases and peepholes are constants

    make them initialisers: weights that are inputs of the model, or computed, cannot be
    programmed
    """
    return all(node.constant(i) is not None for i in (1, 2, 3, 7) if node.has(i))


def has_time_first(node: Node) -> bool:
    """its input has three axes, and that of the batch is the model's batch or has one element

    export the model for one sample, or with a symbolic batch that nothing else mixes
    """
    shape = node.shape(0)
    return len(shape) == 3 and shape[1] in (BATCH, 1)


def has_known_activations(node: Node) -> bool:
    """its activations are Sigmoid, Tanh, Relu, HardSigmoid, or Affine or ScaledTanh with numbers

    train with these activations: the digital units know no others
    """
    return functions(node) is not None


def clamps_sums_of_the_crossbar(node: Node) -> bool:
    """it clips and rectifies only sums of products, behind no peephole, reset gate or cell state

    clip before the network or behind it, or leave it to the host
    """
    return not any(
        is_piecewise(function) or (clipped and node.attribute("clip") is not None)
        for way in _ways(node)
        for function, clipped in _of_other_sums(node, way)
    )


def has_bounded_reset_gate(node: Node) -> bool:
    """the activation of a reset gate that multiplies the state itself stays within -1 and 1

    use a Sigmoid or Tanh gate, or set linear_before_reset
    """
    if node.attribute("linear_before_reset", 0) != 0:
        return True
    return all(way[0].bound <= 1 for way in _ways(node))


def has_full_sequences(node: Node) -> bool:
    """its sequences have full length, or lengths from an input and no last cell state is read

    run each length by itself, or cut the outputs behind the network
    """
    lengths = node.sample(4)
    return not node.has(4) or (lengths is not None and bool(np.all(lengths == node.shape(0)[0])))


_REQUIRES = (
    has_constant_weights,
    has_time_first,
    has_known_activations,
    clamps_sums_of_the_crossbar,
    has_full_sequences,
)


@imports("LSTM", requires=_REQUIRES)
def import_lstm(node: Node) -> None:
    """LSTM becomes `lstm` in ONNX's own layouts."""
    peepholes = node.weight(7) if _has_peepholes(node) else ""
    coupled: dict[str, AttributeValue] = {}
    if node.attribute("input_forget", 0) != 0:
        coupled["input_forget"] = True
    states = (_initial_state(node, 5), _initial_state(node, 6))
    _import(node, (*states, peepholes) if peepholes else states, coupled)


@imports("GRU", requires=(*_REQUIRES, has_bounded_reset_gate))
def import_gru(node: Node) -> None:
    """GRU becomes `gru` in ONNX's own layouts."""
    linear = node.attribute("linear_before_reset", 0) != 0
    _import(node, (_initial_state(node, 5),), {"linear_before_reset": linear})


@imports("RNN", requires=_REQUIRES)
def import_rnn(node: Node) -> None:
    """RNN becomes `rnn` in ONNX's own layouts."""
    _import(node, (_initial_state(node, 5),), {})


def _import(node: Node, states: tuple[str, ...], own: dict[str, AttributeValue]) -> None:
    """Add the op of a recurrent node; `own` are the attributes that only its operator has."""
    kind = node.proto.op_type.lower()
    direction, weights = node.attribute("direction", "forward"), np.asarray(node.constant(2)).shape
    if direction not in DIRECTIONS or len(weights) != 3:
        raise Unsupported("its direction is forward, reverse or bidirectional")
    clip = node.attribute("clip")
    if clip is not None:
        if clip <= 0:
            raise Unsupported("it clips at a positive number")
        own["clip"] = float(clip)
    ways, usual = _ways(node), tuple(Function(name) for name in CELLS[kind].functions)
    if any(way != usual for way in ways):
        own["functions"] = tuple(tuple((f.name, f.alpha, f.beta) for f in way) for way in ways)
    bias = node.weight(3) if node.has(3) else ""
    operands = (node.value(0), node.weight(1), node.weight(2), bias, *states)
    # The sequence of states goes back to the crossbars: also where nothing else reads it, its
    # scale matters.
    results = [f"%{node.proto.output[0]}"]
    results += [node.output(i) for i in range(1, len(CELLS[kind].results))]
    node.emit(kind, operands, tuple(results), direction=direction, hidden=int(weights[2]), **own)


def _ways(node: Node) -> Functions:
    return functions(node) or ()


def _of_other_sums(node: Node, way: tuple[Function, ...]) -> list[tuple[Function, bool]]:
    """Functions of what is no sum of products alone, and whether `clip` clips that."""
    if node.proto.op_type == "LSTM":
        gates = [(way[0], True)] if _has_peepholes(node) else []
        return [*gates, (way[2], False)]
    if node.proto.op_type == "GRU" and node.attribute("linear_before_reset", 0) != 0:
        return [(way[1], True)]
    return []


def _has_peepholes(node: Node) -> bool:
    peepholes = node.constant(7)
    return peepholes is not None and bool(peepholes.any())


def _initial_state(node: Node, position: int) -> str:
    """The operand of an initial state: a value, a constant (D, 1, H), or "" for zeros."""
    if not node.has(position):
        return ""
    state = node.sample(position)
    if state is None:
        return node.value(position)
    if state.ndim != 3:
        raise Unsupported("its initial state has three axes: directions, batch and features")
    first: Array = np.asarray(state)[:, :1]
    if not np.array_equal(np.broadcast_to(first, state.shape), state):
        raise Unsupported("its initial state is the same for every sample")
    return node.fresh_constant(first, f"{node.proto.input[position]}.state")
