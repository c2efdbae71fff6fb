"""`python -m bench.matrices NAME`: the weight matrices of a network, as the mapper gets them.

They are read off the layers before these are cut into tiles: a crossbar layer is one matrix, or one
for each group; a recurrent layer has one for its inputs and one for its state, each direction.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx

from anacc.frontend import import_model
from anacc.ir import Module, Op
from anacc.ir.cells import CELLS
from anacc.pipeline import PassOptions, pipeline
from anacc.targets import load_target
from anacc_passes.infrastructure import run_pipeline
from anacc_passes.quantise import Quantise
from bench import shapes
from bench.feeds import random_feed


@dataclass(frozen=True)
class Matrix:
    """Equal matrices of a layer.

    Attributes:
        layer: the ONNX node.
        rows, columns: inputs and outputs, in weights.
        group: how many matrices of this size the layer has, each with inputs of its own.
        positions: products with each matrix in one sample: output positions, tokens or time steps.
    """

    layer: str
    rows: int
    columns: int
    group: int
    positions: int

    @property
    def weights(self) -> int:
        """Weights of all groups."""
        return self.rows * self.columns * self.group


def matrices(model: onnx.ModelProto) -> list[Matrix]:
    """The matrices of a model whose inputs are float32 tensors, in order of its layers."""
    target = load_target("hermes")
    mode = target.read_modes.default.value
    passes = pipeline(PassOptions(target, mode, (random_feed(model),), method="minmax"))
    end = next(i for i, each in enumerate(passes) if isinstance(each, Quantise))
    module, _ = run_pipeline(import_model(model), passes[: end + 1])
    return [matrix for op in module.ops for matrix in _of(module, op)]


def _of(module: Module, op: Op) -> Iterator[Matrix]:
    """The matrices of an op."""
    if op.kind == "crossbar":
        shape, group = module.tensor(op.operands[1]).dims, op.integer("group")
        # A sample without the batch: (M, *S) or (*S, M).
        positions = math.prod(module.tensor(op.results[0]).dims) // shape[0]
        yield Matrix(_layer(op), math.prod(shape[1:]), shape[0] // group, group, positions)
    elif op.kind in CELLS:
        steps = module.tensor(op.operands[0]).dims[0]
        for part, name in zip(("input", "state"), op.operands[1:3], strict=True):
            directions, columns, rows = module.tensor(name).dims
            yield Matrix(f"{_layer(op)} ({part})", rows, columns, directions, steps)


def _layer(op: Op) -> str:
    return op.origins[0] if op.origins else op.kind


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the matrices of the network that is named; the exit status is 2 at an unknown name."""
    parser = argparse.ArgumentParser(prog="python -m bench.matrices", description=__doc__)
    parser.add_argument("name", help="a network of `python -m bench.shapes`")
    name = parser.parse_args(arguments).name
    try:
        found = matrices(shapes.build(name))
    except (shapes.UnknownNetwork, shapes.TooLarge) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{'rows':>6} {'columns':>7} {'group':>5} {'positions':>9}  layer")
    for each in found:
        print(f"{each.rows:6} {each.columns:7} {each.group:5} {each.positions:9}  {each.layer}")
    weights = sum(each.weights for each in found)
    products = sum(each.weights * each.positions for each in found)
    print(f"{len(found)} layers, {weights:,} weights, {products:,} multiply-accumulates a sample")
    return 0


if __name__ == "__main__":
    sys.exit(main())
