"""Several ops in a row for one ONNX node, the last of which gives its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anacc.frontend.node import Node, known_shape
from anacc.ir import BATCH, TensorType
from anacc.ir.module import AttributeValue, Dim


class Chain:
    """A value, and the ops that it goes through; movements that move nothing are left out.

    Attributes:
        node: the ONNX node.
        value: the IR name of the value now.
    """

    def __init__(self, node: Node, value: str) -> None:
        self.node = node
        self.value = value

    @property
    def shape(self) -> tuple[Dim, ...]:
        """The shape of the value."""
        kind = self.node.scope.values[self.value].type
        if not isinstance(kind, TensorType):
            raise TypeError(f"{self.value} is no tensor")
        return known_shape(kind)

    def apply(self, kind: str, suffix: str, *others: str, **attributes: AttributeValue) -> Chain:
        """Go through an op.

        Args:
            kind: of the op.
            suffix: for the name of its result.
            others: its operands after the value.
            attributes: of the op.
        """
        about = self.node.proto.output[0]
        operands = (self.value, *others)
        self.value = self.node.derive(kind, operands, suffix, about, **attributes)
        return self

    def reshape(self, shape: Sequence[Dim]) -> Chain:
        """The same elements in another shape."""
        if tuple(shape) == self.shape:
            return self
        return self.apply("reshape", "reshaped", shape=tuple(shape))

    def transpose(self, permutation: Sequence[int]) -> Chain:
        """Axis i of the result is axis permutation[i]."""
        if list(permutation) == sorted(permutation):
            return self
        return self.apply("transpose", "transposed", permutation=tuple(permutation))

    def expand(self, shape: Sequence[Dim]) -> Chain:
        """Repeated to a shape."""
        if tuple(shape) == self.shape:
            return self
        return self.apply("expand", "expanded", shape=tuple(shape))

    def slice(self, cuts: Mapping[int, range]) -> Chain:
        """Some elements along each axis; everything where there is no cut."""
        bounds = slice_bounds(self.shape, cuts)
        whole = slice_bounds(self.shape, {})
        return self if bounds == whole else self.apply("slice", "cut", **bounds)

    def finish(self) -> None:
        """Make the value the output of the node."""
        scope, output = self.node.scope, self.node.output()
        last = scope.ops[-1] if scope.ops else None
        if self.value not in scope.stands_for or last is None or last.results != (self.value,):
            self.node.emit("identity", (self.value,))
            return
        scope.ops.pop()
        del scope.values[self.value], scope.stands_for[self.value]
        self.node.emit(last.kind, last.operands, (output,), **last.attributes)
        self.value = output


def slice_bounds(shape: Sequence[Dim], cuts: Mapping[int, range]) -> dict[str, tuple[int, ...]]:
    """The attributes of `slice`: the cut of each axis, everything where there is none."""
    starts, steps, sizes = [], [], []
    for axis, dim in enumerate(shape):
        cut = cuts.get(axis, range(0) if dim == BATCH else range(int(dim)))
        starts.append(cut.start)
        steps.append(cut.step)
        sizes.append(-1 if dim == BATCH else len(cut))
    return {"starts": tuple(starts), "steps": tuple(steps), "sizes": tuple(sizes)}
