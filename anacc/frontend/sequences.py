"""Recurrent nodes in the form in which the chip, and ONNX Runtime, know them.

1. Layout 1 (batch first) becomes layout 0 (time first) between transpositions: ONNX Runtime does
   not run the former.
2. The sequence of states gets a name where it has none: what a layer sends back to itself has a
   scale, which calibration finds.
3. Lengths of sequences that are only known when the model runs become masks, see
   `anacc.frontend.lengths`.
4. An LSTM that ONNX Runtime quantised dynamically is one, see `anacc.frontend.dynamic_lstm`.
"""

from __future__ import annotations

from collections.abc import Iterable

from onnx import GraphProto, NodeProto, helper

from anacc.frontend.dynamic_lstm import OPERATOR, as_lstm
from anacc.frontend.lengths import has_lengths, over_full_sequences, runtime_tensors
from anacc.frontend.naming import unused_name
from anacc.frontend.ordering import reads

RECURRENT = ("GRU", "LSTM", "RNN")
_STATES = (5, 6)  # inputs that are initial states


def rewrite_sequences(graph: GraphProto, version: int) -> None:
    """Rewrite the recurrent nodes of a graph in place; nodes stay in topological order.

    Args:
        graph: of the model.
        version: of its operator set.
    """
    if not any(node.op_type in (*RECURRENT, OPERATOR) for node in graph.node):
        return
    names, runtime = _Names(graph), runtime_tensors(graph)
    plain = [each for node in graph.node for each in as_lstm(node, version, runtime, names.new)]
    del graph.node[:]
    graph.node.extend(plain)
    read = {name for node in graph.node for name in reads(node)}
    read.update(entry.name for entry in graph.output)
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type not in RECURRENT or node.domain != "":
            nodes.append(node)
            continue
        masked = has_lengths(node, version, runtime, read)
        for each in _rewritten(node, names):
            if masked and each.op_type in RECURRENT:
                nodes += over_full_sequences(each, version, names.new)
            else:
                nodes.append(each)
    del graph.node[:]
    graph.node.extend(nodes)


class _Names:
    """Names of tensors and nodes that are not taken."""

    def __init__(self, graph: GraphProto) -> None:
        self._taken = {value.name for value in graph.input}
        self._taken.update(tensor.name for tensor in graph.initializer)
        for node in graph.node:
            self._taken.update((node.name, *node.input, *node.output))

    def new(self, wanted: str) -> str:
        name = unused_name(wanted, self._taken.__contains__)
        self._taken.add(name)
        return name


def _rewritten(node: NodeProto, names: _Names) -> list[NodeProto]:
    named = next((name for name in node.output if name), None)
    if named is None:
        return [node]
    if not node.output[0]:
        node.output[0] = names.new(f"{named}.sequence")
    layout = next((each for each in node.attribute if each.name == "layout"), None)
    if layout is None or layout.i == 0:
        return [node]
    node.attribute.remove(layout)

    def turned(source: str, target: str, permutation: Iterable[int]) -> NodeProto:
        name = names.new(f"{node.name}.{target}")
        return helper.make_node("Transpose", [source], [target], name, perm=list(permutation))

    before, after = [], []
    for position in (0, *_STATES):
        if len(node.input) > position and node.input[position]:
            time_first = names.new(f"{node.input[position]}.time_first")
            before.append(turned(node.input[position], time_first, (1, 0, 2)))
            node.input[position] = time_first
    for position, result in enumerate(node.output):
        if result:
            time_first = names.new(f"{result}.time_first")
            after.append(turned(time_first, result, (1, 0, 2) if position else (2, 0, 1, 3)))
            node.output[position] = time_first
    return [*before, node, *after]
