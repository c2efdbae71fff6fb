"""The ONNX model behind a module: for segments that stay on the host, and for calibration."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from anacc.errors import CompileError, FeedError
from anacc.frontend.derived import Derived
from anacc.frontend.evaluation import Session
from anacc.frontend.external import Array
from anacc.frontend.kinds import type_of
from anacc.frontend.listing import Listed
from anacc.frontend.ordering import reads
from anacc.host_values import is_tensor
from anacc.ir import TensorType

_CACHED_SESSIONS = 2
_LARGEST_SEGMENT = 2**31 - 2**20
"""Bytes of the constants of a segment: protocol buffers hold 2 GiB, and the nodes need some."""
_OPENING = Lock()
"""Several threads may compute activations at once: they share a session."""


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
        stands_for: the ONNX tensor for each IR value that is none itself (`%t.expanded`); "" where
            no tensor has its numbers.
        derived: the ops by which such values can be computed.
        notes: what the user should know about how the model was read.
        listing: every node of the original model, and what became of it.
        integers: scale and zero point of those of the tensors of `stands_for` that hold integers.
        initialisers: for constants that nodes read, the original model's initialiser behind each.
    """

    graph_name: str
    sha256: str
    model: ModelProto
    constants: Mapping[str, Array]
    types: Mapping[str, TensorType]
    ports: Ports
    stands_for: Mapping[str, str]
    derived: Derived = field(default_factory=Derived)
    notes: tuple[str, ...] = ()
    listing: tuple[Listed, ...] = ()
    integers: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    initialisers: Mapping[str, str] = field(default_factory=dict)
    _sessions: dict[tuple[str, ...], Session] = field(default_factory=dict, repr=False)

    def node(self, name: str) -> NodeProto | None:
        """A node by its name, None if there is none."""
        return self._nodes.get(name)

    def reads_of(self, node: str) -> list[str]:
        """The ONNX tensors that a node reads; none for a node that does not exist."""
        return reads(self._nodes[node]) if node in self._nodes else []

    def inputs_behind(self, nodes: tuple[str, ...], known: Container[str]) -> frozenset[str] | None:
        """Model inputs from which `extract` computes again what some nodes read and nothing holds.

        Shape arithmetic may be gone from a module that still needs its nodes on the host.

        Args:
            nodes: names of nodes.
            known: the ONNX tensors that the module holds.

        Returns:
            names of inputs, none if all is held; None if something cannot be computed from inputs
            and constants alone.
        """
        inputs = {port.name for port in self.ports.inputs}
        given = {name for node in nodes if node in self._nodes for name in self._nodes[node].output}
        lost = {
            name
            for node in nodes
            for name in self.reads_of(node)
            if name not in self.constants and name not in known and name not in given
        }
        found: set[str] = set()
        pending, seen = list(lost), set(lost)
        while pending:
            name = pending.pop()
            if name in inputs:
                found.add(name)
            elif name not in self.constants:
                if name not in self._makers or name not in lost and name in known:
                    return None
                new = set(reads(self._makers[name])) - seen
                seen |= new
                pending += new
        return frozenset(found)

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
            CompileError: if the constants are larger than a serialised model can be.
        """
        wanted = self._closed(nodes, inputs)
        chosen = [node for node in self.model.graph.node if node.name in wanted]
        given = {*inputs, *(name for node in chosen for name in node.output)}
        needed = list(dict.fromkeys(name for node in chosen for name in reads(node)))
        if not given.issuperset(outputs):
            raise ValueError(f"no node of the segment gives {set(outputs) - given}")
        size = sum(self.constants[name].nbytes for name in needed if name not in given)
        if size > _LARGEST_SEGMENT:
            raise CompileError(
                f"the host segment of node `{nodes[0]}`, of {len(nodes)} nodes, reads "
                f"{size / 2**30:.1f} GiB of constants, and a segment holds at most 2 GiB"
            )
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
            names: ONNX tensors, or IR values (`%t`); one that is no ONNX tensor is computed by its
                op, or, where ONNX has none like it, gives the tensor that it stands for, which
                has the same numbers up to sign, order and repetition, or is left out if there is
                none.

        Raises:
            FeedError: if the feed does not fit the model.
            ModelError: if ONNX Runtime fails.
            KeyError: if a name is unknown.
        """
        self.check(feed)
        feed = {name: self._typed(name, array) for name, array in feed.items()}
        derived = [name for name in names if self.derived.gives(name)]
        bases = self.derived.reads(derived)
        tensors = {
            name: self._tensor(name)
            for name in (*names, *bases)
            if name not in derived and self.stands_for.get(name) != ""
        }
        computed = {name for node in self.model.graph.node for name in node.output if name}
        asked = tuple(dict.fromkeys(t for t in tensors.values() if t in computed))
        results: dict[str, Array] = {**self.constants, **feed}
        if asked:
            with _OPENING:
                session = self._sessions.get(asked) or self._open(asked)
            results.update(zip(asked, session.run(feed), strict=True))
        found = {name: self._real(name, results[tensor]) for name, tensor in tensors.items()}
        found.update(self.derived.compute(derived, found))
        return {name: found[name] for name in names if name in found}

    def _real(self, name: str, array: Array) -> Array:
        """What the numbers of a tensor mean to the IR value of that name."""
        name = self._same(name)
        if name not in self.integers:
            return array
        scale, zero = self.integers[name]
        return ((array.astype(np.float64) - zero) * scale).astype(np.float32)

    def check_host(self) -> None:
        """Whether ONNX Runtime, which runs what the chip cannot, takes the model.

        Raises:
            ModelError: it does not.
        """
        self._open(tuple(entry.name for entry in self.model.graph.output))

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
            if not is_tensor(port.dtype):
                continue
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
    def operators(self) -> dict[str, str]:
        """The operator of each node by its name, with the domain where it is not ONNX's own."""
        return {node.name: node.operator for node in self.listing}

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

    def _typed(self, name: str, array: Array) -> Array:
        """An input in the type that the model computes in, where its port has another one."""
        kind = self.types[name].dtype
        return array.astype(np.float32) if kind == "float32" else array

    def _same(self, name: str) -> str:
        """The value itself, or the one that it stands for if that is no ONNX tensor either."""
        while (other := f"%{self.stands_for.get(name, '')}") in self.stands_for and other != name:
            name = other
        return name

    def _tensor(self, name: str) -> str:
        name = self._same(name)
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
    """The ONNX declaration of a value; without a type if that is unknown."""
    return onnx.ValueInfoProto(name=name, type=type_of(kind.dtype, kind.shape))


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
