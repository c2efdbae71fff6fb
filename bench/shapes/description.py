"""A network whose weights are only described, and what writes it as an ONNX model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from bench.shapes.parameters import Parameter

OPSET = 17
IR_VERSION = 8
LARGEST_INLINE = 3 << 29
"""Bytes of weights that an ONNX file holds itself: protobuf ends at 2 GiB."""
PAGE = 4096
"""Bytes that the tensors of a data file are aligned to, so that each can be mapped by itself."""

__all__ = ["Network", "Parameter", "TooLarge"]


class TooLarge(ValueError):
    """The weights do not fit into one ONNX message."""


@dataclass(frozen=True)
class Network:
    """Nodes, and descriptions of the weights.

    Attributes:
        name: of the graph.
        nodes: in order of execution.
        parameters: the random tensors.
        constants: integers such as shapes, and other tensors that are not weights.
        inputs, outputs: of the graph.
    """

    name: str
    nodes: tuple[onnx.NodeProto, ...]
    parameters: tuple[Parameter, ...]
    constants: tuple[onnx.TensorProto, ...]
    inputs: tuple[onnx.ValueInfoProto, ...]
    outputs: tuple[onnx.ValueInfoProto, ...]

    @property
    def parameter_count(self) -> int:
        """Trained numbers, as publications count them."""
        return sum(each.count for each in self.parameters if each.trained)

    @property
    def size(self) -> int:
        """Bytes of all random tensors."""
        return 4 * sum(each.count for each in self.parameters)

    def model(self, seed: int = 0) -> onnx.ModelProto:
        """The model with its weights inside, checked.

        Raises:
            TooLarge: if they do not fit into one message; `write` then writes two files.
        """
        if self.size > LARGEST_INLINE:
            raise TooLarge(
                f"the {self.size:,} bytes of weights of `{self.name}` need a file beside the model"
            )
        tensors = []
        for index, each in enumerate(self.parameters):
            values = np.concatenate([*each.pieces(seed, index)]).reshape(each.shape)
            tensors.append(numpy_helper.from_array(values, each.name))
        model = self._model(tensors)
        onnx.checker.check_model(model, full_check=True)
        return model

    def write(self, path: Path, seed: int = 0) -> None:
        """Write the model to `path`, and weights that are large to `path` with `.data` appended.

        The memory that it takes does not grow with weights that go to a file of their own.
        """
        if self.size <= LARGEST_INLINE:
            onnx.save(self.model(seed), path)
            return
        data = path.with_name(path.name + ".data")
        tensors = []
        with data.open("wb") as file:
            for index, each in enumerate(self.parameters):
                file.seek(-(-file.tell() // PAGE) * PAGE)
                tensors.append(_external(each, data.name, file.tell()))
                for piece in each.pieces(seed, index):
                    file.write(piece.astype("<f4", copy=False).tobytes())
        onnx.save(self._model(tensors), path)
        onnx.checker.check_model(path)

    def _model(self, tensors: Sequence[onnx.TensorProto]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes, self.name, self.inputs, self.outputs, [*tensors, *self.constants]
        )
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _external(parameter: Parameter, location: str, offset: int) -> onnx.TensorProto:
    """A tensor whose content lies in a file beside the model."""
    tensor = onnx.TensorProto(
        name=parameter.name,
        data_type=onnx.TensorProto.FLOAT,
        dims=parameter.shape,
        data_location=onnx.TensorProto.EXTERNAL,
    )
    for key, value in _entries(location, offset, 4 * parameter.count):
        tensor.external_data.add(key=key, value=value)
    return tensor


def _entries(location: str, offset: int, length: int) -> Iterator[tuple[str, str]]:
    yield "location", location
    yield "offset", str(offset)
    yield "length", str(length)
