"""Which layer of a model each layer of a mapping file is.

A name in the file is looked for among

1. the names of nodes,
2. the names of modules that nodes and initialisers tell (`/encoder/fc1/MatMul` and
   `encoder.fc1.weight` tell `encoder.fc1`), and those of weights,

and where no layer has it, what the file calls the layer's weight among

3. the names of weights.

The first of these that any layer answers to decides, and one layer only may answer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from anacc.errors import MappingError
from anacc.frontend import SourceModel
from anacc.frontend.parameters import Parameters, parameters_of
from anacc.ir import Module, Op
from anacc.ir.cells import CELLS
from anacc.mapping_file import MappingFile, layer_names
from anacc_passes.given.gate_matrices import gate_matrices

NAMES_LISTED = 5
"""How many layers of the model the error of an unknown name lists."""


@dataclass(frozen=True)
class Layer:
    """A layer of the model.

    Attributes:
        name: of its first ONNX node, or of a matrix of a recurrent layer.
        op: of the layer level; a `host` op where the layer is not on the chip.
        parameters: by their ONNX names.
    """

    name: str
    op: Op
    parameters: Parameters


def match(mapping: MappingFile, module: Module) -> dict[str, Layer]:
    """The layer on crossbars that each layer of a file is, by its name in the file.

    Args:
        mapping: the file.
        module: of the layer level.

    Raises:
        MappingError: a name is no layer's, or several layers', or that of one that has no matrix of
            its own on crossbars; or two names are one layer's.
    """
    layers = list(_layers(module))
    nodes, names, weights = (defaultdict[str, list[Layer]](list) for _ in range(3))
    for layer in layers:
        nodes[layer.name].append(layer)
        weight = layer.parameters.weight
        for name in dict.fromkeys((*_names(layer), *([weight] if weight else []))):
            names[name].append(layer)
        if weight:
            weights[weight].append(layer)
    matrices = Counter(layer.name for layer in layers)
    found: dict[str, Layer] = {}
    taken: dict[str, str] = {}
    for name, entry in mapping.items():
        answers = nodes.get(name) or names.get(name) or weights.get(entry.weight or "") or []
        layer = _only(name, answers, layers)
        _check_matrix(name, layer, matrices[layer.name])
        if layer.name in taken:
            raise MappingError(
                f"layers `{taken[layer.name]}` and `{name}` of the mapping are both node "
                f"`{layer.name}` of the model"
            )
        taken[layer.name] = name
        found[name] = layer
    return found


def _layers(module: Module) -> Iterator[Layer]:
    source = module.source if isinstance(module.source, SourceModel) else None
    for op in module.ops:
        parts: list[tuple[str, ...]] = []
        if op.kind == "host":
            parts = [(str(node),) for node in op.nested("nodes")]
        elif op.origins and op.kind == "crossbar":
            parts = [op.origins]
        elif op.kind in CELLS:
            # A node may have several matrices, of which one at most has its name.
            parts = [(name,) for name in gate_matrices(module, op)]
        for origins in parts:
            known = Parameters() if source is None else parameters_of(source, origins)
            yield Layer(origins[0], op, known)


def _names(layer: Layer) -> list[str]:
    return layer_names(layer.name, layer.parameters.weight, layer.parameters.bias)


def _only(name: str, answers: list[Layer], layers: list[Layer]) -> Layer:
    """The one layer that answers to a name."""
    if not answers:
        known = [_names(layer)[0] for layer in layers if layer.op.kind == "crossbar"]
        listed = ", ".join(f"`{each}`" for each in known[:NAMES_LISTED])
        more = f" and {len(known) - NAMES_LISTED} more" if len(known) > NAMES_LISTED else ""
        raise MappingError(
            f"layer `{name}` of the mapping is no layer of the model",
            f"the layers on crossbars are {listed}{more}" if known else None,
        )
    if len({layer.name for layer in answers}) > 1:
        first, second = list(dict.fromkeys(layer.name for layer in answers))[:2]
        raise MappingError(
            f"layer `{name}` of the mapping may be node `{first}` or `{second}` of the model, and "
            "each has cells of its own",
            "call layers by the names of their nodes, which `anacc inspect --nodes` lists",
        )
    return answers[0]


def _check_matrix(name: str, layer: Layer, matrices: int) -> None:
    """Refuse a layer whose place the file cannot tell."""
    if layer.op.kind == "host":
        raise MappingError(
            f"layer `{name}` of the mapping runs on the host, not on crossbars",
            "`anacc inspect --nodes` says why; leave the layer out of the file",
        )
    if matrices > 1:
        raise MappingError(
            f"layer `{name}` of the mapping is node `{layer.name}`, which makes {matrices} "
            "matrices, and the file knows one",
            "leave it out of the file: it is placed as usual",
        )
