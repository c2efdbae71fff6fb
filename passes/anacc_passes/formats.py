"""Which formats each value is needed in: int8 codes, binary16 values, or both.

Not a pass but an analysis, used by quantisation and tiling.  Crossbars, maximum and average pooling
take codes; GDPUs, the host and the model's outputs take binary16 values, unquantised, wherever
the producer has them, and codes otherwise.  Data movement passes on what it gets.
"""

from __future__ import annotations

from anacc.ir import Module, Op
from anacc.ir.cells import CELLS, INITIAL_H, directions_of, functions_of
from anacc.ir.graph_shapes import INTEGERS

INT8 = "i8"
BINARY16 = "f16"
MOVES = ("reshape", "transpose", "slice", "pad", "concat", "expand")
BORDERS = ("quantise", "dequantise")  # what they take or give, the host holds as integers
POINTWISE = ("affine", "add", "multiply", "relu", "clamp", "sigmoid", "tanh", "function")

_NONNEGATIVE = ("relu", "sigmoid", "hard_sigmoid")


def _wanted(op: Op, position: int) -> str:
    """The format in which an op would like its operand (not for data movement)."""
    if op.kind in ("max_pool", "average_pool", "crossbar"):
        return INT8
    if op.kind in CELLS:
        return INT8 if position == 0 else BINARY16
    return BINARY16


def has_values(module: Module) -> dict[str, bool]:
    """Whether each value can be had in binary16: not what a maximum of codes or a copy of it is."""
    known = {name: True for name in module.values}
    for op in module.ops:
        if op.kind == "max_pool":
            known[op.results[0]] = False
        elif op.kind in BORDERS:
            known[op.results[0]] = known[op.operands[0]]
        elif op.kind in MOVES:
            known[op.results[0]] = all(
                known[operand] for operand in op.operands if operand.startswith("%")
            )
    return known


def demands(module: Module) -> dict[str, frozenset[str]]:
    """The formats that the consumers of each float32 value need (layer level).

    Returns:
        Value name -> subset of {"i8", "f16"}; never empty for a value that is used.
    """
    possible = has_values(module)
    needed: dict[str, set[str]] = {name: set() for name in module.values}

    def want(name: str, form: str) -> None:
        needed[name].add(form if possible[name] else INT8)

    for _, name in module.outputs:
        want(name, BINARY16)
    for op in reversed(module.ops):
        for position, operand in enumerate(op.operands):
            if not operand.startswith("%"):
                continue
            if op.kind in (*MOVES, "dequantise"):
                for form in needed[op.results[0]]:
                    want(operand, form)
            else:
                want(operand, _wanted(op, position))
    return {name: frozenset(forms) for name, forms in needed.items()}


def nonnegative(module: Module) -> dict[str, bool]:
    """Which values cannot be negative by construction, whatever the input."""
    known = {name: False for name in module.values}
    for op in module.ops:
        inputs = [known.get(name, False) for name in op.operands if name]
        if op.kind in ("relu", "sigmoid"):
            sign = True
        elif op.kind == "clamp" or op.attributes.get("activation") == "clamp":
            sign = op.number("low") >= 0
        elif op.kind == "crossbar":
            sign = op.attributes["activation"] == "relu"
        elif op.kind == "function":
            sign = op.attributes.get("nonnegative") is True
        elif op.kind == "dequantise":
            dtype = module.tensor(op.operands[0]).dtype
            sign = INTEGERS[dtype][0] >= op.integer("zero")
        elif op.kind in ("max_pool", "average_pool", "add", "multiply", *MOVES):
            sign = all(inputs) and op.number("value") >= 0
        elif op.kind == "rnn":
            # Its results are also what drives it, and so is the initial state.
            first = op.operands[INITIAL_H] if len(op.operands) > INITIAL_H else ""
            ways = (functions_of(op, way)[0].name for way in range(directions_of(op)))
            sign = all(name in _NONNEGATIVE for name in ways) and known.get(first, not first)
        else:
            sign = False
        for result in op.results:
            if result:
                known[result] = sign
    return known
