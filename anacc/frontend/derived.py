"""The numbers of IR values that are no ONNX tensors: their graph ops, said in ONNX again.

An importer may turn one node into several ops; calibration asks for the values between them, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper

from anacc.frontend.evaluation import Session
from anacc.frontend.external import Array
from anacc.ir import BATCH, Op

OPSET = 19  # all nodes below are of this operator set, whatever the model's is
_BEFORE_FIRST = -(2**62)  # the end of a slice that runs backwards up to the first element
_CACHED_SESSIONS = 2
_OPENING = Lock()
"""Several threads may compute values at once: they share a session."""


@dataclass(frozen=True, eq=False)
class Derived:
    """The ops that give values which are no ONNX tensors.

    Attributes:
        ops: in topological order; their other operands are ONNX tensors (`%t`), what tensors of
            integers stand for, and constants.
        constants: what they read, by IR name (`@c`).
    """

    ops: tuple[Op, ...] = ()
    constants: Mapping[str, Array] = field(default_factory=dict)
    _sessions: dict[tuple[str, ...], Session] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        ops: Iterable[Op],
        names: Iterable[str],
        constants: Mapping[str, Array],
        known: Collection[str] = (),
    ) -> Derived:
        """The ops among some that give the named values, as far as ONNX can say them.

        Args:
            ops: in topological order.
            names: values that are no ONNX tensors.
            constants: what the ops read, by IR name.
            known: those of the values that need no op, as ONNX tensors of integers hold them.
        """
        wanted, kept, unknown = set(names).difference(known), [], set[str]()
        for op in ops:
            if op.results[0] not in wanted:
                continue
            if op.kind in _ONNX and unknown.isdisjoint(op.operands):
                kept.append(op)
            else:
                unknown.update(op.results)
        used = {name for op in kept for name in op.operands}
        return cls(tuple(kept), {n: array for n, array in constants.items() if n in used})

    def gives(self, name: str) -> bool:
        """Whether a value is one of these."""
        return name in self._given

    @cached_property
    def _given(self) -> frozenset[str]:
        return frozenset(op.results[0] for op in self.ops)

    def reads(self, names: Iterable[str]) -> list[str]:
        """The other values, ONNX tensors or such as hold integers, that some of them depend on."""
        ops = self._needed(names)
        made = {op.results[0] for op in ops}
        return list(
            dict.fromkeys(n for op in ops for n in op.operands if n[:1] == "%" and n not in made)
        )

    def compute(self, names: Iterable[str], tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Some of the values, from those that `reads` names."""
        asked = tuple(dict.fromkeys(names))
        if not asked:
            return {}
        with _OPENING:
            session = self._sessions.get(asked) or self._open(asked)
        feed = {name: tensors[name] for name in self.reads(asked)}
        return dict(zip(asked, session.run(feed), strict=True))

    def _needed(self, names: Iterable[str]) -> list[Op]:
        wanted, needed = set(names), []
        for op in reversed(self.ops):
            if op.results[0] in wanted:
                wanted.update(op.operands)
                needed.append(op)
        return needed[::-1]

    def _open(self, names: tuple[str, ...]) -> Session:
        ops = self._needed(names)
        extra: dict[str, Array] = {}
        nodes = [node for op in ops for node in _ONNX[op.kind](op, extra)]
        used = {name for op in ops for name in op.operands}
        constants = {n: array for n, array in self.constants.items() if n in used}
        inputs = [helper.make_tensor_value_info(name, 1, None) for name in self.reads(names)]
        outputs = [onnx.ValueInfoProto(name=name) for name in names]
        model = helper.make_model(
            helper.make_graph(nodes, "derived", inputs, outputs),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=9,
        )
        while len(self._sessions) >= _CACHED_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[names] = Session(model, {**constants, **extra})
        return self._sessions[names]


Say = Callable[[Op, dict[str, Array]], list[NodeProto]]
"""The ONNX nodes of a graph op; constants that they need are added to the dictionary."""


def _integers(op: Op, label: str, numbers: Iterable[int], extra: dict[str, Array]) -> str:
    name = f"{op.results[0]}:{label}"
    extra[name] = np.array(list(numbers), np.int64)
    return name


def _plain(kind: str, *attributes: str, **renamed: str) -> Say:
    """The node of one ONNX operator that takes the same operands.

    Args:
        kind: the ONNX operator.
        attributes: those that ONNX calls the same.
        renamed: those that ONNX calls otherwise: the name in ONNX, then the name of the op.
    """
    names = {**{name: name for name in attributes}, **renamed}

    def say(op: Op, extra: dict[str, Array]) -> list[NodeProto]:
        values: dict[str, Any] = {
            theirs: op.attributes[ours] for theirs, ours in names.items() if ours in op.attributes
        }
        values = {name: int(v) if isinstance(v, bool) else v for name, v in values.items()}
        return [helper.make_node(kind, op.operands, op.results, **values)]

    return say


def _reshape(op: Op, extra: dict[str, Array]) -> list[NodeProto]:
    shape: Any = op.attributes["shape"]
    # A reshape may name one axis -1, but an expand keeps the batch by a 1.
    free = -1 if op.kind == "reshape" else 1
    target = _integers(op, "shape", (free if dim == BATCH else dim for dim in shape), extra)
    kind = "Reshape" if op.kind == "reshape" else "Expand"
    return [helper.make_node(kind, [op.operands[0], target], op.results)]


def _slice(op: Op, extra: dict[str, Array]) -> list[NodeProto]:
    cuts = zip(op.integers("starts"), op.integers("steps"), op.integers("sizes"), strict=True)
    bounds = [
        (start, start + step * size, axis, step)
        for axis, (start, step, size) in enumerate(cuts)
        if size >= 0
    ]
    columns = ([b[0] for b in bounds], [b[1] if b[1] >= 0 else _BEFORE_FIRST for b in bounds],
               [b[2] for b in bounds], [b[3] for b in bounds])  # fmt: skip
    labels = ("starts", "ends", "axes", "steps")
    names = [_integers(op, label, c, extra) for label, c in zip(labels, columns, strict=True)]
    return [helper.make_node("Slice", [op.operands[0], *names], op.results)]


def _pad(op: Op, extra: dict[str, Array]) -> list[NodeProto]:
    amounts = _integers(op, "pads", (*op.integers("before"), *op.integers("after")), extra)
    extra[f"{op.results[0]}:value"] = np.array(op.number("value"), np.float32)
    operands = [op.operands[0], amounts, f"{op.results[0]}:value"]
    return [helper.make_node("Pad", operands, op.results)]


def _two(first: str, second: str) -> Say:
    """x, a, b: `second` of (`first` of x and a) and b, or `first` alone without b."""

    def say(op: Op, extra: dict[str, Array]) -> list[NodeProto]:
        x, a, b = (*op.operands, "")[:3]
        between = f"{op.results[0]}:first" if b else op.results[0]
        nodes = [helper.make_node(first, [x, a], [between])]
        return [*nodes, helper.make_node(second, [between, b], op.results)] if b else nodes

    return say


def _average_pool(op: Op, extra: dict[str, Array]) -> list[NodeProto]:
    say = _plain(
        "AveragePool", "strides", "pads", "dilations", "count_include_pad", kernel_shape="kernel"
    )
    nodes = say(op, extra)
    if op.attributes.get("total"):
        factor = f"{op.results[0]}:size"
        extra[factor] = np.array(np.prod(op.integers("kernel")), np.float32)
        nodes[0].output[0] = f"{op.results[0]}:mean"
        nodes.append(helper.make_node("Mul", [nodes[0].output[0], factor], op.results))
    return nodes


_ONNX: dict[str, Say] = {
    "conv": _plain("Conv", "strides", "pads", "dilations", "group"),
    "linear": _two("MatMul", "Add"),
    "affine": _two("Mul", "Add"),
    "add": _plain("Add"),
    "multiply": _plain("Mul"),
    "relu": _plain("Relu"),
    "max_pool": _plain("MaxPool", "strides", "pads", "dilations", kernel_shape="kernel"),
    "average_pool": _average_pool,
    "reshape": _reshape,
    "expand": _reshape,
    "transpose": _plain("Transpose", perm="permutation"),
    "slice": _slice,
    "pad": _pad,
    "concat": _plain("Concat", "axis"),
    "identity": _plain("Identity"),
}
