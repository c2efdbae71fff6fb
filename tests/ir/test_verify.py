"""Each rule of the verifier, by a module that breaks it alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from anacc.errors import IrError
from anacc.ir import spec as spec_module
from anacc.ir.module import Channel, Level, Module, Op, TensorType, Value
from anacc.ir.op_rules import op_problem
from anacc.ir.parse import parse_module
from anacc.ir.spec import Attribute, OpSpec
from anacc.ir.verify import load_vocabularies, verify

GOOD = """
module "net" level=graph batch=N {
  constant @w : float32[2, 2] = [1.0, 2.0, 3.0, 4.0]
  constant @b : float32[2] = [0.5, -0.5]
  input %x : float32[N, 2]
  %a : float32[N, 2] scale 0.5 = linear(%x, @w, @b) from "Gemm_0"
  %c : float32[N, 2] = clamp(%a) {high = 6.0, low = 0.0} from "Clip_1", "Clip_2"
  %y : float32[N, 2] = add(%c, %x)
  output "y" = %y
}
"""


def good(*edits: tuple[str, str]) -> Module:
    """The good module with edits to its text."""
    source = GOOD
    for old, new in edits:
        assert old in source
        source = source.replace(old, new)
    return parse_module(source)


def with_value(name: str, value: Value) -> Module:
    module = good()
    return replace(module, values={**module.values, name: value})


def with_op(index: int, **fields: Any) -> Module:
    module = good()
    ops = list(module.ops)
    ops[index] = replace(ops[index], **fields)
    return replace(module, ops=tuple(ops))


def message(module: Module) -> str:
    with pytest.raises(IrError) as caught:
        verify(module)
    return caught.value.message


@pytest.mark.parametrize("source", [GOOD, GOOD.replace("batch=N", "batch=3")])
def test_a_good_module_passes(source: str) -> None:
    verify(parse_module(source))


def test_the_message_names_op_and_origin_and_the_hint_shows_the_lines() -> None:
    with pytest.raises(IrError) as caught:
        verify(good(("high = 6.0", "high = 6")))
    assert caught.value.message == (
        "op `%c` from `Clip_1` has 6 as attribute `high`, which must be of type `float`"
    )
    assert caught.value.hint == (
        '  %a : float32[N, 2] scale 0.5 = linear(%x, @w, @b) from "Gemm_0"\n'
        '> %c : float32[N, 2] = clamp(%a) {high = 6, low = 0.0} from "Clip_1", "Clip_2"\n'
        "  %y : float32[N, 2] = add(%c, %x)"
    )


def test_long_lines_are_cut_in_the_hint() -> None:
    with pytest.raises(IrError) as caught:
        verify(with_op(1, attributes={"low": tuple(range(1000)), "high": 6.0}))
    assert caught.value.hint is not None
    assert max(len(line) for line in caught.value.hint.splitlines()) <= 202


OPS = [
    (("linear(", "perceptron("), "op `%a` from `Gemm_0` is wrong: level graph has no op `perc"),
    (("linear(%x, @w, @b)", "linear(%x)"), "lacks the operand `weight` of `linear`"),
    (("linear(%x, @w, @b)", "linear(_, @w, @b)"), "lacks the operand `x` of `linear`"),
    (("add(%c, %x)", "add(%c, %x, %x)"), "op `%y` has 3 operands, but `add` has at most 2"),
    (("linear(%x, @w", "linear(%x, %x"), "has `%x` as operand `weight`, which must be a constant"),
    (("linear(%x, @w", "linear(%x, @v"), "uses constant `@v`, which does not exist"),
    (("add(%c, %x)", "add(%c, %z)"), "op `%y` uses `%z`, which is not a value"),
    (("clamp(%a)", "clamp(%y)"), "op `%c` from `Clip_1` uses `%y` before it is defined"),
    (("clamp(%a)", "clamp(%c)"), "op `%c` from `Clip_1` uses `%c` before it is defined"),
    (("%y : float32[N, 2] = ", ""), "op `add` lacks the result `y` of `add`"),
    (("%y : float32[N, 2] = ", "_ = "), "op `add` lacks the result `y` of `add`"),
    (("%y : float32[N, 2] = ", "%y : float32[N, 2], _ ="), "has 2 results, but `add` has at most"),
    (("high = 6.0, ", ""), "op `%c` from `Clip_1` lacks the attribute `high` of `clamp`"),
    (("high = 6.0", "high = 6.0, top = 1"), "has the attribute `top`, which `clamp` does not know"),
    (
        ('from "Gemm_0"', "on core 0.1"),
        "op `%a` has the unit `core 0.1`, which level graph does no",
    ),
    (("%a : float32[N, 2]", "%a : float32[N, 3]"), "declares `%a` as float32[N, 3], but `linear` "),
    (("%a : float32[N, 2]", "%a : float32[?]"), "declares `%a` as float32[?], but `linear` gives"),
    (("float32[2, 2]", "float32[4, 1]"), "op `%a` from `Gemm_0` is wrong: (..., in) = ('N', 2)"),
    (("%c, %x)", "%c, @b)"), "op `%y` is wrong: the operands differ in shape: ('N', 2) and (2,)"),
]


@pytest.mark.parametrize(("edit", "fragment"), OPS)
def test_ops(edit: tuple[str, str], fragment: str) -> None:
    assert fragment in message(good(edit))


VALUES = [
    (("input %x : float32[N, 2]", "input %x : float32[N, N]"), "`%x` has more than one `N` in its"),
    (("input %x : float32[N, 2]", "input %x : float32[N, -1]"), "`%x` has the dimension -1 in its"),
    (
        ("input %x : float32[N, 2]", "input %x : Float[N, 2]"),
        "has the element type `Float`, not an",
    ),
    (("input %x : float32[N, 2]", "input %x : channel<i8, 2 x 1>"), "`%x` is a channel, which lev"),
    (("scale 0.5", "scale 0.0"), "value `%a` has scale 0.0, not a positive finite float"),
    (("scale 0.5", "scale -2.0"), "value `%a` has scale -2.0, not a positive finite float"),
    (("scale 0.5", "scale 1e999"), "value `%a` has scale inf, not a positive finite float"),
    (("batch=N", "batch=0"), "batch size 0 is not a positive integer"),
    (('output "y" = %y', 'output "y" = %z'), "output `y` is `%z`, which is not a value"),
    (('output "y" = %y', 'output "y" = @b'), "output `y` is `@b`, which is not a value"),
    (('output "y" = %y', 'output "y" = %y\noutput "y" = %c'), "output `y` is listed twice"),
]


@pytest.mark.parametrize(("edit", "fragment"), VALUES)
def test_values(edit: tuple[str, str], fragment: str) -> None:
    assert fragment in message(good(edit))


X = TensorType("float32", ("N", 2))
WRONG_CONSTANTS: dict[str, Any] = {"@w": [1.0]}
DAMAGED = [
    (with_value("%z", Value("%z", X)), "value `%z` is neither an input nor the result of an op"),
    (with_value("%z", Value("%x", X)), "value `%z` is called `%x` in its own entry"),
    (with_value("z", Value("z", X)), "value `z` must have a name of the form `%name`"),
    (with_value("%", Value("%", X)), "value `%` must have a name of the form `%name`"),
    (with_value("%x", Value("%x", X, 1)), "value `%x` has scale 1, not a positive finite float"),
    (
        with_value("%x", Value("%x", X, None, 3)),
        "value `%x` has zero point 3, not an integer with a scale",
    ),
    (
        with_value("%x", Value("%x", TensorType("float32", ("M", 2)))),
        "value `%x` has the dimension 'M' in its shape, neither `N` nor an integer >= 0",
    ),
    (
        with_value("%x", Value("%x", TensorType("float32", (True, 2)))),
        "value `%x` has the dimension True in its shape",
    ),
    (with_value("%x", Value("%x", None)), "`%x` has the type None, which is neither a"),  # type: ignore[arg-type]
    (replace(good(), inputs=()), "op `%a` from `Gemm_0` uses `%x` before it is defined"),
    (replace(good(), inputs=("%x", "%x")), "input `%x` is listed twice"),
    (replace(good(), inputs=("%q",)), "input `%q` is missing in the table of values"),
    (replace(good(), batch=True), "batch size True is not a positive integer"),
    (replace(good(), constants={"w": np.ones(1)}), "constant `w` must have a name of the form"),
    (replace(good(), constants=WRONG_CONSTANTS), "constant `@w` is a list, not an array"),
    (
        replace(good(), constants={"@w": np.ones(1, ">f4")}),
        "constant `@w` has the element type `>f4`",
    ),
    (
        replace(good(), constants={"@w": np.array(["a"])}),
        "constant `@w` has the element type `<U1`",
    ),
    (
        replace(good(), constants={"@w": np.array([None])}),
        "constant `@w` has elements that are neither numbers nor strings",
    ),
    (with_op(1, results=("%a",)), "op `%a` from `Clip_1` defines `%a`, which is defined already"),
    (with_op(1, results=("%x",)), "op `%x` from `Clip_1` defines `%x`, which is defined already"),
    (with_op(1, results=("%q",)), "defines `%q`, which is missing in the table of values"),
    (
        with_op(1, attributes={"low": np.float64(0), "high": 6.0}),
        "as attribute `low`, which must be",
    ),
]


@pytest.mark.parametrize(("module", "fragment"), DAMAGED)
def test_damage_that_text_cannot_state(module: Module, fragment: str) -> None:
    assert fragment in message(module)


def chip(op: str) -> Module:
    return parse_module(
        'module "net" level=chip batch=N {\n'
        "constant @w : int8[4, 4] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        "input %x : channel<i8, 4 x 9>\n" + op + "\n}"
    )


@pytest.mark.parametrize(
    ("op", "fragment"),
    [
        ("%y : channel<i8, 4 x 9> = regroup(%x) on core 0.12", None),
        ("%y : channel<i8, 1 x 9>, %z : channel<i8, 3 x 9> = regroup(%x)", None),
        ('%y : channel<i8, 4 x 9> = regroup(%x) on "core"', "has the unit `core`, which is not of"),
        (
            "%y : channel<i4, 4 x 9> = regroup(%x)",
            "`%y` has the channel format `i4`, not i8 or f16",
        ),
        ("%y : channel<i8, 0 x 9> = regroup(%x)", "whose token size and tokens must be positive"),
        ("%y : channel<i8, 4 x -9> = regroup(%x)", "whose token size and tokens must be positive"),
        ("%y : channel<tensor, 4 x 9> = regroup(%x)", "which has token size 0 and one token"),
        ("%y : channel<i8, 4 x 8> = regroup(%x)", "op `%y` is wrong: all parts need one format"),
        ("%y : channel<i8, 4 x 9> = regroup(@w)", "op `%y` is wrong: @w is not a channel"),
        ("%y : channel<i8, 4 x 9> = regroup(_)", "op `%y` lacks the operand `parts` of `regroup`"),
        ("_ = regroup(%x)", "op `regroup` lacks the result `parts` of `regroup`"),
        ("regroup(%x)", "op `regroup` is wrong: the token sizes of operands and results must add"),
    ],
)
def test_chip_level(op: str, fragment: str | None) -> None:
    module = chip(op)
    if fragment is None:
        verify(module)
    else:
        assert fragment in message(module)


# Rules that no declared op shows alone: a vocabulary of the tests'.


@pytest.fixture
def specs(monkeypatch: pytest.MonkeyPatch) -> None:
    load_vocabularies()
    monkeypatch.setattr(spec_module, "_REGISTRY", dict(spec_module._REGISTRY))
    types = ("int", "float", "str", "bool", "ints", "floats", "strings", "any")
    spec_module.declare(
        OpSpec(
            "test",
            Level.CHIP,
            "An op of the tests.",
            ("a?", "@bs*"),
            ("y", "zs?*"),
            {
                **{kind: Attribute(kind, False) for kind in types},
                "recurrent": Attribute("bool", False),
            },
            lambda module, op: (None, Channel("i8", 1, 1)),
        )
    )


CHANNEL = Channel("i8", 1, 1)


def problem(op: Op) -> str | None:
    values = {name: Value(name, CHANNEL) for name in ("%x", "%y", "%z")}
    module = Module(Level.CHIP, "m", None, (), (), values, {"@c": np.ones(1)}, (op,))
    return op_problem(module, op, {"%x"})


NESTED: Any = 1
for _ in range(40):
    NESTED = (NESTED,)


@pytest.mark.usefixtures("specs")
@pytest.mark.parametrize(
    ("operands", "results", "attributes", "expected"),
    [
        ((), ("%y",), {}, None),
        (("", "@c", "@c"), ("%y", ""), {}, None),
        (("%x", "@c", "%x"), ("%y",), {}, "has `%x` as operand `bs`, which must be a constant"),
        (("%x", ""), ("%y",), {}, "lacks the operand `bs` of `test`"),
        ((), ("%y", "%y"), {}, "defines `%y`, which is defined already"),
        ((), ("%y", "", "%z"), {}, "has 3 results, but `test` gives 2 here"),
        (("%z",), ("%y",), {}, "uses `%z` before it is defined"),
        (("%z",), ("%y",), {"recurrent": False}, "uses `%z` before it is defined"),
        (("%z",), ("%y",), {"recurrent": True}, None),
        (("%q",), ("%y",), {"recurrent": True}, "uses `%q`, which is not a value"),
    ],
)
def test_marks_and_recurrence(
    operands: tuple[str, ...],
    results: tuple[str, ...],
    attributes: dict[str, Any],
    expected: str | None,
) -> None:
    assert problem(Op("test", operands, results, attributes)) == expected


@pytest.mark.usefixtures("specs")
@pytest.mark.parametrize(
    ("kind", "allowed", "refused"),
    [
        ("int", [0, -1], [True, 1.0, "1", np.int64(1)]),
        ("float", [0.0, float("inf")], [1, True, np.float64(1)]),
        ("str", [""], [1, b"a"]),
        ("bool", [True], [1, np.bool_(True)]),
        ("ints", [(), (1, 2)], [[1], (1.0,), (True,), 1]),
        ("floats", [(1.0,)], [(1,)]),
        ("strings", [("a",)], [("a", 1), "a"]),
        ("any", [1, 1.0, "a", False, ((1, ("a",)), ())], [None, [1], (None,), NESTED]),
    ],
)
def test_attribute_types(kind: str, allowed: list[Any], refused: list[Any]) -> None:
    for value in allowed:
        assert problem(Op("test", (), ("%y",), {kind: value})) is None
    for value in refused:
        found = problem(Op("test", (), ("%y",), {kind: value}))
        assert found is not None and f"as attribute `{kind}`, which must be of type" in found
