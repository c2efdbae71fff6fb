"""Branches and loops that were not expanded, because something about them is unknown.

What can be expanded is gone before the import (see `anacc.frontend.control_flow`).
"""

from __future__ import annotations

from anacc.frontend.facts import Obstacle
from anacc.frontend.node import Node
from anacc.frontend.registry import imports, unmet


def has_known_condition(node: Node) -> bool:
    """its condition is the same for every input, so that one branch takes its place

    fix the condition when the model is exported, so that only one branch is left
    """
    return node.facts.whole.get(node.name) is not Obstacle.CONDITION


def has_known_length(node: Node) -> bool:
    """its number of iterations is the same for every input and batch, so that it can be unrolled

    fix the number of iterations when the model is exported, or unroll the loop there
    """
    return node.facts.whole.get(node.name) is not Obstacle.LENGTH


def has_iterations(node: Node) -> bool:
    """it has at least one iteration, or gives nothing for each

    leave it to the host, or export the model without the empty loop
    """
    return node.facts.whole.get(node.name) is not Obstacle.EMPTY


def repeats_few_matrices(node: Node) -> bool:
    """it has 8 iterations at most, or no constant matrix, which takes crossbars in each one

    leave it to the host, or unroll it yourself if the target has the cores
    """
    return node.facts.whole.get(node.name) is not Obstacle.COPIES


def expands_to_few_nodes(node: Node) -> bool:
    """all branches and loops of the model expand to 20,000 nodes at most

    shorten the loops, or leave them to the host
    """
    return node.facts.whole.get(node.name) is not Obstacle.SIZE


def fits_expanded(node: Node) -> bool:
    """the model is valid with the nodes of its inner graph in its place

    have the branches give tensors of the rank that the nodes behind it take
    """
    return node.facts.whole.get(node.name) is not Obstacle.REFUSED


@imports("If", requires=(has_known_condition, expands_to_few_nodes, fits_expanded))
def import_branch(node: Node) -> None:
    """An If that is left over runs on the host."""
    raise unmet(has_known_condition)


@imports(
    "Loop",
    "Scan",
    requires=(
        has_known_length,
        has_iterations,
        repeats_few_matrices,
        expands_to_few_nodes,
        fits_expanded,
    ),
)
def import_loop(node: Node) -> None:
    """A Loop or Scan that is left over runs on the host."""
    raise unmet(has_known_length)
