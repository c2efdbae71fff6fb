"""Every reason for the host says what the user can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from anacc.frontend.conditions import GENERAL, HOST_OPERATORS
from anacc.frontend.node import Unsupported
from anacc.frontend.registry import condition_of, hint_of, importers, unmet
from tests.frontend.check import check, model

CONSTRAINTS = {
    rule.__name__ + " of " + importer.operator: rule
    for importer in importers()
    for rule in importer.requires
} | {rule.__name__: rule for rule in GENERAL}


@pytest.mark.parametrize("rule", CONSTRAINTS.values(), ids=CONSTRAINTS.keys())
def test_a_constraint_has_a_condition_and_a_hint(rule: Callable[..., Any]) -> None:
    for text in (condition_of(rule), hint_of(rule)):
        assert text and "\n" not in text and text[-1] != "."
        assert text[0].islower() or text.startswith("auto_pad")


def needs_more(node: object) -> bool:
    """it has more
    than this

    give it
    more
    """
    return False


def test_paragraphs_become_lines() -> None:
    assert condition_of(needs_more) == "it has more than this"
    assert hint_of(needs_more) == "give it more"
    error = unmet(needs_more, "`x` has less")
    assert (str(error), error.hint) == ("it has more than this, but `x` has less", "give it more")


def test_a_condition_without_a_hint_has_the_general_one() -> None:
    assert Unsupported("it is so").hint.startswith("change the node so that it does")


@pytest.mark.parametrize(
    ("body", "reason", "hint"),
    [
        ("y = Softmax (x)", "the chip has no operator Softmax", "leave it out of the model if"),
        ("y = Floor (x)", "the chip has no operator Floor", "leave it to the host, which runs it"),
        ("y = Div (x, x)", "it runs on the chip only if it divides by", "multiply by a constant"),
    ],
)
def test_a_host_node_has_a_hint(body: str, reason: str, hint: str) -> None:
    module = check(model(f"g (float[N,3] x) => (float[N,3] y) {{ {body} }}"), "host")
    (op,) = module.ops
    assert str(op.nested("reasons")[0]).startswith(reason)
    assert str(op.nested("hints")[0]).startswith(hint)


def test_what_always_stays_on_the_host_has_no_importer() -> None:
    assert not HOST_OPERATORS.keys() & {importer.operator for importer in importers()}
