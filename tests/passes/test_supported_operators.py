"""docs/supported-operators.md is what the importers and the shipped targets say."""

from __future__ import annotations

from pathlib import Path

import pytest

from anacc.frontend import import_model
from anacc.frontend.inspection import conditions, emitted_kinds, raised_conditions
from anacc.frontend.node import Node, Unsupported
from anacc.frontend.registry import Importer, condition_of, hint_of, importers, unmet
from anacc.targets import load_target
from anacc_passes.supported_operators import render, units_of
from tests.frontend.check import model
from tests.frontend.test_operators import CASES

KINDS = {each.operator: emitted_kinds(each) for each in importers()}
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "supported-operators.md"


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render(), (
        "run python -m anacc_passes.supported_operators > docs/supported-operators.md"
    )


def test_every_operator_and_every_constraint_is_on_the_page() -> None:
    page = render()
    for importer in importers():
        assert any(
            importer.operator in line.removeprefix("### ").split(", ")
            for line in page.splitlines()
            if line.startswith("### ")
        )
        for rule in importer.requires:
            assert f"- {condition_of(rule)}\n" in page
            assert hint_of(rule) in page


def is_small(node: Node) -> bool:
    """it is small

    cut it
    """
    return False


def build(node: Node) -> None:
    """It may become a `clamp`, which no literal says."""
    if node.uses(1):
        raise Unsupported("it is so", "make " + f"{node.name} so")
    if node.uses(2):
        raise unmet(is_small, "it is large")
    node.emit("relu" if node.uses(0) else "tanh", ())


def test_conditions_are_read_from_the_source() -> None:
    assert list(raised_conditions(build)) == [("it is so", "make … so"), ("it is small", "cut it")]
    # This module is none of the frontend's, so that the source of the importer is not read.
    assert conditions(Importer("Own", (is_small,), build)) == [("it is small", "cut it")]
    pad = next(each for each in importers() if each.operator == "Pad")
    raised = [condition for condition, _ in raised_conditions(pad.build)]
    assert raised and set(raised) <= {condition for condition, _ in conditions(pad)}


class Helper:
    """What importers of several ops may use."""

    def move(self) -> None:
        raise Unsupported("it moves")

    def stay(self) -> None:
        raise Unsupported("it stays")


def build_by_helper(node: Node) -> None:
    """Only one method of the helper is called."""
    Helper().move()


def test_methods_that_are_called_count(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in (Helper, Helper.move, Helper.stay, build_by_helper):
        monkeypatch.setattr(each, "__module__", "anacc.frontend.own")
    assert conditions(Importer("Own", (), build_by_helper)) == [("it moves", "")]


@pytest.mark.parametrize("name", CASES)
def test_what_importing_gives_is_on_the_page(name: str) -> None:
    text, opset, constants, *_ = CASES[name]
    module = import_model(model(text, opset, **constants))
    for op in module.ops:
        for origin in op.origins:
            assert op.kind in KINDS[module.source.operators[origin]]


@pytest.mark.parametrize(
    ("kind", "units"),
    [
        ("conv", {"crossbar"}),
        ("lstm", {"crossbar", "GDPU"}),
        ("relu", {"LDPU"}),
        ("add", {"LDPU", "GDPU"}),
        ("tanh", {"GDPU"}),
        ("pad", {"bridge"}),
        ("identity", set()),
    ],
)
def test_units(kind: str, units: set[str]) -> None:
    assert units_of(load_target("hermes"), kind) == units
