"""What every module must satisfy, at every level.

The verifier runs between passes, so that a pass may rely on all of this and need not check it:

1.  names are `%...` for values and `@...` for constants; the table of values holds exactly the
    inputs and the results, each under its own name;
2.  types are possible: integer dimensions that are not negative, at most one `BATCH`; channels at
    the chip level only; scales positive and finite, zero points integers;
3.  every op is in the vocabulary of the level, with the operands, results and attributes that its
    spec declares, and results of the types that the spec's shape rule infers;
4.  every value is defined once, before its uses (those by a `recurrent` op may come first);
    every constant and output exists;
5.  units are given at the chip level only, as `core 0.12`.
"""

from __future__ import annotations

import importlib
import math
import re
from typing import NoReturn

import numpy as np

from anacc.errors import IrError
from anacc.ir.module import BATCH, Channel, Level, Module, TensorType, Type, dtype_name
from anacc.ir.op_rules import is_name, op_problem
from anacc.ir.text import lines_around, type_text

_VOCABULARIES = ("anacc.ir.graph_ops", "anacc.ir.layer_ops", "anacc.ir.chip_ops")
_CHANNEL_FORMATS = ("i8", "f16", "tensor")
_DTYPE = re.compile(r"[a-z][a-z0-9_]*")


def verify(module: Module) -> None:
    """Check every invariant of a module.

    Raises:
        IrError: if one is broken; the message names the op or value, and the hint shows the lines
            of IR around it.
    """
    load_vocabularies()
    _check_values(module)
    _check_constants(module)
    defined = _check_inputs(module)
    for index, op in enumerate(module.ops):
        problem = op_problem(module, op, defined)
        if problem is not None:
            _reject(module, index, problem)
        defined.update(result for result in op.results if result)
    _check_units(module)
    _check_table(module, defined)
    _check_outputs(module, defined)


def load_vocabularies() -> None:
    """Import the modules that declare the ops: here, because they import the IR themselves."""
    for name in _VOCABULARIES:
        importlib.import_module(name)


def _reject(module: Module, index: int, problem: str) -> NoReturn:
    op = module.ops[index]
    name = next((result for result in op.results if result), op.kind)
    origin = f" from `{op.origins[0]}`" if op.origins else ""
    raise IrError(f"op `{name}`{origin} {problem}", lines_around(module, index))


def _check_values(module: Module) -> None:
    """Every value stands under its own name and has a possible type and scale."""
    for name, value in module.values.items():
        if value.name != name:
            raise IrError(f"value `{name}` is called `{value.name}` in its own entry")
        if not is_name(name, "%"):
            raise IrError(f"value `{name}` must have a name of the form `%name`")
        problem = _type_problem(value.type, module.level)
        if problem is not None:
            raise IrError(f"value `{name}` {problem}")
        scale, zero = value.scale, value.zero
        if type(zero) is not int or (zero and scale is None):
            raise IrError(f"value `{name}` has zero point {zero!r}, not an integer with a scale")
        if scale is None:
            continue
        if type(scale) is not float or not math.isfinite(scale) or scale <= 0:
            raise IrError(f"value `{name}` has scale {scale!r}, not a positive finite float")


def _check_constants(module: Module) -> None:
    """Every constant is an array under a name of the form `@name`."""
    for name, array in module.constants.items():
        if not is_name(name, "@"):
            raise IrError(f"constant `{name}` must have a name of the form `@name`")
        if not isinstance(array, np.ndarray):
            raise IrError(f"constant `{name}` is a {type(array).__name__}, not an array")
        if not _DTYPE.fullmatch(dtype_name(array.dtype)):
            raise IrError(
                f"constant `{name}` has the element type `{array.dtype}`, not an ONNX one"
            )
        if array.dtype.hasobject and not all(type(element) is str for element in array.flat):
            raise IrError(f"constant `{name}` has elements that are neither numbers nor strings")


def _check_inputs(module: Module) -> set[str]:
    """Inputs are distinct values, and a fixed batch is positive; the names that they define."""
    if module.batch is not None and (type(module.batch) is not int or module.batch < 1):
        raise IrError(f"batch size {module.batch!r} is not a positive integer")
    defined: set[str] = set()
    for name in module.inputs:
        if name not in module.values:
            raise IrError(f"input `{name}` is missing in the table of values")
        if name in defined:
            raise IrError(f"input `{name}` is listed twice")
        defined.add(name)
    return defined


def _check_units(module: Module) -> None:
    """Placement leaves no op out."""
    placed = [op.unit is not None for op in module.ops]
    if any(placed) and not all(placed):
        _reject(module, placed.index(False), "has no unit, and others have")


def _check_table(module: Module, defined: set[str]) -> None:
    """No value dangles: each is an input or the result of an op."""
    for name in module.values:
        if name not in defined:
            raise IrError(f"value `{name}` is neither an input nor the result of an op")


def _check_outputs(module: Module, defined: set[str]) -> None:
    """Outputs have distinct ONNX names and are values."""
    seen: set[str] = set()
    for onnx_name, name in module.outputs:
        if name not in defined:
            raise IrError(f"output `{onnx_name}` is `{name}`, which is not a value")
        if onnx_name in seen:
            raise IrError(f"output `{onnx_name}` is listed twice")
        seen.add(onnx_name)


def _type_problem(kind: Type, level: Level) -> str | None:
    """Why a type is impossible, as a predicate of the value, or None."""
    if isinstance(kind, Channel):
        if level is not Level.CHIP:
            return f"is a channel, which level {level.value} does not have"
        if kind.format not in _CHANNEL_FORMATS:
            return f"has the channel format `{kind.format}`, not {' or '.join(_CHANNEL_FORMATS)}"
        if kind.format == "tensor":
            fits = (kind.token_size, kind.tokens) == (0, 1)
            return None if fits else "is a tensor channel, which has token size 0 and one token"
        fits = kind.token_size > 0 and kind.tokens > 0
        return None if fits else "is a channel whose token size and tokens must be positive"
    if not isinstance(kind, TensorType):
        return f"has the type {kind!r}, which is neither a tensor nor a channel"
    if not _DTYPE.fullmatch(kind.dtype):
        return f"has the element type `{kind.dtype}`, not an ONNX one in NumPy's spelling"
    shape = kind.shape or ()
    if shape.count(BATCH) > 1:
        return f"has more than one `{BATCH}` in its shape {type_text(kind)}"
    for dim in shape:
        if dim != BATCH and (type(dim) is not int or dim < 0):
            return f"has the dimension {dim!r} in its shape, neither `{BATCH}` nor an integer >= 0"
    return None
