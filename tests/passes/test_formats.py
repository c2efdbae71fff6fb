"""Formats: what each value is needed in, what it can be had in, and which cannot be negative."""

from __future__ import annotations

import pytest

from anacc.ir import Module, verify
from anacc.ir.parse import parse_module
from anacc_passes.formats import demands, has_values, nonnegative

BOTH = {"i8", "f16"}
PRODUCT = 'activation = "none", dilations = [], group = 1, pads = [], strides = []'
POOL = "kernel = [2], pads = [0, 0], strides = [2]"
LSTM = 'direction = "forward", hidden = 1'


def layer(body: str) -> Module:
    """A layer module that takes %x (N, 1, 4) and %h (1, N, 1)."""
    module = parse_module(
        'module "m" level=layer batch=N {\n'
        "  constant @w : float32[4, 4] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        "  constant @s : float32[4] = [1, 1, 1, 1]\n"
        "  constant @positive : float32[1] = [0.5]\n"
        "  constant @negative : float32[1] = [-0.5]\n"
        "  constant @g : float32[1, 4, 1] = [1, 2, 3, 4]\n"
        "  constant @i : float32[1, 1, 4] = [1, 2, 3, 4]\n"
        "  constant @r : float32[1, 1, 1] = [1]\n"
        f"  input %x : float32[N, 1, 4]\n  input %h : float32[1, N, 1]\n{body}\n}}"
    )
    verify(module)
    return module


def check(body: str, **expected: set[str]) -> None:
    found = demands(layer(body))
    assert {name: set(found[f"%{name}"]) for name in expected} == expected


@pytest.mark.parametrize(
    ("consumer", "wanted"),
    [
        (f"crossbar(%x, @w, @s, @s, _) {{{PRODUCT}}}", {"i8"}),
        (f"max_pool(%x) {{dilations = [1], {POOL}}}", {"i8"}),
        (f"average_pool(%x) {{count_include_pad = false, {POOL}}}", {"i8"}),
        ("affine(%x, @positive, @negative)", {"f16"}),
        ("multiply(%x, %x)", {"f16"}),
        ("tanh(%x)", {"f16"}),
        ('host(%x) {nodes = ["n"], reasons = ["r"]}', {"f16"}),
    ],
)
def test_each_consumer_takes_one_format(consumer: str, wanted: set[str]) -> None:
    shape = "N, 1, 2" if "pool" in consumer else "N, 1, 4"
    check(f'%y : float32[{shape}] = {consumer} from "n"\noutput "y" = %y', x=wanted)


def test_residual_operands_are_codes() -> None:
    check(
        f'%a : float32[N, 1, 4] = tanh(%x)\noutput "b" = %b\n'
        f"%b : float32[N, 1, 4] = crossbar(%x, @w, @s, @s, %a) {{{PRODUCT}}}",
        a={"i8"},
        b={"f16"},
    )


def test_an_lstm_takes_codes_of_its_input_and_values_of_its_states() -> None:
    check(
        "%c : float32[1, N, 1] = tanh(%h)\n%t : float32[4, N, 1] = transpose(%x) "
        "{permutation = [2, 0, 1]}\n%y : float32[4, 1, N, 1], _, _ = lstm(%t, @g, @g, _, %h, %c) "
        f'{{{LSTM}}}\noutput "y" = %y',
        x={"i8"},
        t={"i8"},
        h={"f16"},
        c={"f16"},
        y={"f16"},
    )


def test_movement_passes_on_what_each_consumer_wants() -> None:
    check(
        '%a : float32[N, 4] = reshape(%x) {shape = ["N", 4]}\n'
        "%b : float32[N, 8] = concat(%a, %a) {axis = 1}\n%t : float32[N, 8] = tanh(%b)\n"
        "%c : float32[N, 4] = slice(%b) {sizes = [-1, 4], starts = [0, 0], steps = [1, 2]}\n"
        f"%d : float32[N, 4] = crossbar(%c, @w, @s, @s, _) {{{PRODUCT}}}\n"
        'output "t" = %t\noutput "d" = %d',
        c={"i8"},
        b=BOTH,
        a=BOTH,
        x=BOTH,
    )


def test_a_maximum_of_codes_has_no_values_nor_has_what_is_moved_from_it() -> None:
    body = (
        f"%p : float32[N, 1, 2] = max_pool(%x) {{dilations = [1], {POOL}}}\n"
        "%t : float32[N, 1, 4] = tanh(%x)\n"
        "%c : float32[N, 1, 6] = concat(%p, %t) {axis = 2}\n"
        "%q : float32[N, 1, 6] = tanh(%c)\n"
        f"%m : float32[N, 1, 3] = average_pool(%c) {{count_include_pad = false, {POOL}}}\n"
        'output "q" = %q\noutput "m" = %m'
    )
    check(body, p={"i8"}, c={"i8"}, t={"i8"}, q={"f16"}, m={"f16"}, x=BOTH)
    possible = has_values(layer(body))
    assert [name for name, known in possible.items() if not known] == ["%p", "%c"]


def test_a_value_that_nothing_uses_is_needed_in_no_format() -> None:
    check('%a : float32[N, 1, 4] = tanh(%x)\noutput "x" = %x', a=set(), x={"f16"}, h=set())


@pytest.mark.parametrize(
    ("op", "known"),
    [
        ("tanh(%x)", False),
        ("sigmoid(%x)", True),
        ("relu(%x)", True),
        ("clamp(%x) {high = 1.0, low = 0.0}", True),
        ("clamp(%p) {high = 1.0, low = -1.0}", False),
        ("affine(%p, @positive, @positive)", False),
        ("add(%p, %p)", True),
        ("add(%p, %x)", False),
        ("multiply(%p, %p)", True),
        ("multiply(%x, %x)", False),
        ('function(%x) {steps = [["cos", 0]]}', False),
        ('function(%x) {nonnegative = true, steps = [["exp", 0]]}', True),
        (f"crossbar(%p, @w, @s, @s, %p) {{{PRODUCT}}}", False),
        (f"crossbar(%x, @w, @s, @s, _) {{{PRODUCT.replace('none', 'relu')}}}", True),
        (f"crossbar(%x, @w, @s, @s, _) {{high=9.0, low=0.0, {PRODUCT.replace('none', 'clamp')}}}",
         True),
        (f"crossbar(%x, @w, @s, @s, _) {{high=9.0, low=-1.0, {PRODUCT.replace('none', 'clamp')}}}",
         False),
        ("concat(%p) {axis = 1}", True),
        ("reshape(%x) {shape = [\"N\", 1, 4]}", False),
        ("pad(%p) {after = [0, 0, 0], before = [0, 0, 0], value = 1.0}", True),
        ("pad(%p) {after = [0, 0, 0], before = [0, 0, 0], value = -1.0}", False),
        ("max_pool(%p) {dilations = [1], kernel = [1], pads = [0, 0], strides = [1]}", True),
        ("average_pool(%p) {count_include_pad = true, kernel = [1], pads = [0, 0], strides = [1]}",
         True),
        ("average_pool(%x) {count_include_pad = true, kernel = [1], pads = [0, 0], strides = [1]}",
         False),
        ('host(%p) {nodes = ["n"], reasons = ["r"]}', False),
    ],
)  # fmt: skip
def test_signs(op: str, known: bool) -> None:
    module = layer(
        f'%p : float32[N, 1, 4] = relu(%x)\n%y : float32[N, 1, 4] = {op}\noutput "y" = %y'
    )
    assert nonnegative(module)["%y"] is known


@pytest.mark.parametrize(
    ("function", "state", "known"),
    [
        ("relu", "", True),
        ("hard_sigmoid", "", True),
        ("tanh", "", False),
        ("relu", ", %h", False),
        ("relu", ", %p", True),
    ],
)
def test_signs_of_recurrent_layers(function: str, state: str, known: bool) -> None:
    """What comes back to the crossbars counts, and with it the initial state."""
    module = layer(
        "%p : float32[1, N, 1] = relu(%h)\n%t : float32[1, N, 4] = transpose(%x) "
        "{permutation = [1, 0, 2]}\n%y : float32[1, 1, N, 1], _ = rnn(%t, @i, @r, _"
        f'{state}) {{direction = "forward", functions = [[["{function}", 0.5, 0.5]]], '
        'hidden = 1}\noutput "y" = %y'
    )
    assert nonnegative(module)["%y"] is known
