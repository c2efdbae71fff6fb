"""Pointwise operators: activations, and sums and products with constants or activations."""

from __future__ import annotations

import numpy as np

from anacc.frontend.chain import Chain
from anacc.frontend.external import Array
from anacc.frontend.node import Node, Unsupported
from anacc.frontend.registry import QUANTISED, imports
from anacc.frontend.steps import affine_constants
from anacc.ir import BATCH

_LARGEST = float(np.finfo(np.float32).max)


def has_constant_bounds(node: Node) -> bool:
    """its bounds are constants

    make its bounds single numbers and initialisers
    """
    bounds = [node.constant(i) for i in (1, 2) if node.has(i)]
    return all(bound is not None and bound.size == 1 for bound in bounds)


def divides_by_constant(node: Node) -> bool:
    """it divides by a constant without zeros

    multiply by a constant instead: no digital unit divides by an activation
    """
    divisor = node.sample(1)
    return divisor is not None and bool(np.all(divisor))


@imports("Relu")
def import_relu(node: Node) -> None:
    """Relu becomes `relu`."""
    node.emit("relu", (node.value(0),))


@imports("Sigmoid")
def import_sigmoid(node: Node) -> None:
    """Sigmoid becomes `sigmoid`."""
    node.emit("sigmoid", (node.value(0),))


@imports("Tanh")
def import_tanh(node: Node) -> None:
    """Tanh becomes `tanh`."""
    node.emit("tanh", (node.value(0),))


def gives_no_mask(node: Node) -> bool:
    """nothing reads its mask, and it does not drop anything

    export the model in inference mode
    """
    training = node.constant(2)
    drops = node.has(2) and (training is None or bool(training.any()))
    return not node.uses(1) and not drops


@imports("Identity", "Dropout", requires=(gives_no_mask,), elements=QUANTISED)
def import_identity(node: Node) -> None:
    """Identity and Dropout (at inference) become `identity`."""
    node.emit("identity", (node.value(0),))


@imports("Cast", elements=("int32",))
def import_cast(node: Node) -> None:
    """A Cast from float32 to float32 becomes `identity`, one of sums of integers `dequantise`."""
    kinds = (node.type(0).dtype, node.facts.types[node.proto.output[0]].dtype)
    if kinds != ("float32", "float32"):
        made = any(op.kind == "quantise" and node.value(0) in op.results for op in node.scope.ops)
        if kinds != ("int32", "float32") or not made:
            raise Unsupported("it casts float32, or sums that the chip makes, to float32")
        node.emit("dequantise", (node.value(0),), scale=1.0, zero=0)
        return
    node.emit("identity", (node.value(0),))


@imports("Clip", requires=(has_constant_bounds,))
def import_clip(node: Node) -> None:
    """Clip becomes `clamp`, or `relu` or `identity` where that says the same."""
    low = float(node.attribute("min", -_LARGEST))
    high = float(node.attribute("max", _LARGEST))
    if node.version >= 11:
        bounds = [node.constant(1), node.constant(2)]
        low = -_LARGEST if bounds[0] is None else float(bounds[0].item())
        high = _LARGEST if bounds[1] is None else float(bounds[1].item())
    if not low <= high:
        raise Unsupported("its lower bound is not above its upper bound")
    if low <= -_LARGEST and high >= _LARGEST:
        node.emit("identity", (node.value(0),))
    elif low == 0 and high >= _LARGEST:
        node.emit("relu", (node.value(0),))
    else:
        low, high = max(low, -_LARGEST), min(high, _LARGEST)
        node.emit("clamp", (node.value(0),), low=low, high=high)


@imports("Add")
def import_add(node: Node) -> None:
    """A sum becomes `affine` with a constant, else `add`."""
    if node.sample(0) is not None or node.sample(1) is not None:
        position = 0 if node.sample(0) is not None else 1
        _affine(node, 1 - position, scale=None, offset=factor(node, position), given=position)
    else:
        node.emit("add", (expanded(node, 0), expanded(node, 1)))


@imports("Sum", "Mean")
def import_sum(node: Node) -> None:
    """A sum of several becomes as many `add`, and `affine` with its constants; a mean, too."""
    count = len(node.proto.input)
    constants, (first, *others) = parted(node)
    chain = Chain(node, expanded(node, first))
    for position in others:
        chain.apply("add", "sum", expanded(node, position))
    scale = float(np.float32(1 / count)) if node.proto.op_type == "Mean" else 1.0
    if constants or scale != 1:
        added = sum((factor(node, i) for i in constants), np.zeros(1, np.float32))
        pair = affine_constants(node, scale, added * scale, node.proto.output[0])
        chain.apply("affine", "scaled", *pair)
    chain.finish()


@imports("Sub")
def import_sub(node: Node) -> None:
    """A difference becomes `affine` with a constant; else the right operand is negated, added."""
    if node.sample(1) is not None:
        _affine(node, 0, scale=None, offset=-factor(node, 1))
    elif node.sample(0) is not None:
        _affine(node, 1, scale=np.full(1, -1, np.float32), offset=factor(node, 0))
    else:
        name = node.proto.input[1]
        constants = affine_constants(node, -1.0, 0.0, node.proto.output[0])
        negated = node.derive("affine", (expanded(node, 1), *constants), "negated", name)
        node.emit("add", (expanded(node, 0), negated))


@imports("Mul")
def import_mul(node: Node) -> None:
    """A product becomes `affine` with a constant, else `multiply`."""
    if node.sample(0) is not None or node.sample(1) is not None:
        position = 0 if node.sample(0) is not None else 1
        _affine(node, 1 - position, scale=factor(node, position), offset=None, given=position)
    else:
        node.emit("multiply", (expanded(node, 0), expanded(node, 1)))


@imports("Div", requires=(divides_by_constant,))
def import_div(node: Node) -> None:
    """A quotient by a constant becomes `affine` with its reciprocal."""
    with np.errstate(over="ignore"):
        reciprocal = (1 / np.asarray(factor(node, 1), np.float64)).astype(np.float32)
    if not np.all(np.isfinite(reciprocal)):
        raise Unsupported("its reciprocal is finite")
    _affine(node, 0, scale=reciprocal, offset=None)


@imports("Neg")
def import_neg(node: Node) -> None:
    """Neg becomes `affine` with scale -1."""
    _affine(node, 0, scale=np.full(1, -1, np.float32), offset=None)


def parted(node: Node) -> tuple[list[int], list[int]]:
    """Positions of the operands that are the same for every sample, and of the activations.

    Raises:
        Unsupported: if there is no activation.
    """
    positions = range(len(node.proto.input))
    constants = [i for i in positions if node.sample(i) is not None]
    activations = [i for i in positions if i not in constants]
    if not activations:
        raise Unsupported("it computes activations, but all its operands are constants")
    return constants, activations


def factor(node: Node, position: int) -> Array:
    """A constant operand with an axis at least, and an axis of 1 where the result has the batch."""
    value = np.asarray(node.sample(position))
    value = value.reshape(1) if value.ndim == 0 else value
    result = node.result()
    if BATCH in result:
        axis = result.index(BATCH) - len(result)
        if -axis <= value.ndim and value.shape[axis] != 1:
            first = np.take(value, [0], axis=axis)
            if not np.array_equal(np.broadcast_to(first, value.shape), value):
                raise Unsupported("its constant is the same for every sample")
            value = first
    if not np.all(np.isfinite(value)):
        raise Unsupported("its constant is finite")
    return value


def _affine(
    node: Node,
    position: int,
    *,
    scale: Array | None,
    offset: Array | None,
    given: int | None = None,
) -> None:
    """Emit x * scale + offset; None is the neutral constant, `given` an operand used as it is."""
    operand = expanded(node, position)
    names = []
    for array, neutral, suffix in ((scale, 1, "scale"), (offset, 0, "offset")):
        content = np.full(1, neutral, np.float32) if array is None else array
        if given is not None and array is not None and array is node.constant(given):
            names.append(node.weight(given))
        else:
            names.append(node.fresh_constant(content, f"{node.proto.output[0]}.{suffix}"))
    node.emit("affine", (operand, *names))


def expanded(node: Node, position: int) -> str:
    """An operand in the shape of the result: by an `expand` where it is broadcast."""
    if node.shape(position) == node.result():
        return node.value(position)
    name = node.proto.input[position]
    return node.derive("expand", (node.value(position),), "expanded", name, shape=node.result())
