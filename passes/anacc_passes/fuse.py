"""Fuse what one LDPU does behind a crossbar into one `crossbar` layer.

A convolution or product takes with it, as long as nothing else uses the value in between:

1. affine ops whose constants have one value for each output column (bias, batch norm);
2. one addition of another value of the same shape (the residual operand), after which
3. no further affine op can follow;
4. a relu or a clamp, which ends the layer.

Where both operands of an addition are layers, the later one takes the addition: its residual
operand is then ready first.  The fused op stands where its last part stood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.ir import Level, Module, Op
from anacc.targets import Target
from anacc_passes.rewrite import only_consumer, rebuild
from anacc_passes.units import fuses

Vector = npt.NDArray[np.float64]


def _per_column(
    array: npt.NDArray[np.float32], rank: int, axis: int, columns: int
) -> Vector | None:
    """The constant as one value for each column, shape (columns,), or None if it varies otherwise.

    The constant is broadcast against a tensor of `rank` axes whose columns lie on `axis`.
    """
    shape = (1,) * (rank - array.ndim) + array.shape
    if len(shape) > rank or any(n != 1 for i, n in enumerate(shape) if i != axis):
        return None
    return np.broadcast_to(array.reshape(-1), (columns,)).astype(np.float64)


class _Layer:
    """A crossbar layer that grows along the ops that follow it."""

    def __init__(self, module: Module, op: Op) -> None:
        self.module = module
        self.last = op
        self.parts = [op]
        weight = module.constants[op.operands[1]]
        self.weight = weight.T if op.kind == "linear" else weight
        self.columns = int(self.weight.shape[0])
        rank = len(module.tensor(op.results[0]).shape or ())
        self.rank, self.axis = rank, (rank - 1 if op.kind == "linear" else 1)
        self.scale: Vector = np.ones(self.columns)
        self.offset: Vector = np.zeros(self.columns)
        if len(op.operands) > 2 and op.operands[2]:
            self.offset = module.constants[op.operands[2]].astype(np.float64).reshape(-1)
        self.residual = ""
        self.activation: dict[str, str | float] = {"activation": "none"}

    def take(self, op: Op) -> bool:
        """Fuse the op that alone uses the layer's result, if the LDPU can do it."""
        if self.activation["activation"] != "none":
            return False
        if op.kind == "affine" and not self.residual:
            factors = [
                _per_column(self.module.constants[name], self.rank, self.axis, self.columns)
                for name in op.operands[1:3]
            ]
            if factors[0] is None or factors[1] is None:
                return False
            self.scale, self.offset = self.scale * factors[0], self.offset * factors[0] + factors[1]
        elif op.kind == "add" and not self.residual and op.operands[0] != op.operands[1]:
            left, right = op.operands
            self.residual = right if left == self.last.results[0] else left
        elif op.kind == "relu":
            self.activation = {"activation": "relu"}
        elif op.kind == "clamp":
            bounds = {name: op.number(name) for name in ("low", "high")}
            self.activation = {"activation": "clamp", **bounds}
        else:
            return False
        self.last = op
        self.parts.append(op)
        return True

    def _new_constant(self, label: str) -> str:
        """The name of a constant of the layer, called after its result; no other op uses it."""
        name = f"@{self.last.results[0][1:]}.{label}"
        while name in self.module.constants:
            name += "#2"
        return name

    def op(self) -> tuple[Op, dict[str, npt.NDArray[Any]]]:
        """The fused op and its constants."""
        constants: dict[str, npt.NDArray[Any]] = {
            self._new_constant("weight"): self.weight,
            self._new_constant("scale"): self.scale.astype(np.float32),
            self._new_constant("offset"): self.offset.astype(np.float32),
        }
        first = self.parts[0]
        spatial = self.weight.ndim - 2
        window = {
            "strides": first.attributes.get("strides", (1,) * spatial),
            "pads": first.attributes.get("pads", (0,) * (2 * spatial)),
            "dilations": first.attributes.get("dilations", (1,) * spatial),
            "group": first.attributes.get("group", 1),
        }
        fused = Op(
            kind="crossbar",
            operands=(first.operands[0], *constants, self.residual),
            results=self.last.results,
            attributes={**window, **self.activation},
            origins=tuple(origin for part in self.parts for origin in part.origins),
        )
        return fused, constants


@dataclass(frozen=True)
class Fuse:
    """Graph to layer: every conv and linear becomes a `crossbar`; all else stays as it is.

    Attributes:
        target: whose LDPU decides what can be fused; None: all of the above.
    """

    target: Target | None = None
    name = "fuse"

    def __call__(self, module: Module) -> Module:
        """Apply the rules above."""
        consumers = module.consumers()
        taken: set[int] = set()
        fused: dict[int, Op] = {}
        constants: dict[str, npt.NDArray[Any]] = {}
        for op in reversed(module.ops):
            if op.kind not in ("conv", "linear"):
                continue
            layer = _Layer(module, op)
            while (follower := only_consumer(module, consumers, layer.last.results[0])) is not None:
                possible = self.target is None or fuses(self.target, follower.kind)
                if id(follower) in taken or not possible or not layer.take(follower):
                    break
                taken.add(id(follower))
            taken.update(id(part) for part in layer.parts)
            fused[id(layer.last)], arrays = layer.op()
            constants.update(arrays)
        ops = [fused.get(id(op), op) for op in module.ops if id(op) in fused or id(op) not in taken]
        return rebuild(module, ops, constants=constants, level=Level.LAYER)
