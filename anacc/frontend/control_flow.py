"""Branches and loops become the nodes of their inner graphs, wherever the model decides them.

1.  `If` whose condition is known becomes the nodes of the branch that is taken.
2.  `Loop` becomes the nodes of its body, once for each iteration, where the trip count is known,
    and the condition is, before the first iteration and after each.
3.  `Scan` becomes the nodes of its body, once for each element of its sequences, where their length
    is known and is not the batch.  What a body gives per iteration is concatenated.
4.  What is the same in every iteration of a body is computed once.
5.  Products with constant matrices take crossbars of their own in each iteration.  So a body that
    has some is repeated 8 times at most.
6.  All copies of a model are 20,000 nodes at most.

All other branches and loops stay whole.  So does a loop without any iteration that gives something
per iteration: its shape is unknown.  Known means: the same for every size of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper

from anacc.frontend.bodies import (
    attribute_graph,
    attribute_int,
    attribute_ints,
    check_signature,
    hands_on,
    invariants,
)
from anacc.frontend.external import Array, array_of
from anacc.frontend.facts import Input, Lockstep, Obstacle
from anacc.frontend.inference import Known, known_array
from anacc.frontend.subgraphs import Names, copied

MOST_COPIES = 8
"""Iterations of a body that has products with constant matrices."""
MOST_NODES = 20_000
"""Nodes that the copies of all branches and bodies of a model have."""
_CONTROL = {"If", "Loop", "Scan"}
_ENDLESS = 2**62
"""Trip counts from here on mean that only the condition ends a loop."""


@dataclass(frozen=True)
class Expanded:
    """A model with its decided branches and loops expanded.

    Attributes:
        model: nodes in topological order, with distinct names.
        constants: with those of the inner graphs.
        whole: why the others remain, by the name of the node.
    """

    model: ModelProto
    constants: Mapping[str, Known]
    whole: Mapping[str, Obstacle] = field(default_factory=dict)


def expand(
    model: ModelProto, constants: Mapping[str, Known], inputs: list[Input], fixed: int | None
) -> Expanded:
    """Expand the branches and loops of a model by the rules above.

    Args:
        model, constants, inputs, fixed: as `gather_facts`.

    Raises:
        DoesNotFit, ModelError: as `gather_facts`.
    """
    if not any(_is_control(node) for node in model.graph.node):
        return Expanded(model, constants)
    return _Expansion(model, constants, inputs, fixed).run()


def unexpanded(model: ModelProto, constants: Mapping[str, Known]) -> Expanded:
    """A model with all of its branches and loops as they are: expanded, it would be no valid one.

    ONNX Runtime looks at what a branch gives only when it runs; as long as the branch is not in its
    place, a number may serve where its shape is not quite what the operator says.
    """
    whole = {node.name: Obstacle.REFUSED for node in model.graph.node if _is_control(node)}
    return Expanded(model, constants, whole)


def _is_control(node: NodeProto) -> bool:
    return node.op_type in _CONTROL and node.domain == ""


class _Whole(Exception):
    """A branch or loop is not expanded."""

    def __init__(self, obstacle: Obstacle) -> None:
        self.obstacle = obstacle


@dataclass
class _Loop:
    """A loop while it is expanded.

    Attributes:
        node: the loop.
        body: its inner graph.
        trips: iterations at most.
        carried: what the values that iterations hand on are called now.
        gathered: what the results of each iteration are called, for each such output.
        step: gives the constants and inputs of an iteration: names by those of the body.
        condition: whether the first result of the body says if the loop goes on.
        once: the nodes of the body that are the same in every iteration.
        seen: what names of the body are called that are the same in every iteration.
        multiplies: whether the body has a product with a constant matrix.
        mark: lengths of the nodes and of the agenda when the loop began.
    """

    node: NodeProto
    body: GraphProto
    trips: int
    carried: list[str]
    gathered: list[list[str]]
    step: Callable[[int, list[str]], dict[str, str]]
    condition: bool
    once: set[int]
    seen: dict[str, str]
    multiplies: bool
    mark: tuple[int, int]


class _Expansion:
    """One walk over the nodes: each is visited, and so known, before the next is decided."""

    def __init__(
        self,
        model: ModelProto,
        constants: Mapping[str, Known],
        inputs: list[Input],
        fixed: int | None,
    ) -> None:
        self._model = model
        self._constants = dict(constants)
        self._lockstep = Lockstep(model, constants, inputs, fixed, asks=False)
        self._version = {entry.domain: entry.version for entry in model.opset_import}[""]
        self._names = Names(model.graph)
        self._names.take(constants)
        self._agenda: list[NodeProto | Callable[[], None]] = list(reversed(model.graph.node))
        self._nodes: list[NodeProto] = []
        self._whole: dict[str, Obstacle] = {}
        self._made = 0

    def run(self) -> Expanded:
        """Do it."""
        while self._agenda:
            item = self._agenda.pop()
            if not isinstance(item, NodeProto):
                item()
                continue
            try:
                if not _is_control(item) or not item.output:
                    self._keep(item)
                elif item.op_type == "If":
                    self._branch(item)
                else:
                    self._next(self._loop(item), 0)
            except _Whole as reason:
                self._whole[item.name] = reason.obstacle
                self._keep(item)
        model = ModelProto()
        model.CopyFrom(self._model)
        del model.graph.node[:]
        model.graph.node.extend(self._nodes)
        for name in (name for node in self._nodes for name in node.output if name):
            value = self._lockstep.value(name)
            if value is not None:
                self._constants[name] = known_array(value)
        whole = {n.name: self._whole[n.name] for n in self._nodes if n.name in self._whole}
        return Expanded(model, self._constants, whole)

    def _keep(self, node: NodeProto) -> None:
        self._lockstep.visit(node)
        self._nodes.append(node)

    def _do(self, nodes: list[NodeProto]) -> None:
        """Visit nodes next."""
        self._agenda.extend(reversed(nodes))

    def _constant(self, wanted: str, value: Array) -> str:
        name = self._names.tensor(wanted)
        self._constants[name] = known_array(value)
        self._lockstep.add(name, value)
        return name

    def _number(self, name: str) -> int | None:
        """A constant of one element as an integer."""
        value = self._lockstep.value(name)
        return None if value is None or value.size != 1 else int(value.item())

    def _made_more(self, nodes: int) -> None:
        self._made += nodes
        if self._made > MOST_NODES:
            raise _Whole(Obstacle.SIZE)

    def _initializers(self, graph: GraphProto) -> dict[str, str]:
        """Make those of an inner graph constants; what they are called."""
        return {
            tensor.name: self._constant(tensor.name, array_of(tensor, None))
            for tensor in graph.initializer
        }

    def _renamed(self, names: Iterable[str], results: Iterable[str]) -> list[NodeProto]:
        """Nodes that give tensors other names, where these are not empty."""
        return [
            helper.make_node(
                "Identity", [name], [result], name=self._names.node(f"Identity:{result}")
            )
            for name, result in zip(names, results, strict=False)
            if result
        ]

    def _branch(self, node: NodeProto) -> None:
        condition = self._lockstep.value(node.input[0])
        if condition is None or condition.size != 1:
            raise _Whole(Obstacle.CONDITION)
        wanted = "then_branch" if condition.item() else "else_branch"
        branch = attribute_graph(node, wanted)
        check_signature(node, [branch], 0, 0)
        self._made_more(len(branch.node) + len(node.output))
        seen = self._initializers(branch)
        nodes = [copied(inner, seen, self._names) for inner in branch.node]
        results = [seen.get(entry.name, entry.name) for entry in branch.output]
        self._do([*nodes, *self._renamed(results, node.output)])

    def _loop(self, node: NodeProto) -> _Loop:
        body = attribute_graph(node, "body")
        mark = len(self._nodes), len(self._agenda)
        once, matrices = invariants(body, self._constants)
        if node.op_type == "Loop":
            check_signature(node, [body], 1, max(len(node.input) - 2, 0))
            trips = self._trips(node)
            carried, step = list(node.input[2:]), self._loop_step(body)
        else:
            carried, trips, step = self._sequences(node, body)
        fixed = node.op_type == "Scan" or hands_on(body)
        if fixed and trips * (len(body.node) - len(once)) > MOST_NODES:
            raise _Whole(Obstacle.SIZE)
        if fixed and matrices and trips > MOST_COPIES:
            raise _Whole(Obstacle.COPIES)
        seen = self._initializers(body)
        hoisted = [copied(body.node[i], seen, self._names) for i in sorted(once)]
        first = 1 if node.op_type == "Loop" else 0
        gathered: list[list[str]] = [[] for _ in body.output[first + len(carried) :]]
        if gathered and trips == 0:
            raise _Whole(Obstacle.EMPTY)
        for each in hoisted:
            self._keep(each)
        return _Loop(
            node=node,
            body=body,
            trips=trips,
            carried=carried,
            gathered=gathered,
            step=step,
            condition=first == 1,
            once=once,
            seen=seen,
            multiplies=matrices,
            mark=mark,
        )

    def _trips(self, node: NodeProto) -> int:
        """Iterations of a Loop, as far as its inputs say."""
        trips: int | None = _ENDLESS
        if node.input and node.input[0]:
            trips = self._number(node.input[0])
        goes: int | None = 1
        if len(node.input) > 1 and node.input[1]:
            goes = self._number(node.input[1])
        if trips is None or goes is None:
            raise _Whole(Obstacle.LENGTH)
        return max(trips, 0) if goes else 0

    def _loop_step(self, body: GraphProto) -> Callable[[int, list[str]], dict[str, str]]:
        def step(index: int, carried: list[str]) -> dict[str, str]:
            number = self._constant(body.input[0].name, np.array(index, np.int64))
            goes = self._constant(body.input[1].name, np.array(True))
            names = [number, goes, *carried]
            return {entry.name: name for entry, name in zip(body.input, names, strict=False)}

        return step

    def _sequences(
        self, node: NodeProto, body: GraphProto
    ) -> tuple[list[str], int, Callable[[int, list[str]], dict[str, str]]]:
        """The initial states of a Scan, its length, and the inputs of each iteration."""
        count = attribute_int(node, "num_scan_inputs", 0)
        states = len(node.input) - count
        if self._version < 9 or states < 0 or count < 1:
            raise _Whole(Obstacle.LENGTH)
        check_signature(node, [body], 0, states)
        axes = attribute_ints(node, "scan_input_axes") or [0] * count
        backwards = attribute_ints(node, "scan_input_directions") or [0] * count
        lengths = set()
        for name, axis in zip(node.input[states:], axes, strict=False):
            shape = self._lockstep.shape(name)
            size = shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None
            lengths.add(size)
        length = lengths.pop() if len(lengths) == 1 else None
        if not isinstance(length, int):
            raise _Whole(Obstacle.LENGTH)
        trips = length

        def step(index: int, carried: list[str]) -> dict[str, str]:
            elements = []
            for name, axis, back in zip(node.input[states:], axes, backwards, strict=False):
                place = trips - 1 - index if back else index
                number = self._constant(f"{name}.index", np.array(place, np.int64))
                element = self._names.tensor(f"{name}[{place}]")
                label = self._names.node(f"Gather:{element}")
                taken = helper.make_node("Gather", [name, number], [element], name=label, axis=axis)
                self._keep(taken)
                elements.append(element)
            names = [*carried, *elements]
            return {entry.name: name for entry, name in zip(body.input, names, strict=False)}

        return list(node.input[:states]), trips, step

    def _next(self, loop: _Loop, index: int) -> None:
        """Copy the body for an iteration, or end the loop."""
        if index >= loop.trips:
            self._end(loop, index)
            return
        if loop.multiplies and index >= MOST_COPIES:
            raise _Whole(Obstacle.COPIES)
        self._made_more(len(loop.body.node) - len(loop.once) + 1)
        seen = {**loop.seen, **loop.step(index, loop.carried)}
        nodes = [
            copied(node, seen, self._names, f"[{index}]")
            for place, node in enumerate(loop.body.node)
            if place not in loop.once
        ]
        results = [seen.get(entry.name, entry.name) for entry in loop.body.output]
        goes = results.pop(0) if loop.condition else ""
        loop.carried = results[: len(loop.carried)]
        for names, name in zip(loop.gathered, results[len(loop.carried) :], strict=True):
            names.append(name)
        self._agenda.append(lambda: self._after(loop, index, goes))
        self._do(nodes)

    def _after(self, loop: _Loop, index: int, goes: str) -> None:
        """Look at the condition after an iteration; go back to before the loop if it is unknown."""
        try:
            number = self._number(goes) if goes else 1
            if number is None:
                raise _Whole(Obstacle.LENGTH)
            if number:
                self._next(loop, index + 1)
            else:
                self._end(loop, index + 1)
        except _Whole as reason:
            nodes, agenda = loop.mark
            del self._nodes[nodes:], self._agenda[agenda:]
            self._whole[loop.node.name] = reason.obstacle
            self._keep(loop.node)

    def _end(self, loop: _Loop, count: int) -> None:
        """Give the outputs of the loop what they are."""
        node = loop.node
        nodes = self._renamed(loop.carried, node.output)
        results = node.output[len(loop.carried) :]
        given = zip(loop.gathered, results, strict=False)
        for place, (names, result) in enumerate(given):
            if result:
                nodes += self._stacked(node, place, names, result)
        self._made_more(sum(map(len, loop.gathered)))
        self._do(nodes)

    def _stacked(
        self, node: NodeProto, place: int, names: list[str], result: str
    ) -> list[NodeProto]:
        """The results of all iterations along a new axis."""
        axes = attribute_ints(node, "scan_output_axes")
        backwards = attribute_ints(node, "scan_output_directions")
        axis = axes[place] if place < len(axes) else 0
        if place < len(backwards) and backwards[place]:
            names = names[::-1]
        nodes, parts = [], []
        for name in names:
            part = self._names.tensor(f"{name}.part")
            label = self._names.node(f"Unsqueeze:{part}")
            if self._version < 13:
                made = helper.make_node("Unsqueeze", [name], [part], name=label, axes=[axis])
            else:
                where = self._constant(f"{part}.axis", np.array([axis], np.int64))
                made = helper.make_node("Unsqueeze", [name, where], [part], name=label)
            nodes.append(made)
            parts.append(part)
        label = self._names.node(f"Concat:{result}")
        return [*nodes, helper.make_node("Concat", parts, [result], name=label, axis=axis)]
