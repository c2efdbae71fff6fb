"""The ONNX model behind a module: for segments that stay on the host, and for calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from anacc.errors import FeedError
from anacc.frontend.evaluation import Session
from anacc.frontend.external import Array
from anacc.frontend.ordering import reads
from anacc.ir import TensorType

_CACHED_SESSIONS = 2


@dataclass(frozen=True)
class Port:
    """An input or output of the model.

    Attributes:
        name: ONNX name.
        dtype: element type in NumPy's spelling.
        shape: None at the batch; None as a whole if it depends on the data.
        batch_axis: where the batch is, None if nowhere.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    batch_axis: int | None


@dataclass(frozen=True)
class Ports:
    """What a model takes and gives, in ONNX order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass(frozen=True, eq=False)
class SourceModel:
    """An ONNX model with constants folded, sizes bound and names unique.

    Attributes:
        graph_name: name of the ONNX graph.
        sha256: of the original file.
        model: the nodes, inputs and outputs; the batch is the symbol `BATCH`.
        constants: the constants that the nodes read, by name; not in `model`.
        types: of every tensor.
        ports: of the model.
        stands_for: the ONNX tensor for each IR value that is none itself (`%t.expanded`).
        integers: scale and zero point of those of these tensors that hold integers.
    """

    graph_name: str
    sha256: str
    model: ModelProto
    constants: Mapping[str, Array]
    types: Mapping[str, TensorType]
    ports: Ports
    stands_for: Mapping[str, str]
    integers: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    _sessions: dict[tuple[str, ...], Session] = field(default_factory=dict, repr=False)

    def reads_of(self, node: str) -> list[str]:
        """The ONNX tensors that a node reads; none for a node that does not exist."""
        return reads(self._nodes[node]) if node in self._nodes else []

    def extract(
        self, nodes: tuple[str, ...], inputs: tuple[str, ...], outputs: tuple[str, ...]
    ) -> bytes:
        """A model of some nodes, with the constants that they need.

        Where a node reads a tensor that is not among the inputs, the nodes that compute it from
        the inputs are added: a pass may have dropped them because they do nothing.

        Args:
            nodes: names of nodes.
            inputs, outputs: names of ONNX tensors.

        Returns:
            the serialised model; equal arguments give equal bytes.

        Raises:
            ValueError: if a node does not exist, or reads a tensor that nothing gives.
        """
        wanted = self._closed(nodes, inputs)
        chosen = [node for node in self.model.graph.node if node.name in wanted]
        given = {*inputs, *(name for node in chosen for name in node.output)}
        needed = list(dict.fromkeys(name for node in chosen for name in reads(node)))
        if not given.issuperset(outputs):
            raise ValueError(f"no node of the segment gives {set(outputs) - given}")
        graph = helper.make_graph(
            chosen,
            self.graph_name,
            [self._info(name) for name in inputs],
            [self._info(name) for name in outputs],
            [
                numpy_helper.from_array(self.constants[name], name)
                for name in needed
                if name not in given
            ],
        )
        return self._model(graph).SerializeToString(deterministic=True)

    def activations(self, feed: Mapping[str, Array], names: tuple[str, ...]) -> dict[str, Array]:
        """Values of tensors in ONNX Runtime: float32, one thread, no graph optimisation.

        Args:
            feed: an array for each input of the model.
            names: ONNX tensors, or IR values (`%t`); one that is no ONNX tensor gives the tensor
                that it stands for, which has the same numbers up to sign, order and repetition.

        Raises:
            FeedError: if the feed does not fit the model.
            ModelError: if ONNX Runtime fails.
            KeyError: if a name is unknown.
        """
        self.check(feed)
        tensors = {name: self._tensor(name) for name in names}
        computed = {name for node in self.model.graph.node for name in node.output if name}
        asked = tuple(dict.fromkeys(t for t in tensors.values() if t in computed))
        results: dict[str, Array] = {**self.constants, **feed}
        if asked:
            session = self._sessions.get(asked) or self._open(asked)
            results.update(zip(asked, session.run(feed), strict=True))
        return {name: self._real(name, results[tensor]) for name, tensor in tensors.items()}

    def _real(self, name: str, array: Array) -> Array:
        """What the numbers of a tensor mean to the IR value of that name."""
        if name not in self.integers:
            return array
        scale, zero = self.integers[name]
        return ((array.astype(np.float64) - zero) * scale).astype(np.float32)

    def check(self, feed: Mapping[str, Array]) -> None:
        """Whether a feed fits the model.

        Raises:
            FeedError: naming the input.
        """
        names = [port.name for port in self.ports.inputs]
        for name in feed:
            if name not in names:
                raise FeedError(f"the model has no input `{name}`", f"it has {', '.join(names)}")
        batch: int | None = None
        for port in self.ports.inputs:
            if port.name not in feed:
                raise FeedError(f"input `{port.name}` is missing")
            array = np.asarray(feed[port.name])
            wanted = port.shape or ()
            fits = len(array.shape) == len(wanted)
            for dim, size in zip(wanted, array.shape, strict=False):
                if dim is None:
                    batch = size if batch is None else batch
                    dim = batch
                fits = fits and size == dim
            if not fits:
                shape = ", ".join("N" if dim is None else str(dim) for dim in wanted)
                raise FeedError(f"input `{port.name}` has shape {array.shape}, not ({shape})")
            if array.dtype.name != port.dtype and port.dtype != "object":
                raise FeedError(f"input `{port.name}` is {array.dtype.name}, not {port.dtype}")

    @cached_property
    def _nodes(self) -> dict[str, NodeProto]:
        return {node.name: node for node in self.model.graph.node}

    @cached_property
    def _makers(self) -> dict[str, NodeProto]:
        return {name: node for node in self.model.graph.node for name in node.output if name}

    def _closed(self, nodes: tuple[str, ...], inputs: tuple[str, ...]) -> set[str]:
        """The nodes, and those between the inputs and them."""
        wanted: set[str] = set()
        pending = list(nodes)
        given = set(inputs)
        while pending:
            name = pending.pop()
            if name not in self._nodes:
                raise ValueError(f"the model has no node `{name}`")
            if name in wanted:
                continue
            wanted.add(name)
            for tensor in reads(self._nodes[name]):
                if tensor in given or tensor in self.constants:
                    continue
                if tensor not in self._makers:
                    raise ValueError(f"node `{name}` reads `{tensor}`, which is not an input")
                pending.append(self._makers[tensor].name)
        return wanted

    def _tensor(self, name: str) -> str:
        tensor = self.stands_for.get(name, name)
        tensor = tensor if tensor in self.types else tensor.removeprefix("%")
        if tensor not in self.types:
            raise KeyError(name)
        return tensor

    def _open(self, names: tuple[str, ...]) -> Session:
        """A session that gives some tensors of the whole model; few are kept open."""
        graph = helper.make_graph(
            list(self.model.graph.node),
            self.graph_name,
            list(self.model.graph.input),
            [onnx.ValueInfoProto(name=name) for name in names],
        )
        session = Session(self._model(graph), self.constants)
        while len(self._sessions) >= _CACHED_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[names] = session
        return session

    def _model(self, graph: onnx.GraphProto) -> ModelProto:
        return helper.make_model(
            graph,
            opset_imports=list(self.model.opset_import),
            ir_version=self.model.ir_version,
            producer_name="anacc",
        )

    def _info(self, name: str) -> onnx.ValueInfoProto:
        return value_info(name, self.types[name])


def value_info(name: str, kind: TensorType) -> onnx.ValueInfoProto:
    """The ONNX declaration of a tensor; without a type if it is no tensor, or its type unknown."""
    try:
        dtype = np.dtype(kind.dtype)
    except TypeError:
        return onnx.ValueInfoProto(name=name)
    element = helper.np_dtype_to_tensor_dtype(dtype)
    return helper.make_tensor_value_info(name, element, kind.shape)


def port_of(name: str, kind: TensorType) -> Port:
    """The port of an input or output."""
    shape = kind.shape
    return Port(
        name,
        kind.dtype,
        None if shape is None else tuple(dim if isinstance(dim, int) else None for dim in shape),
        kind.batch_axis,
    )


def clean_model(
    original: ModelProto,
    nodes: list[NodeProto],
    types: Mapping[str, TensorType],
    outputs: list[str],
) -> ModelProto:
    """The model of the given nodes, its inputs and outputs declared with bound shapes."""
    graph = helper.make_graph(
        nodes,
        original.graph.name or "graph",
        [value_info(entry.name, types[entry.name]) for entry in original.graph.input],
        [value_info(name, types[name]) for name in outputs],
    )
    return helper.make_model(
        graph, opset_imports=list(original.opset_import), ir_version=original.ir_version
    )
