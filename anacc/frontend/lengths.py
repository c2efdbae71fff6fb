"""Recurrent nodes whose sequences have lengths of their own, as nodes of full sequences.

Where lengths are known only when the model runs, a node becomes

1. the same node over all steps, whose states behind the end of a sequence nobody reads,
2. a product of its sequence of states with a mask: 1 within a sequence, 0 behind it,
3. for the last state, a sum over time of the states at the last step of each sequence.

A direction that reads backwards reads each sequence in reverse, and gives its states in reverse.
The last cell state of an LSTM is in no sequence: where it is read, the node stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from anacc.frontend.ordering import reads

_LENGTHS, _INITIAL = 4, (5, 6)  # inputs
_OLDEST = 11  # the operator set that has Range
_SUM_BY_INPUT = 13  # from which on ReduceSum takes its axes as an input
NewName = Callable[[str], str]


def runtime_tensors(graph: GraphProto) -> set[str]:
    """Tensors whose values, not only shapes, depend on the inputs."""
    found = {entry.name for entry in graph.input}
    for node in graph.node:
        if node.op_type not in ("Shape", "Size") and found.intersection(reads(node)):
            found.update(name for name in node.output if name)
    return found


def has_lengths(
    node: NodeProto, version: int, runtime: Collection[str], read: Collection[str]
) -> bool:
    """Whether a recurrent node of layout 0 can be replaced.

    Args:
        node: the node.
        version: of the operator set.
        runtime: as `runtime_tensors` gives them.
        read: tensors that some node or output reads.
    """
    name = node.input[_LENGTHS] if len(node.input) > _LENGTHS else ""
    own = {entry.name for entry in node.attribute}
    both = _direction(node) == "bidirectional"
    return (
        name in runtime
        and version >= _OLDEST
        and not any(result in read for result in node.output[2:] if result)
        and not (both and any(each.startswith("activation") for each in own))
    )


def over_full_sequences(node: NodeProto, version: int, new: NewName) -> list[NodeProto]:
    """The nodes that replace one for which `has_lengths` holds; it has a name for its sequence."""
    writer = _Writer(node.name, version, new)
    writer.mask(node.input[0], node.input[_LENGTHS])
    direction = _direction(node)
    ways = ("forward", "reverse") if direction == "bidirectional" else (direction,)
    sequences, lasts = [], []
    last = node.output[1] if len(node.output) > 1 else ""
    for number, way in enumerate(ways):
        one = _one_direction(node, number, writer) if len(ways) > 1 else node
        states, end = writer.sweep(one, way == "reverse")
        sequences.append(states)
        lasts.append(end)
    writer.add("Concat", sequences, node.output[0], axis=1)
    if last:
        writer.add("Concat", lasts, last, axis=0)
    return writer.nodes


def _direction(node: NodeProto) -> str:
    for entry in node.attribute:
        if entry.name == "direction":
            return str(helper.get_attribute_value(entry).decode())
    return "forward"


def _one_direction(node: NodeProto, number: int, writer: _Writer) -> NodeProto:
    """A node with the weights and initial states of one direction."""
    one = NodeProto()
    one.CopyFrom(node)
    for position in (1, 2, 3, *_INITIAL, 7):
        if len(node.input) > position and node.input[position]:
            limits = [writer.constant([n]) for n in (number, number + 1, 0)]
            one.input[position] = writer.add("Slice", [node.input[position], *limits])
    return one


class _Writer:
    """Nodes in the making; what they are called is derived from the node that they replace."""

    def __init__(self, stem: str, version: int, new: NewName) -> None:
        self.nodes: list[NodeProto] = []
        self._stem, self._version, self._new = stem, version, new
        self._lengths = self._within = self._end = ""

    def add(self, kind: str, operands: Sequence[str], result: str = "", **attributes: Any) -> str:
        """Add a node with one result; the name of that."""
        result = result or self._new(f"{self._stem}.{kind.lower()}")
        name = self._new(f"{self._stem}:{result}")
        self.nodes.append(helper.make_node(kind, operands, [result], name, **attributes))
        return result

    def constant(self, value: Any) -> str:
        """Add a constant of integers."""
        array = np.asarray(value, np.int64)
        return self.add("Constant", [], value=numpy_helper.from_array(array))

    def mask(self, x: str, lengths: str) -> None:
        """Add what tells where sequences are, and where they end, shapes (T, 1, N, 1)."""
        zero, one = self.constant(0), self.constant(1)
        steps = self.add("Gather", [self.add("Shape", [x]), zero])
        times = self.add("Range", [zero, steps, one])
        column = self.add("Reshape", [times, self.constant([-1, 1])])
        self._lengths = self.add("Cast", [lengths], to=TensorProto.INT64)
        shape = self.constant([0, 1, -1, 1])
        last = self.add("Sub", [self._lengths, one])
        self._within, self._end = (
            self.add("Reshape", [self.add("Cast", [flags], to=TensorProto.FLOAT), shape])
            for flags in (
                self.add("Less", [column, self._lengths]),
                self.add("Equal", [column, last]),
            )
        )

    def sweep(self, node: NodeProto, reverse: bool) -> tuple[str, str]:
        """Add a node of one direction over full sequences; its states, and the last ones."""
        one = NodeProto()
        one.CopyFrom(node)
        one.name = self._new(f"{self._stem}.reverse") if reverse else node.name
        for entry in [entry for entry in one.attribute if entry.name == "direction"]:
            one.attribute.remove(entry)
        one.input[_LENGTHS] = ""
        if reverse:
            one.input[0] = self.add("ReverseSequence", [one.input[0], self._lengths])
        states = self._new(f"{self._stem}.states")
        del one.output[:]
        one.output.append(states)
        self.nodes.append(one)
        ends = self.add("Mul", [states, self._end])
        if self._version >= _SUM_BY_INPUT:
            last = self.add("ReduceSum", [ends, self.constant([0])], keepdims=0)
        else:
            last = self.add("ReduceSum", [ends], axes=[0], keepdims=0)
        within = self.add("Mul", [states, self._within])
        if reverse:
            # ReverseSequence wants the batch on axis 1.
            turned = self.add("Transpose", [within], perm=[0, 2, 1, 3])
            turned = self.add("ReverseSequence", [turned, self._lengths])
            within = self.add("Transpose", [turned], perm=[0, 2, 1, 3])
        return within, last
