"""Shape rules of the graph vocabulary: types they give, operands they refuse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from anacc.ir import BATCH, Level, Module, Op, TensorType, Value, spec_of
from anacc.ir.graph_ops import keeps_samples

N = BATCH
WINDOW = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}


def infer(kind: str, *operands: Any, **attributes: Any) -> tuple[Any, ...]:
    """The shapes that a rule gives; an operand is a shape, of a constant if it is a list."""
    values: dict[str, Value] = {}
    constants = {}
    names = []
    for number, shape in enumerate(operands):
        if isinstance(shape, list):
            names.append(f"@{number}")
            constants[names[-1]] = np.zeros(shape, np.float32)
        else:
            names.append(f"%{number}" if shape is not None else "")
            values[f"%{number}"] = Value(f"%{number}", TensorType("float32", shape))
    module = Module(Level.GRAPH, "", None, (), (), values, constants, ())
    rule = spec_of(Level.GRAPH, kind).infer
    assert rule is not None
    types = rule(module, Op(kind, tuple(names), ("%y",), attributes))
    return tuple(kind.shape for kind in types if isinstance(kind, TensorType))


def test_types() -> None:
    assert infer("conv", (N, 4, 9, 8), [6, 2, 3, 3], **WINDOW, group=2) == ((N, 6, 7, 6),)
    assert infer("linear", (N, 5, 3), [3, 4], [4]) == ((N, 5, 4),)
    assert infer("reshape", (N, 6), shape=(N, 2, 3)) == ((N, 2, 3),)
    assert infer("transpose", (N, 2, 3), permutation=(2, 0, 1)) == ((3, N, 2),)
    assert infer("concat", (N, 2), (N, 3), axis=1) == ((N, 5),)
    assert infer("expand", (N, 1), shape=(4, N, 3)) == ((4, N, 3),)
    attributes = {"direction": "bidirectional", "hidden": 5}
    shapes = infer("lstm", (7, N, 3), [2, 20, 3], [2, 20, 5], [2, 40], [2, 1, 5], **attributes)
    assert shapes == ((7, 2, N, 5), (2, N, 5), (2, N, 5))
    linear = {**attributes, "linear_before_reset": True}
    shapes = infer("gru", (7, N, 3), [2, 15, 3], [2, 15, 5], [2, 30], (2, N, 5), **linear)
    assert shapes == ((7, 2, N, 5), (2, N, 5))
    functions = ((("relu", 0.0, 0.0),), (("affine", 0.5, 0.0),))
    shapes = infer("rnn", (7, N, 3), [2, 5, 3], [2, 5, 5], **attributes, functions=functions)
    assert shapes == ((7, 2, N, 5), (2, N, 5))


REFUSED: list[tuple[str, tuple[Any, ...], Mapping[str, Any], str]] = [
    ("conv", ((3, 4, 9, 9), [6, 4, 3, 3]), {**WINDOW, "group": 1}, "axis 0 must be the batch"),
    ("conv", ((N, 4, 9, 9), [6, 4, 3, 3]), {**WINDOW, "group": 0}, "number of groups"),
    ("conv", ((N, 4, 9, 9), [6, 3, 3, 3]), {**WINDOW, "group": 1}, "4 channels in 1 groups"),
    ("conv", ((N, 4, 2, 9), [6, 4, 3, 3]), {**WINDOW, "group": 1}, "larger than the padded axis"),
    ("conv", ((N, 4, 9, 9), [6, 4, 3, 3], [5]), {**WINDOW, "group": 1}, "bias must have"),
    ("linear", ((N, 5), [3, 4]), {}, "does not fit a weight"),
    ("affine", ((N, 3), [4], [1]), {}, "cannot be repeated"),
    ("add", ((N, 3), (N, 4)), {}, "differ in shape"),
    (
        "max_pool",
        ((N, 3, 9, 9),),
        {**WINDOW, "kernel": (2, 2), "pads": (2, 0, 0, 0)},
        "in the padding alone",
    ),
    ("reshape", ((2, N, 3),), {"shape": (N, 6)}, "sample by sample"),
    ("reshape", ((N, 6),), {"shape": (N, N, 6)}, "at most one N"),
    ("transpose", ((N, 3),), {"permutation": (0, 0)}, "not a permutation"),
    ("slice", ((N, 3),), {"starts": (1, 0), "steps": (1, 1), "sizes": (-1, 3)}, "must not be cut"),
    ("slice", ((N, 3),), {"starts": (0, 2), "steps": (1, 1), "sizes": (-1, 2)}, "leave an axis"),
    ("pad", ((N, 3),), {"before": (1, 0), "after": (0, 0)}, "must not be padded"),
    ("concat", ((N, 3), (N, 3)), {"axis": 0}, "must not be concatenated"),
    ("concat", ((N, 3, 1), (N, 4, 2)), {"axis": 1}, "differ outside axis 1"),
    ("expand", ((2, 3),), {"shape": (N, 3)}, "cannot be repeated"),
    (
        "lstm",
        ((7, 2, 3), [1, 20, 3], [1, 20, 5]),
        {"direction": "forward", "hidden": 5},
        "axis 1 must be the batch",
    ),
    (
        "lstm",
        ((7, N, 3), [1, 20, 4], [1, 20, 5]),
        {"direction": "forward", "hidden": 5},
        "must have shape",
    ),
    (
        "lstm",
        ((7, N, 3), [1, 20, 3], [1, 20, 5]),
        {"direction": "sideways", "hidden": 5},
        "direction is one of",
    ),
    (
        "lstm",
        ((7, N, 3), [1, 20, 3], [1, 20, 5], [1, 40], [1, 1, 5], [1, 1, 5], [1, 20]),
        {"direction": "forward", "hidden": 5},
        r"must have shape \(1, 15\)",
    ),
    (
        "rnn",
        ((7, N, 3), [1, 5, 3], [1, 5, 5]),
        {"direction": "forward", "hidden": 5, "functions": ((("cosine", 0.0, 0.0),),)},
        "a function is a name of",
    ),
    (
        "gru",
        ((7, N, 3), [1, 15, 3], [1, 15, 5]),
        {
            "direction": "forward",
            "hidden": 5,
            "linear_before_reset": False,
            "functions": ((("tanh", 0.0, 0.0),),),
        },
        "each direction has 2 functions",
    ),
]


@pytest.mark.parametrize(("kind", "operands", "attributes", "reason"), REFUSED)
def test_refusals(
    kind: str, operands: tuple[Any, ...], attributes: Mapping[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        infer(kind, *operands, **attributes)


def test_samples_stay_apart() -> None:
    assert keeps_samples((N, 2, 3), (N, 6))
    assert keeps_samples((2, N, 3), (2, N, 3, 1))
    assert keeps_samples((6,), (2, 3))
    assert not keeps_samples((2, N, 3), (N, 6))
    assert not keeps_samples((N, 6), (6,))
    assert not keeps_samples((N, 6), (N, 5))
