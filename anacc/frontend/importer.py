"""From an ONNX model to a module of graph ops.

Read and check the model; fold constants; try what the batch may be; then import node by node.
Every node becomes the ops of its operator, or a `host` op with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper

import anacc.frontend.operators  # noqa: F401  (fills the table of importers)
from anacc.errors import CompileError, ModelError
from anacc.frontend.batch import (
    Hypothesis,
    NotBatch,
    check_symbols,
    hypotheses,
    inputs_of,
    is_recurrent,
    judge,
    sizes_in,
    zeros_in,
)
from anacc.frontend.conditions import (
    absent,
    has_batch,
    has_elements,
    has_known_shape,
    is_float32,
)
from anacc.frontend.control_flow import expand, unexpanded
from anacc.frontend.derived import Derived
from anacc.frontend.dynamic import DynamicProduct, dynamic_products, import_dynamic_product
from anacc.frontend.external import Array
from anacc.frontend.facts import Facts, Input, gather_facts
from anacc.frontend.inference import DoesNotFit, Known, fold_constants, misfit
from anacc.frontend.kept import keep_codes, steps_of_weights
from anacc.frontend.kinds import kind_of
from anacc.frontend.listing import list_nodes
from anacc.frontend.naming import unused_name
from anacc.frontend.node import Node, Scope, Unsupported
from anacc.frontend.ordering import reads
from anacc.frontend.parameters import initialisers_behind
from anacc.frontend.reading import Original, read
from anacc.frontend.registry import importer_of, unmet
from anacc.frontend.regroup import regroup_rows
from anacc.frontend.sequences import rewrite_sequences
from anacc.frontend.sizes import check_inputs, check_results
from anacc.frontend.source import Port, Ports, SourceModel, clean_model, port_of
from anacc.frontend.widening import widened
from anacc.ir import Level, Module, Op, TensorType, Value


def import_model(
    model: str | Path | ModelProto,
    *,
    shapes: Mapping[str, int] | None = None,
    sample: Mapping[str, Array] | None = None,
) -> Module:
    """Import an ONNX model.

    Args:
        model: path of an ONNX file, or a model in memory.
        shapes: sizes of symbolic dimensions by name; an unnamed one is called `input:axis`.
        sample: arrays for some inputs, which give sizes to the other symbolic dimensions.

    Returns:
        a module at graph level, its ops in topological order, its `source` a `SourceModel`.

    Raises:
        ModelError: if the model cannot be read or is not valid ONNX.
        UsageError: if `shapes` names a dimension that the model does not have.
        FeedError: if the sample does not fit the inputs.
        CompileError: if a dimension has no size.
    """
    original = read(model)
    versions = {entry.domain: entry.version for entry in original.model.opset_import}
    rewrite_sequences(original.model.graph, versions[""])
    constants = fold_constants(original.model, original.constants)
    wide = widened(original, constants)
    if wide is not original:
        original, constants = wide, fold_constants(wide.model, wide.constants)
    given = dict(sample or {})
    inputs = inputs_of(original.model.graph, given)
    check_inputs(inputs)
    check_symbols(inputs, shapes or {})
    sizes = {**zeros_in(original.model.graph), **sizes_in(inputs, given)}
    reasons: list[str] = []
    fixed: list[Module] = []
    ways = hypotheses(inputs, shapes or {}, sizes, is_recurrent(original.model.graph))
    try:
        for way in ways:
            try:
                module = _import(original, constants, way)
            except (NotBatch, DoesNotFit) as refusal:
                taken = " and ".join(f"`{symbol}`" for symbol in way.symbols) or "axis 0"
                reasons.append(f"{taken} is not the batch, because {refusal}")
                continue
            if way.batch is None:
                return _checked(module)
            fixed.append(module)
    except CompileError as error:
        _check_fit(original.model, constants, inputs)
        why = f": {reasons[0]}" if reasons else ""
        raise CompileError(error.message + why, error.hint) from None
    # A first axis of fixed size may be a batch or not: what suits the chip better decides.
    return _checked(min(fixed, key=_host_nodes))


def _checked(module: Module) -> Module:
    """The module, whose host ONNX Runtime takes."""
    if any(op.kind == "host" for op in module.ops) and isinstance(module.source, SourceModel):
        module.source.check_host()
    return module


def _check_fit(model: ModelProto, constants: Mapping[str, Known], inputs: list[Input]) -> None:
    """Blame a node that no sizes of the symbols would fit, rather than a lack of sizes.

    Raises:
        ModelError: there is one.
    """
    open_inputs = {entry.name: entry.known(None) for entry in inputs}
    reason = misfit(model, constants, open_inputs)
    if reason is not None:
        raise ModelError(reason) from None


def _host_nodes(module: Module) -> int:
    """How many nodes stay on the host."""
    return sum(op.kind == "host" for op in module.ops)


def _import(original: Original, constants: Mapping[str, Known], way: Hypothesis) -> Module:
    """The module for one way to see the batch.

    Raises:
        NotBatch, DoesNotFit: if that way is wrong.
    """
    expanded = expand(original.model, constants, way.inputs, way.batch)
    try:
        facts = gather_facts(expanded.model, expanded.constants, way.inputs, way.batch)
    except ModelError:
        if expanded.model is original.model:
            raise
        expanded = unexpanded(original.model, constants)
        facts = gather_facts(expanded.model, expanded.constants, way.inputs, way.batch)
    facts = replace(facts, whole=expanded.whole)
    nodes, outputs, facts = _cleaned(expanded.model.graph, facts)
    check_results(nodes, facts.types)
    _check_outputs(original.model.graph, facts)
    for node in nodes:
        judge(node, facts.types)
    used = frozenset({name for node in nodes for name in reads(node)} | set(outputs.values()))
    version = {entry.domain: entry.version for entry in original.model.opset_import}[""]
    scope = Scope()
    for entry in way.inputs:
        scope.values[f"%{entry.name}"] = Value(f"%{entry.name}", facts.types[entry.name])
    products = dynamic_products(nodes, facts.values, outputs.values())
    within = {proto.name: proto for found in products.values() for proto in found.nodes[:-1]}
    tensors = frozenset(facts.types)
    for proto in nodes:
        each = Node(proto, version, facts, used, scope, tensors)
        if each.name in products:
            _import_product(each, products[each.name], within)
        elif each.name not in within:
            _import_node(each)
    # Before weights become integers, which ONNX's operators do not take.
    derived = Derived.of(scope.ops, scope.stands_for, scope.constants, scope.integers)
    keep_codes(scope, steps_of_weights(expanded.model.graph, facts.values))
    ops = _live_ops(scope.ops, {f"%{name}" for name in outputs.values()})
    kept = {f"%{entry.name}" for entry in way.inputs} | {r for op in ops for r in op.results if r}
    read_by_nodes = {name for node in nodes for name in reads(node)}
    source = SourceModel(
        graph_name=original.model.graph.name or "graph",
        sha256=original.sha256,
        model=clean_model(original.model, nodes, facts.types, list(outputs.values())),
        constants={n: a for n, a in facts.values.items() if n in read_by_nodes},
        types=facts.types,
        ports=Ports(
            tuple(_port(entry.name, original, facts) for entry in way.inputs),
            tuple(_port(name, original, facts) for name in outputs),
        ),
        stands_for=scope.stands_for,
        derived=derived,
        notes=original.notes,
        listing=list_nodes(expanded.model.graph, nodes, {n for op in ops for n in op.origins}),
        integers=scope.integers,
        initialisers=initialisers_behind(
            expanded.model.graph, original.constants, read_by_nodes & facts.values.keys()
        ),
    )
    operands = {name for op in ops for name in op.operands}
    return Module(
        level=Level.GRAPH,
        name=original.model.graph.name or "graph",
        batch=way.batch,
        inputs=tuple(f"%{entry.name}" for entry in way.inputs),
        outputs=tuple((name, f"%{tensor}") for name, tensor in outputs.items()),
        values={name: value for name, value in scope.values.items() if name in kept},
        constants={n: array for n, array in scope.constants.items() if n in operands},
        ops=tuple(ops),
        source=source,
        recoded=tuple(scope.recoded),
    )


def _port(name: str, original: Original, facts: Facts) -> Port:
    port = port_of(name, facts.types[name])
    return replace(port, dtype=original.port_types.get(name, port.dtype))


def _check_outputs(graph: GraphProto, facts: Facts) -> None:
    """Refuse an output that is declared to be of another type than it is.

    Raises:
        ModelError: naming the output.
    """
    for entry in graph.output:
        declared = kind_of(entry.type)
        actual = facts.types[entry.name].dtype
        if "unknown" not in (declared, actual) and declared != actual:
            raise ModelError(f"output `{entry.name}` is declared {declared}, but is {actual}")


def _cleaned(graph: GraphProto, facts: Facts) -> tuple[list[NodeProto], dict[str, str], Facts]:
    """The nodes that are left, the tensor behind each output, and the facts with both.

    Constants fold; a reshape states its target as a constant, -1 at the batch; an output that is
    an input or a constant gets an Identity node, so that every output is computed.
    """
    types, values = dict(facts.types), dict(facts.values)
    nodes = []
    for node in graph.node:
        if all(name in values for name in node.output if name):
            continue
        copy = NodeProto()
        copy.CopyFrom(node)
        _state_target(copy, types, values)
        nodes.append(copy)
    computed = {name for node in nodes for name in node.output}
    labels = {node.name for node in nodes}
    outputs: dict[str, str] = {}
    for entry in graph.output:
        tensor = entry.name
        if tensor not in computed:
            tensor = unused_name(f"{tensor}.copy", types.__contains__)
            types[tensor] = types[entry.name]
            name = unused_name(f"Identity:{tensor}", labels.__contains__)
            labels.add(name)
            nodes.append(helper.make_node("Identity", [entry.name], [tensor], name=name))
        outputs[entry.name] = tensor
    results = set(outputs.values())
    # Shape arithmetic that nothing needs must not keep rows from being regrouped; and then more of
    # it is needed no longer.
    nodes = regroup_rows(_live_nodes(nodes, results), results, types, values)
    return _live_nodes(nodes, results), outputs, replace(facts, types=types, values=values)


def _live_nodes(nodes: list[NodeProto], results: set[str]) -> list[NodeProto]:
    """The nodes that an output depends on."""
    needed, live = set(results), []
    for node in reversed(nodes):
        if needed.intersection(name for name in node.output if name):
            needed.update(reads(node))
            live.append(node)
    return live[::-1]


def _state_target(node: NodeProto, types: dict[str, TensorType], values: dict[str, Array]) -> None:
    """Make the target of a reshape a constant where shape arithmetic computes it."""
    if node.op_type != "Reshape" or node.domain != "" or node.input[1] in values:
        return
    shape = types[node.output[0]].shape
    if shape is None or 0 in shape:
        return
    name = unused_name(f"{node.output[0]}.shape", types.__contains__)
    target = np.array([dim if isinstance(dim, int) else -1 for dim in shape], np.int64)
    types[name], values[name] = TensorType("int64", target.shape), target
    node.input[1] = name


def _import_node(node: Node) -> None:
    """Add the ops of a node; a `host` op if the chip does not run it."""
    scope = node.scope
    mark = scope.mark()
    try:
        importer = importer_of(node.proto)
        if importer is None:
            reason, hint = absent(node.proto)
        else:
            if node.name not in node.facts.whole:
                _check_shapes(node)
            for constraint in importer.requires:
                if not constraint(node):
                    raise unmet(constraint)
            _check_elements(node, importer.elements)
            importer.build(node)
            return
    except Unsupported as unsupported:
        reason, hint = f"it runs on the chip only if {unsupported}", unsupported.hint
    scope.undo(mark)
    operands = tuple(f"%{name}" for name in reads(node.proto) if name not in node.facts.values)
    results = tuple(node.output(i) for i in range(len(node.proto.output)) if node.uses(i))
    for name in results:
        scope.values[name] = Value(name, node.facts.types[name[1:]])
    attributes = {"nodes": (node.name,), "reasons": (reason,), "hints": (hint,)}
    scope.ops.append(Op("host", operands, results, attributes, (node.name,)))


def _import_product(last: Node, product: DynamicProduct, waiting: dict[str, NodeProto]) -> None:
    """Add the op of a dynamically quantised product; or those of its nodes, `waiting` for it."""
    mark = last.scope.mark()
    try:
        ends = [product.quantiser.input[0]], [last.proto.output[0]]
        whole = replace(last, proto=helper.make_node("MatMul", *ends, name=last.name))
        _check_shapes(whole)
        _check_elements(whole)
        import_dynamic_product(last, product)
        return
    except Unsupported:
        last.scope.undo(mark)
    for proto in product.nodes[:-1]:
        if waiting.pop(proto.name, None) is not None:
            _import_node(replace(last, proto=proto))
    _import_node(last)


def _activations(node: Node) -> list[str]:
    """The tensors of a node that are neither constant nor unused."""
    facts = node.facts
    names = [name for name in reads(node.proto) if name not in facts.values]
    names = [name for name in names if name not in facts.samples]
    return names + [name for i, name in enumerate(node.proto.output) if node.uses(i)]


def _check_shapes(node: Node) -> None:
    """The conditions of every operator, before its own.

    Raises:
        Unsupported: if the shape of an activation is unknown.
    """
    for name in _activations(node):
        if not has_known_shape(node.facts.types[name]):
            note = node.facts.notes.get(name, "has no known shape")
            raise unmet(has_known_shape, f"`{name}` {note}")


def _check_elements(node: Node, others: tuple[str, ...] = ()) -> None:
    """The conditions of every operator, after its own.

    Raises:
        Unsupported: if an activation is not float32, has no elements, or is not of the batch.
    """
    for name in _activations(node):
        kind = node.facts.types[name]
        if not is_float32(kind) and kind.dtype not in others:
            raise unmet(is_float32, f"`{name}` is {kind.dtype}")
        if not has_elements(kind):
            raise unmet(has_elements, f"`{name}` is {kind.shape}")
        if node.facts.batched and not has_batch(kind):
            raise unmet(has_batch, f"`{name}` has none")


def _live_ops(ops: list[Op], needed: set[str]) -> list[Op]:
    """The ops that an output depends on."""
    needed, live = set(needed), []
    for op in reversed(ops):
        if needed.intersection(result for result in op.results if result):
            needed.update(op.operands)
            live.append(op)
    return live[::-1]
